"""Arrays to addresses and strides, for the extension module; the only file that imports it."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from ._problems import Contested, FrontierResult, MckpResult, Problems
from ._ragged import RaggedProblems
from .errors import Status

_DTYPE = {np.dtype(np.float32): 0, np.dtype(np.float64): 1}


def module() -> Any:
    """The C++ extension; ImportError where this installation has none."""
    from . import _C

    return _C


def _readable(x: np.ndarray) -> np.ndarray:
    """`x` itself if its addresses and strides can be read as elements, else an aligned copy."""
    whole = all(stride % x.itemsize == 0 for stride in x.strides)
    return x if whole and x.flags.aligned else x.copy()


def _array(x: np.ndarray | None) -> tuple[int, int, int, int]:
    if x is None:
        return (0, 0, 0, 0)
    b, *n, m = (stride // x.itemsize for stride in x.strides)
    return (x.ctypes.data, b, n[0] if n else 0, m)


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
            *(0 if x is None else x.ctypes.data for x in self._small),
        )


def _plans(problems: Problems, out: MckpResult) -> Any:
    stride = 0 if problems.segmented else out.choice.shape[1]
    return module().Plans(stride, *(field.ctypes.data for field in out))


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
    problems: Problems, multiplier: float, margin: float, units: tuple[float, float], threads: int
) -> Contested:
    """Users of problem 0 whose best score is not certain to beat the second best by more than `margin`."""
    call = _Call(problems)
    choice = np.empty(int(problems.stop[0] - problems.start[0]), np.int32)
    users = np.empty_like(choice)
    totals = np.empty(4, np.int64)
    count = module().contested(
        call.problems, multiplier, margin, *units, threads, *(x.ctypes.data for x in (choice, users, totals))
    )
    value, cost = ((high << 32) + low for high, low in totals.reshape(2, 2).tolist())
    return Contested(users[:count].copy(), choice, value, cost)


def frontier(problems: Problems, threads: int) -> FrontierResult:
    """The breakpoints of problem 0's frontier, copied out of C++."""
    c, call = module(), _Call(problems)
    handle = c.frontier_new(call.problems, threads)
    try:
        status, count, *addresses = c.frontier_arrays(handle)
        arrays = [np.empty(count) for _ in addresses]
        for array, address in zip(arrays, addresses, strict=True):
            ctypes.memmove(array.ctypes.data, address, array.nbytes)
    finally:
        c.frontier_free(handle)
    return FrontierResult(Status(status), *arrays)
