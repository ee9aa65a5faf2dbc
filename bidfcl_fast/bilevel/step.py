"""`BilevelStep`: one bilevel step, for the trainer and for anybody else's loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..linalg import CGResult, MLPCurvature
from ..linalg import _vectors as vectors
from .descent import descend
from .hypergradient import Hypergradient, explicit_hypergradient, implicit_hypergradient, write
from .labels import Batch, Bridged, Labels, Part, mixed
from .lower import Average, Averaged


class BilevelStep:
    """The two losses of Bi-DFCL and the gradient of the upper one with respect to the bridge.

    In a loop: `loss(batch)` is the target's loss of a batch, to be gone down by whatever optimiser the target has; every so many batches
    `upper(batch)` fills in the `.grad` of the bridge's parameters, for whatever optimiser the bridge has.

    Parameters
    ----------
    target
        Standardised features [n, F] → outputs [n, 2M]: values, then costs.
    bridge
        `Bridge`, or a module that gives `Bridged` for a `Batch`.
    upper_loss
        `upper_loss(target)` → one number.
    reading
        "A", "B" or "C" (`bilevel.labels`).
    differentiation
        "implicit" (equation 18 in adjoint form), or "explicit": through `assumed_steps` (at least 1) gradient steps.
    curvature
        "gauss_newton" or "hessian".
    cg_steps, cg_tolerance, damping
        Of the solve; `damping` is relative, to |H·g|/|g|. Each solve starts from the last one's answer.
    share
        The curvature is taken on that share of a batch's rows.
    assumed_steps, step_size
        The labels are held while a copy of the target takes so many gradient steps; the hypergradient is taken there.
        0: at the target as it is.
    counterfactual_weight
        Of the cells that were not observed.
    average
        Of several processes that train together, each on a part of every batch: a flat tensor → its mean over all of them
        (`scale.torch_distributed.average`, which says what its second argument is). `upper` then gives every process the
        hypergradient of the mean losses.

    Source: Bi-DFCL Algorithm 1 and eq. 18.
    """

    def __init__(
        self,
        target: nn.Module,
        bridge: nn.Module,
        upper_loss: Callable[[nn.Module], Tensor],
        *,
        reading: str = "A",
        differentiation: str = "implicit",
        curvature: str = "gauss_newton",
        cg_steps: int = 10,
        cg_tolerance: float = 0.03,
        damping: float = 0.01,
        share: float = 1.0,
        assumed_steps: int = 0,
        step_size: float = 1e-3,
        counterfactual_weight: float = 1.0,
        average: Callable[..., Tensor] | None = None,
    ) -> None:
        if differentiation not in ("implicit", "explicit"):
            raise ValueError(f"differentiation must be 'implicit' or 'explicit', got {differentiation!r}")
        if curvature not in ("gauss_newton", "hessian"):
            raise ValueError(f"curvature must be 'gauss_newton' or 'hessian', got {curvature!r}")
        if not 0 < share <= 1:
            raise ValueError(f"share must be more than 0 and at most 1, got {share}")
        self.target, self.bridge, self.upper_loss, self.reading = target, bridge, upper_loss, reading
        self.differentiation, self.curvature = differentiation, curvature
        self.cg_steps, self.cg_tolerance = vectors.count("cg_steps", cg_steps), cg_tolerance
        self.damping, self.share = vectors.number("damping", damping), share
        self.assumed_steps, self.step_size = vectors.count("assumed_steps", assumed_steps), step_size
        self.counterfactual_weight, self.average = counterfactual_weight, average
        self.last: Hypergradient | None = None
        self.said: Bridged | None = None  # what the bridge said of the last batch it was asked about
        self._warm: Tensor | None = None
        self._fused: MLPCurvature | None = None
        self._plain = False  # the target is not what the fused curvature takes

    def labels(self, batch: Batch, start: Tensor | None = None) -> Labels:
        """Labels and weights of a batch; `start`: the target's outputs, if they are known already."""
        if start is None and self.reading == "A":
            with torch.no_grad():
                start = self.target(batch.x)
        self.said = self.bridge(batch)
        return mixed(batch, self.said, self.reading, start, self.counterfactual_weight)

    def loss(self, batch: Batch) -> Tensor:
        """The lower loss of a batch, with labels made now; its gradient is the target's alone."""
        outputs = self.target(batch.x)
        with torch.no_grad():
            labels = self.labels(batch, outputs.detach())
        return labels.loss(outputs)

    def upper(self, batch: Batch, part: Part | None = None) -> Hypergradient:
        """The hypergradient on a batch, written to the `.grad` of the bridge's learned parameters.

        `part`: the batch is this process's part of one. None: with `average`, parts are of one size.
        """
        average = self._mean(None if part is None else part.share)
        learned = [p for p in self.bridge.parameters() if p.requires_grad]
        with torch.no_grad():
            start = self.target(batch.x) if self.reading == "A" else None

        if self.differentiation == "explicit":
            found = explicit_hypergradient(
                self.target, learned, lambda outputs: self.labels(batch, start).loss(outputs), self.upper_loss, batch.x,
                step_size=self.step_size, steps=max(1, self.assumed_steps), average=average,
            )  # fmt: skip
        else:
            found = self._implicit(batch, learned, start, part, average)
        found.assign(learned)
        self.last = found
        return found

    def _mean(self, share: float | None) -> Average | None:
        """The mean over processes, where this one's part counts `share`."""
        average = self.average
        if average is None or share is None:
            return average
        return lambda x: average(x, share)

    def _implicit(
        self, batch: Batch, learned: Sequence[Tensor], start: Tensor | None, part: Part | None, average: Average | None
    ) -> Hypergradient:
        theta = vectors.parameters("target", self.target)
        before = vectors.flatten(theta).detach().clone() if self.assumed_steps else None
        try:
            # The bridge is asked once: its answer without the way back is held below, the way back is walked at the end.
            with torch.enable_grad():
                made = self.labels(batch, start)
            held = Labels(*(t.detach() for t in made))
            operator = self._descended(theta, batch, held, part, average)
            found = implicit_hypergradient(
                self.target, learned, made.loss, self.upper_loss, batch.x, curvature=operator, rtol=self.cg_tolerance,
                max_steps=self.cg_steps, damping=self._absolute(operator), x0=self._warm,
                preconditioner=None, stationarity=False, average=average,
            )  # fmt: skip
        finally:
            if before is not None:
                write(theta, before)
        assert found.solve is not None
        self._warm = found.solve.x if bool(torch.isfinite(found.solve.x).all()) else None
        return found

    def _descended(
        self, theta: Sequence[Tensor], batch: Batch, held: Labels, part: Part | None, average: Average | None
    ) -> Any:
        """The curvature after the assumed steps; where it knows the loss of the whole batch, it takes them itself."""
        whole = self.curvature == "hessian" and self.share == 1 and average is None
        operator = self._operator(batch, held, part) if whole else None
        if isinstance(operator, MLPCurvature):
            for _ in range(self.assumed_steps):
                operator.step(self.step_size)
            return operator
        descend(self.target, theta, batch.x, held, self.assumed_steps, self.step_size, average)
        return self._operator(batch, held, part)

    def _absolute(self, operator: Any) -> float:
        """The damping in the operator's own units: its size along the last answer, or along a fixed direction at first."""
        if not self.damping or isinstance(operator, str):
            return self.damping
        v = self._warm
        if v is None or not bool(v.any()):
            v = torch.ones(operator.size, dtype=operator.dtype, device=operator.device)
        return self.damping * float((operator @ v).norm() / v.norm())

    def _operator(self, batch: Batch, labels: Labels, part: Part | None) -> Any:
        """The fused curvature where the target allows it, else the name of the general one."""
        taken, share = max(1, round(self.share * len(batch.x))), None
        if part is not None:
            whole = max(1, round(self.share * part.rows))
            own = int(((part.places >= 0) & (part.places < whole)).sum())
            taken, share = max(1, own), own / whole
        rows = slice(0, taken)
        x, labels = batch.x[rows].contiguous(), Labels(*(t[rows] for t in labels))
        exact = self.curvature == "hessian"
        given: dict[str, Any] = {
            "targets": labels.label.contiguous() if exact else None,
            "weight": labels.weight.contiguous(),
        }
        if self._plain:
            return self.curvature
        try:
            if self._fused is None:
                self._fused = MLPCurvature(self.target, x, kind=self.curvature, **given)
            else:
                self._fused.refresh(x, **given)
        except (TypeError, ValueError):
            self._plain = True
            return self.curvature
        average = self._mean(share)
        return self._fused if average is None else Averaged(self._fused, average)

    @property
    def solve(self) -> CGResult | None:
        """How the last linear solve went."""
        return None if self.last is None else self.last.solve

    def state(self) -> dict[str, Tensor]:
        """What the next step needs of the last ones: the solve's answer."""
        return {} if self._warm is None else {"warm": self._warm}

    def load(self, state: dict[str, Tensor]) -> None:
        self._warm = state.get("warm")
