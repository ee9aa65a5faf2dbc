"""Arrays to addresses and strides, for the extension module; the only file that imports it, or the one for CUDA."""

from __future__ import annotations

import ctypes
import math
import time
from typing import Any

import numpy as np

from . import _core
from ._arrays import BFLOAT16
from ._core import Found, Options
from ._decisions import Decisions, Total, arms, stray_treatment
from ._problems import EDGE, Contested, EdgesBetween, FrontierResult, Magnitudes, MckpResult, Problems, Scales
from ._ragged import RaggedProblems
from .errors import Status

_DTYPE = {np.dtype(np.float32): 0, np.dtype(np.float64): 1, np.dtype(np.float16): 2, BFLOAT16: 3}


def module() -> Any:
    """The C++ extension; ImportError where this installation has none."""
    from . import _C  # type: ignore[attr-defined]

    return _C


def cuda_module() -> Any:
    """The CUDA extension; ImportError where this installation has none."""
    from . import _C_cuda  # type: ignore[attr-defined]

    return _C_cuda


def _address(x: np.ndarray | None) -> int:
    """Where an array starts, four times as fast as by ctypes; 0 for none."""
    return 0 if x is None else x.__array_interface__["data"][0]


def _readable(x: np.ndarray) -> np.ndarray:
    """`x` itself if its addresses and strides can be read as elements, else an aligned copy."""
    whole = all(stride % x.itemsize == 0 for stride in x.strides)
    # By the address: NumPy calls a bfloat16 of another library aligned wherever it is.
    return x if whole and _address(x) % x.itemsize == 0 else x.copy()


def _array(x: np.ndarray | None) -> tuple[int, int, int, int]:
    if x is None:
        return (0, 0, 0, 0)
    b, *n, m = (stride // x.itemsize for stride in x.strides)
    return (_address(x), b, n[0] if n else 0, m)


class _Call:
    """The problems as C++ sees them; holds every array it points into."""

    def __init__(self, problems: Problems, warm_start: np.ndarray | None = None) -> None:
        mask = problems.mask
        self._keep = [_readable(problems.value), _readable(problems.cost)]
        self._keep.append(_readable(mask.view(np.uint8)) if mask is not None else None)  # type: ignore[arg-type]
        value, cost, open_ = self._keep
        ragged = problems if isinstance(problems, RaggedProblems) else None
        items = ragged.longest if ragged else problems.value.shape[2]
        offsets = ragged.offsets if ragged else None
        self._small = [problems.start, problems.stop, offsets, problems.budget, warm_start]
        self.problems = module().Problems(
            _DTYPE[value.dtype],
            _array(value),
            _array(cost),
            _array(open_),
            problems.count,
            problems.users,
            items,
            *map(_address, self._small),
        )


def _plans(problems: Problems, out: MckpResult) -> Any:
    stride = 0 if problems.segmented else out.choice.shape[1]
    return module().Plans(stride, *map(_address, out))


def mckp(problems: Problems, fill: bool, threads: int, warm_start: np.ndarray | None) -> MckpResult:
    """Solve every problem with the C++ kernels (the GIL is released)."""
    out = MckpResult.empty(problems, undecided=False)
    call = _Call(problems, warm_start)
    module().mckp(call.problems, fill, threads, _plans(problems, out))
    return out


def decide(problems: Problems, multiplier: np.ndarray, threads: int) -> MckpResult:
    """Every problem's users at its multiplier [B]."""
    out = MckpResult.empty(problems, undecided=False)
    call = _Call(problems)
    module().decide(call.problems, multiplier.ctypes.data, threads, _plans(problems, out))
    return out


def contested(
    problems: Problems, plan: np.ndarray, multiplier: float, margin: float, units: tuple[float, float], threads: int
) -> Contested:
    """Users of problem 0 whose best score is not certain to beat the second best by more than `margin`."""
    call = _Call(problems)
    plan = np.ascontiguousarray(plan)
    users, others, best = (np.empty_like(plan) for _ in range(3))  # what is not written costs nothing
    totals = np.empty(4, np.int64)
    found, differing = module().contested(
        call.problems,
        plan.ctypes.data,
        multiplier,
        margin,
        *units,
        threads,
        *(x.ctypes.data for x in (users, others, best, totals)),
    )
    value, cost = ((high << 32) + low for high, low in totals.reshape(2, 2).tolist())
    return Contested(users[:found].copy(), others[:differing].copy(), best[:differing].copy(), value, cost)


def core(
    options: Options, room: int, wider: int, price: float, unit: float, gap: float, deadline: float = math.inf
) -> Found:
    """`_core.solve`, in C++."""

    def halves(x: int) -> tuple[int, int]:
        x = max(-(1 << 94), min(1 << 94, x))  # beyond all sums: 2^31 numbers below 2^62
        return x >> 32, x & 0xFFFFFFFF

    value, cost, loss, copies = map(np.ascontiguousarray, options)
    taken = np.empty((len(copies), 3), np.int64)
    found, bounded, given_up, best, bound, gap, count = module().solve_core(
        *value.shape,
        *(x.ctypes.data for x in (value, cost, loss, copies)),
        halves(room),
        halves(wider),
        (_core.most_of(price, wider), unit, gap, deadline - time.monotonic()),
        _core.LONGEST,
        _core.MOST_NAMED,
        taken.ctypes.data,
    )

    def whole(x: tuple[int, int], known: bool) -> int | None:
        return (x[0] << 32) + x[1] if known else None

    steps = [(g, option, times) for g, option, times in taken[:count].tolist()]
    return Found(whole(best, found), steps, whole(bound, bounded), given_up, gap)


def magnitudes(problems: Problems, threads: int) -> Magnitudes:
    """The largest numbers of problem 0."""
    return Magnitudes(*module().shard_magnitudes(_Call(problems).problems, threads))


def costs_rounded(problems: Problems, shift: int, threads: int) -> bool:
    """Whether some open cost of problem 0 is no whole number of units 2^-shift."""
    return module().shard_costs_rounded(_Call(problems).problems, shift, threads)


def edges_between(problems: Problems, scales: Scales, low: float, high: float, threads: int) -> EdgesBetween:
    """Problem 0's users against a bracket of multipliers."""
    c, call = module(), _Call(problems)
    choice = np.empty(int(problems.stop[0] - problems.start[0]), np.int32)
    handle = c.edges_between_new(call.problems, low, high, *scales, threads, choice.ctypes.data)
    try:
        status, *totals, count, address = c.edges_between_found(handle)
        edges = np.empty(count, EDGE)
        if count:
            ctypes.memmove(edges.ctypes.data, address, edges.nbytes)
    finally:
        c.edges_between_free(handle)
    value, cost = ((high << 32) + low for high, low in totals)
    return EdgesBetween(Status(status), choice, value, cost, edges)


def frontier(problems: Problems, threads: int) -> FrontierResult:
    """The breakpoints of problem 0's frontier."""
    c, call = module(), _Call(problems)
    handle = c.frontier_new(call.problems, threads)
    try:
        status, count = c.frontier_found(handle)
        arrays = [np.empty(count) for _ in range(3)]
        if count:
            c.frontier_write(handle, threads, *(array.ctypes.data for array in arrays))
    finally:
        c.frontier_free(handle)
    return FrontierResult(Status(status), *arrays)


# --- Decision losses --------------------------------------------------------------------------------------------------

_STORAGE = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 3}
_storages: dict[Any, int] = {}  # by dtype, of NumPy and torch
_TOTALS = len(Total)


def _strided(x: np.ndarray | None, rank: int) -> tuple[int, ...] | None:
    """(address, `rank` strides in elements), a missing B being a stride of zero. Tensors the module reads itself."""
    if x is None:
        return None
    size = x.itemsize
    strides = tuple(s // size for s in x.strides)
    return (_address(x), *strides) if len(strides) == rank else (_address(x), 0, *strides)


def _start(x: np.ndarray | None) -> tuple[int] | None:
    return None if x is None else (_address(x),)


def _storage(x: Any) -> int:
    found = _storages.get(x.dtype)
    if found is None:
        found = _storages[x.dtype] = _STORAGE[str(x.dtype).removeprefix("torch.")]
    return found


def decision_loss(d: Decisions, order: int, threads: int, value_out: Any, cost_out: Any) -> np.ndarray:
    """Totals [B, K, 5]; writes value_out and cost_out, contiguous arrays of value's shape and dtype, past order 0."""
    count, users, items, multipliers = d.shape
    if count > 1 and any(x is not None and len(x.shape) == 1 for x in (d.multiplier, d.price, d.turn)):
        raise ValueError(f"multiplier, price and turn must be [{count}, K] for {count} problems")
    totals = np.empty((count, multipliers, _TOTALS))
    grids: tuple = (d.value, d.cost, d.mask, d.value_turn, d.cost_turn)
    labels: tuple = (d.treatment, d.weight, d.outcome, d.cost_outcome)
    small: tuple = (d.multiplier, d.price, d.turn, d.scale)
    outputs: tuple = (value_out, cost_out)
    if isinstance(d.value, np.ndarray):
        # Copies that `_readable` makes live until the call returns.
        kept = [None if x is None else _readable(x) for x in grids]
        grids = tuple(_strided(x, 3) for x in kept)
        labels = tuple(_strided(x, 2) for x in labels)
        small, outputs = tuple(map(_start, small)), tuple(map(_start, outputs))
    arrays = (*grids[:3], *labels, *small, *grids[3:], *outputs, (_address(totals),))
    rule = d.rule
    astray = module().decision_loss(
        int(order),
        _storage(d.value),
        threads,
        arrays,
        (count, users, items, multipliers),
        (int(rule.family), rule.temperature, rule.bound, rule.window),
    )
    if astray:
        raise stray_treatment(d.treatment, arms(rule, items))
    return totals


def received_intervals(value: np.ndarray, cost: np.ndarray, treatment: np.ndarray, threads: int) -> np.ndarray:
    """[2, N] float64: where λ makes the treatment received the decision, low <= λ < high; equal where it never is."""
    out = np.empty((2, len(treatment)))
    value, cost = _readable(value), _readable(cost)
    # One problem: strides along B are never used.
    grids = [(x.ctypes.data, 0, *(s // x.itemsize for s in x.strides)) for x in (value, cost)]
    arrays = (*grids, None, (treatment.ctypes.data, 0, treatment.strides[0] // 8), *[None] * 12)
    sizes = (1, *value.shape, 1)
    rule = (0, 1.0, 0.0, False)
    if module().received_intervals(
        _storage(value), threads, arrays, sizes, rule, out[0].ctypes.data, out[1].ctypes.data
    ):
        raise stray_treatment(treatment, value.shape[1])
    return out
