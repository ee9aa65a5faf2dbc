"""Conjugate gradient as one would write it over a list of tensors; stops by its own residual."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor


def _dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    return float(sum((x * y).sum() for x, y in zip(a, b, strict=True)))


def solve(
    product: Callable[[Sequence[Tensor]], Sequence[Tensor]],
    rhs: Sequence[Tensor],
    damping: float,
    rtol: float,
    max_steps: int,
) -> Sequence[Tensor]:
    """(A + damping·I)⁻¹·rhs as tensors in the shapes of the parameters."""
    x = [b.new_zeros(b.shape) for b in rhs]
    r = [b.clone() for b in rhs]
    p = [b.clone() for b in rhs]
    left = _dot(r, r)
    goal = rtol**2 * left
    for _ in range(max_steps):
        if left <= goal:
            break
        ap = [a + damping * d for a, d in zip(product(p), p, strict=True)]
        step = left / _dot(p, ap)
        for i in range(len(x)):
            x[i].add_(p[i], alpha=step)
            r[i].sub_(ap[i], alpha=step)
        before, left = left, _dot(r, r)
        p = [a + (left / before) * d for a, d in zip(r, p, strict=True)]
    return x
