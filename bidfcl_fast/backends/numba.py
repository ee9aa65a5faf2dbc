"""The Numba backend: the C++ solver's twin for machines without a compiler, compiled when first used.

The driver of the search stands here, in Python with its exact integers; the loops stand in numba_kernels.py. Threads are
plain ones: the kernels run without the GIL, so chunks go side by side, calls from several threads are safe, and none of
Numba's threading layers is loaded.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numba
import numpy as np

from .._decisions import Decisions, Order
from .._problems import Contested, FrontierResult, MckpResult, Problems
from .._ragged import plain
from .._spec import FILL_WINDOW
from ..errors import Status
from . import numba_kernels as kernels
from . import threads as _threads

SAMPLE = 4096  # users that a bracket is read off
DIRECT = 6144  # so few users are finished without another sweep
WARM = 65536  # among fewer users, a bracket a 64th wide may leave too few edges for `fill`
FIRST_HIGH = 2.0**20  # stands in for an infinite end, times the steepest sampled slope
DEVIATIONS = 2.5  # how many standard errors a bracket reaches to each side
INSIDE = 2.0**-45  # an edge this close to a bracket's end may have company among the users not listed
WORTH_THREADS = 2**18  # waking a thread costs more than reading this many numbers
NOBODY = np.empty((0, 3), np.int32)


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
    size = max(grain, -(-count // (8 * threads)))
    ranges = [(begin, min(begin + size, count)) for begin in range(0, count, size)]
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
    instance = kernels.Instance(value, cost, open_, *places, users, items, problems.mask is not None)
    return instance, kernels.Batch(value_batch, cost_batch, open_batch)


def _problem(all_: kernels.Instance, batch: kernels.Batch, problems: Problems, b: int) -> kernels.Instance:
    first, stop = int(problems.start[b]), int(problems.stop[b])
    return all_._replace(
        value_at=all_.value_at + b * batch.value + first * all_.value_row,
        cost_at=all_.cost_at + b * batch.cost + first * all_.cost_row,
        open_at=all_.open_at + b * batch.open + first * all_.open_row,
        users=stop - first,
    )


def _magnitude(dtype: np.dtype) -> np.ndarray:
    bits = np.int32 if dtype.itemsize == 4 else np.int64
    return np.array([np.iinfo(bits).max], bits)


def _digits(dtype: np.dtype) -> int:
    return int(np.finfo(dtype).nmant) + 1


# --- Numbers ----------------------------------------------------------------------------------------------------------


def _whole(wide: tuple[int, int]) -> int:
    return (wide[0] << 32) + wide[1]


def _wide(n: int) -> tuple[int, int]:
    return n >> 32, n & 0xFFFFFFFF


def _ldexp(x: float, shift: int) -> float:
    """math.ldexp, but infinity where that raises."""
    try:
        return math.ldexp(x, shift)
    except OverflowError:
        return math.copysign(math.inf, x)


def _outward(x: float, towards: float, dtype: np.dtype) -> Any:
    """An end of a bracket as a number of the row's own type, moved outwards; infinite if it has none."""
    with np.errstate(over="ignore", under="ignore"):
        out = dtype.type(x)
        if float(out) < x if towards > 0 else float(out) > x:
            out = np.nextafter(out, dtype.type(towards))
    return out


# --- The solver (cpu/solver.cpp) --------------------------------------------------------------------------------------


class Bracket(NamedTuple):
    low: float
    high: float


ANYWHERE = Bracket(0.0, math.inf)


@dataclass
class Search:
    """The multiplier search of core/search.h: what exact totals have proved of λ*."""

    budget: int
    outer: Bracket = ANYWHERE  # where edges are still open: λ* is inside, and room below it for `fill`
    beyond: float = 0.0  # λ* is above this
    deviations: float = DEVIATIONS

    def tell(self, asked: Bracket, spend_low: int, spend_high: int) -> bool:
        """The exact spends at the two ends; True if λ* lies between. `outer` then stays as it is: should the next level
        miss an edge, this one must be able to list more than that one did."""
        if spend_high > self.budget:
            self.beyond = max(self.beyond, asked.high)
        elif spend_low <= self.budget and asked.low > 0:
            self.outer = self.outer._replace(high=asked.low)
        else:
            return True
        self.deviations *= 4
        return False


@dataclass
class Level:
    """The users still open after some sweeps, what the others cost, and where λ* is known to be."""

    users: np.ndarray | None  # [count, 3] of user, choice at the low and at the high end; None: every user
    count: int
    search: Search
    value: int = 0  # of the users settled before
    cost: int = 0
    spend_high: int = 0  # of everybody at search.outer.high; known below the top


class Listing(NamedTuple):
    edges: np.ndarray
    at: np.ndarray  # choice of the k-th user visited, before its listed edges
    value: int
    cost: int
    closed: bool


class Solver:
    """One problem: the scales are given (several budgets of one instance share them), `choice` [N] is written."""

    def __init__(
        self, instance: kernels.Instance, largest: np.ndarray, costs_rounded: bool, fill: bool, threads: int
    ) -> None:
        self.instance, self.costs_rounded, self.fill, self.threads = instance, costs_rounded, fill, threads
        self.largest = largest
        self.dtype = instance.value.dtype
        self.value_scale, self.cost_scale = (kernels.scale_for(float(x)) for x in largest[:2])
        self.numbers = np.arange(instance.items, dtype=self.dtype)
        self.to_own = self.cost_scale.shift - self.value_scale.shift  # from fixed-point slopes to the problem's own

    def run(self, out: MckpResult, b: int, budget: float, choice: np.ndarray, warm_start: float) -> None:
        self.out, self.b, self.choice = out, b, choice
        out.value_unit[b] = _ldexp(1.0, -self.value_scale.shift) if self.largest[0] > 0 else 0.0
        out.cost_unit[b] = _ldexp(1.0, -self.cost_scale.shift) if self.largest[1] > 0 else 0.0
        self.budget = _whole(kernels.floor_wide(self.cost_scale, budget))
        out.rows_read[b] = self.instance.users  # the scan
        levels = [Level(None, self.instance.users, Search(self.budget))]
        # Should a bracket prove too narrow for `fill`, a wider one is tried before everybody's edges are listed.
        for wider in (1.0, 2.0):
            levels[0].search.deviations *= wider
            self.narrow(levels, warm_start if wider == 1.0 else math.nan)
            if len(levels) == 1:
                break
            while len(levels) > 1:
                if self.finish(levels[-1]):
                    return
                levels.pop()
        self.finish(levels[0])

    def narrow(self, levels: list[Level], warm_start: float) -> None:
        """Sample and sweep, until few users are open or nothing is gained."""
        for step in range(24):
            level = levels[-1]
            if level.count <= DIRECT:
                break
            outer = level.search.outer
            asked = self.propose(level, warm_start if step == 0 else math.nan)
            if not math.isfinite(asked.high) or asked.high <= level.search.beyond:
                break
            if asked.low <= outer.low and asked.high >= outer.high:
                break
            after = self.sweep(level, asked)
            if after is None and step == 0 and self.is_warm(warm_start):
                level.search.deviations = DEVIATIONS  # the miss was not a sample's
            if after is not None:
                levels.append(after)
                if after.count * 4 > level.count * 3:
                    break

    def is_warm(self, multiplier: float) -> bool:
        return multiplier > 0 and math.isfinite(multiplier) and self.instance.users >= WARM

    def list_edges(self, users: np.ndarray | None, count: int, bracket: Bracket) -> Listing:
        at = np.empty(count, np.int32)
        low = _ldexp(bracket.low * (1 - kernels.SLACK), -self.to_own)
        high = _ldexp(bracket.high * (1 + kernels.SLACK), -self.to_own)
        active, whole = (NOBODY, True) if users is None else (users, False)

        def chunk(begin: int, end: int) -> Any:
            return kernels.list_edges(
                self.instance, active, whole, begin, end, self.value_scale, self.cost_scale, low, high, at
            )

        parts = for_chunks(count, 1024, self.threads, chunk)
        # As bytes: NumPy compares the fields of records one by one before it joins them.
        joined = np.concatenate([np.empty(0, np.uint8), *(part[0].view(np.uint8) for part in parts)])
        return Listing(
            joined.view(kernels.EDGE),
            at,
            sum(_whole(part[1]) for part in parts),
            sum(_whole(part[2]) for part in parts),
            any(part[3] for part in parts),
        )

    def propose(self, level: Level, warm_start: float) -> Bracket:
        """A bracket around λ*, read off a sample of the level's users (or off a multiplier that the caller trusts).

        Where the sample's cumulative cost, by falling slope, passes its share of the budget, give or take some standard
        errors (the idea of Floyd and Rivest's SELECT), and for `fill` some edges more further down.
        """
        outer = level.search.outer
        if self.is_warm(warm_start):
            return Bracket(warm_start * (1 - 1 / 64), warm_start * (1 + 1 / 64))

        samples = min(SAMPLE, level.count)
        golden = np.arange(samples) * 0.6180339887498949  # even, but off any period the data may have
        spread = np.minimum((np.arange(samples) + golden % 1) * (level.count / samples), level.count - 1).astype(
            np.intp
        )
        if level.users is None:
            users = np.full((samples, 3), -1, np.int32)
            users[:, 0] = spread
        else:
            users = level.users[spread]
        listing = self.list_edges(users, samples, outer)
        self.out.rows_read[self.b] += samples
        edges = listing.edges
        if not len(edges):
            return outer

        order = np.argsort(-edges["slope"])
        slope = edges["slope"][order]
        unit = _ldexp(1.0, -self.cost_scale.shift)
        cost = edges["cost"][order] * unit
        share = samples / level.count
        known = listing.cost if level.users is None else 0
        target = (float(self.budget - (0 if level.users is None else level.spend_high)) * share - float(known)) * unit
        taken = np.cumsum(cost)
        split = int(np.searchsorted(taken, target, side="right"))

        # Each sampled user's spend, to learn how far a sample's total strays.
        visited = np.searchsorted(users[:, 0], edges["user"])  # rising, as the edges lie
        spend = np.bincount(visited[order[:split]], cost[:split], samples).astype(float)
        if level.users is None:
            x, at = self.instance, np.maximum(listing.at, 0)
            start = x.cost[x.cost_at + users[:, 0].astype(np.intp) * x.cost_row + at * x.cost_item]
            spend += np.where(listing.at < 0, 0, start)
        variance = max(0.0, float(np.var(spend)) * samples) * (1 - share)
        deviation = level.search.deviations * math.sqrt(variance)
        high_at = int(np.searchsorted(taken, target - deviation, side="right"))
        low_at = int(np.searchsorted(taken, target + deviation, side="right")) + 1
        spare = int(1.25 * FILL_WINDOW * share + 8) if self.fill else 0
        low_at = max(low_at, split + spare)

        def own(k: int) -> float:
            return _ldexp(float(slope[k]), self.to_own)

        # A hair beyond the edges found: λ* may be one of the sampled slopes itself.
        high = own(min(high_at, len(slope) - 1)) * (1 + 1e-6) if high_at > 0 else outer.high
        low = own(low_at) * (1 - 1e-6) if low_at < len(slope) else outer.low
        asked = Bracket(max(low, outer.low), min(high, outer.high))
        if not math.isfinite(asked.high):
            asked = asked._replace(high=own(0) * FIRST_HIGH)
        return asked

    def sweep(self, level: Level, asked: Bracket) -> Level | None:
        """One pass over the level's users at both ends of `asked`; what stays open, if λ* is inside."""
        low, high = _outward(asked.low, 0, self.dtype), _outward(asked.high, math.inf, self.dtype)
        if not (np.isfinite(low) and np.isfinite(high)):  # beyond the type: finish from here
            level.search.beyond = math.inf
            return None
        asked = Bracket(float(low), float(high))
        one = self.dtype.type
        value_unit, cost_unit = _ldexp(4.0, -self.value_scale.shift), _ldexp(4.0, -self.cost_scale.shift)
        with np.errstate(over="ignore", under="ignore"):
            doubt = [np.nextafter(one(value_unit + end * cost_unit), one(np.inf)) for end in asked]
        info = np.finfo(self.dtype)
        ends = (low, high, *doubt, one(info.eps * 4), one(info.min))
        slope_low = _ldexp(asked.low * (1 - kernels.SLACK), -self.to_own)
        slope_high = _ldexp(asked.high * (1 + kernels.SLACK), -self.to_own)
        users, whole = (NOBODY, True) if level.users is None else (level.users, False)

        def chunk(begin: int, end: int) -> Any:
            return kernels.sweep(
                self.instance,
                users,
                whole,
                begin,
                end,
                ends,
                self.numbers,
                self.value_scale,
                self.cost_scale,
                slope_low,
                slope_high,
                self.choice,
            )

        parts = for_chunks(level.count, 4096, self.threads, chunk)
        self.out.rows_read[self.b] += level.count
        self.out.sweeps[self.b] += 1
        value, cost, at_low, at_high = (sum(_whole(part[1][k]) for part in parts) for k in range(4))
        cost += level.cost
        before = level.search.outer
        if not level.search.tell(asked, cost + at_low, cost + at_high):
            if level.search.outer.high != before.high:
                level.spend_high = cost + at_low
            return None
        active = np.concatenate([part[0] for part in parts])
        search = Search(self.budget, asked)
        return Level(active, len(active), search, level.value + value, cost, cost + at_high)

    def finish(self, level: Level) -> bool:
        """The exact end: buy the listed edges from the steepest down. False if the list may miss an edge that matters."""
        out, b, bracket = self.out, self.b, level.search.outer
        edges, at, value, spend, closed = self.list_edges(level.users, level.count, bracket)
        out.rows_read[b] += level.count
        out.active[b] = level.count
        out.sweeps[b] += level.users is None  # a small problem is listed whole: its one pass
        if closed:
            out.status[b] = Status.NO_OPEN_TREATMENT
            self.choice[:] = -1
            return True
        value, spend = value + level.value, spend + level.cost
        if spend > self.budget:
            if level.users is not None or math.isfinite(bracket.high):
                return self.retry(level)
            out.status[b] = Status.INFEASIBLE_BUDGET
            out.least_budget[b] = kernels.above(*_wide(spend), self.cost_scale.shift)
            self.choice[:] = -1
            return True

        order = np.arange(len(edges))
        split, left, more = kernels.first_beyond(edges, order, *_wide(self.budget - spend))
        value += _whole(more)
        window = min(len(edges) - split, FILL_WINDOW) if self.fill else 0
        if split < len(edges):
            kernels.sort_window(edges, order, split, max(window, 1))

        # Is everything that matters on the list? The top level lists all there is.
        def slope(k: int) -> float:
            return _ldexp(float(edges["slope"][order[k]]), self.to_own)

        if bracket.low > 0:
            needed = split + (FILL_WINDOW if self.fill else 1)
            if needed > len(edges) or slope(needed - 1) < bracket.low * (1 + INSIDE):
                return self.retry(level)
        if math.isfinite(bracket.high) and split < len(edges) and slope(split) > bracket.high * (1 - INSIDE):
            return self.retry(level)

        bound, out.multiplier[b] = value, 0.0
        if split < len(edges):
            e = edges[order[split]]
            bound += -(-int(e["value"]) * _whole(left) // int(e["cost"]))
            # Costs that were rounded up, and the budget down, each hide at most λ* times a unit.
            if self.costs_rounded:
                bound += -(-int(e["value"]) * (self.instance.users + 1) // int(e["cost"]))
            out.multiplier[b] = kernels.slope_nearest(int(e["value"]), int(e["cost"]), self.to_own)
        if level.users is None:
            self.choice[:] = at
        else:
            self.choice[level.users[:, 0]] = at
        rest, more = kernels.buy(edges, order, split, window, *left, self.choice)
        value += _whole(more)
        out.status[b] = Status.SOLVED
        out.value[b] = _ldexp(float(value), -self.value_scale.shift)
        out.spend[b] = _ldexp(float(self.budget - _whole(rest)), -self.cost_scale.shift)
        out.dual_bound[b] = kernels.above(*_wide(bound), self.value_scale.shift)
        out.gap[b] = kernels.above(*_wide(bound - value), self.value_scale.shift)
        return True

    def retry(self, level: Level) -> bool:
        """What a level cannot finish, the one above it does; the top one lists every edge there is."""
        if level.users is not None:
            return False
        return self.finish(replace(level, search=Search(self.budget)))


def _scan(instance: kernels.Instance, threads: int) -> np.ndarray:
    """The largest |value| and |cost|, NaN if there is one, and the least |cost| that is not zero."""
    magnitude = _magnitude(instance.value.dtype)
    parts = for_chunks(instance.users, 8192, threads, lambda begin, end: kernels.scan(instance, begin, end, magnitude))
    scans = np.array([np.zeros(3, instance.value.dtype), *parts])
    least = scans[scans[:, 2] > 0, 2]
    return np.append(scans[:, :2].max(axis=0), least.min(initial=np.inf)).astype(instance.value.dtype)


def _costs_rounded(instance: kernels.Instance, largest: np.ndarray, threads: int) -> bool:
    """Whether fixed point rounded any cost; reads the costs only if their magnitudes leave a doubt."""
    scale = kernels.scale_for(float(largest[1]))
    if not kernels.doubtful(scale, float(largest[1]), float(largest[2]), _digits(instance.value.dtype)):
        return False
    parts = for_chunks(
        instance.users, 8192, threads, lambda begin, end: kernels.whole_units(instance, scale, begin, end)
    )
    return not all(parts)


# --- The ops ----------------------------------------------------------------------------------------------------------


def mckp(problems: Problems, *, fill: bool, warm_start: np.ndarray | None = None) -> MckpResult:
    """Small problems whole, many to a kernel call; the others one by one, each with all threads."""
    problems = plain(problems, "numba")
    out, threads = MckpResult.empty(problems), _threads()
    if problems.value.size < WORTH_THREADS:
        threads = 1
    if not problems.count:
        return out
    instance, batch = _instance(problems)
    users = problems.stop - problems.start
    small = np.flatnonzero(users <= DIRECT)

    def several(begin: int, end: int) -> None:
        kernels.solve_small(
            instance,
            batch,
            small,
            begin,
            end,
            problems.start,
            problems.stop,
            problems.budget,
            fill,
            _magnitude(instance.value.dtype),
            _digits(instance.value.dtype),
            out,
        )

    for_chunks(len(small), 1, threads, several)
    one_instance = batch == (0, 0, 0) and not problems.segmented
    largest = rounded = None
    for b in np.flatnonzero(users > DIRECT).tolist():
        one = _problem(instance, batch, problems, b)
        if largest is None or not one_instance:
            largest, rounded = _scan(one, threads), None
        if not np.isfinite(largest[:2]).all():
            out.status[b] = Status.NOT_FINITE
            continue
        if rounded is None:
            rounded = _costs_rounded(one, largest, threads)
        start = math.nan if warm_start is None else float(warm_start[b])
        solver = Solver(one, largest, rounded, fill, threads)
        solver.run(out, b, float(problems.budget[b]), out.choice_of(problems, b), start)
    return out


def decide(problems: Problems, multiplier: np.ndarray) -> MckpResult:
    from . import numba_decide  # which stands on this module

    return numba_decide.decide(problems, multiplier)


def contested(problems: Problems, multiplier: float, margin: float, units: tuple[float, float]) -> Contested:
    from . import numba_decide

    return numba_decide.contested(problems, multiplier, margin, units)


def frontier(problems: Problems) -> FrontierResult:
    """Every hull edge, by falling slope, and its prefix sums."""
    problems = plain(problems, "numba")
    threads = _threads()
    instance = _problem(*_instance(problems), problems, 0)
    largest = _scan(instance, threads)
    nothing = np.zeros(0)
    if not np.isfinite(largest[:2]).all():
        return FrontierResult(Status.NOT_FINITE, nothing, nothing, nothing)
    solver = Solver(instance, largest, False, False, threads)
    edges, _, value, spend, closed = solver.list_edges(None, instance.users, ANYWHERE)
    if closed:
        return FrontierResult(Status.NO_OPEN_TREATMENT, nothing, nothing, nothing)
    order = np.argsort(-edges["slope"])
    kernels.settle_ties(edges, order)
    points = kernels.breakpoints(
        edges, order, _wide(value), _wide(spend), solver.value_scale.shift, solver.cost_scale.shift
    )
    return FrontierResult(Status.SOLVED, *points)


# --- Decision losses: numba_losses.py, which uses the threads and flat arrays of this file ------------------------------


def decision_loss(d: Decisions, order: Order, value_out: Any = None, cost_out: Any = None) -> np.ndarray:
    from . import numba_losses

    return numba_losses.decision_loss(d, order, value_out, cost_out)


def received_intervals(value: np.ndarray, cost: np.ndarray, treatment: np.ndarray) -> np.ndarray:
    from . import numba_losses

    return numba_losses.received_intervals(value, cost, treatment)
