"""The recursion of conjugate gradient in torch calls, for any device: masks instead of branches, so that nothing waits
for the device between two looks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .preconditioner import JacobiPreconditioner, NystromPreconditioner

_RUNNING, _CONVERGED, _STEP_LIMIT, _NEGATIVE_CURVATURE, _NOT_FINITE = 1, 0, -1, -2, -3


class End(NamedTuple):
    """How each row ended: [B] each."""

    status: np.ndarray
    steps: np.ndarray
    curvature: np.ndarray


def advance(solve: Any, x: Tensor, r: Tensor, target: Tensor, room: np.ndarray) -> End:
    """Steps from `x` [B, P] with residual `r`, both changed in place, until every row has stopped.

    `target` [B] is the residual norm to reach, `room` [B] the steps left to each row.
    """
    count, device = x.shape[0], x.device
    goal = target.square()
    left = torch.tensor(room).to(device)
    state = torch.where(left > 0, _RUNNING, _STEP_LIMIT)
    steps, curvature = torch.zeros_like(left), torch.full((count,), torch.nan, dtype=torch.float64, device=device)
    apply = solve.preconditioner
    linear = apply is None or isinstance(apply, (JacobiPreconditioner, NystromPreconditioner))
    z = r if apply is None else apply(r)
    rz = _dot(r, z)
    p = z.clone()
    for step in range(int(room.max())):
        if step % solve.look == 0 and not bool((state == _RUNNING).any()):
            break
        if solve.look == 1:  # those that have stopped need no products
            on = state == _RUNNING
            product = solve.product(p) if bool(on.all()) else torch.zeros_like(p).index_copy_(0, *_part(solve, p, on))
        else:
            product = solve.product(p)
        if solve.damping:
            product = product.add(p, alpha=solve.damping)
        bend = _dot(p, product)
        running, finite = state == _RUNNING, torch.isfinite(bend) & torch.isfinite(rz)
        state = torch.where(running & ~finite, _NOT_FINITE, state)
        bent = running & finite & (bend <= 0)
        state = torch.where(bent, _NEGATIVE_CURVATURE, state)
        curvature = torch.where(bent, bend / _dot(p, p), curvature)
        on = state == _RUNNING
        alpha = torch.where(on, rz / bend, 0.0).to(x.dtype).unsqueeze(1)
        before = None if linear else r.clone()
        # Rows that have stopped keep their bits, whatever their directions hold: 0·NaN is NaN.
        keep = on.unsqueeze(1)
        torch.where(keep, x + alpha * p, x, out=x)
        torch.where(keep, r - alpha * product, r, out=r)
        steps += on
        state = torch.where(on & (_dot(r, r) <= goal), _CONVERGED, state)
        state = torch.where((state == _RUNNING) & (steps >= left), _STEP_LIMIT, state)
        z = r if apply is None else apply(r)
        following = _dot(r, z)
        # A preconditioner that is not linear turns by what changed (Golub and Ye 1999).
        beta = ((following if before is None else following - _dot(before, z)) / rz).to(x.dtype).unsqueeze(1)
        p = torch.where(keep, z + beta * p, p)
        rz = torch.where(on, following, rz)
    state = torch.where(state == _RUNNING, _STEP_LIMIT, state)
    return End(state.cpu().numpy(), steps.cpu().numpy(), curvature.cpu().numpy())


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.vecdot(a, b).to(torch.float64)


def _part(solve: Any, p: Tensor, on: Tensor) -> tuple[Tensor, Tensor]:
    rows = torch.nonzero(on).squeeze(1)
    return rows, solve.product(p[rows])
