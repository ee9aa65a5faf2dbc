"""The Numba backend: the C++ solver's twin for machines without a compiler, compiled when first used.

The driver of the search stands here, in Python with its exact integers; the loops stand in numba_kernels.py. Threads are
plain ones: the kernels run without the GIL, so chunks go side by side, calls from several threads are safe, and none of
Numba's threading layers is loaded.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np

from .. import _core
from .. import _pool as memory
from .._decisions import Decisions, Order
from .._problems import Contested, EdgesBetween, FrontierResult, Magnitudes, MckpResult, Problems, Scales
from .._ragged import plain
from ..errors import Status
from . import numba_kernels as kernels
from . import numba_narrow
from . import threads as _threads

WORTH_THREADS = 2**18  # waking a thread costs more than reading this many numbers
MANY_TIED = 2**13  # so few edges of one slope are sorted
MANY_USERS = 2**16  # among problems no larger than that, each thread takes one at a time


def probe() -> str | None:
    return None  # where Numba cannot be imported, neither can this module


def describe() -> str:
    from numba.core import codegen

    llvm: Any = vars(codegen)["ll"]  # Numba's own llvmlite.binding
    version = ".".join(map(str, llvm.llvm_version_info))
    return f"Numba {numba.__version__}, LLVM {version} for {llvm.get_host_cpu_name()}, {_threads()} plain threads"


# --- Threads ----------------------------------------------------------------------------------------------------------

_pool: ThreadPoolExecutor | None = None
_pool_size = 0
_pool_lock = threading.Lock()


def _helpers(count: int) -> ThreadPoolExecutor:
    """A pool of at least `count` threads, shared by all calls of this process."""
    global _pool, _pool_size
    with _pool_lock:
        if _pool is None or _pool_size < count:
            _pool, _pool_size = ThreadPoolExecutor(count, thread_name_prefix="bidfcl"), count
        return _pool


def _forget_pool() -> None:
    """A forked child has none of its parent's threads."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def for_chunks(count: int, grain: int, threads: int, body: Callable[[int, int], Any]) -> list[Any]:
    """body(begin, end) for consecutive ranges of at least `grain`, a few for each thread; results in their order."""
    return for_ranges(cut_up([(0, count)], max(grain, -(-count // (8 * threads)))), threads, body)


def cut_up(ranges: list[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """The same ranges in pieces of at most `size`."""
    return [(some, min(some + size, end)) for begin, end in ranges for some in range(begin, end, size)]


def for_ranges(ranges: list[tuple[int, int]], threads: int, body: Callable[[int, int], Any]) -> list[Any]:
    """body(begin, end) for all ranges; results in their order."""
    if threads == 1 or len(ranges) <= 1:
        return [body(*r) for r in ranges]
    results: list[Any] = [None] * len(ranges)
    waiting = list(range(len(ranges)))[::-1]

    def work() -> None:
        while True:
            try:
                k = waiting.pop()
            except IndexError:
                return
            results[k] = body(*ranges[k])

    count = min(threads, len(ranges)) - 1
    pool = _helpers(count)
    futures = [pool.submit(work) for _ in range(count)]
    try:
        work()
    finally:
        waiting.clear()
        for future in futures:
            if not future.cancel():  # it has started: wait, and raise what it raised
                future.result()
    return results


# --- Arrays to flat memory --------------------------------------------------------------------------------------------


class _Memory:
    """The memory from an array's lowest element to its highest, for NumPy to wrap; keeps the owner alive.

    Writeable in name only, since Numba compiles a function again for a read-only array: no kernel writes to it.
    """

    def __init__(self, x: np.ndarray, lowest: int, elements: int) -> None:
        self._owner = x
        self.__array_interface__ = {
            "version": 3,
            "data": (x.__array_interface__["data"][0] + lowest, False),
            "typestr": x.dtype.str,
            "shape": (elements,),
        }


def _flat(x: np.ndarray) -> tuple[np.ndarray, int, list[int]]:
    """`x` as one flat array, where its first element stands, and its strides in elements."""
    if x.size == 0:
        return np.empty(0, x.dtype), 0, [0] * x.ndim
    if not x.flags.aligned or any(stride % x.itemsize for stride in x.strides):
        x = x.copy()
    steps = [stride // x.itemsize for stride in x.strides]
    reach = [step * (n - 1) for step, n in zip(steps, x.shape, strict=True)]
    lowest = sum(r for r in reach if r < 0)
    memory = _Memory(x, lowest * x.itemsize, 1 + sum(map(abs, reach)))
    return np.asarray(memory), -lowest, steps


def _instance(problems: Problems) -> tuple[kernels.Instance, kernels.Batch]:
    """Problem 0 as if it owned all N users, and the steps to the other problems."""
    value, value_at, (value_batch, value_row, value_item) = _flat(problems.value)
    cost, cost_at, (cost_batch, cost_row, cost_item) = _flat(problems.cost)
    open_, open_at, (open_batch, open_row, open_item) = np.ones(1, np.uint8), 0, [0, 0, 0]
    if problems.mask is not None:
        open_, open_at, (open_batch, open_row, open_item) = _flat(problems.mask.view(np.uint8))
    _, users, items = problems.value.shape
    places = (value_at, value_row, value_item, cost_at, cost_row, cost_item, open_at, open_row, open_item)
    masked, kind = problems.mask is not None, _kind(problems.value.dtype)
    instance = kernels.Instance(value, cost, open_, *places, users, items, masked, kind)
    return instance, kernels.Batch(value_batch, cost_batch, open_batch)


def _problem(all_: kernels.Instance, batch: kernels.Batch, problems: Problems, b: int) -> kernels.Instance:
    first, stop = int(problems.start[b]), int(problems.stop[b])
    return all_._replace(
        value_at=all_.value_at + b * batch.value + first * all_.value_row,
        cost_at=all_.cost_at + b * batch.cost + first * all_.cost_row,
        open_at=all_.open_at + b * batch.open + first * all_.open_row,
        users=stop - first,
    )


@functools.cache
def _kind(dtype: np.dtype) -> kernels.Kind:
    info, bits = np.finfo(dtype), np.int32 if dtype.itemsize == 4 else np.int64
    limits = np.array([4 * info.eps, info.min, 1], dtype)
    return kernels.Kind(int(info.nmant) + 1, np.array([np.iinfo(bits).max], bits), limits)


# --- Kernels with many threads ----------------------------------------------------------------------------------------


class Threads:
    """The kernels that read many users, each a chunk a thread; what the chunks found, as if it were one."""

    def __init__(self, count: int) -> None:
        self.count = count

    def _chunks(self, users: int, grain: int, body: Callable[[int, int], Any]) -> list[Any]:
        return for_chunks(users, grain, self.count, body) or [body(0, 0)]

    def scan(self, rows: kernels.Instance) -> np.ndarray:
        parts = np.array(self._chunks(rows.users, 8192, lambda *range_: kernels.scan(rows, *range_)))
        return np.concatenate([parts[:, :2].max(axis=0), parts[:, 2:].min(axis=0)])

    def whole_units(self, rows: kernels.Instance, survey: kernels.Survey) -> bool:
        return all(self._chunks(rows.users, 8192, lambda *range_: kernels.whole_units(rows, survey, *range_)))

    def decide(self, rows, counting, ends, choice) -> Any:  # type: ignore[no-untyped-def]
        parts = self._chunks(rows.users, 8192, lambda *range_: kernels.decide(rows, counting, ends, *range_, choice))
        return sum(part[0] for part in parts), np.concatenate([part[1] for part in parts])

    def walk_users(self, rows, counting, wanted, users, names, choice) -> Any:  # type: ignore[no-untyped-def]
        parts = self._chunks(
            len(users),
            1024,
            lambda begin, end: kernels.walk_users(rows, counting, wanted, users, names, begin, end, choice),
        )
        return (
            sum(part[0] for part in parts),
            _joined([part[1] for part in parts], self.count),
            any(part[2] for part in parts),
        )

    def pass_over(self, rows, counting, wanted, everybody, ends, guess, choice, low, high, budget, spare) -> Any:  # type: ignore[no-untyped-def]
        """A pass whose first chunks narrow the bracket for the others; what it found, and the bracket it ended with.

        budget: in money, or NaN where the bracket must stay; spare: how many edges below λ* are wanted.
        """

        def read(begin: int, end: int) -> kernels.Found:
            return kernels.pass_over(rows, counting, wanted, everybody, ends, guess, begin, end, choice)

        chunk, users = numba_narrow.CHUNK, rows.users
        heads = [] if everybody or math.isnan(budget) else numba_narrow.first_chunks(users)
        parts = for_ranges([(k * chunk, (k + 1) * chunk) for k in heads], self.count, read)
        if heads and all(part.usable for part in parts):
            share, units = len(heads) * chunk / users, math.ldexp(budget, int(counting.cost.shift))
            cut = numba_narrow.narrowed([part.totals for part in parts], share, units, spare)
            if cut is not None:
                between = numba_narrow.bracket(cut, wanted.buckets, low, high, counting)
                closer = np.zeros_like(ends)
                if kernels.place(rows, counting, *between, closer):
                    fewer = numba_narrow.cut_down(_together(parts, self.count), wanted.buckets, cut, choice)
                    if fewer is not None:
                        parts, ends, (low, high) = [fewer], closer, between
                        wanted = numba_narrow.wanted_between(wanted, low, high, counting)
        if all(part.usable for part in parts):
            size = max(chunk, -(-users // (8 * self.count)))
            parts += for_ranges(cut_up(numba_narrow.gaps(heads, users), size) or [(0, 0)], self.count, read)
        return _together(parts, self.count), wanted, low, high

    def buy_ties(self, rows, counting, totals, listed, buckets, budget, fill, choice) -> np.ndarray:  # type: ignore[no-untyped-def]
        """Where users are alike, a bucket may hold thousands of edges of one slope. Those are bought in the order of users,
        so nearly all can be dealt with by the chunk; the edges that remain, with `totals` to match."""
        rest, window = totals.reshape(-1, 5), kernels.FILL_WINDOW if fill else 1
        if rest[:-1, 4].max() < MANY_TIED:
            return listed
        room = _whole(budget) - _whole(rest[-1, 2:])
        bucket = buckets.size - 1
        while bucket >= 0 and _whole(rest[bucket, 2:]) <= room:
            room -= _whole(rest[bucket, 2:])
            bucket -= 1
        if bucket < 0 or rest[bucket, 4] < MANY_TIED:
            return listed
        parts = for_chunks(
            len(listed),
            MANY_TIED,
            self.count,
            lambda *range_: kernels.tied(rows, counting, listed, *range_, buckets, bucket),
        )
        some = [(e["slope"], int(e["value"]), int(e["cost"])) for _, like, _ in parts for e in like]
        slope, value, cost = some[0]
        inside = bucket == 0 or slope * (1 - kernels.INSIDE) >= numba_narrow.least_slope(buckets, bucket)
        if bucket + 1 < buckets.size:
            inside &= slope * (1 + kernels.INSIDE) < numba_narrow.least_slope(buckets, bucket + 1)
        if not (inside and all(part[0] for part in parts) and all(v * cost == value * c for _, v, c in some)):
            return listed
        sums = sum(part[2] for part in parts).reshape(-1, 5)
        first = 0
        while _whole(sums[first, 2:]) <= room:
            room -= _whole(sums[first, 2:])
            first += 1
        after = np.cumsum(sums[first + 1 :, 4])
        enough = np.flatnonzero(after >= window)
        last = first + 2 + int(enough[0]) if len(enough) else len(sums)
        # Where so many are tied that `fill` looks no further, nobody looks below.
        below = not len(enough)
        listed = kernels.without_tied(listed, buckets, bucket, first, last, below, choice)
        if not below:
            rest[:bucket] = 0
        rest[-1, :4] += rest[bucket + 1 : -1, :4].sum(axis=0) + sums[:first, :4].sum(axis=0)
        rest[bucket + 1 : -1] = 0
        rest[bucket] = sums[first:last].sum(axis=0)
        return listed


def _whole(wide: Any) -> int:
    return (int(wide[0]) << 32) + int(wide[1])


def _together(parts: list[kernels.Found], threads: int) -> kernels.Found:
    seen = np.array([part.seen for part in parts])
    return kernels.Found(
        sum(part.totals for part in parts),
        _joined([part.listed for part in parts], threads),
        np.concatenate([part.put_off for part in parts]),
        sum(part.open for part in parts),
        any(part.closed_user for part in parts),
        np.concatenate([seen[:, :2].max(axis=0), seen[:, 2:].min(axis=0)]),
        all(part.usable for part in parts),
    )


def _joined(parts: list[np.ndarray], threads: int) -> np.ndarray:
    """Listed edges as one array; as bytes, since NumPy compares the fields of records one by one before it copies them."""
    ends = np.cumsum([0, *(part.nbytes for part in parts)]).tolist()
    joined = memory.empty((ends[-1],), np.dtype(np.uint8))

    def copy(begin: int, end: int) -> None:
        for k in range(begin, end):
            joined[ends[k] : ends[k + 1]] = parts[k].view(np.uint8)

    for_chunks(len(parts), 1, threads if ends[-1] > WORTH_THREADS else 1, copy)
    return joined.view(kernels.LISTED)


# --- The ops ----------------------------------------------------------------------------------------------------------

UNKNOWN = kernels.Survey(0.0, 0.0, 0.0, True, False, False)


def _survey(rows: kernels.Instance, threads: Threads) -> kernels.Survey:
    survey = kernels.survey_of(rows, threads.scan(rows))
    if survey.costs_rounded:
        survey = survey._replace(costs_rounded=not threads.whole_units(rows, survey))
    return survey


def mckp(problems: Problems, *, fill: bool, warm_start: np.ndarray | None = None) -> MckpResult:
    """Many problems: each whole on one thread. A few large ones: one by one, each with all threads."""
    problems = plain(problems, "numba")
    out, threads = MckpResult.empty(problems, undecided=False), _threads()
    if problems.value.size < WORTH_THREADS:
        threads = 1
    if not problems.count:
        return out
    rows, batch = _instance(problems)
    users = problems.stop - problems.start
    if warm_start is None:
        warm_start = np.full(problems.count, np.nan)
    together = Threads(threads)
    same = batch == (0, 0, 0) and not problems.segmented and problems.count > 1
    survey = _survey(_problem(rows, batch, problems, 0), together) if same else UNKNOWN

    done = np.zeros(problems.count, bool)
    if same:
        from . import numba_zones  # which stands on this module

        if numba_zones.worth_zones(problems, survey):
            done = numba_zones.solve_in_zones(_problem(rows, batch, problems, 0), survey, problems, fill, out, together)

    side_by_side = users <= (MANY_USERS if threads == 1 or problems.count > 1 else 0)
    which = np.flatnonzero(side_by_side & ~done)

    def several(begin: int, end: int) -> None:
        kernels.solve_several(
            rows, batch, which[begin:end], problems.start, problems.stop, problems.budget, warm_start, survey, fill, out
        )

    for_chunks(len(which), 1, threads, several)
    alone = np.zeros(kernels.NEAR)
    for b in np.flatnonzero(~side_by_side & ~done).tolist():
        choice = out.choice_of(problems, b)
        one = _problem(rows, batch, problems, b)
        # The compiled function's own source, run by Python: its loops are kernels, and these find many threads.
        kernels.solve.py_func(
            one, float(problems.budget[b]), fill, float(warm_start[b]), survey, choice, out, b, together, alone
        )
    return out


def decide(problems: Problems, multiplier: np.ndarray) -> MckpResult:
    from . import numba_decide  # which stands on this module

    return numba_decide.decide(problems, multiplier)


def contested(
    problems: Problems, plan: np.ndarray, multiplier: float, margin: float, units: tuple[float, float]
) -> Contested:
    from . import numba_decide

    return numba_decide.contested(problems, plan, multiplier, margin, units)


core = _core.solve  # lists of some hundred entries: NumPy's own loops do


def magnitudes(problems: Problems) -> Magnitudes:
    problems = plain(problems, "numba")
    rows = _problem(*_instance(problems), problems, 0)
    survey = kernels.survey_of(rows, Threads(_threads()).scan(rows))
    return Magnitudes(float(survey.value), float(survey.cost), bool(survey.finite))


def costs_rounded(problems: Problems, shift: int) -> bool:
    problems = plain(problems, "numba")
    rows = _problem(*_instance(problems), problems, 0)
    survey = kernels.survey_of(rows, Threads(_threads()).scan(rows))._replace(cost=_magnitude(shift))
    return not Threads(_threads()).whole_units(rows, survey)


def _magnitude(shift: int) -> float:
    """One whose scale is 2^shift."""
    return math.ldexp(0.5, kernels.FIXED_POINT_BITS - shift)


def edges_between(problems: Problems, scales: Scales, low: float, high: float) -> EdgesBetween:
    """Everybody is walked: what a sweep would settle is not worth a second machinery where a compiler is missing."""
    problems = plain(problems, "numba")
    threads, rows = Threads(_threads()), _problem(*_instance(problems), problems, 0)
    sized = kernels.Survey(_magnitude(scales.value), _magnitude(scales.cost), 0.0, True, False, True)
    counting, users = kernels.true_counting(rows, sized), np.arange(rows.users, dtype=np.int32)
    choice = np.empty(rows.users, np.int32)
    wanted = kernels.edges_between(rows, counting, False, low, high)
    totals, listed, closed = threads.walk_users(rows, counting, wanted, users, users, choice)
    edges = kernels.exact_edges(rows, counting, listed)
    status = Status.NO_OPEN_TREATMENT if closed else Status.SOLVED
    return EdgesBetween(status, choice, _whole(totals[-5:-3]), _whole(totals[-3:-1]), edges)


def frontier(problems: Problems) -> FrontierResult:
    """Every hull edge, by falling slope, and its prefix sums."""
    problems = plain(problems, "numba")
    threads = Threads(_threads())
    rows = _problem(*_instance(problems), problems, 0)
    survey = kernels.survey_of(rows, threads.scan(rows))
    nothing = np.zeros(0)
    if not survey.finite:
        return FrontierResult(Status.NOT_FINITE, nothing, nothing, nothing)
    counting, users = kernels.true_counting(rows, survey), np.arange(rows.users, dtype=np.int32)
    choice = np.empty(rows.users, np.int32)
    totals, listed, closed = threads.walk_users(rows, counting, kernels.EVERY_EDGE, users, users, choice)
    if closed:
        return FrontierResult(Status.NO_OPEN_TREATMENT, nothing, nothing, nothing)
    edges = kernels.exact_edges(rows, counting, listed)
    order = np.argsort(-edges["slope"])
    kernels.settle_ties(edges, order)
    points = kernels.breakpoints(edges, order, totals[5:], counting.value.shift, counting.cost.shift)
    return FrontierResult(Status.SOLVED, *points)


# --- Decision losses: numba_losses.py, which uses the threads and flat arrays of this file ------------------------------


def decision_loss(d: Decisions, order: Order, value_out: Any = None, cost_out: Any = None) -> np.ndarray:
    from . import numba_losses

    return numba_losses.decision_loss(d, order, value_out, cost_out)


def received_intervals(value: np.ndarray, cost: np.ndarray, treatment: np.ndarray) -> np.ndarray:
    from . import numba_losses

    return numba_losses.received_intervals(value, cost, treatment)
