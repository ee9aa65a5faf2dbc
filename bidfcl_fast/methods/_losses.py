"""What a network's outputs are compared with: observed outcomes, or a label for every cell.

A loss has `arrays`, tensors with one entry a row that the fit loop shuffles along with the features, and says the slope of
its mean over rows, ∂/∂outputs [T, n, K], without a graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class Loss(Protocol):
    arrays: tuple[Tensor, ...]

    def slope(self, outputs: Tensor, arrays: Sequence[Tensor]) -> Tensor:
        """Outputs [T, n, K], arrays [T, n, …] → [T, n, K]; `outputs` may be overwritten."""

    def value(self, outputs: Tensor, arrays: Sequence[Tensor]) -> Tensor:
        """The mean loss of each member, [T]."""


class Observed:
    """Squared error of the cells that were observed: `columns` int64 [N, C] of the outputs, `labels` and, where given, `weights` [N, C]."""

    def __init__(self, columns: Tensor, labels: Tensor, weights: Tensor | None = None) -> None:
        self.arrays: tuple[Tensor, ...] = (columns, labels) if weights is None else (columns, labels, weights)

    def slope(self, outputs: Tensor, arrays: Sequence[Tensor]) -> Tensor:
        columns, labels, *weights = arrays
        error = outputs.gather(2, columns).sub_(labels).mul_(2 / outputs.shape[1])
        for weight in weights:
            error.mul_(weight)
        return torch.zeros_like(outputs).scatter_(2, columns, error)

    def value(self, outputs: Tensor, arrays: Sequence[Tensor]) -> Tensor:
        columns, labels, *weights = arrays
        error = (outputs.gather(2, columns) - labels).square()
        for weight in weights:
            error = error * weight
        return error.sum(2).mean(1)


class Cells:
    """Weighted squared error of every cell: `labels`, `weights` [N, K]."""

    def __init__(self, labels: Tensor, weights: Tensor) -> None:
        self.arrays: tuple[Tensor, ...] = (labels, weights)

    def slope(self, outputs: Tensor, arrays: Sequence[Tensor]) -> Tensor:
        labels, weights = arrays
        return outputs.sub_(labels).mul_(weights).mul_(2 / outputs.shape[1])

    def value(self, outputs: Tensor, arrays: Sequence[Tensor]) -> Tensor:
        labels, weights = arrays
        return ((outputs - labels).square() * weights).sum(2).mean(1)


def columns(treatment: Tensor, treatments: int) -> Tensor:
    """int64 [N, 2]: where the outputs [N, 2M] hold value and cost of the treatment received."""
    return torch.stack([treatment, treatment + treatments], 1)
