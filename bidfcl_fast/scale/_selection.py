"""Weighted selection over the sorted ledgers of many shards: where the money runs out, by a few sampled edges a round."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cmp_to_key
from typing import NamedTuple

from .._spec import FILL_WINDOW
from ._ledger import Key, Point, Sketch


class Narrowed(NamedTuple):
    """All edges of a stretch, in order, and what comes before them; after them, nothing that matters."""

    value_before: int  # of the edges of the sweep's bracket
    cost_before: int
    edges: list[Point]

    @classmethod
    def of(cls, sketches: Sequence[Sketch]) -> Narrowed:
        points = [Point.of(row) for s in sketches for row in s.points.tolist()]
        edges = sorted(points, key=cmp_to_key(_order))
        return cls(sum(s.value_before for s in sketches), sum(s.cost_before for s in sketches), edges)


def _order(a: Point, b: Point) -> int:
    return -1 if a.edge.before(b.edge) else int(b.edge.before(a.edge))


def _order_of_pairs(a: tuple[Point, int], b: tuple[Point, int]) -> int:
    return _order(a[0], b[0])


def window_of(fill: bool) -> int:
    """How many edges, from the first that does not fit, have a say in the plan."""
    return FILL_WINDOW if fill else 1


class _Reach:
    """How much of one shard's stretch lies before a place that moves down the order."""

    def __init__(self, sketch: Sketch) -> None:
        self.ends = [(p.rank, p.cost_before) for p in map(Point.of, sketch.points.tolist())]
        self.costs = [row[4] for row in sketch.points.tolist()]
        self.ends.append((sketch.edges, sketch.cost))
        self.passed = -1  # the last point passed

    @property
    def least(self) -> tuple[int, int]:
        """Edges before the place, and their cost, at least: all up to the last point passed."""
        if self.passed < 0:
            return 0, 0
        rank, cost = self.ends[self.passed]
        return rank + 1, cost + self.costs[self.passed]

    @property
    def most(self) -> tuple[int, int]:
        """And at most: all before the next point."""
        return self.ends[self.passed + 1]


def narrowed(
    sketches: Sequence[Sketch], room: int, fill: bool, lower: Key | None, upper: Key | None
) -> tuple[Key | None, Key | None, int]:
    """A smaller stretch that still holds the first edge beyond `room` and the window after it; and how many edges it has.

    `room` is money for the edges of the sweep's bracket.
    """
    room -= sum(s.cost_before for s in sketches)
    points = [(p, k) for k, s in enumerate(sketches) for p in map(Point.of, s.points.tolist())]
    points.sort(key=cmp_to_key(_order_of_pairs))
    reaches = [_Reach(s) for s in sketches]
    least, most = [0, 0], [sum(r.most[0] for r in reaches), sum(r.most[1] for r in reaches)]
    from_, from_edges, until = lower, 0, None
    wanted = None  # edges before the end of the stretch, at least
    until_edges = sum(s.edges for s in sketches)
    for point, k in points:
        # Here `least` and `most` speak of what comes before this point.
        if most[1] <= room:
            from_, from_edges = point.edge, least[0]
        elif wanted is None and least[1] > room:
            wanted = most[0] + window_of(fill)
        if wanted is not None and least[0] >= wanted:
            until, until_edges = point.edge, most[0]
            break
        reach = reaches[k]
        before_least, before_most = reach.least, reach.most
        reach.passed += 1
        for i in range(2):
            least[i] += reach.least[i] - before_least[i]
            most[i] += reach.most[i] - before_most[i]
    return from_, until if until is not None else upper, until_edges - from_edges
