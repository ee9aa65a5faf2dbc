"""The bridge: gates between target and teacher, gates of observed outcomes, and the correction of a log's outcomes."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .correction import Correction
from .labels import Batch, Bridged

# Logits of learned constants stay off the ends, where a sigmoid has no slope.
_EDGE = 1e-3


class Bridge(nn.Module):
    """What lies between the two levels; run on a batch, it says how its labels are made.

    Parameters
    ----------
    features, treatments
        F and M.
    gate, factual_gate
        A number in [0, 1], which is not learned; "per-arm", 2M learned constants; "network", a network of the features; or
        a module from standardised features [n, F] to 2M logits.
    correction
        None, or where the shift of observed outcomes starts.
    start
        What learned gates are at first: of `gate` and of `factual_gate`.
    hidden
        Hidden layers of gate networks.
    learn
        Which of "gate", "factual_gate", "correction" have parameters.
    """

    def __init__(
        self,
        features: int,
        treatments: int,
        *,
        gate: Any = 0.5,
        factual_gate: Any = 0.0,
        correction: Correction | None = None,
        start: tuple[float, float] = (0.5, 0.5),
        hidden: Sequence[int] = (64, 32, 32),
        learn: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.gate = _gate("gate", gate, features, treatments, start[0], hidden, "gate" in learn)
        self.factual_gate = _gate(
            "factual_gate", factual_gate, features, treatments, start[1], hidden, "factual_gate" in learn
        )
        self.coefficients: nn.Parameter | None = None
        if correction is not None:
            start_at = torch.from_numpy(correction.coefficients).float()
            self.coefficients = nn.Parameter(start_at, requires_grad="correction" in learn)
        self.treatments = treatments

    def forward(self, batch: Batch) -> Bridged:
        gate = _said(self.gate, batch.x)
        factual = _said(self.factual_gate, batch.x)
        if isinstance(factual, Tensor):
            factual = factual.expand(len(batch.x), -1).gather(1, batch.columns)
        if isinstance(gate, Tensor):
            gate = gate.expand(len(batch.x), -1)
        return Bridged(gate, factual, 0.0 if self.coefficients is None else self.shift(batch))

    def shift(self, batch: Batch) -> Tensor:
        """δ of the treatment received, [n, 2]."""
        assert self.coefficients is not None
        own = self.coefficients.transpose(0, 1)[batch.columns[:, 0]]
        return own[:, :, 0] + (own[:, :, 1:] * batch.x.unsqueeze(1)).sum(2)

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """Learned parameters by what they are."""
        found: dict[str, list[nn.Parameter]] = {}
        for name in ("gate", "factual_gate"):
            part = getattr(self, name)
            if isinstance(part, nn.Module):
                found[name] = [p for p in part.parameters() if p.requires_grad]
        if self.coefficients is not None and self.coefficients.requires_grad:
            found["correction"] = [self.coefficients]
        return {name: parameters for name, parameters in found.items() if parameters}


class PerArm(nn.Module):
    """2M logits, the same for everybody."""

    def __init__(self, outputs: int, start: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.full((1, outputs), _logit(start)))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits


def gate_network(features: int, hidden: Sequence[int], outputs: int, start: float) -> nn.Sequential:
    """A network of gate logits that says about `start` for everybody at first."""
    sizes = [features, *hidden, outputs]
    layers: list[nn.Module] = []
    for a, b in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(a, b), nn.ReLU()]
    last = layers[-2]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.mul_(0.3)
        last.bias.fill_(_logit(start))
    return nn.Sequential(*layers[:-1])


def _gate(
    name: str, given: Any, features: int, treatments: int, start: float, hidden: Sequence[int], learned: bool
) -> Any:
    if isinstance(given, nn.Module):
        return copy.deepcopy(given).requires_grad_(learned)  # the caller's own is left as it is
    if given == "per-arm":
        return PerArm(2 * treatments, start).requires_grad_(learned)
    if given == "network":
        return gate_network(features, hidden, 2 * treatments, start).requires_grad_(learned)
    if isinstance(given, (int, float)) and not isinstance(given, bool) and 0 <= given <= 1:
        return float(given)
    raise ValueError(f"{name} must be a number in [0, 1], 'per-arm', 'network' or a module, got {given!r}")


def _said(gate: Any, x: Tensor) -> Tensor | float:
    from ..methods._network import forward  # hypergradients alone need no methods

    return torch.sigmoid(forward(gate, x)) if isinstance(gate, nn.Module) else gate


def _logit(p: float) -> float:
    p = min(max(p, _EDGE), 1 - _EDGE)
    return math.log(p / (1 - p))
