"""The only validation: every argument is judged here, before any backend sees it.

Each message says which argument, what was expected, and what came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _device, _precision
from ._arrays import BFLOAT16, to_numpy
from ._half import name_of
from ._problems import Problems
from ._ragged import RaggedProblems
from .errors import InfeasibleBudget, NotCertified, Status

DTYPES = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.float16), BFLOAT16)


def floats(name: str, x: Any, read: Callable[[str, Any], Any] = to_numpy) -> Any:
    """`x`, as `read` sees it, of a supported dtype, native byte order."""
    array = read(name, x)
    if array.dtype not in DTYPES or not array.dtype.isnative:
        raise TypeError(
            f"{name} must be float32 or float64 (or float16, bfloat16), got {array.dtype}; convert it once, as in "
            f"{name}.astype('float32')"
        )
    return array


def _instance(
    value: Any, cost: Any, mask: Any, ranks: tuple[int, ...], read: Callable[[str, Any], Any]
) -> tuple[Any, Any, Any]:
    v, c = floats("value", value, read), floats("cost", cost, read)
    expected = "[N, M] or [B, N, M]" if 3 in ranks else "[N, M]"
    if v.ndim not in ranks:
        raise ValueError(f"value must have shape {expected}, got {list(v.shape)}")
    m = _like_value(v, c, mask, read)
    if v.shape[-1] == 0:
        raise ValueError(f"value has no treatments: expected M >= 1 in {expected}, got {list(v.shape)}")
    if v.shape[-1] > np.iinfo(np.int32).max or v.shape[-2] > np.iinfo(np.int32).max:
        raise ValueError(f"one problem takes at most 2^31 - 1 users and treatments, got {list(v.shape)}")
    return v, c, m


def _like_value(v: Any, c: Any, mask: Any, read: Callable[[str, Any], Any] = to_numpy) -> Any:
    """The mask, if cost and mask go with value."""
    if c.shape != v.shape:
        raise ValueError(f"cost must have the shape of value, {list(v.shape)}, got {list(c.shape)}")
    if c.dtype != v.dtype:
        raise TypeError(f"cost must have the dtype of value, {name_of(v.dtype)}, got {name_of(c.dtype)}")
    _together("cost", c, v)
    if mask is None:
        return None
    m = read("mask", mask)
    if m.dtype != np.bool_:
        raise TypeError(f"mask must be bool, got {m.dtype}")
    _together("mask", m, v)
    if m.shape != v.shape:
        raise ValueError(f"mask must have the shape of value, {list(v.shape)}, got {list(m.shape)}")
    return m


def _together(name: str, x: Any, value: Any) -> None:
    """Refuse arrays in two places."""

    def place(array: Any) -> str:
        return f"CUDA device {array.device}" if isinstance(array, _device.DeviceArray) else "the CPU"

    if place(x) != place(value):
        raise ValueError(f"{name} must be where value is, on {place(value)}, got {name} on {place(x)}")


def _amounts(name: str, x: Any, count: int | None, meaning: str) -> np.ndarray:
    """Finite float64 numbers, a scalar or [count]; any non-empty [K] where count is None."""
    b = np.asarray(x) if isinstance(x, bool) else to_numpy(name, x)
    if b.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be a number or an array of numbers, got {b.dtype}")
    b = b.astype(np.float64)
    if b.ndim > 1 or (count is None and b.ndim == 1 and b.size == 0):
        raise ValueError(f"{name} must be {meaning}, got shape {list(b.shape)}")
    if count is not None and b.ndim == 1 and b.size != count:
        raise ValueError(f"{name} must be {meaning}, got {b.size}")
    bad = np.flatnonzero(~np.isfinite(b))
    if bad.size:
        raise ValueError(f"{name} must be finite, got {b.ravel()[bad[0]]}")
    return b


def integers(name: str, x: Any) -> np.ndarray:
    """`x` as int64; a view where it is that already."""
    array = np.asarray(x) if isinstance(x, (list, tuple)) else to_numpy(name, x)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be int64, got {array.dtype}")
    return array.astype(np.int64, copy=False)


def _segments(
    segments: Any, users: int, budget: Any, name: str = "budget"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each problem's users start and stop, and its budget."""
    edges = integers("segments", segments)
    if edges.ndim != 1 or edges.size < 2 or edges[0] != 0 or edges[-1] != users or (np.diff(edges) < 0).any():
        raise ValueError(f"segments must rise from 0 to N = {users}, [B+1] in all, got {_short(edges)}")
    count = edges.size - 1
    b = np.broadcast_to(_amounts(name, budget, count, f"one number or [{count}], one for each segment"), count)
    return edges[:-1].copy(), edges[1:].copy(), b


def _several(budget: Any, name: str = "budget") -> tuple[np.ndarray, str]:
    """[K] budgets of one instance, and whether the caller gave one or several."""
    b = _amounts(name, budget, None, "a number or a non-empty [K]")
    return np.atleast_1d(b), "budgets" if b.ndim else "one"


def ragged(
    value: Any, cost: Any, offsets: Any, budget: Any, mask: Any, segments: Any, name: str = "budget"
) -> tuple[RaggedProblems, str]:
    """The arguments of `solve_mckp_ragged`, and which of its forms it is: one, budgets or segments."""
    v, c = floats("value", value), floats("cost", cost)
    if v.ndim != 1:
        raise ValueError(f"value must have shape [T], all users' treatments one after the other, got {list(v.shape)}")
    m = _like_value(v, c, mask)
    rows = integers("offsets", offsets)
    longest = _longest_row(rows, v.size)
    n = rows.size - 1
    if segments is not None:
        start, stop, b = _segments(segments, n, budget, name)
        form = "segments"
    else:
        b, form = _several(budget, name)
        start, stop = np.zeros(b.size, np.int64), np.full(b.size, n, np.int64)
    shape = (b.size, v.size)
    v, c = np.broadcast_to(v, shape), np.broadcast_to(c, shape)
    m = None if m is None else np.broadcast_to(m, shape)
    b, rows = np.array(b), np.ascontiguousarray(rows)
    return RaggedProblems(v, c, m, start, stop, b, form == "segments", rows, longest), form


def _longest_row(offsets: np.ndarray, cells: int) -> int:
    """How many treatments the longest row has; refuses offsets that are none."""
    if offsets.ndim != 1 or offsets.size == 0 or offsets[0] != 0 or offsets[-1] != cells:
        raise ValueError(f"offsets must rise from 0 to T = {cells}, [N+1] in all, got {_short(offsets)}")
    if offsets.size - 1 > np.iinfo(np.int32).max:
        raise ValueError(f"one problem takes at most 2^31 - 1 users, got {offsets.size - 1}")
    longest, step = 1, 1 << 15  # a piece at a time stays in cache
    for first in range(0, offsets.size - 1, step):
        lengths = np.diff(offsets[first : first + step + 1])
        if lengths.min() < 1:
            i = first + int((lengths < 1).argmax())
            if offsets[i] > offsets[i + 1]:
                raise ValueError(f"offsets must rise, got offsets[{i}] = {offsets[i]} before {offsets[i + 1]}")
            raise ValueError(
                f"user {i} has no treatment: offsets[{i}] = offsets[{i + 1}] = {offsets[i]}; every user needs one, "
                "for instance a free one of no value"
            )
        longest = max(longest, int(lengths.max()))
    if longest > np.iinfo(np.int32).max:
        raise ValueError(f"one user takes at most 2^31 - 1 treatments, got {longest}")
    return longest


def budget_or_multiplier(budget: Any, multiplier: Any) -> None:
    """Exactly one of the two says how money is limited."""
    if budget is None and multiplier is None:
        raise TypeError("budget must be a number or an array of numbers (or give multiplier instead), got NoneType")
    if budget is not None and multiplier is not None:
        raise ValueError("budget and multiplier exclude each other: a multiplier is the price that stands for a budget")


def together(multiplier: Any, min_spend: Any, max_treated: Any, integrality: Any, time_limit: Any) -> None:
    """Refuse, with the reason, arguments that one multiplier cannot serve at once."""
    if integrality not in ("gap", "proven"):
        raise ValueError(f"integrality must be 'gap' or 'proven', got {integrality!r}")
    proven = integrality == "proven"
    if multiplier is not None:
        for name, given in (("min_spend", min_spend), ("max_treated", max_treated)):
            if given is not None:
                raise ValueError(f"multiplier and {name} exclude each other: at a given price every user decides alone")
        if proven:
            raise ValueError(
                "multiplier needs no integrality='proven': its plan is optimal for a budget equal to its spend"
            )
    if min_spend is not None and max_treated is not None:
        raise ValueError(
            "min_spend and max_treated exclude each other: beside the budget, one multiplier serves one of them"
        )
    if proven and (min_spend is not None or max_treated is not None):
        name = "min_spend" if min_spend is not None else "max_treated"
        raise ValueError(f"integrality='proven' goes with a budget alone, without {name}: the proof knows one limit")
    if time_limit is not None:
        if not proven:
            raise ValueError("time_limit goes with integrality='proven'; the certified plan needs none")
        if not isinstance(time_limit, (int, float)) or isinstance(time_limit, bool) or not time_limit >= 0:
            raise ValueError(f"time_limit must be seconds, at least 0, got {time_limit!r}")


def least_spends(min_spend: Any, problems: Problems) -> np.ndarray | None:
    """[B] min_spend, none above its budget."""
    if min_spend is None:
        return None
    least = per_problem("min_spend", min_spend, problems.count)
    bad = np.flatnonzero(least > problems.budget)
    if bad.size:
        b = int(bad[0])
        raise ValueError(f"min_spend must not exceed the budget {problems.budget[b]}, got {least[b]}")
    return least


def treated(max_treated: Any, control: Any, problems: Problems) -> tuple[np.ndarray | None, int]:
    """[B] max_treated, whole numbers, and the control treatment."""
    if isinstance(control, bool) or not isinstance(control, (int, np.integer)):
        raise TypeError(f"control must be the index of a treatment, an integer, got {control!r}")
    if max_treated is None:
        return None, int(control)
    items = problems.value.shape[2]
    if not 0 <= control < items:
        raise ValueError(f"control must be the index of a treatment, 0 to {items - 1}, got {control}")
    most = per_problem("max_treated", max_treated, problems.count)
    bad = np.flatnonzero((most < 0) | (most != np.floor(most)))
    if bad.size:
        raise ValueError(f"max_treated must be a whole number of users, at least 0, got {most[bad[0]]}")
    return np.minimum(most, problems.value.shape[1]), int(control)


def not_negative(name: str, x: np.ndarray) -> None:
    bad = np.flatnonzero(x < 0)
    if bad.size:
        raise ValueError(f"{name} must be at least 0, got {x[bad[0]]}")


def per_problem(name: str, x: Any, count: int) -> np.ndarray:
    """[count] finite numbers, from one or from as many."""
    meaning = "one number" if count == 1 else f"one number or [{count}], one for each problem"
    return np.array(np.broadcast_to(_amounts(name, x, count, meaning), count))


def problems(
    value: Any, cost: Any, budget: Any, mask: Any, segments: Any, name: str = "budget"
) -> tuple[Problems, str]:
    """The arguments of `solve_mckp` as `Problems`, and which of its forms it is: one, budgets, batch or segments.

    `name` is what the caller calls the budget: multipliers come in the same shapes.
    """
    v, c, m = _instance(value, cost, mask, (2, 3), _device.view)
    n = v.shape[-2]
    if v.ndim == 3:
        if segments is not None:
            raise ValueError("segments goes with value of shape [N, M]; [B, N, M] already says which problem is which")
        count, form = v.shape[0], "batch"
        b = np.broadcast_to(_amounts(name, budget, count, f"one number or [{count}], one for each problem"), count)
        start, stop = np.zeros(count, np.int64), np.full(count, n, np.int64)
    elif segments is not None:
        start, stop, b = _segments(segments, n, budget, name)
        count, form = len(b), "segments"
    else:
        b, form = _several(budget, name)
        count = b.size
        start, stop = np.zeros(count, np.int64), np.full(count, n, np.int64)
    if v.ndim == 2:
        v, c = (_device.repeated(x, count) for x in (v, c))
        m = None if m is None else _device.repeated(m, count)
    # A copy: for arrays that may not be written to, Numba would compile everything once more.
    return Problems(v, c, m, start, stop, np.array(b), form == "segments"), form


def instance(value: Any, cost: Any, mask: Any, *, device: bool = False) -> Problems:
    """The arguments of `budget_frontier` as one problem without a budget; `device`: arrays on a CUDA device are welcome."""
    v, c, m = _instance(value, cost, mask, (2,), _device.view if device else to_numpy)
    whole = np.array([v.shape[0]], np.int64)
    m = None if m is None else _device.repeated(m, 1)
    return Problems(_device.repeated(v, 1), _device.repeated(c, 1), m, np.zeros(1, np.int64), whole, np.zeros(1))


def _short(x: np.ndarray) -> str:
    return np.array2string(x, threshold=8, max_line_width=1 << 20)


def raise_for(status: int, problems: Problems, b: int, least_budget: float, alone: bool) -> None:
    """The exception of one problem's status; a solved one passes."""
    where = None if alone else b
    if status < Status.SOLVED:
        problems = problems.on_host()  # to say which number it was
    if status == Status.INFEASIBLE_BUDGET:
        raise InfeasibleBudget(float(problems.budget[b]), least_budget, where)
    if status == Status.NOT_FINITE:
        for name, array in (("value", problems.value), ("cost", problems.cost)):
            cells = problems.cells(array, b)
            bad = ~np.isfinite(cells)
            if problems.mask is not None:
                bad &= problems.cells(problems.mask, b)
            if bad.any():
                k = int(bad.argmax())
                raise ValueError(f"{name} must be finite, got {cells.flat[k]} at {name}{problems.place(array, b, k)}")
        raise ValueError(
            "value and cost must be finite; they changed during the call, and no longer show where they were not"
        )
    if status == Status.TOO_WIDE:
        raise ValueError(
            f"{_precision.largest_cell(problems, b)} is so large beside the rest that exact sums would round the "
            "others away; if it stands for 'not allowed', close that treatment with mask instead"
        )
    if status == Status.OUT_OF_RANGE:
        raise ValueError(f"value and cost{'' if where is None else f' of problem {b}'}: {Status.OUT_OF_RANGE.sentence}")
    if status == Status.NO_OPEN_TREATMENT:
        user = problems.closed_user(b)
        raise ValueError(f"mask leaves user {user} no open treatment; every user needs one")
    if status in (Status.NARROW_WINDOW, Status.TWO_LIMITS, Status.INFEASIBLE_MAX_TREATED):
        argument = "min_spend" if status == Status.NARROW_WINDOW else "max_treated"
        raise NotCertified(Status(status), argument, where)
    if status < Status.SOLVED:
        raise RuntimeError(f"solve_mckp ended with an unknown status {status}")
