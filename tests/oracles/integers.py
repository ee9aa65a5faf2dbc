"""The whole plan of a large instance of small whole numbers, in a few NumPy passes.

Below 2^20 every difference and sum is exact in float64, and two different slopes p/q differ by more than rounding
can: sorting by the float quotient is sorting exactly. That makes a judge for instances of any size.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .exact import unit, up

FILL_WINDOW = 64


class Answer(NamedTuple):
    choice: np.ndarray
    multiplier: float
    value: float
    spend: float
    dual_bound: float
    gap: float


def _edges(v: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every user's first choice, and the rows (user, position, from, to) of all hull edges."""
    n, m = v.shape
    rows, columns = np.arange(n), np.broadcast_to(np.arange(m), (n, m))
    first = np.lexsort((columns, -v, c), axis=1)[:, 0]
    at, edges = first.copy(), []
    for position in range(m):
        dv, dc = v - v[rows, at][:, None], c - c[rows, at][:, None]
        ahead = (dv > 0) & (dc > 0)
        slope = np.where(ahead, dv / np.where(ahead, dc, 1), -1.0)
        step = np.lexsort((columns, c, -slope), axis=1)[:, 0]
        moved = np.flatnonzero(ahead.any(axis=1))
        edges.append(np.column_stack([moved, np.full(moved.size, position), at[moved], step[moved]]))
        at[moved] = step[moved]
    return first, np.concatenate(edges)


class Judge:
    """All edges of an instance, sorted once; every budget reads its plan off them."""

    def __init__(self, value, cost) -> None:
        v, c = np.asarray(value, np.float64), np.asarray(cost, np.float64)
        assert max(np.abs(v).max(), np.abs(c).max()) < 2**20
        assert (v == np.rint(v)).all()
        assert (c == np.rint(c)).all()
        rows = np.arange(len(v))
        self.first, edges = _edges(v, c)
        user, position, start, stop = edges.T
        dv, dc = v[user, stop] - v[user, start], c[user, stop] - c[user, start]
        order = np.lexsort((position, user, -dv / dc))
        self.user, self.start, self.stop = user[order], start[order], stop[order]
        self.dv, self.dc = dv[order].astype(np.int64), dc[order].astype(np.int64)
        self.values = int(v[rows, self.first].sum()) + np.concatenate([[0], np.cumsum(self.dv)])
        self.spends = int(c[rows, self.first].sum()) + np.concatenate([[0], np.cumsum(self.dc)])
        self.unit = unit(v)

    def plan(self, budget: int, fill: bool) -> Answer:
        split = int(np.searchsorted(self.spends, budget, side="right")) - 1
        choice = self.first.copy()
        choice[self.user[:split]] = self.stop[:split]  # the last assignment to a user is its farthest edge
        total, spend = int(self.values[split]), int(self.spends[split])
        bound, multiplier = Fraction(total), 0.0
        if split < self.user.size:
            dv, dc = int(self.dv[split]), int(self.dc[split])
            multiplier = dv / dc
            bound += math.ceil(Fraction(dv, dc) * (budget - spend) / self.unit) * self.unit
        window = range(split, min(split + FILL_WINDOW, self.user.size)) if fill else ()
        for e in window:
            if choice[self.user[e]] == self.start[e] and spend + self.dc[e] <= budget:
                choice[self.user[e]] = self.stop[e]
                total, spend = total + int(self.dv[e]), spend + int(self.dc[e])
        return Answer(choice.astype(np.int32), multiplier, float(total), float(spend), up(bound), up(bound - total))
