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
from ._precision import provable
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
    if not provable(raw, b):
        raw.status[b] = Status.NOT_PROVEN
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
    # Neighbours by fours share what it costs to reach them.
    some = (np.linspace(0, users - 4, _SAMPLE // 4).astype(np.intp)[:, None] + np.arange(4)).ravel()
    score = one.value[0, some].astype(np.float64)
    if score.shape[1] < 2:
        return gap
    score -= price * one.cost[0, some].astype(np.float64)
    if one.mask is not None:
        score[~one.mask[0, some]] = -np.inf
    score.partition(-2, axis=1)
    lead = np.partition(score[:, -1] - score[:, -2], 7)[7]
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
        v, c = one.value[0, users].astype(np.float64), one.cost[0, users].astype(np.float64)
        if one.mask is not None:
            closed = ~one.mask[0, users]
            v[closed] = c[closed] = 0
        score = v - price * c
        if one.mask is not None:
            score[closed] = -np.inf
        base = np.argmax(score, axis=1)
        rows = np.arange(len(users))
        error = _ROUNDING * (np.abs(v).max(axis=1, initial=0) + price * np.abs(c).max(axis=1, initial=0))
        error += 4 * (units[0] + price * units[1])
        loss = np.maximum((score[rows, base] - error)[:, None] - score, 0)
        loss[loss > self.margin] = np.inf
        loss[rows, base] = -1  # so that it stands first
        base_value, base_cost = self._integers(v[rows, base], c[rows, base])
        self.base_value = contested.value + _sum(base_value)
        self.base_cost = contested.cost + _sum(base_cost)
        self.room = _fixed.floor(float(one.budget[0]), self.shifts[1]) - self.base_cost
        self.hidden = one.value.shape[1] + 1
        self.all_users, self.all_base = users, base.astype(np.int32)

        # Only who has a second option left; that option first, so that it is column 1 after the base.
        options = np.isfinite(loss).sum(axis=1)
        kept = np.flatnonzero(options > 1)
        self.users = users[kept]
        self.order = np.argsort(loss[kept], axis=1, kind="stable")[:, : int(options.max(initial=1))]
        cells = kept[:, None], self.order
        value, cost = self._integers(v[cells], c[cells])
        loss = loss[cells]
        loss[:, 0] = 0
        self.options = _core.Options(value - value[:, :1], cost - cost[:, :1], loss, np.ones(len(kept), np.int64))
        self._join_alike()

    def _integers(self, value: np.ndarray, cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _fixed.integers(value, self.shifts[0]), _fixed.integers(cost, self.shifts[1])

    def _join_alike(self) -> None:
        """Users of two options who gain and pay the same become one row."""
        o = self.options
        self.members: list[np.ndarray] | None = None
        two = np.isfinite(o.loss).sum(axis=1) == 2
        if two.sum() < 2:
            return
        mixed = np.sort(o.value[two, 1] * 0x9E3779B97F4A7C1 + o.cost[two, 1])
        if (mixed[1:] != mixed[:-1]).all():  # a quick look: seldom is anybody alike
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
