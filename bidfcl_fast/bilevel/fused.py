"""The fused curvature of a lower loss that is given as a function: found where there is one, so that nobody has to ask.

A loss whose second derivative in the outputs is diagonal (a squared error with any weights and masks, a sum over cells
in general) has, at the outputs of now, the Gauss-Newton and the exact Hessian of Σ w·(outputs − y)² with 2·w its second
derivative and y = outputs − slope/(2·w).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..linalg import LinearOperator, MLPCurvature, SamplePreconditioner
from ..linalg import _vectors as vectors

# From _MANY rows on a sample of _SAMPLE is a preconditioner that pays from nothing. Below, the steps that a sketch saves
# take as long as it does (docs/decisions/0008-curvature.md). Nor does it pay where few steps are allowed.
_MANY, _SAMPLE, _FEW_STEPS = 4096, 512, 20


class Linearised:
    """A loss of a network's outputs, taken apart at the outputs of now: one pass serves curvature, gradient and bridge.

    Attributes
    ----------
    outputs
        As given; with the network's graph, if they came with it.
    leaf
        The same numbers without it.
    value
        The loss.
    slope
        ∂loss/∂outputs, with the graph to `leaf` and to whatever else the loss depends on (a bridge).
    """

    def __init__(self, outputs: Tensor, loss: Callable[[Tensor], Tensor]) -> None:
        with torch.enable_grad():
            self.outputs, self.leaf = outputs, outputs.detach().requires_grad_()
            self.value = vectors.scalar("lower_loss", loss(self.leaf))
            (self.slope,) = vectors.gradients(self.value, [self.leaf], graph=True)

    def gradients(self, parameters: Sequence[Tensor]) -> list[Tensor]:
        """Of the loss, in the network's parameters."""
        with torch.enable_grad():
            return vectors.gradients((self.outputs * self.slope.detach()).sum(), parameters)


def fused_curvature(module: nn.Module, inputs: Any, now: Linearised, kind: str) -> MLPCurvature | None:
    """`MLPCurvature` of the loss of `now` at `module(inputs)`, or None where module, device or loss are none of its kind."""
    if kind not in ("gauss_newton", "hessian"):
        return None
    try:
        with torch.enable_grad():
            leaf, slope = now.leaf, now.slope
            if not slope.requires_grad:
                return None
            bend = _along(slope, leaf, torch.ones_like(leaf))
            probe = torch.randn(leaf.shape, generator=torch.Generator().manual_seed(0), dtype=leaf.dtype)
            other = _along(slope, leaf, probe)
        slope = slope.detach()
        # A matrix that is not diagonal gives itself away along a random direction.
        blur = 1e3 * torch.finfo(leaf.dtype).eps * float(bend.abs().max())
        if bool((bend < 0).any()) or not float((other - bend * probe).abs().max()) <= blur:
            return None
        targets = None
        if kind == "hessian":
            if bool(((bend == 0) & (slope != 0)).any()):
                return None  # a straight cell: its slope bends the network, and no label says that
            targets = torch.where(bend > 0, leaf.detach() - slope / torch.where(bend > 0, bend, 1.0), leaf.detach())
        found = MLPCurvature(module, inputs, kind=kind, targets=targets, weight=bend / 2, reduction="sum")
    except (TypeError, ValueError, RuntimeError):
        return None  # whatever is wrong, the general operators say it better
    return None if found.backend == "reference" else found


def _along(slope: Tensor, leaf: Tensor, direction: Tensor) -> Tensor:
    return torch.autograd.grad(slope, leaf, direction, retain_graph=True)[0]


def own_preconditioner(operator: LinearOperator, damping: float, max_steps: int) -> Any:
    """What makes a solve with `operator` + damping·I faster from nothing; None where nothing known does."""
    if not isinstance(operator, MLPCurvature) or damping == 0 or max_steps < _FEW_STEPS:
        return None
    return SamplePreconditioner(operator.sample(_SAMPLE), damping) if operator.rows >= _MANY else None
