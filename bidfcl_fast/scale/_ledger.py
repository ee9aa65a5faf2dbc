"""A shard's hull edges in the exact order in which a budget buys them, with running totals."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .._problems import EDGE

_CLOSE = 2.0**-49  # rounded slopes further apart are in their exact order (csrc/core/hull.h)


class Key(NamedTuple):
    """A place in the order of all edges of all shards: slope falling, then user, then position."""

    value: int
    cost: int
    user: int  # counted over all shards
    position: int

    def before(self, other: Key) -> bool:
        left, right = self.value * other.cost, other.value * self.cost
        return left > right or (left == right and self[2:] < other[2:])


class Sketch(NamedTuple):
    """A stretch of a shard's ledger: what comes before it, and some of its edges with all that lies between them."""

    value_before: int
    cost_before: int
    edges: int  # in the stretch
    cost: int
    points: (
        np.ndarray
    )  # [≤ most, 9] int64, see Point; the first edge is always there, and all if they are no more than `most`

    @property
    def complete(self) -> bool:
        return len(self.points) == self.edges


class Point(NamedTuple):
    """An edge of a stretch."""

    rank: int  # edges of the stretch before it
    cost_before: int  # and what they cost
    edge: Key
    start: int
    stop: int

    @classmethod
    def of(cls, row: list[int]) -> Point:
        rank, high, low, value, cost, user, position, start, stop = row
        return cls(rank, (high << 32) + low, Key(value, cost, user, position), start, stop)


class Ledger:
    """Edges of users who are numbered from `first` on over all shards."""

    def __init__(self, edges: np.ndarray, first: int | np.ndarray = 0) -> None:
        user = edges["user"] + np.asarray(first, np.int64)
        order = buying_order(edges, user)
        edges = edges[order]
        self.user = user[order]
        self.value, self.cost = edges["value"].copy(), edges["cost"].copy()
        self.position, self.start, self.stop = (edges[name].copy() for name in ("position", "start", "stop"))
        self._value, self._cost = _Running(self.value), _Running(self.cost)

    def __len__(self) -> int:
        return len(self.value)

    def key(self, i: int) -> Key:
        return Key(int(self.value[i]), int(self.cost[i]), int(self.user[i]), int(self.position[i]))

    def find(self, key: Key | None, absent: int) -> int:
        """How many edges come before `key`; `absent` for None."""
        if key is None:
            return absent
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self.key(middle).before(key):
                low = middle + 1
            else:
                high = middle
        return low

    def totals(self, end: int) -> tuple[int, int]:
        """Value and cost of the first `end` edges."""
        return self._value.until(end), self._cost.until(end)

    def sketch(self, lower: Key | None, upper: Key | None, most: int) -> Sketch:
        """The edges from `lower` on and before `upper`, at most `most` of them one by one."""
        first, end = self.find(lower, 0), self.find(upper, len(self))
        count = max(0, end - first)
        at = first + np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))
        value_before, cost_before = self.totals(first)
        within = [self._cost.until(int(i)) - cost_before for i in at]
        points = np.stack(
            [
                at - first,
                np.array([c >> 32 for c in within], np.int64),
                np.array([c & 0xFFFFFFFF for c in within], np.int64),
                *(x[at].astype(np.int64) for x in (self.value, self.cost, self.user)),
                *(x[at].astype(np.int64) for x in (self.position, self.start, self.stop)),
            ],
            axis=1,
        )
        cost = self._cost.until(first + count) - cost_before
        return Sketch(value_before, cost_before, count, cost, points)


class _Running:
    """Exact running totals of int64, in two halves that cannot overflow for 2^31 of them."""

    def __init__(self, x: np.ndarray) -> None:
        self.high, self.low = np.cumsum(x >> 32), np.cumsum(x & 0xFFFFFFFF)

    def until(self, end: int) -> int:
        return (int(self.high[end - 1]) << 32) + int(self.low[end - 1]) if end else 0


def exact_sum(x: np.ndarray) -> int:
    """The exact sum of int64."""
    return (int((x >> 32).sum()) << 32) + int((x & 0xFFFFFFFF).sum())


def joined(parts: list[np.ndarray]) -> np.ndarray:
    """EDGE arrays as one; as bytes, since NumPy compares the fields of records one by one before it joins them."""
    return np.concatenate([np.empty(0, np.uint8), *(p.view(np.uint8) for p in parts)]).view(EDGE)


def buying_order(edges: np.ndarray, user: np.ndarray) -> np.ndarray:
    """The permutation that sorts edges by exact slope (falling), user, position.

    Rounded slopes sort nearly all; only runs of neighbours that rounding may have confused are looked at again, as fractions.
    """
    value, cost, position = edges["value"], edges["cost"], edges["position"]
    slope = value / cost
    order = np.lexsort((position, user, -slope))
    s = slope[order]
    close = s[:-1] - s[1:] <= _CLOSE * s[:-1]
    if not close.any():
        return order
    run = np.concatenate([[0], np.cumsum(~close)])
    first = np.concatenate([[0], np.flatnonzero(~close) + 1])  # of each run
    v, c = value[order], cost[order]
    unlike = (v != v[first[run]]) | (c != c[first[run]])
    suspect = np.isin(run, np.unique(run[unlike]))
    if not suspect.any():
        return order
    at = np.flatnonzero(suspect)
    divisor = np.gcd(v[at], c[at])
    pairs, which = np.unique(np.stack([v[at] // divisor, c[at] // divisor], axis=1), axis=0, return_inverse=True)
    slopes = [Fraction(*pair) for pair in pairs.tolist()]
    rank = np.empty(len(pairs), np.int64)
    rank[sorted(range(len(pairs)), key=slopes.__getitem__, reverse=True)] = np.arange(len(pairs))
    some = order[at]
    order[at] = some[np.lexsort((position[some], user[some], rank[which.ravel()], run[at]))]
    return order
