"""`conjugate_gradient`: A·x = b for a symmetric positive definite operator, with an honest account of how it ended."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import _cg_host, _cg_torch, _cuda, _vectors
from .operator import LinearOperator, as_operator


class CGStatus(enum.IntEnum):
    """How one right-hand side ended: 0 is success, every other end is negative."""

    CONVERGED = 0
    STEP_LIMIT = -1
    NEGATIVE_CURVATURE = -2
    NOT_FINITE = -3
    STALLED = -4

    @property
    def sentence(self) -> str:
        """What happened and what to try."""
        return _SENTENCES[self]


_SENTENCES = {
    CGStatus.CONVERGED: "converged: the true residual is within rtol·|rhs| (or atol)",
    CGStatus.STEP_LIMIT: "max_steps were taken before the tolerance; raise max_steps, rtol or damping, or precondition",
    CGStatus.NEGATIVE_CURVATURE: (
        "a direction of zero or negative curvature turned up, so the operator is not positive definite, and x is what "
        "had been reached; damp by more than −curvature, or take Gauss-Newton"
    ),
    CGStatus.NOT_FINITE: "NaN or infinity in rhs, x0 or a product; x is the last finite one (0 if there was none)",
    CGStatus.STALLED: "rounding keeps the true residual above the tolerance; take float64, or a larger rtol",
}


@dataclass(frozen=True)
class CGResult:
    """What `conjugate_gradient` returns; with right-hand sides [B, P] every field but `products` has B entries.

    Attributes
    ----------
    x
        [P] or [B, P], of the kind and dtype of `rhs`.
    residual_norm
        |rhs − A·x|, computed anew from x at the end, with `damping` in A.
    steps
        Steps taken.
    status
        `CGStatus`; for a batch an int64 array of its values.
    curvature
        pᵀAp / pᵀp of the direction at which a solve stopped for negative curvature, else NaN.
    products
        Products with A in all, those for the residuals included; a batch counts one for every row.
    """

    x: Any
    residual_norm: Any
    steps: Any
    status: Any
    curvature: Any
    products: int

    @property
    def sentence(self) -> str:
        """The status in words; for a batch, the first one that did not converge."""
        if isinstance(self.status, CGStatus):
            return self.status.sentence
        bad = np.flatnonzero(self.status)
        if not bad.size:
            return CGStatus.CONVERGED.sentence
        return f"right-hand side {bad[0]}: {CGStatus(int(self.status[bad[0]])).sentence}"


# Steps between two looks at the device: a look waits for it, and the steps that a look would have saved are cheaper.
_LOOK_EVERY = 10


@torch.no_grad()
def conjugate_gradient(
    operator: Any,
    rhs: Any,
    *,
    x0: Any = None,
    rtol: float = 1e-6,
    atol: float = 0.0,
    max_steps: int = 50,
    damping: float = 0.0,
    preconditioner: Callable[[Tensor], Tensor] | None = None,
    look_every: int | None = None,
    throw: bool = False,
) -> CGResult:
    """Solve (A + damping·I)·x = rhs, each right-hand side until its own residual is small.

    Stops a right-hand side when its residual is at most max(rtol·|rhs|, atol), after `max_steps`, at a direction of
    non-positive curvature, or at a NaN; the others go on. The residual that counts is computed anew from x: where the
    recursion had drifted from it, the solve starts again from x.

    Parameters
    ----------
    operator
        A, symmetric: a `LinearOperator`, a matrix, a SciPy or curvlinops operator, or a function [P] → [P].
    rhs
        [P] or [B, P], float32 or float64; torch or NumPy.
    x0
        The start, in the shape of `rhs`; zero if None. The x of the last outer step is a good one.
    damping
        >= 0, added to the diagonal.
    preconditioner
        An approximation of (A + damping·I)⁻¹, on [B, P]: `JacobiPreconditioner`, `NystromPreconditioner`, a function.
        It must be symmetric positive definite.
    look_every
        Steps between two looks at whether all have stopped; each look waits for the device. None: 1 on the CPU, else 10.
    throw
        Raise `RuntimeError` with the status's sentence if anything but convergence happened.

    Source: Hestenes and Stiefel (1952); the stop at negative curvature as in Bi-DFCL's Algorithm 4 with METHOD §3.6's
    repair (keep x).
    """
    b, back = _as_rows("rhs", rhs)
    op = as_operator(_of_numpy(operator) if isinstance(rhs, np.ndarray) else operator, b)
    _vectors.rows("rhs", b, op.size, op.dtype, op.device)
    x = torch.zeros_like(b)
    if x0 is not None:
        start, _ = _as_rows("x0", x0)
        start = _vectors.rows("x0", start, op.size, op.dtype, op.device)
        if start.shape != b.shape:
            raise ValueError(f"x0 must have the shape of rhs, {list(b.shape)} as rows, got {list(start.shape)}")
        x.copy_(start)
    rtol, atol = _vectors.number("rtol", rtol), _vectors.number("atol", atol)
    damping, limit = _vectors.number("damping", damping), _vectors.count("max_steps", max_steps)
    if preconditioner is not None and not callable(preconditioner):
        raise TypeError(f"preconditioner must be callable, got {type(preconditioner).__name__}")
    target = torch.clamp(rtol * torch.linalg.vector_norm(b, dim=1, dtype=torch.float64), min=atol)
    solve = _Solve(op, damping, preconditioner, look_every)
    status, steps, curvature, norm = solve(b, x, target, limit, warm=x0 is not None)
    result = _pack(rhs, back, x, norm, steps, status, curvature, solve.products)
    if throw and any(int(s) for s in status):
        raise RuntimeError(f"conjugate_gradient: {result.sentence}")
    return result


class Recursion:
    """Conjugate gradient's recursion on (A + damping·I)·x = b, without a look at the true residual."""

    def __init__(self, op: LinearOperator, damping: float, preconditioner: Any, look_every: int | None = None) -> None:
        on_cpu = op.device.type == "cpu"
        self.op, self.damping, self.preconditioner = op, damping, preconditioner
        self.look = _vectors.count("look_every", look_every or (1 if on_cpu else _LOOK_EVERY), least=1)
        compiled = on_cpu and look_every is None and _cg_host.available()
        self._advance = _cg_host.advance if compiled else _cg_torch.advance
        if op.device.type == "cuda" and _cuda.kernels() is not None:
            self._advance = _cuda.advance
        self.products = 0

    def product(self, v: Tensor) -> Tensor:
        self.products += v.shape[0]
        return self.op._apply(v)

    def advance(self, x: Tensor, r: Tensor, target: Tensor, room: Any) -> _cg_torch.End:
        """From `x` [B, P] with residual `r`, both changed in place, to `target` [B], in at most `room` steps ([B])."""
        return self._advance(self, x, r, target, np.broadcast_to(np.asarray(room, np.int64), len(x)))


class _Solve(Recursion):
    """Rounds of the recursion, each followed by a look at the true residual."""

    def residual(self, b: Tensor, x: Tensor) -> Tensor:
        return torch.add(b - self.product(x), x, alpha=-self.damping)

    def __call__(
        self, b: Tensor, x: Tensor, target: Tensor, limit: int, *, warm: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Works on `x` in place; status, steps, curvature and residual norm of every row."""
        count = b.shape[0]
        status = np.full(count, int(CGStatus.STEP_LIMIT))
        steps, curvature = np.zeros(count, np.int64), np.full(count, np.nan)
        r = self.residual(b, x) if warm else b.clone()
        norm, goal = _norms(r), target.cpu().numpy()
        # A residual that is not finite leaves x as it was given, or 0 where that is not finite either.
        bad = ~np.isfinite(norm)
        status[bad] = CGStatus.NOT_FINITE
        if bad.any():
            x[torch.from_numpy(bad).to(x.device) & ~torch.isfinite(x).all(1)] = 0
        status[~bad & (norm <= goal)] = CGStatus.CONVERGED
        open_ = np.flatnonzero(~bad & (norm > goal))
        while open_.size and limit > 0:
            rows = torch.from_numpy(open_).to(x.device)
            room = limit - steps[open_]
            part = slice(None) if open_.size == count else rows
            y = x[part].contiguous()
            end = self.advance(y, r[part].contiguous(), target[part], room)
            x[part] = y
            steps[open_] += end.steps
            curvature[open_] = end.curvature
            status[open_] = end.status
            before = norm[open_]
            fresh = self.residual(b[part], y)
            r[part], norm[open_] = fresh, _norms(fresh)
            within = np.isfinite(norm[open_]) & (norm[open_] <= goal[open_])
            done = end.status == CGStatus.CONVERGED
            status[open_[within & (end.status == CGStatus.STEP_LIMIT)]] = CGStatus.CONVERGED
            status[open_[done & ~within]] = CGStatus.STEP_LIMIT
            drifted = done & ~within
            hopeless = drifted & ~(norm[open_] < before / 2)
            status[open_[hopeless]] = CGStatus.STALLED
            open_ = open_[drifted & ~hopeless & (steps[open_] < limit)]
        return status, steps, curvature, norm


def _norms(r: Tensor) -> np.ndarray:
    return torch.linalg.vector_norm(r, dim=1, dtype=torch.float64).cpu().numpy()


def _as_rows(name: str, v: Any) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """[B, P], and the way back to the shape and kind that came."""
    if isinstance(v, np.ndarray):
        if v.dtype not in (np.float32, np.float64):
            raise TypeError(f"{name} must be float32 or float64, got {v.dtype}")
        flat = torch.from_numpy(np.ascontiguousarray(v))
        back: Callable[[Tensor], Any] = _to_numpy
    elif isinstance(v, Tensor):
        if v.dtype not in _vectors.FLOATS:
            raise TypeError(f"{name} must be float32 or float64, got {v.dtype}")
        flat, back = v.detach(), _as_it_is
    else:
        raise TypeError(f"{name} must be a torch tensor or a NumPy array, got {type(v).__name__}")
    if flat.ndim not in (1, 2) or flat.shape[-1] == 0:
        raise ValueError(f"{name} must have shape [P] or [B, P], got {list(flat.shape)}")
    return (flat.unsqueeze(0) if flat.ndim == 1 else flat), back


def _to_numpy(t: Tensor) -> np.ndarray:
    return t.numpy()


def _as_it_is(t: Tensor) -> Tensor:
    return t


def _of_numpy(operator: Any) -> Any:
    """A plain function gets NumPy vectors where the right-hand side is one."""
    known = isinstance(operator, (LinearOperator, np.ndarray, Tensor)) or hasattr(operator, "shape")
    if known or not callable(operator):
        return operator
    return lambda v: torch.from_numpy(np.ascontiguousarray(operator(v.numpy())))


def _pack(
    rhs: Any,
    back: Callable[[Tensor], Any],
    x: Tensor,
    norm: np.ndarray,
    steps: np.ndarray,
    status: np.ndarray,
    curvature: np.ndarray,
    products: int,
) -> CGResult:
    if rhs.ndim == 1:
        return CGResult(
            back(x[0]), float(norm[0]), int(steps[0]), CGStatus(int(status[0])), float(curvature[0]), products
        )
    return CGResult(back(x), norm, steps, status, curvature, products)
