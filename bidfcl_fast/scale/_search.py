"""The search as a pure state machine over shards: it owns no data, asks every shard the same, and is told their answers.

Curve (where is λ*, by samples) · Sweep (exact totals at the ends of a bracket; shards keep the edges inside) · Stretch (the
kept edges, narrowed in the exact order of all edges, until few are left). A driver takes each question to its shards and
brings all answers back, in the order of the shards; every process that runs the same search over the same answers ends
with the same `Outcome`. csrc/core/search.h is the same verdict over one process's data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

from .. import _fixed
from ..errors import Status
from ._curve import DEVIATIONS, CurvePart, bracket, spend_at
from ._facts import Facts
from ._finish import Outcome, finish
from ._ledger import Key, Sketch
from ._selection import Narrowed, narrowed

FEW = 4096  # users: all their edges are swept at once
TRIES = 8  # brackets; then all that is not known to lie on one side of λ* is swept
_POINTS = 1024  # steps or edges that all shards together send in one round
_ALL = 512  # so few edges are sent one by one


class Curve(NamedTuple):
    """What do your sampled users spend between these multipliers? → CurvePart"""

    low: float
    high: float
    points: int


class Sweep(NamedTuple):
    """Where do your users stand in this bracket? Keep the edges inside. → Swept"""

    low: float
    high: float


class Swept(NamedTuple):
    bracket: tuple[float, float]  # what was asked; a shard that is alone may have made it narrower on the way
    value: int  # of everybody's choice at the high end, in fixed point
    cost: int
    edges_cost: int  # of all edges inside
    edges: int
    costs_rounded: bool


class Stretch(NamedTuple):
    """Which of the kept edges lie from `lower` on and before `upper`? → Sketch"""

    lower: Key | None
    upper: Key | None
    points: int


Ask = Curve | Sweep | Stretch
Search = Generator[Ask, Sequence[Any], Outcome]


def points_each(shards: int) -> int:
    return max(16, min(64, _POINTS // max(1, shards)))


def search(budget: float, fill: bool, facts: Facts, shards: int, warm: float | None = None) -> Search:
    """The plan of all shards' users within `budget`; `warm` is a multiplier that may be near λ*."""
    money = _fixed.floor(budget, facts.scales.cost)
    look = _Look(budget, facts, shards, warm)
    sweeps = 0
    while True:
        low, high = yield from look.bracket()
        swept: Sequence[Swept] = yield Sweep(low, high)
        sweeps += 1
        low, high = swept[0].bracket
        spend_high = sum(s.cost for s in swept)
        spend_low = spend_high + sum(s.edges_cost for s in swept)
        if spend_high > money:
            if math.isinf(high):
                return Outcome.infeasible(facts, budget, spend_high, sweeps)
            look.missed(high, spend_high, too_low=True)
            continue
        if spend_low <= money and low > 0:
            look.missed(low, spend_low, too_low=False)
            continue
        before = (sum(s.value for s in swept), spend_high)
        near: Narrowed = yield from _narrow(money - spend_high, sum(s.edges for s in swept), fill, shards)
        rounded = any(s.costs_rounded for s in swept)
        stats = {"sweeps": sweeps, "active": sum(s.edges for s in swept)}
        outcome = finish(near, before, (low, high), money, budget, fill, facts, rounded, stats)
        if outcome is not None:
            return outcome
        look.too_narrow(low, high)


def _narrow(room: int, edges: int, fill: bool, shards: int) -> Generator[Ask, Sequence[Any], Narrowed]:
    """The edges around the one that does not fit, by rounds that each leave a small part of them."""
    lower = upper = None
    points = points_each(shards)
    while True:
        sketches: Sequence[Sketch] = yield Stretch(lower, upper, _ALL if edges <= _ALL else points)
        if all(s.complete for s in sketches):
            return Narrowed.of(sketches)
        lower, upper, left = narrowed(sketches, room, fill, lower, upper)
        points = points if left <= edges // 2 else 2 * points
        edges = left


class _Look:
    """Brackets, one after the other."""

    def __init__(self, budget: float, facts: Facts, shards: int, warm: float | None) -> None:
        self.budget, self.facts, self.points, self.warm = budget, facts, points_each(shards), warm
        self.low, self.high = 0.0, math.inf  # λ* is inside
        self.tries, self.deviations = 0, DEVIATIONS
        self.anchor: tuple[float, float] | None = None  # a multiplier, and what is spent there
        self.next: tuple[float, float] | None = None

    def bracket(self) -> Generator[Ask, Sequence[Any], tuple[float, float]]:
        self.tries += 1
        if self.next is not None:
            found, self.next = self.next, None
            return found
        if self.facts.users <= FEW or self.tries > TRIES:
            return self.low, self.high
        if self.tries == 1 and self.warm is not None and 0 < self.warm < math.inf:
            return self.warm * (1 - 1 / 64), self.warm * (1 + 1 / 64)
        low, high, moved = self.low, self.high, 0.0
        spare = 80.0
        for _ in range(2):  # the second time only between the ends that the first has found
            parts: Sequence[CurvePart] = yield Curve(low, high, self.points)
            if self.anchor is not None and not moved:
                moved = self.anchor[1] - spend_at(parts, self.anchor[0])
            low, high = bracket(parts, self.budget, self.deviations, spare, moved)
        return self._inside(low, high)

    def _inside(self, low: float, high: float) -> tuple[float, float]:
        """The part of a guess that is still possible; beyond it, a step on from the end that is known."""
        low, high = max(low, self.low), min(high, self.high)
        if low < high and not (self.tries > 1 and (low, high) == (self.low, self.high)):
            return low, high
        if self.low > 0:
            return self.low, min(self.high, 4 * self.low)
        return (self.high / 4 if math.isfinite(self.high) else 0.0), self.high

    def missed(self, multiplier: float, spend: int, *, too_low: bool) -> None:
        if too_low:
            self.low = max(self.low, multiplier)
        else:
            self.high = min(self.high, multiplier)
        self.anchor = (multiplier, _fixed.nearest(spend, self.facts.scales.cost))
        self.deviations *= 2

    def too_narrow(self, low: float, high: float) -> None:
        """λ* was inside, too near an end, or with too few edges below for `fill`."""
        width = high - low
        step = 1 / 2 if self.tries < 3 else 1 / 8
        self.next = (max(low * step, low - 8 * width), high + width)
        if self.tries > 5:
            self.next = (0.0, math.inf)


def run(searches: Sequence[Search], exchange: Callable[[list[tuple[int, Ask]]], list[Sequence[Any]]]) -> list[Outcome]:
    """All searches to their ends, a question of each at a time.

    `exchange` takes (search, question) pairs to the shards; for each it returns the answers, in the order of the shards.
    """
    outcomes: list[Outcome | None] = [None] * len(searches)
    asks = [(k, next(s)) for k, s in enumerate(searches)]
    while asks:
        answers = exchange(asks)
        following = []
        for (k, _), answer in zip(asks, answers, strict=True):
            try:
                following.append((k, searches[k].send(answer)))
            except StopIteration as end:
                outcomes[k] = end.value
        asks = following
    return [o for o in outcomes if o is not None]


__all__ = ["Ask", "Curve", "Outcome", "Search", "Status", "Stretch", "Sweep", "Swept", "run", "search"]
