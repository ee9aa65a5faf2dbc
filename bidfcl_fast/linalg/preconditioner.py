"""Preconditioners for conjugate gradient: approximate inverses that are cheap to apply."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import _vectors
from .operator import LinearOperator


class JacobiPreconditioner:
    """Division by the operator's diagonal plus `damping`.

    Parameters
    ----------
    diagonal
        [P], none of them negative (Gauss-Newton's, as `operator.diagonal()` gives it), or the operator itself.
    damping
        The damping that conjugate gradient will run with. Entries whose sum with it is 0 are left as they are.
    """

    def __init__(self, diagonal: Any, damping: float = 0.0) -> None:
        d = diagonal.diagonal() if isinstance(diagonal, LinearOperator) else diagonal
        if not isinstance(d, Tensor) or d.ndim != 1:
            raise ValueError("diagonal must be a tensor [P] or an operator that knows its diagonal")
        d = d.detach() + _vectors.number("damping", damping)
        if not bool((d >= 0).all()):
            raise ValueError(
                f"diagonal plus damping must not be negative, got {float(d.min())}: raise damping, or take Gauss-Newton"
            )
        self.inverse = torch.where(d > 0, 1 / d, 1.0)

    def __call__(self, v: Tensor) -> Tensor:
        return v * self.inverse


class NystromPreconditioner:
    """The inverse of a rank-r sketch of A plus `damping`: the few large eigenvalues are taken out of the way.

    Costs `rank` products, done together as right-hand sides of one call. Curvature changes slowly between outer steps,
    so build it once, keep it, and build it again when `CGResult.steps` has grown.

    Source: Frangella, Tropp and Udell, Randomized Nyström Preconditioning (2021), algorithm 2.1 and equation (5.3).

    Parameters
    ----------
    rank
        r; more costs more products and saves more steps.
    damping
        The damping that conjugate gradient will run with; > 0.
    seed
        Of the sketch.
    """

    def __init__(self, operator: LinearOperator, rank: int, damping: float, *, seed: int = 0) -> None:
        if not isinstance(operator, LinearOperator):
            raise TypeError(f"operator must be a LinearOperator, got {type(operator).__name__}")
        rank = min(_vectors.count("rank", rank, least=1), operator.size)
        self.damping = _vectors.number("damping", damping)
        if self.damping == 0:
            raise ValueError("damping must be greater than 0: what the sketch leaves out is divided by it")
        generator = torch.Generator().manual_seed(seed)
        sketch = torch.randn(operator.size, rank, generator=generator, dtype=torch.float64)
        omega = torch.linalg.qr(sketch)[0].to(operator.device)
        y = operator._apply(omega.T.to(operator.dtype).contiguous()).T.to(torch.float64)
        # A small multiple of the identity makes the Cholesky factor exist; it is taken off the eigenvalues again.
        shift = torch.finfo(operator.dtype).eps * torch.linalg.matrix_norm(y, ord=2) * rank**0.5
        y = y + shift * omega
        core = omega.T @ y
        factor, info = torch.linalg.cholesky_ex((core + core.T) / 2)
        if int(info):
            raise ValueError(
                "operator is not positive semi-definite: take Gauss-Newton, or add damping to the operator"
            )
        b = torch.linalg.solve_triangular(factor, y.T, upper=False).T
        u, s, _ = torch.linalg.svd(b, full_matrices=False)
        eigenvalues = (s.square() - shift).clamp_min(0)
        scale = (eigenvalues[-1] + self.damping) / (eigenvalues + self.damping) - 1
        self.eigenvalues = eigenvalues.to(operator.dtype)
        self._vectors, self._scale = u.to(operator.dtype), scale.to(operator.dtype)

    def __call__(self, v: Tensor) -> Tensor:
        return v + ((v @ self._vectors) * self._scale) @ self._vectors.T
