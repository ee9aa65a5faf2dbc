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

    Costs (1 + `power`)·`rank` products, done together as right-hand sides. The operator sketched need not be the one
    solved: `MLPCurvature.sample` gives one of few rows, whose products cost next to nothing and whose large
    eigenvalues are nearly the same. Curvature changes slowly between outer steps, so a preconditioner may also be
    built once, kept, and built again when `CGResult.steps` has grown.

    Source: Frangella, Tropp and Udell, Randomized Nyström Preconditioning (2021), equation (5.3); power iterations as
    in Halko, Martinsson and Tropp (2011), algorithm 4.4.

    Parameters
    ----------
    operator
        A, positive semi-definite.
    rank
        r; more costs more products and saves more steps.
    damping
        The damping that conjugate gradient will run with; > 0.
    power
        Power iterations before the sketch: each costs r products, and the same r then catches more.
    seed
        Of the sketch.

    Attributes
    ----------
    eigenvalues
        [k], k <= r: those found, the largest first; fewer than r where the rest are rounding.
    along, stretch
        [k, P] orthonormal, and [k]: the preconditioner is I + alongᵀ·diag(stretch)·along.
    """

    def __init__(self, operator: LinearOperator, rank: int, damping: float, *, power: int = 0, seed: int = 0) -> None:
        if not isinstance(operator, LinearOperator):
            raise TypeError(f"operator must be a LinearOperator, got {type(operator).__name__}")
        rank = min(_vectors.count("rank", rank, least=1), operator.size)
        self.damping = _vectors.number("damping", damping)
        if self.damping == 0:
            raise ValueError("damping must be greater than 0: what the sketch leaves out is divided by it")
        generator = torch.Generator().manual_seed(seed)
        omega = torch.randn(rank, operator.size, generator=generator, dtype=operator.dtype).to(operator.device)
        for _ in range(_vectors.count("power", power)):
            omega = _orthonormal(operator._apply(omega))
        y = operator._apply(omega)
        core = (omega @ y.T).double()
        if not bool(torch.isfinite(core).all()):
            raise ValueError("operator gives products that are not finite")
        core_values, core_vectors = torch.linalg.eigh((core + core.T) / 2)
        noise = max(1e-8, 100 * torch.finfo(operator.dtype).eps) * core_values.abs().max()
        if bool(core_values[0] < -noise):
            raise ValueError(
                "operator is not positive semi-definite: take Gauss-Newton, or add damping to the operator"
            )
        # A ≈ YᵀC⁻¹Y = BᵀB with C = ΩYᵀ; what C holds below its rounding is left out. B·Bᵀ has A's eigenvalues themselves, so
        # that the products may be in the operator's own precision; those of Y·Yᵀ are squares, and would need double.
        kept = core_values > noise
        half = (core_vectors[:, kept] / core_values[kept].sqrt()).T.to(y.dtype) @ y
        values, vectors = torch.linalg.eigh((half @ half.T).double())
        real = values > torch.finfo(y.dtype).eps * values.sum()
        values, vectors = values[real].flip(0), vectors[:, real].flip(1)
        self.along = ((vectors / values.sqrt()).T.to(y.dtype) @ half).contiguous()
        rest = values[-1] if len(values) == rank else values.new_zeros(())
        self.eigenvalues = values.to(operator.dtype)
        self.stretch = ((rest + self.damping) / (values + self.damping) - 1).to(operator.dtype)

    def __call__(self, v: Tensor) -> Tensor:
        return v + ((v @ self.along.T) * self.stretch) @ self.along


def _orthonormal(y: Tensor) -> Tensor:
    """An orthonormal basis [k, P] of the rows of y [r, P], without those that are rounding."""
    values, vectors = torch.linalg.eigh(y.double() @ y.double().T)
    kept = values > 1e-13 * values[-1]
    kept[-1] = True
    return (
        (vectors[:, kept] / values[kept].clamp_min(torch.finfo(torch.float64).tiny).sqrt()).T.to(y.dtype) @ y
    ).contiguous()
