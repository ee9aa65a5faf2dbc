"""The core of a multiple-choice knapsack, solved exactly: what is left when all users beyond doubt are fixed.

Every user of the core stands at a base option; another option changes value and cost by integers, and has a *loss*: how
far its score at λ falls below the best. A plan better than the best one known has losses, and λ times money left,
that add up to less than the gap. So lists of partial plans stay short, if two halves of the core are listed apart and met in
the middle (Horowitz and Sahni 1974), and each drops what the gap or another entry rules out (Pisinger 1995 on the
dominance of partial plans in the multiple-choice knapsack). csrc/cpu/proven is this file again, entry by entry, for the
backend that has it. All decisions are between integers; the floating-point loss
only drops what it places beyond the gap with room to spare.
"""

from __future__ import annotations

import bisect
import math
import time
from typing import Any, NamedTuple

import numpy as np

LONGEST = 1 << 18  # candidates for one list; beyond, the core is given up
MOST_NAMED = 1 << 26  # entries of the log of a half, which is what its memory goes into
_ROUNDING = 2.0**-40  # what sums of losses may be off by, relatively, and more
_NEAREST = 8  # users whose losses say where to begin
_FIRST_MEETING = 64  # the halves meet whenever one of them is four times as long


class Options(NamedTuple):
    """The core: row g is a user (or several alike), column 0 its base option. `loss` is infinite where nothing stands."""

    value: np.ndarray  # [G, M] int64, against the base
    cost: np.ndarray  # [G, M] int64
    loss: np.ndarray  # [G, M] float64, in value units, with its possible error taken off
    copies: np.ndarray  # [G] int64: so many users alike


class Found(NamedTuple):
    value: int | None  # of the best plan found, against the base; None: none that the gap allows
    taken: list[tuple[int, int, int]]  # (row, option, how many of its users), where not the base
    bound: int | None  # no plan of the core, in the wider room, is worth more; None where that is not known
    given_up: bool  # too many entries, or too late
    gap: float  # how far, at most, a plan of any users may be better: what every loss beyond it cannot repair


class _Half:
    """Partial plans over some users."""

    def __init__(self, dtype: Any) -> None:
        self.value, self.cost = np.zeros(1, dtype), np.zeros(1, dtype)
        self.loss = np.zeros(1)
        self.name = np.zeros(1, np.int32)  # where an entry stands in the log; 0 takes nothing
        self._log: list[tuple[int, int | None, np.ndarray, np.ndarray]] = []
        self._starts = [1]
        self._due = _FIRST_MEETING  # so long, it is to be put in order

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def named(self) -> int:
        return self._starts[-1]

    def candidates(self, options: Options, g: int) -> int:
        return len(self) * (max(int(options.copies[g]), int(np.isfinite(options.loss[g]).sum()) - 1) + 1)

    def extend(self, options: Options, g: int, allowed: float) -> None:
        """Besides every entry, the same with each other choice of row g; of users alike, with any number of them."""
        choice = np.flatnonzero(np.isfinite(options.loss[g]))[1:]
        value, cost, loss = (x[g, choice] for x in (options.value, options.cost, options.loss))
        alike = int(choice[0]) if len(choice) and options.copies[g] > 1 else None
        value, cost = value.astype(self.value.dtype), cost.astype(self.cost.dtype)
        if alike is not None:  # the choice is how many take their one option
            choice = np.arange(1, int(options.copies[g]) + 1)
            value, cost, loss = (choice.astype(x.dtype) * x[:1] for x in (value, cost, loss))
        losses = loss[:, None] + self.loss
        which, entry = np.nonzero(losses <= allowed)
        self._log.append((g, alike, self.name[entry], choice[which].astype(np.int32)))
        self.value = np.concatenate([self.value, value[which] + self.value[entry]])
        self.cost = np.concatenate([self.cost, cost[which] + self.cost[entry]])
        self.loss = np.concatenate([self.loss, losses[which, entry]])
        self.name = np.concatenate([self.name, np.arange(self.named, self.named + len(entry), dtype=np.int32)])
        self._starts.append(self.named + len(entry))

    def settle(self, allowed: float) -> None:
        """Once it has grown: only what is worth more than all that costs no more.

        Lists of numbers with many digits hold hardly anything else; then it is looked for again when there is much more.
        """
        before = len(self)
        if before < self._due:
            return
        self._take(self.ordered(allowed))
        self._due = max(_FIRST_MEETING, (2 if 8 * len(self) <= 7 * before else 8) * len(self))

    def drop(self, allowed: float) -> None:
        """What `allowed` no longer leaves."""
        self._take(np.flatnonzero(self.loss <= allowed))

    def _take(self, places: np.ndarray) -> None:
        self.value, self.cost = self.value[places], self.cost[places]
        self.loss, self.name = self.loss[places], self.name[places]

    def ordered(self, most: float) -> np.ndarray:
        """The places of entries whose losses are within `most`, in rising cost and value; of equals, the first."""
        places = np.flatnonzero(self.loss <= most)
        places = places[np.argsort(self.cost[places], kind="stable")]
        best = np.maximum.accumulate(self.value[places])
        return places[np.concatenate([np.ones(min(1, len(places)), bool), (best[1:] > best[:-1]).astype(bool)])]

    def path(self, k: int) -> list[tuple[int, int, int]]:
        """What entry k takes: (row, option, how many)."""
        taken, at = [], int(self.name[k])
        while at > 0:
            step = bisect.bisect_right(self._starts, at) - 1
            g, alike, parents, choice = self._log[step]
            what = int(choice[at - self._starts[step]])
            taken.append((g, what, 1) if alike is None else (g, alike, what))
            at = int(parents[at - self._starts[step]])
        return taken


def _meet(a: _Half, b: _Half, room: int, allowed: float) -> tuple[int, int, int] | None:
    """The most valuable pair of entries within the room, of those whose losses add up to no more than `allowed`.

    One of the two then has no more than half of that, so few need to be in order. Value and the two places, of several
    pairs the first; None if none fits.
    """
    best = None
    for half, other, every in ((a, b, True), (b, a, False)):
        small = other.ordered(allowed / 2)
        places = np.arange(len(half)) if every else np.flatnonzero(half.loss > allowed / 2)
        fits = np.searchsorted(other.cost[small], room - half.cost[places], side="right") - 1
        some = np.flatnonzero(fits >= 0)
        if not len(some):
            continue
        mine, its = places[some], small[fits[some]]
        value = half.value[mine] + other.value[its]
        k = int(np.argmax(value))
        if best is None or int(value[k]) > best[0]:
            pair = int(mine[k]), int(its[k])
            best = (int(value[k]), *(pair if every else pair[::-1]))
    return best


def _small(options: Options, rows: Any, reach: float) -> bool:
    """Whether no sum over entries whose losses stay within `reach`, nor its difference from the room, can leave int64."""
    loss, copies = options.loss[rows], options.copies[rows]
    within = loss <= reach
    most = int(copies.sum())
    if (copies == 1).all():  # an entry has no more choices off the base than the least losses allow
        least = np.sort(np.sort(np.where(within, loss, np.inf), axis=1)[:, 1])
        most = int(np.searchsorted(np.cumsum(least), reach * (1 + _ROUNDING), side="right"))
    for x in (options.value, options.cost):
        size = np.where(within, np.abs(x[rows]), 0).max(axis=1, initial=0).astype(float)
        if float(np.sort(np.repeat(size, copies))[::-1][:most].sum()) >= 2.0**62:
            return False
    return True


def _divided(x: np.ndarray, finite: np.ndarray) -> tuple[np.ndarray, int]:
    """The numbers over their greatest common divisor."""
    divisor = int(np.gcd.reduce(np.abs(x[finite]))) or 1
    return np.where(finite, x, 0) // divisor, divisor


def most_of(price: float, wider: int) -> float:
    """What value and losses of a plan add up to at most: with λ times the money that it leaves, λ times the room."""
    return price * float(wider) + abs(price * float(wider)) * _ROUNDING


def solve(
    options: Options, room: int, wider: int, price: float, unit: float, gap: float, deadline: float = math.inf
) -> Found:
    """The best plan of the core within the room.

    Parameters
    ----------
    room, wider
        Money for the core, against its base: of plans, and of the bound (no less; what rounding of costs may hide).
    price
        λ: what one unit of cost is in units of loss.
    unit
        What one unit of value is in units of loss.
    gap
        How much better than some known plan any plan may be, in units of loss. Worse plans are not looked for.
    deadline
        By time.monotonic(), after which the search is given up.
    """
    finite = np.isfinite(options.loss)
    value, value_divisor = _divided(options.value, finite)
    cost, cost_divisor = _divided(options.cost, finite)
    options = options._replace(value=value, cost=cost)
    unit *= value_divisor
    most = most_of(price, wider)
    # Sums are multiples of the divisors, and so is what the room can hold.
    room, wider = room // cost_divisor, wider // cost_divisor
    second = np.sort(options.loss, axis=1)[:, 1] if value.shape[1] > 1 else np.full(len(value), np.inf)
    rows = np.argsort(second, kind="stable")

    best: int | None = None
    own = math.inf  # the gap of the best plan found here; `gap` may be that of a better one that the caller knows
    taken: list[tuple[int, int, int]] = []
    near = second[rows[min(_NEAREST, len(rows)) - 1]] if len(rows) else 0.0
    reach = min(gap, max(4.0 * float(near), gap * 2.0**-20))
    while True:
        search = _Search(options, rows[second[rows] <= reach * (1 + _ROUNDING)], room, wider, most, unit, reach)
        done = search.run(gap, best, own, deadline)
        if search.best is not None:
            best, taken, own = search.best, search.taken, search.own
        gap = min(gap, search.gap)
        value_found = None if best is None else best * value_divisor
        if search.conclusive:
            return Found(value_found, taken, value_found, False, gap)
        if not done:
            return Found(value_found, taken, None, True, gap)
        if gap <= reach:
            bound = None if best is None else max(best, search.bound(best)) * value_divisor
            return Found(value_found, taken, bound, False, gap)
        reach = min(gap, 3 * reach)


class _Search:
    """One look at all plans whose losses stay within a reach."""

    def __init__(
        self, options: Options, rows: Any, room: int, wider: int, most: float, unit: float, reach: float
    ) -> None:
        self.options, self.rows, self.most, self.unit, self.reach = options, rows, most, unit, reach
        dtype: Any = np.int64 if _small(options, rows, reach) else object
        if dtype is np.int64:
            room, wider = (max(-(2**62), min(2**62, x)) for x in (room, wider))
        self.room, self.wider = room, wider
        self.halves = _Half(dtype), _Half(dtype)
        self.best: int | None = None
        self.taken: list[tuple[int, int, int]] = []
        self.gap = self.own = math.inf
        self.conclusive = False

    def run(self, gap: float, known: int | None, own: float, deadline: float) -> bool:
        """False if given up: too many entries, or too late."""
        self.gap, self.own = gap, own
        a, b = self.halves
        meeting = _FIRST_MEETING
        for g in self.rows:
            half = min(a, b, key=len)
            candidates = half.candidates(self.options, g)
            too_many = candidates > LONGEST or half.named + candidates > MOST_NAMED
            if too_many or time.monotonic() > deadline:
                self._meet(known)
                return False
            half.extend(self.options, int(g), self._allowed())
            half.settle(self._allowed())
            if max(len(a), len(b)) >= meeting:
                self._meet(known)
                if self.conclusive:
                    return True
                meeting = max(_FIRST_MEETING, 4 * max(len(a), len(b)))
        self._meet(known)
        return True

    def _allowed(self) -> float:
        """Losses that a better plan may have: if the gap is that of a plan of the core, better by a step of value."""
        step = self.unit if self.own <= self.gap else 0.0
        return min(self.reach, max(0.0, self.gap - step * (1 - _ROUNDING))) * (1 + _ROUNDING)

    def _meet(self, known: int | None) -> None:
        a, b = self.halves
        allowed = self._allowed()
        for half in self.halves:
            half.drop(allowed)
        pair = _meet(a, b, self.room, allowed)
        if pair is None or any(other is not None and pair[0] <= other for other in (self.best, known)):
            return
        self.best = pair[0]
        self.taken = a.path(pair[1]) + b.path(pair[2])
        worth = float(pair[0]) * self.unit
        self.own = self.most - worth + _ROUNDING * abs(worth)
        self.gap = min(self.gap, self.own)
        self.conclusive = self.own < self.unit * (1 - _ROUNDING)  # a better plan would be better by a step of value

    def bound(self, best: int) -> int:
        """What the entries that are left allow in the wider room."""
        if self.wider == self.room:
            return best
        more = _meet(*self.halves, self.wider, self._allowed())
        return best if more is None else more[0]
