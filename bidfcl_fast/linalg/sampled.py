"""`SamplePreconditioner`: the damped system of a few rows, solved roughly, as the preconditioner of the one of all."""

from __future__ import annotations

import torch
from torch import Tensor

from . import _vectors
from .cg import Recursion
from .operator import LinearOperator
from .preconditioner import NystromPreconditioner


class SamplePreconditioner:
    """(A' + damping·I)⁻¹ by a few steps of conjugate gradient, where A' is the curvature on a sample of the rows.

    A sample of m rows sees nearly the same curvature wherever it exceeds the damping, at m/n of a product's cost: of
    8,192 rows 512 save most of the steps on all rows, and cost little more than they are (docs/curvature.md has the
    counts). The inner solve has a Nyström preconditioner of its own, from the same sample. To be used from nothing, or
    kept between outer steps: `sample.refresh()` linearises A' anew, and the sketch stays.

    The inner solve is not a linear map; conjugate gradient turns its directions so that it bears that (Golub and Ye,
    Inexact preconditioned conjugate gradient method with inner-outer iteration, 1999).

    Parameters
    ----------
    sample
        A', positive semi-definite: `MLPCurvature.sample(512)`, or any operator near A.
    damping
        The damping that conjugate gradient will run with; > 0.
    rank, power, seed
        Of the Nyström preconditioner inside.
    rtol, max_steps
        Where an inner solve stops.

    Attributes
    ----------
    sample
        A'; `sample.refresh()` where it has one.
    sketch
        The `NystromPreconditioner` inside.
    """

    def __init__(
        self,
        sample: LinearOperator,
        damping: float,
        *,
        rank: int = 16,
        power: int = 1,
        rtol: float = 0.2,
        max_steps: int = 50,
        seed: int = 0,
    ) -> None:
        self.sample = sample
        self.sketch = NystromPreconditioner(sample, rank, damping, power=power, seed=seed)
        self.rtol, self.max_steps = _vectors.number("rtol", rtol), _vectors.count("max_steps", max_steps, least=1)
        self._solve = Recursion(sample, self.sketch.damping, self.sketch)

    @property
    def products(self) -> int:
        """Products with the sample so far, the sketch's not counted."""
        return self._solve.products

    def __call__(self, v: Tensor) -> Tensor:
        x = torch.zeros_like(v)
        target = self.rtol * torch.linalg.vector_norm(v, dim=1, dtype=torch.float64)
        self._solve.advance(x, v.clone(memory_format=torch.contiguous_format), target, self.max_steps)
        return x
