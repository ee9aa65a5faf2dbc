"""The method in plain Python, exact and slow on purpose: the text to read beside METHOD.md, and the judge of the rest.

Numbers become integers (fixed point), slopes become fractions, and the plan is the classical one: all hull edges,
sorted by value per money, taken while they fit.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from .._core import solve as core
from .._problems import EDGE, Contested, EdgesBetween, FrontierResult, Magnitudes, MckpResult, Problems, Scales
from .._ragged import plain
from .._spec import FILL_WINDOW, FIXED_POINT_BITS
from ..errors import Status
from .reference_losses import bisection, decision_loss, received_intervals

__all__ = ["bisection", "core", "decision_loss", "describe", "frontier", "mckp", "probe", "received_intervals"]


def probe() -> str | None:
    return None


def describe() -> str:
    return "plain Python and NumPy, exact fractions; slow on purpose"


class Edge(NamedTuple):
    """One step up a user's hull: from choice `start` to choice `stop`, for `cost` more money and `value` more value."""

    value: int
    cost: int
    user: int
    position: int
    start: int
    stop: int

    @property
    def slope(self) -> Fraction:
        return Fraction(self.value, self.cost)


def fixed_point_shift(x: np.ndarray) -> int:
    """The s for which every |x|·2^s ≤ 2^61: one power-of-two scale a problem."""
    largest = float(np.abs(x).max(initial=0.0))
    return FIXED_POINT_BITS - math.frexp(largest)[1]


def fixed(x: float, shift: int) -> int:
    """x·2^shift, rounded up: a cost is never understated, and neither is a value, which the bound counts."""
    return math.ceil(Fraction(float(x)) * Fraction(2) ** shift)


def cheapest(value: Any, cost: Any, open_: list[int]) -> int:
    """Where a hull starts: least cost, then largest value, then smallest index."""
    return min(open_, key=lambda j: (cost[j], -value[j], j))


def hull(user: int, value: Any, cost: Any, open_: list[int]) -> list[Edge]:
    """The upper concave hull from the cheapest choice on: steepest next step, then the shorter one, then the index."""
    at = cheapest(value, cost, open_)
    edges: list[Edge] = []
    while ahead := [j for j in open_ if cost[j] > cost[at] and value[j] > value[at]]:
        best = max(ahead, key=lambda j: (Fraction(value[j] - value[at], cost[j] - cost[at]), -cost[j], -j))
        edges.append(Edge(value[best] - value[at], cost[best] - cost[at], user, len(edges), at, best))
        at = best
    return edges


class Quantised(NamedTuple):
    """One problem in integers, user by user."""

    value: list[list[int]]
    cost: list[list[int]]
    open: list[list[int]]  # indices of the treatments that are open
    value_unit: Fraction
    cost_unit: Fraction
    costs_rounded: bool


def _quantised(problems: Problems, b: int) -> Quantised:
    rows = slice(int(problems.start[b]), int(problems.stop[b]))
    v, c = problems.value[b, rows], problems.cost[b, rows]
    mask = np.ones(v.shape, bool) if problems.mask is None else problems.mask[b, rows]
    open_ = [np.flatnonzero(row).tolist() for row in mask]
    v, c = np.where(mask, v, 0), np.where(mask, c, 0)  # what stands at a closed cell means nothing
    v_shift, c_shift = fixed_point_shift(v), fixed_point_shift(c)
    values = [[fixed(x, v_shift) for x in row] for row in v]
    costs = [[fixed(x, c_shift) for x in row] for row in c]
    unit_v, unit_c = Fraction(2) ** -v_shift, Fraction(2) ** -c_shift
    rounded = any(
        q * unit_c != Fraction(float(x)) for row, qs in zip(c, costs, strict=True) for x, q in zip(row, qs, strict=True)
    )
    return Quantised(values, costs, open_, unit_v, unit_c, rounded)


def _status(problems: Problems, b: int) -> Status:
    rows = slice(int(problems.start[b]), int(problems.stop[b]))
    v, c = problems.value[b, rows], problems.cost[b, rows]
    mask = np.ones(v.shape, bool) if problems.mask is None else problems.mask[b, rows]
    if not (np.isfinite(v[mask]).all() and np.isfinite(c[mask]).all()):
        return Status.NOT_FINITE
    return Status.SOLVED if mask.any(axis=1).all() else Status.NO_OPEN_TREATMENT


def _sorted_edges(values: list[list[int]], costs: list[list[int]], open_: list[list[int]]) -> list[Edge]:
    edges = [e for i in range(len(values)) for e in hull(i, values[i], costs[i], open_[i])]
    return sorted(edges, key=lambda e: (-e.slope, e.user, e.position))


def near(x: Fraction) -> float:
    """The float nearest to x; infinity beyond the largest."""
    try:
        return float(x)
    except OverflowError:
        return math.inf if x > 0 else -math.inf


def up(x: Fraction) -> float:
    """The smallest float that is not below x."""
    y = near(x)
    return y if math.isinf(y) or Fraction(y) >= x else math.nextafter(y, math.inf)


def mckp(problems: Problems, *, fill: bool, warm_start: np.ndarray | None = None) -> MckpResult:
    """Sort every hull edge by slope, take while they fit; the first that does not is the split edge (METHOD.md §1.2)."""
    problems = plain(problems, "reference")
    out = MckpResult.empty(problems)
    for b in range(problems.count):
        out.status[b] = status = _status(problems, b)
        if status is not Status.SOLVED:
            continue
        values, costs, open_, unit_v, unit_c, rounded = _quantised(problems, b)
        users = range(len(values))
        choice = [cheapest(values[i], costs[i], open_[i]) for i in users]
        value = sum(values[i][choice[i]] for i in users)
        spend = sum(costs[i][choice[i]] for i in users)
        budget = math.floor(Fraction(float(problems.budget[b])) / unit_c)
        out.value_unit[b], out.cost_unit[b] = (
            float(unit) if any(map(any, rows)) else 0.0 for unit, rows in ((unit_v, values), (unit_c, costs))
        )
        if spend > budget:
            out.status[b] = Status.INFEASIBLE_BUDGET
            out.least_budget[b] = up(spend * unit_c)
            continue

        edges = _sorted_edges(values, costs, open_)
        split = len(edges)
        for k, e in enumerate(edges):
            if spend + e.cost > budget:
                split = k
                break
            choice[e.user], value, spend = e.stop, value + e.value, spend + e.cost

        # The dual bound: the money left buys a fraction of the split edge. Without one, nothing is left to buy.
        bound, multiplier = value, Fraction(0)
        if split < len(edges):
            e = edges[split]
            bound = value + -(-e.value * (budget - spend) // e.cost)
            if rounded:  # each cost, and the budget, may hide one unit, worth λ*
                bound += -(-e.value * (len(values) + 1) // e.cost)
            multiplier = e.slope * unit_v / unit_c
        if fill:
            for e in edges[split : split + FILL_WINDOW]:
                if choice[e.user] == e.start and spend + e.cost <= budget:
                    choice[e.user], value, spend = e.stop, value + e.value, spend + e.cost

        out.choice_of(problems, b)[:] = choice
        out.multiplier[b] = near(multiplier)
        out.value[b], out.spend[b] = near(value * unit_v), near(spend * unit_c)
        out.dual_bound[b], out.gap[b] = up(bound * unit_v), up((bound - value) * unit_v)
        out.rows_read[b], out.sweeps[b], out.active[b] = len(values), 1, len(values)
    return out


def decide(problems: Problems, multiplier: np.ndarray) -> MckpResult:
    """Every user takes all hull edges steeper than the multiplier of its problem."""
    out = MckpResult.empty(problems)
    for b in range(problems.count):
        out.multiplier[b] = multiplier[b]
        out.status[b] = status = _status(problems, b)
        if status is not Status.SOLVED:
            continue
        values, costs, open_, unit_v, unit_c, _ = _quantised(problems, b)
        out.value_unit[b], out.cost_unit[b] = (
            float(unit) if any(map(any, rows)) else 0.0 for unit, rows in ((unit_v, values), (unit_c, costs))
        )
        at = Fraction(float(multiplier[b])) * unit_c / unit_v
        choice = []
        for i in range(len(values)):
            choice.append(cheapest(values[i], costs[i], open_[i]))
            for e in hull(i, values[i], costs[i], open_[i]):
                if e.slope > at:
                    choice[i] = e.stop
        value = sum(values[i][j] for i, j in enumerate(choice)) * unit_v
        out.choice_of(problems, b)[:] = choice
        out.value[b], out.spend[b] = near(value), near(sum(costs[i][j] for i, j in enumerate(choice)) * unit_c)
        out.dual_bound[b], out.gap[b] = up(value), 0.0
        out.rows_read[b], out.sweeps[b], out.active[b] = len(values), 1, len(values)
    return out


def contested(
    problems: Problems, plan: np.ndarray, multiplier: float, margin: float, units: tuple[float, float]
) -> Contested:
    """Users of problem 0 whose best score at the multiplier does not beat the second best by more than the margin."""
    values, costs, open_, unit_v, unit_c, _ = _quantised(problems, 0)
    users, choice, value, cost = [], [], 0, 0
    for i, points in enumerate(open_):
        scores = sorted((values[i][j] * unit_v - Fraction(multiplier) * costs[i][j] * unit_c, j) for j in points)
        choice.append(scores[-1][1])
        if len(scores) > 1 and scores[-1][0] - scores[-2][0] <= Fraction(margin):
            users.append(i)
        else:
            value, cost = value + values[i][scores[-1][1]], cost + costs[i][scores[-1][1]]
    return Contested.against(plan, np.array(users, np.int32), np.array(choice, np.int32), value, cost)


def magnitudes(problems: Problems) -> Magnitudes:
    """The largest numbers of problem 0's open cells."""
    if _status(problems, 0) is Status.NOT_FINITE:
        return Magnitudes(math.nan, math.nan, False)
    open_ = True if problems.mask is None else problems.cells(problems.mask, 0)
    value, cost = (
        float(np.abs(problems.cells(x, 0)).max(initial=0, where=open_)) for x in (problems.value, problems.cost)
    )
    return Magnitudes(value, cost, True)


def costs_rounded(problems: Problems, shift: int) -> bool:
    """Whether some open cost of problem 0 is no whole number of units 2^-shift."""
    cost = problems.cells(problems.cost, 0)
    if problems.mask is not None:
        cost = cost[problems.cells(problems.mask, 0)]
    return any((Fraction(float(x)) * Fraction(2) ** shift).denominator != 1 for x in cost.ravel())


def edges_between(problems: Problems, scales: Scales, low: float, high: float) -> EdgesBetween:
    """Every hull edge of problem 0 with low ≤ slope ≤ high, and where users stand before them."""
    problems = plain(problems, "reference")
    n = int(problems.stop[0] - problems.start[0])
    status = _status(problems, 0)
    if status is not Status.SOLVED:
        return EdgesBetween(status, np.full(n, -1, np.int32), 0, 0, np.empty(0, EDGE))
    value, cost = problems.cells(problems.value, 0), problems.cells(problems.cost, 0)
    mask = None if problems.mask is None else problems.cells(problems.mask, 0)
    own = Fraction(2) ** (scales.cost - scales.value)  # a slope in units, as value per money
    top: Any = Fraction(high) if math.isfinite(high) else math.inf
    choice, edges, total_value, total_cost = [], [], 0, 0
    for i in range(n):
        open_ = list(range(value.shape[1])) if mask is None else np.flatnonzero(mask[i]).tolist()
        v, c = ({j: fixed(x[i, j], shift) for j in open_} for x, shift in ((value, scales.value), (cost, scales.cost)))
        at = cheapest(v, c, open_)
        for e in hull(i, v, c, open_):
            if e.slope * own > top:
                at = e.stop
            elif e.slope * own >= Fraction(low):
                edges.append((near(e.slope), e.value, e.cost, e.user, e.position, e.start, e.stop))
        choice.append(at)
        total_value, total_cost = total_value + v[at], total_cost + c[at]
    return EdgesBetween(status, np.array(choice, np.int32), total_value, total_cost, np.array(edges, EDGE))


def frontier(problems: Problems) -> FrontierResult:
    """Breakpoints of the concave LP frontier: the prefix sums of the sorted edges, equal slopes joined."""
    problems = plain(problems, "reference")
    status = _status(problems, 0)
    if status is not Status.SOLVED:
        return FrontierResult(status, np.zeros(0), np.zeros(0), np.zeros(0))
    values, costs, open_, unit_v, unit_c, _ = _quantised(problems, 0)
    start = [cheapest(values[i], costs[i], open_[i]) for i in range(len(values))]
    value = sum(values[i][start[i]] for i in range(len(values)))
    spend = sum(costs[i][start[i]] for i in range(len(values)))
    points: list[tuple[int, int, Fraction]] = [(spend, value, Fraction(0))]
    last = None
    for e in _sorted_edges(values, costs, open_):
        value, spend = value + e.value, spend + e.cost
        if e.slope == last:
            points.pop()
        points.append((spend, value, last := e.slope))
    slopes = [near(p[2] * unit_v / unit_c) for p in points]
    return FrontierResult(
        Status.SOLVED,
        np.array([near(p[0] * unit_c) for p in points]),
        np.array([near(p[1] * unit_v) for p in points]),
        np.array(slopes[1:] + [0.0]),
    )
