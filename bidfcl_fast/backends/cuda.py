"""The CUDA backend: arrays that lie on a device stay there, on the caller's stream and in the caller's memory."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from .. import _native
from .._core import Found, Options
from .._decisions import Decisions, Order
from .._native_cuda import CudaOps
from .._problems import Contested, EdgesBetween, FrontierResult, Magnitudes, MckpResult, Problems, Scales

TAKES_DEVICE_ARRAYS = True


def probe() -> str | None:
    try:
        module = _native.cuda_module()
    except ImportError as error:
        from .._build import why_no_cuda

        return why_no_cuda() or f"the extension module does not load: {error}"
    return None if module.device_count() else module.describe()


def describe() -> str:
    return _native.cuda_module().describe()


@functools.cache
def ops() -> CudaOps:
    return CudaOps(_native.cuda_module())


def mckp(problems: Problems, *, fill: bool, warm_start: np.ndarray | None = None) -> MckpResult:
    return ops().mckp(problems, fill=fill, warm_start=warm_start)


def decide(problems: Problems, multiplier: np.ndarray) -> MckpResult:
    return ops().decide(problems, multiplier)


def contested(
    problems: Problems, plan: np.ndarray, multiplier: float, margin: float, units: tuple[float, float]
) -> Contested:
    return ops().contested(problems, plan, multiplier, margin, units)


def core(
    options: Options, room: int, wider: int, price: float, unit: float, gap: float, deadline: float = math.inf
) -> Found:
    return ops().core(options, room, wider, price, unit, gap, deadline)


def magnitudes(problems: Problems) -> Magnitudes:
    return ops().magnitudes(problems)


def costs_rounded(problems: Problems, shift: int) -> bool:
    return ops().costs_rounded(problems, shift)


def edges_between(problems: Problems, scales: Scales, low: float, high: float) -> EdgesBetween:
    return ops().edges_between(problems, scales, low, high)


def frontier(problems: Problems) -> FrontierResult:
    return ops().frontier(problems)


def decision_loss(d: Decisions, order: Order, value_out: Any = None, cost_out: Any = None) -> Any:
    return ops().decision_loss(d, order, value_out, cost_out)


def received_intervals(value: np.ndarray, cost: np.ndarray, treatment: np.ndarray) -> np.ndarray:
    return ops().received_intervals(value, cost, treatment)
