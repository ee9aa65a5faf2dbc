"""Curvature on a CUDA device: fused kernels for what happens to numbers one by one, torch's BLAS for matrix products.

Nothing here waits for the device, but for the look at whether all solves have stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import backends
from .._network import ACTIVATIONS, Layer
from ._cg_torch import _RUNNING, _STEP_LIMIT, End
from ._mlp_torch import TorchCurvature
from .preconditioner import JacobiPreconditioner, NystromPreconditioner


def kernels() -> Any:
    """The compiled kernels (`_native_cuda.CudaOps`), or None where there are none."""
    if "cuda" not in backends.available():
        return None
    return backends.resolve("cuda").ops()


class CudaCurvature(TorchCurvature):
    """`TorchCurvature` with one kernel where torch has several."""

    def __init__(self, layers: Sequence[Layer], exact: bool, ops: Any) -> None:
        super().__init__(layers, exact)
        self._ops = ops

    def _activate(self, layer: Layer, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z = z.contiguous()
        value, first, second = torch.empty_like(z), torch.empty_like(z), torch.empty_like(z)
        self._ops.elementwise(
            "mlp_activate", z, (ACTIVATIONS[layer.activation], layer.parameter, z.numel()), z, value, first, second
        )
        return value, first, second

    def _slide(self, z: Tensor, slope: Tensor, curve: Tensor | None) -> Tensor | None:
        bent = None if curve is None else torch.empty_like(z)
        self._ops.elementwise("mlp_forward", z, (z.numel(),), z, slope, curve, bent)
        return bent

    def _return(self, g: Tensor, slope: Tensor, bent: Tensor | None) -> Tensor:
        self._ops.elementwise("mlp_back", g, (g.numel(),), g, slope, bent)
        return g


def advance(solve: Any, x: Tensor, r: Tensor, target: Tensor, room: np.ndarray, ops: Any = None) -> End:
    """`_cg_torch.advance` with its vector updates and its decisions in kernels."""
    ops = kernels() if ops is None else ops
    count, device = x.shape[0], x.device
    apply = solve.preconditioner
    linear = apply is None or isinstance(apply, (JacobiPreconditioner, NystromPreconditioner))
    inverse = apply.inverse.contiguous() if isinstance(apply, JacobiPreconditioner) else None
    direct = apply is None or inverse is not None
    p = (r if apply is None else apply(r)).clone(memory_format=torch.contiguous_format)
    rz = torch.linalg.vecdot(r.double(), p.double())
    left = torch.tensor(room).to(device)
    state = torch.where(left > 0, _RUNNING, _STEP_LIMIT)
    steps, curvature = torch.zeros_like(left), torch.full((count,), torch.nan, dtype=torch.float64, device=device)
    goal = target.square()
    held = (x, r, p, inverse, solve.damping, goal, left, rz, curvature, steps, state)
    for step in range(int(room.max())):
        if step % solve.look == 0 and not bool((state == _RUNNING).any()):
            break
        product = solve.product(p).contiguous()
        before = None if linear else r.clone()
        ops.cg_step(held, product, direct)
        if not direct:
            ops.cg_turn(held, apply(r).contiguous(), before)
    state = torch.where(state == _RUNNING, _STEP_LIMIT, state)
    return End(state.cpu().numpy(), steps.cpu().numpy(), curvature.cpu().numpy())
