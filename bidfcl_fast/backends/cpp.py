"""The C++ backend: AVX-512, AVX2 or plain kernels, chosen when the library is loaded, and threads of its own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _native
from .._core import Found, Options
from .._decisions import Decisions, Order
from .._problems import Contested, EdgesBetween, FrontierResult, Magnitudes, MckpResult, Problems, Scales
from . import threads

ONE_THREAD_BELOW = 1 << 16  # numbers: waking a thread costs more (kWorthThreads of csrc/cpu/losses/losses.cpp)


def probe() -> str | None:
    try:
        _native.module()
    except ImportError as error:
        return _why(error)
    return None


def _why(error: ImportError) -> str:
    from .._build import why_no_native

    return why_no_native() or f"the extension module does not load: {error}"


def describe() -> str:
    c = _native.module()
    return f"{c.compiler_name()}, {c.arch_name()} kernels, up to {threads()} threads"


def mckp(problems: Problems, *, fill: bool, warm_start: np.ndarray | None = None) -> MckpResult:
    return _native.mckp(problems, fill, threads(), warm_start)


def decide(problems: Problems, multiplier: np.ndarray) -> MckpResult:
    return _native.decide(problems, multiplier, threads())


def contested(
    problems: Problems, plan: np.ndarray, multiplier: float, margin: float, units: tuple[float, float]
) -> Contested:
    return _native.contested(problems, plan, multiplier, margin, units, threads())


def core(
    options: Options, room: int, wider: int, price: float, unit: float, gap: float, deadline: float = math.inf
) -> Found:
    return _native.core(options, room, wider, price, unit, gap, deadline)


def magnitudes(problems: Problems) -> Magnitudes:
    return _native.magnitudes(problems, threads())


def costs_rounded(problems: Problems, shift: int) -> bool:
    return _native.costs_rounded(problems, shift, threads())


def edges_between(problems: Problems, scales: Scales, low: float, high: float) -> EdgesBetween:
    return _native.edges_between(problems, scales, low, high, threads())


def frontier(problems: Problems) -> FrontierResult:
    return _native.frontier(problems, threads())


def decision_loss(d: Decisions, order: Order, value_out: Any = None, cost_out: Any = None) -> np.ndarray:
    count, users, items, _ = d.shape
    cells = count * users * items
    # The smallest batches run on the caller's thread: no need to ask how many there are.
    return _native.decision_loss(d, order, threads() if cells >= ONE_THREAD_BELOW else 1, value_out, cost_out)


def received_intervals(value: np.ndarray, cost: np.ndarray, treatment: np.ndarray) -> np.ndarray:
    return _native.received_intervals(value, cost, treatment, threads())
