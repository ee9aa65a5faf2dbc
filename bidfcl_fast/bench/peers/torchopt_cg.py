"""TorchOpt's conjugate gradient on products by automatic differentiation through a graph that is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def solve(
    product: Callable[[Sequence[Tensor]], Sequence[Tensor]],
    rhs: Sequence[Tensor],
    damping: float,
    rtol: float,
    max_steps: int,
) -> Sequence[Tensor]:
    """(A + damping·I)⁻¹·rhs as tensors in the shapes of the parameters."""
    from torchopt.linalg.cg import _cg_solve

    def damped(v: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(p.add(x, alpha=damping) for p, x in zip(product(v), v, strict=True))

    zero = tuple(torch.zeros_like(x) for x in rhs)
    return _cg_solve(damped, tuple(rhs), zero, rtol=rtol, maxiter=max_steps)
