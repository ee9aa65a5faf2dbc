"""From a network's raw outputs to value and cost where these are not plain numbers: probabilities, and costs paid on success."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..data.table import Table
from ._losses import Observed, columns
from ._network import arm_means
from ._units import Units

Array = NDArray[Any]


@dataclass(frozen=True)
class Link:
    """`name`: "identity" (standardised outputs), "binary" (value is a logit), "on-value" (and cost is paid on success).

    `cost_start` [M], `cost_unit`, `cost_mean`: what the cost heads say is turned into money with.
    """

    name: str
    cost_start: Tensor | None = None
    cost_unit: float = 1.0
    cost_mean: float = 0.0

    @classmethod
    def of(cls, name: str, tensors: Mapping[str, Tensor]) -> Link:
        if name == "identity":
            return cls(name)
        unit, mean = tensors["link.cost"].tolist()
        return cls(name, tensors["link.cost_start"], unit, mean)

    def tensors(self) -> dict[str, Tensor]:
        if self.cost_start is None:
            return {}
        cost = torch.tensor([self.cost_unit, self.cost_mean], dtype=torch.float64)
        return {"link.cost_start": self.cost_start, "link.cost": cost}

    def units(self, units: Units, table: Table) -> Units:
        """Of the outcomes as this link wants them: observed value 0 or 1, cost in money or in units of its spread."""
        return replace(units, mean=np.array([0.0, 0.0]), sd=np.array([1.0, 1.0]))

    def start(self, table: Table, means: Array) -> Array:
        """[2M] raw outputs that predict the means of the treatments."""
        if self.name == "identity":
            return means
        m = table.treatments
        chance = arm_means(table.value, table.treatment, m).clip(0.01, 0.99)
        assert self.cost_start is not None
        cost = np.zeros(m) if self.name == "on-value" else (self.cost_start.numpy() - self.cost_mean) / self.cost_unit
        return np.concatenate([np.log(chance / (1 - chance)), cost])

    def cost(self, raw: Tensor, start: Tensor) -> Tensor:
        """Raw cost outputs as money, or as the amount paid on success."""
        # An amount is the treatment's mean amount times a positive factor: a treatment that pays nothing stays at 0.
        return start * raw.exp() if self.name == "on-value" else self.cost_mean + self.cost_unit * raw

    def predict(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs [N, 2M] as value and cost in money, [N, M] each."""
        assert self.cost_start is not None
        m = raw.shape[1] // 2
        value, cost = torch.sigmoid(raw[:, :m]), self.cost(raw[:, m:], self.cost_start.to(raw.device))
        return value, value * cost if self.name == "on-value" else cost


def link_of(cost: str, table: Table) -> Link:
    """The link that fits the table's outcomes and the form of cost asked for."""
    if cost not in ("auto", "on-value", "direct"):
        raise ValueError(f"cost must be 'auto', 'on-value' or 'direct', got {cost!r}")
    binary = bool(np.isin(table.value, (0, 1)).all())
    if cost == "auto":
        free = not table.cost[table.value == 0].any() and table.cost.min() >= 0
        cost = "on-value" if binary and free else "direct"
    if cost == "on-value" and not binary:
        raise ValueError("cost='on-value' needs values of 0 and 1")
    if not binary:
        return Link("identity")
    paid = table.value == 1 if cost == "on-value" else np.ones(len(table), bool)
    start = torch.from_numpy(arm_means(table.cost[paid], table.treatment[paid], table.treatments).astype(np.float32))
    spread = max(float(table.cost[paid].std()), 1e-12) if paid.any() else 1.0
    mean = float(table.cost.mean())
    return Link("on-value" if cost == "on-value" else "binary", start, spread, mean)


class LinkedLoss:
    """Cross-entropy of the value, squared error of the cost (on value: among those who were paid)."""

    def __init__(self, link: Link, columns: Tensor, y: Tensor, start: Tensor) -> None:
        self.link = link
        self.arrays: tuple[Tensor, ...] = (columns, y, start)

    @staticmethod
    def of(link: Link, table: Table, y: Tensor, weights: Tensor | None = None) -> Any:
        """The loss that the link asks for; `y`: outcomes [N, 2], `weights`: of the squared errors of plain numbers [N, 2]."""
        at = columns(torch.from_numpy(table.treatment), table.treatments).to(y.device)
        if link.cost_start is None:
            return Observed(at, y, weights)
        return LinkedLoss(link, at, y, link.cost_start.to(y.device)[at[:, 0]])

    def slope(self, outputs: Tensor, arrays: Sequence[Tensor]) -> Tensor:
        at, y, start = arrays
        raw = outputs.gather(2, at)
        out = raw / outputs.shape[1]
        with torch.enable_grad():
            leaf = raw.detach().requires_grad_()
            self._rows(leaf, y, start).mean(1).sum().backward()
        assert leaf.grad is not None
        out.copy_(leaf.grad)
        return torch.zeros_like(outputs).scatter_(2, at, out)

    def value(self, outputs: Tensor, arrays: Sequence[Tensor]) -> Tensor:
        at, y, start = arrays
        return self._rows(outputs.gather(2, at), y, start).mean(1)

    def _rows(self, raw: Tensor, y: Tensor, start: Tensor) -> Tensor:
        of_value = nn.functional.binary_cross_entropy_with_logits(raw[..., 0], y[..., 0], reduction="none")
        error = ((self.link.cost(raw[..., 1], start) - y[..., 1]) / self.link.cost_unit) ** 2
        return of_value + (error * y[..., 0] if self.link.name == "on-value" else error)
