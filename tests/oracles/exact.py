"""Small instances over fractions: the dual function, the LP optimum, the integer optimum, totals of a plan.

A user is a list of points (cost, value, treatment), its open treatments. Nothing here builds a hull or sorts edges:
the dual function is convex and piecewise linear, so its minimum stands at 0 or at a slope between two points.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np


class Point(NamedTuple):
    cost: Fraction
    value: Fraction
    treatment: int


Users = list[list[Point]]


def users(value, cost, mask=None) -> Users:
    value, cost = np.asarray(value), np.asarray(cost)
    mask = np.ones(value.shape, bool) if mask is None else np.asarray(mask)
    return [
        [Point(Fraction(float(c[j])), Fraction(float(v[j])), int(j)) for j in np.flatnonzero(m)]
        for v, c, m in zip(value, cost, mask, strict=True)
    ]


def whole(population: Users, budget: Fraction) -> tuple[Users, int, int, int]:
    """Points and budget times powers of two that make them integers, which are faster than fractions; and value's and cost's power."""
    points = [p for user in population for p in user]
    value, cost = max(p.value.denominator for p in points), max(p.cost.denominator for p in points)
    cost = max(cost, budget.denominator)
    scaled = [[Point(int(p.cost * cost), int(p.value * value), p.treatment) for p in user] for user in population]  # type: ignore[arg-type]
    return scaled, int(budget * cost), value, cost


def totals(population: Users, choice) -> tuple[Fraction, Fraction]:
    """Exact value and spend of a plan; a closed treatment has no point and raises."""
    value = spend = Fraction(0)
    for points, j in zip(population, choice, strict=True):
        (point,) = (p for p in points if p.treatment == j)
        value, spend = value + point.value, spend + point.cost
    return value, spend


def least_spend(population: Users) -> Fraction:
    return sum((min(p.cost for p in points) for points in population), Fraction(0))


def slopes(population: Users) -> set[Fraction]:
    """0 and every slope at which some user may change its choice."""
    found = {Fraction(0)}
    for points in population:
        for a in points:
            steps = ((b.cost - a.cost, b.value - a.value) for b in points)
            found.update(Fraction(gain, price) for price, gain in steps if price > 0 and gain > 0)
    return found


def dual(population: Users, budget: Fraction, multiplier: Fraction) -> Fraction:
    top, bottom = multiplier.numerator, multiplier.denominator
    best = (max(bottom * p.value - top * p.cost for p in points) for points in population)
    return Fraction(top * budget + sum(best), bottom)


def lp_optima(population: Users, budgets) -> list[Fraction]:
    """The least of the dual function, for budgets that the cheapest plan meets."""
    free = {s: dual(population, Fraction(0), s) for s in slopes(population)}
    assert min(map(Fraction, budgets)) >= least_spend(population)
    return [min(s * Fraction(b) + best for s, best in free.items()) for b in budgets]


def lp_optimum(population: Users, budget) -> Fraction:
    return lp_optima(population, [budget])[0]


def multiplier_interval(population: Users, budget) -> tuple[Fraction, Fraction | None]:
    """[least, greatest] minimiser of the dual function; None where every larger one is a minimiser too."""
    b = Fraction(budget)
    ordered = sorted(slopes(population))
    at = [dual(population, b, s) for s in ordered]
    best = [s for s, g in zip(ordered, at, strict=True) if g == min(at)]
    return best[0], None if best[-1] == ordered[-1] and b == least_spend(population) else best[-1]


def tied(points: list[Point], multiplier: Fraction) -> list[Point]:
    """The points of largest score, by rising cost."""
    top, bottom = multiplier.numerator, multiplier.denominator
    scores = [bottom * p.value - top * p.cost for p in points]
    best = max(scores)
    return sorted(p for p, score in zip(points, scores, strict=True) if score == best)


def spend_range(population: Users, multiplier: Fraction) -> tuple[Fraction, Fraction]:
    """Least and greatest spend among the plans that maximise every user's score."""
    ties = [tied(points, multiplier) for points in population]
    return sum((t[0].cost for t in ties), Fraction(0)), sum((t[-1].cost for t in ties), Fraction(0))


def hull_treatments(points: list[Point]) -> set[int]:
    """Treatments that maximise the score at some multiplier ≥ 0, ties included, and the cheapest ones."""
    least = min(p.cost for p in points)
    best_free = max(p.value for p in points if p.cost == least)
    kept = {p.treatment for p in points if p.cost == least and p.value == best_free}
    for s in slopes([points]):
        kept.update(p.treatment for p in tied(points, s))
    return kept


def largest_edge(population: Users) -> Fraction:
    """The most value between two neighbours on any user's hull."""
    gain = Fraction(0)
    for points in population:
        for s in slopes([points]) - {0}:
            steps = sorted({(p.cost, p.value) for p in tied(points, s)})
            gain = max([gain, *(b[1] - a[1] for a, b in itertools.pairwise(steps))])
    return gain


def integer_optima(population: Users, budgets) -> list[Fraction]:
    """The best plan of all, by looking at every one of them."""
    plans = [(Fraction(0), Fraction(0))]
    for points in population:
        plans = [(spend + p.cost, value + p.value) for spend, value in plans for p in points]
    return [max(value for spend, value in plans if spend <= Fraction(b)) for b in budgets]


def integer_optimum(population: Users, budget) -> Fraction:
    return integer_optima(population, [budget])[0]


def unit(x, mask=None) -> Fraction:
    """The fixed-point unit of one array: the largest magnitude takes 61 bits."""
    x = np.asarray(x, np.float64) if mask is None else np.where(mask, x, 0.0).astype(np.float64)
    return Fraction(2) ** (math.frexp(float(np.abs(x).max(initial=0.0)))[1] - 61)


def exact_in_units(x, mask=None) -> bool:
    """Whether every number is a multiple of the unit, so that nothing is rounded on the way in."""
    u = unit(x, mask)
    x = np.asarray(x) if mask is None else np.where(mask, x, 0)
    return all((Fraction(float(a)) / u).denominator == 1 for a in np.ravel(x))


def up(x: Fraction) -> float:
    """The smallest float64 that is not below x."""
    near = float(x)
    return near if Fraction(near) >= x else math.nextafter(near, math.inf)
