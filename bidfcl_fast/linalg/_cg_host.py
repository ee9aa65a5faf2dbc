"""The recursion of conjugate gradient on the CPU: one call a step does every vector update in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _native_curvature
from ..backends import available as backends_available
from ..backends import threads
from ._cg_torch import _RUNNING, End
from .preconditioner import JacobiPreconditioner, NystromPreconditioner


def available() -> bool:
    """Whether the compiled kernels are there."""
    return "cpp" in backends_available()


def advance(solve: Any, x: Tensor, r: Tensor, target: Tensor, room: np.ndarray) -> End:
    """Steps from `x` [B, P] with residual `r`, both changed in place, until every row has stopped.

    `target` [B] is the residual norm to reach, `room` [B] the steps left to each row.
    """
    count = x.shape[0]
    apply = solve.preconditioner
    inverse = apply.inverse.contiguous() if isinstance(apply, JacobiPreconditioner) else None
    low_rank = (apply.along, apply.stretch) if isinstance(apply, NystromPreconditioner) else None
    for part in (inverse, None if low_rank is None else apply.along):
        if part is not None and (part.dtype, part.shape[-1:]) != (x.dtype, x.shape[1:]):
            raise ValueError(
                f"the preconditioner is for {list(part.shape[-1:])} {part.dtype}, expected {list(x.shape[1:])} {x.dtype}"
            )
    compiled = apply is None or inverse is not None or low_rank is not None
    p = (r if apply is None else apply(r)).clone(memory_format=torch.contiguous_format)
    rz = torch.linalg.vecdot(r.double(), p.double()).numpy()
    call = _native_curvature.ConjugateGradient(
        x.numpy(),
        r.numpy(),
        p.numpy(),
        None if inverse is None else inverse.numpy(),
        None if low_rank is None else (low_rank[0].numpy(), low_rank[1].numpy()),
        rz=rz,
        goal=target.square().numpy(),
        room=room,
        damping=solve.damping,
        threads=threads(),
    )
    running = call.running
    while running:
        part = p if running == count else p[torch.from_numpy(call.state == _RUNNING)]
        product = solve.product(part).contiguous()
        before = None if compiled else r.clone()
        running = call.step(product.data_ptr(), compiled)
        if running and before is not None:
            mask = torch.from_numpy(call.state == _RUNNING)
            z = (solve.preconditioner(r) if running == count else solve.preconditioner(r[mask])).contiguous()
            call.turn(z.data_ptr(), before.data_ptr())
    return End(call.state, call.steps, call.curvature)
