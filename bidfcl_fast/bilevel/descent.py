"""Gradient steps of a target towards labels that are held: what a copy of it does before the upper level looks at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..linalg import _vectors as vectors
from .labels import Labels


def descend(
    target: nn.Module,
    theta: Sequence[Tensor],
    x: Tensor,
    labels: Labels,
    steps: int,
    step_size: float,
    average: Callable[[Tensor], Tensor] | None = None,
) -> None:
    """`steps` plain gradient steps of the parameters `theta` of `target`, in place; `average` as in `BilevelStep`."""
    for _ in range(steps):
        with torch.enable_grad():
            slope = torch.autograd.grad(labels.loss(target(x)), theta)
        if average is not None:
            slope = tuple(vectors.unflatten(average(vectors.flatten(slope)), slope))
        with torch.no_grad():
            for p, g in zip(theta, slope, strict=True):
                p.sub_(g, alpha=step_size)
