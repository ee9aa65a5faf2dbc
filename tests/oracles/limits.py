"""Small instances with a second limit beside the budget, by looking at every plan; and the LP bound of a window."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import NamedTuple

from .exact import Users


class Total(NamedTuple):
    value: Fraction
    spend: Fraction
    treated: int


def plans(population: Users, control: int = 0) -> list[Total]:
    """Value, spend and number of treated users of every plan."""
    found = [Total(Fraction(0), Fraction(0), 0)]
    for points in population:
        found = [
            Total(t.value + p.value, t.spend + p.cost, t.treated + (p.treatment != control))
            for t in found
            for p in points
        ]
    return found


def window_bound(population: Users, low, high) -> Fraction:
    """The LP optimum among mixtures that spend from low to high: the least of the dual function over all multipliers,
    negative ones too (money that must be spent has a negative price)."""
    steps = {Fraction(0)}
    for points in population:
        for a, b in itertools.combinations(points, 2):
            if a.cost != b.cost:
                steps.add((b.value - a.value) / (b.cost - a.cost))

    def dual(at: Fraction) -> Fraction:
        best = sum((max(p.value - at * p.cost for p in points) for points in population), Fraction(0))
        return best + at * Fraction(high if at >= 0 else low)

    return min(dual(at) for at in steps)
