"""Where to look for λ*: what samples of the shards spend, as a function of the multiplier.

Nothing here has to be exact. A bracket read off these curves only says where to sweep; the sweep's own totals say whether
λ* is inside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .._problems import EdgesBetween, Problems, Scales
from ._facts import evenly

SAMPLE = 1 << 16  # users of all shards together
DEVIATIONS = 3.5  # standard errors to each side: a miss costs another reading, a wider bracket a few more edges
_TOO_FEW = 10  # edges of a sample
_LEAST_WIDTH = 2.0**-14  # of a bracket, relatively: float32 has numbers between its ends


class CurvePart(NamedTuple):
    """One shard's curve, scaled up from its sample to all its users: steps by falling slope (value per unit of money)."""

    spend_before: float  # in front of the first step
    variance_before: float  # of that estimate
    edges_before: float  # steeper ones
    weight: float  # users that one in the sample stands for
    slope: np.ndarray  # [P]
    spend: np.ndarray  # [P] after the step
    variance: np.ndarray  # [P]
    edges: np.ndarray  # [P] how many until there, this one included

    def between(self, low: float, high: float, most: int) -> CurvePart:
        """The steps from `high` down to `low`, at most so many of them."""
        first = int(np.searchsorted(-self.slope, -high, side="left"))
        last = int(np.searchsorted(-self.slope, -low, side="right"))
        at = first + np.unique(np.linspace(0, last - first - 1, min(last - first, most)).round().astype(np.int64))
        before = (self.spend_before, self.variance_before, self.edges_before)
        if first:
            before = tuple(float(x[first - 1]) for x in (self.spend, self.variance, self.edges))  # type: ignore[assignment]
        return CurvePart(*before, self.weight, self.slope[at], self.spend[at], self.variance[at], self.edges[at])


# Where numbers overflow, a curve is a poor guess, and a sweep finds out.
@np.errstate(over="ignore", invalid="ignore")
def sampled(problems: Problems, found: EdgesBetween, scales: Scales, users: int) -> CurvePart:
    """The curve of problem 0's users, all edges of whom were found; they stand for `users`."""
    n = int(problems.stop[0] - problems.start[0])
    if not n:
        nothing = np.zeros(0)
        return CurvePart(0.0, 0.0, 0.0, 0.0, nothing, nothing, nothing, nothing)
    cost = np.asarray(problems.cells(problems.cost, 0), np.float64)
    edges = found.edges
    own = np.ldexp(edges["value"] / edges["cost"], scales.cost - scales.value)
    order = np.argsort(-own, kind="stable")
    edges, own = edges[order], own[order]
    first = cost[np.arange(n), found.choice]
    before, after = cost[edges["user"], edges["start"]], cost[edges["user"], edges["stop"]]
    spend = first.sum() + np.concatenate([[0.0], np.cumsum(after - before)])
    squares = (first**2).sum() + np.concatenate([[0.0], np.cumsum(after**2 - before**2)])
    variance = users**2 / n * np.maximum(squares / n - (spend / n) ** 2, 0) * (1 - n / users)
    spend *= users / n
    count = np.arange(1, len(own) + 1) * (users / n)
    return CurvePart(float(spend[0]), float(variance[0]), 0.0, users / n, own, spend[1:], variance[1:], count)


def sample_rows(users: int, of_all: int) -> np.ndarray:
    """The rows that a shard of `users` samples where `of_all` shards do."""
    return evenly(users, max(SAMPLE // max(1, of_all), 1024))


@np.errstate(over="ignore", invalid="ignore")
def bracket(
    parts: Sequence[CurvePart], budget: float, deviations: float, spare: float, moved: float
) -> tuple[float, float]:
    """Multipliers around λ*: the curves of all shards, shifted by `moved` money, against the budget.

    `spare`: how many edges below λ* there should be. The high end may be infinite, the low end 0.
    """
    base, variance = sum(p.spend_before for p in parts) + moved, sum(p.variance_before for p in parts)
    slopes = [p.slope for p in parts]
    if base + deviations * math.sqrt(max(variance, 0.0)) > budget:
        high = math.inf
    else:
        # What lies between two steps of a shard counts as if it were at the steeper one: no edge is overlooked.
        early = [np.concatenate([s[:1], s[:-1]]) for s in slopes]
        slope, spend, error, edges = _cumulative(parts, early, base, variance)
        beyond = np.flatnonzero(spend + deviations * error > budget)
        high = float(slope[beyond[0]]) if len(beyond) else min((float(s[-1]) for s in slopes if len(s)), default=1.0)
        # Above the steepest few of a sample nothing is known.
        if len(beyond) and edges[beyond[0]] < _TOO_FEW * max(p.weight for p in parts):
            high = math.inf
    slope, spend, error, edges = _cumulative(parts, slopes, base, variance)
    enough = np.flatnonzero(spend - deviations * error >= budget)
    low = 0.0
    if len(enough):
        k = int(np.searchsorted(edges, edges[enough[0]] + spare))
        low = float(slope[k]) if k < len(slope) else 0.0
    low = min(low, high)
    if low > 0 and high < low * (1 + 2 * _LEAST_WIDTH):
        low, high = low * (1 - _LEAST_WIDTH), high * (1 + _LEAST_WIDTH)
    return low, high


def spend_at(parts: Sequence[CurvePart], multiplier: float) -> float:
    """What the curves say is spent at a multiplier."""
    total = 0.0
    for p in parts:
        k = int(np.searchsorted(-p.slope, -multiplier, side="left"))
        total += float(p.spend[k - 1]) if k else p.spend_before
    return total


def _cumulative(
    parts: Sequence[CurvePart], slopes: list[np.ndarray], base: float, variance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All shards' steps as one curve: slope falling; spend, its standard error and the edges after each."""
    slope = np.concatenate([np.zeros(0), *slopes])
    order = np.argsort(-slope, kind="stable")

    def total(steps: list[np.ndarray]) -> np.ndarray:
        return np.cumsum(np.concatenate([np.zeros(0), *steps])[order])

    spend = base + total([np.diff(p.spend, prepend=p.spend_before) for p in parts])
    error = variance + total([np.diff(p.variance, prepend=p.variance_before) for p in parts])
    edges = sum(p.edges_before for p in parts) + total([np.diff(p.edges, prepend=p.edges_before) for p in parts])
    return slope[order], spend, np.sqrt(np.maximum(error, 0)), edges
