"""A proven integer optimum: fix every user beyond doubt, solve the small rest exactly.

At any multiplier λ ≥ 0, a plan is worth at most λ·budget + Σ max (value − λ·cost), less the loss of every choice that is not
the best at λ. A choice whose loss exceeds the gap cannot be part of a better plan (reduced-cost fixing; Dyer, Kayal and
Walker 1984 for the multiple-choice knapsack). What stays contested is the core (`_core.py`).
"""

from __future__ import annotations

import time
from types import ModuleType

import numpy as np

from . import _core, _fixed
from ._problems import Contested, MckpResult, Problems
from .errors import Status

_SAMPLE = 4096  # users by which the first margin is guessed
_FIRST_CORE = 512  # users that a first margin should leave contested: enough to find a plan with next to no gap
_WHOLE = 8192  # among so few users, all that the gap leaves are looked at in the first place
_ROUNDING = 2.0**-50


def prove(problems: Problems, raw: MckpResult, b: int, module: ModuleType, deadline: float) -> int:
    """Replace the certified plan of problem b by a proven optimum, in place; its status says if the proof failed.

    Returns how many users the core had. `deadline` is by time.monotonic().
    """
    if raw.gap[b] == 0:
        return 0
    one = only(problems, b)
    price = float(raw.multiplier[b])
    units = (float(raw.value_unit[b]), float(raw.cost_unit[b]))
    users = one.value.shape[1]
    # What rounding, in the problem's own units and in doubles, may hide of the gap of the plan that came in.
    gap = float(raw.gap[b]) + (users + 1) * (units[0] + 2 * price * units[1])
    gap += _ROUNDING * (abs(raw.dual_bound[b]) + price * (abs(problems.budget[b]) + users * units[1] * 2.0**61))
    margin, largest = _first_margin(one, price, gap), 0
    while True:
        contested = module.contested(one, raw.choice_of(problems, b), price, margin, units)
        core = _Core(one, contested, price, units, margin)
        largest = max(largest, len(core.users))
        found = core.solve(module, gap, deadline)
        complete = found.bound is not None and found.gap <= core.margin
        if found.value is not None and (complete or core.value(found) * units[0] > raw.value[b]):
            core.write(found, raw, problems, b)
        if complete:
            core.conclude(found, raw, b)
            return largest
        gap = min(gap, found.gap)
        if found.bound is None and found.given_up:
            raw.status[b] = Status.TIME_LIMIT if time.monotonic() > deadline else Status.NOT_PROVEN
            return largest
        # A margin beyond the gap leaves nothing out; before a plan is found, the core grows step by step.
        wide = gap * (1 + 1e-5)
        margin = wide if found.value is not None else min(wide, 8 * margin + 1e-3 * wide)


def only(problems: Problems, b: int) -> Problems:
    """Problem b alone, its users from 0 on; views."""
    rows = slice(int(problems.start[b]), int(problems.stop[b]))
    value, cost = problems.value[b : b + 1, rows], problems.cost[b : b + 1, rows]
    mask = None if problems.mask is None else problems.mask[b : b + 1, rows]
    whole = np.array([value.shape[1]], np.int64)
    return Problems(value, cost, mask, np.zeros(1, np.int64), whole, problems.budget[b : b + 1])


def _first_margin(one: Problems, price: float, gap: float) -> float:
    """A margin that leaves about _FIRST_CORE users contested, by a sample."""
    users = one.value.shape[1]
    if users <= _WHOLE:
        return gap
    some = np.linspace(0, users - 1, _SAMPLE).astype(np.intp)
    score = one.value[0, some].T.astype(np.float64, order="C")  # treatment by treatment: longer loops
    if len(score) < 2:
        return gap
    score -= price * one.cost[0, some].T
    if one.mask is not None:
        score[~one.mask[0, some].T] = -np.inf
    everyone = np.arange(_SAMPLE)
    best = score.argmax(axis=0)
    first = score[best, everyone]
    score[best, everyone] = -np.inf
    lead = np.partition(first - score.max(axis=0), 7)[7]
    return min(gap, max(2.0**-16 * gap, float(lead) * _FIRST_CORE * _SAMPLE / (8 * users)))


class _Core:
    """The contested users of one problem and their options, in integers."""

    def __init__(
        self, one: Problems, contested: Contested, price: float, units: tuple[float, float], margin: float
    ) -> None:
        self.price, self.units, self.contested = price, units, contested
        self.shifts = tuple(_fixed.shift_of(u) for u in units)
        # Backends draw the line a rounding apart; the core must be the same for all.
        self.margin = margin * (1 - 1e-6)
        users = contested.users
        v, c = one.value[0, users], one.cost[0, users]
        open_ = np.ones(v.shape, bool) if one.mask is None else one.mask[0, users]
        v, c = np.where(open_, v, 0), np.where(open_, c, 0)
        value, cost = _fixed.integers(v, self.shifts[0]), _fixed.integers(c, self.shifts[1])
        v, c = v.astype(np.float64), c.astype(np.float64)
        score = np.where(open_, v - price * c, -np.inf)
        base = np.argmax(score, axis=1)
        rows = np.arange(len(users))
        error = _ROUNDING * (np.abs(v).max(axis=1, initial=0) + price * np.abs(c).max(axis=1, initial=0))
        error += 4 * (units[0] + price * units[1])
        loss = np.maximum(score[rows, base][:, None] - score - error[:, None], 0)
        loss[rows, base] = 0
        loss = np.where(loss <= self.margin, loss, np.inf)
        self.base_value = contested.value + _sum(value[rows, base])
        base_cost = contested.cost + _sum(cost[rows, base])
        self.room = _fixed.floor(float(one.budget[0]), self.shifts[1]) - base_cost
        self.base_cost = base_cost
        self.hidden = one.value.shape[1] + 1
        self.all_users, self.all_base = users, base.astype(np.int32)

        # Only who has a second option left; that option first, so that it is column 1 after the base.
        kept = np.flatnonzero(np.isfinite(loss).sum(axis=1) > 1)
        self.users = users[kept]
        order = np.argsort(loss[kept], axis=1, kind="stable")
        order = np.concatenate([base[kept][:, None], _without(order, base[kept])], axis=1)
        width = int(np.isfinite(loss[kept]).sum(axis=1).max(initial=1))
        self.order = order[:, :width]

        def pick(x: np.ndarray) -> np.ndarray:
            return np.take_along_axis(x[kept], self.order, axis=1)

        value, cost = pick(value), pick(cost)
        self.options = _core.Options(value - value[:, :1], cost - cost[:, :1], pick(loss), np.ones(len(kept), np.int64))
        self._join_alike()

    def _join_alike(self) -> None:
        """Users of two options who gain and pay the same become one row."""
        o = self.options
        self.members: list[np.ndarray] | None = None
        two = np.isfinite(o.loss).sum(axis=1) == 2
        if two.sum() < 2:
            return
        key = np.column_stack([o.value[two, 1], o.cost[two, 1]])
        first, inverse, copies = np.unique(key, axis=0, return_index=True, return_inverse=True, return_counts=True)[1:]
        if len(first) == len(key):
            return
        twos, others = np.flatnonzero(two), np.flatnonzero(~two)
        inverse = inverse.ravel()
        grouped = twos[np.argsort(inverse, kind="stable")]
        self.members = [*np.split(grouped, np.cumsum(copies)[:-1]), *others[:, None]]
        # Alike in integers, but their losses may differ by their errors: the least one drops nothing wrongly.
        rows = np.concatenate([twos[first], others])
        loss = o.loss[rows].copy()
        least = np.full(len(first), np.inf)
        np.minimum.at(least, inverse, o.loss[twos, 1])
        loss[: len(first), 1] = least
        self.options = _core.Options(
            o.value[rows], o.cost[rows], loss, np.concatenate([copies, np.ones(len(others), np.int64)])
        )

    def solve(self, module: ModuleType, gap: float, deadline: float) -> _core.Found:
        value_unit, cost_unit = self.units
        price = self.price * cost_unit
        room = self.room
        return module.core(self.options, room, room + self.hidden, price, value_unit, gap, deadline)

    def value(self, found: _core.Found) -> int:
        assert found.value is not None
        return self.base_value + found.value

    def write(self, found: _core.Found, raw: MckpResult, problems: Problems, b: int) -> None:
        """The plan found, and what it proves of the LP bound that came in."""
        choice = raw.choice_of(problems, b)
        choice[self.contested.others] = self.contested.best
        choice[self.all_users] = self.all_base
        spent = self.base_cost
        cost = self.options.cost
        for g, option, times in found.taken:
            rows = np.array([g]) if self.members is None else self.members[g][:times]
            choice[self.users[rows]] = self.order[rows, option]
            spent += int(cost[g, option]) * times
        assert spent - self.base_cost <= self.room
        value = self.value(found)
        raw.value[b] = _fixed.nearest(value, self.shifts[0])
        raw.spend[b] = _fixed.nearest(spent, self.shifts[1])
        raw.gap[b] = max(0.0, raw.dual_bound[b] - raw.value[b])

    def conclude(self, found: _core.Found, raw: MckpResult, b: int) -> None:
        assert found.value is not None and found.bound is not None
        bound = self.base_value + found.bound
        raw.dual_bound[b] = _fixed.above(bound, self.shifts[0])
        raw.gap[b] = _fixed.above(bound - self.value(found), self.shifts[0])


def _sum(x: np.ndarray) -> int:
    return (int((x >> 32).sum()) << 32) + int((x & 0xFFFFFFFF).sum())


def _without(order: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Each row of `order` without its base, in the same order."""
    return order[order != base[:, None]].reshape(len(order), -1)
