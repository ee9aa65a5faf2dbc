"""The exact end of a search: the plan's numbers, and what every user's choice follows from.

The same steps as `finish` in csrc/cpu/solver/solver.cpp, over the few edges that a selection leaves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from .. import _fixed
from .._precision import TOLERANCE
from ..errors import InfeasibleBudget, Status
from ._facts import Facts
from ._ledger import Key
from ._selection import Narrowed, window_of

_INSIDE = 2.0**-45  # an edge this close to a bracket's end may have company among the users not listed


@dataclass(frozen=True)
class Outcome:
    """What a search has found. Users buy every edge before `split`, and then `picks`."""

    status: Status
    budget: float
    multiplier: float = math.nan
    value: float = math.nan
    spend: float = math.nan
    dual_bound: float = math.nan
    gap: float = math.nan
    least_budget: float = math.nan
    bracket: tuple[float, float] = (0.0, math.inf)  # holds the split edge, clear of both ends
    split: Key | None = None  # None: all edges are bought
    split_start: int = -1  # the treatment that the split edge leaves
    picks: tuple[tuple[int, int, int], ...] = ()  # (user, from, to), in turn
    totals: tuple[int, int] = (0, 0)  # value and cost of the plan, in fixed point
    stats: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def infeasible(cls, facts: Facts, budget: float, least: int, sweeps: int) -> Outcome:
        shift, unit = facts.scales.cost, facts.units[1]
        least_budget = _fixed.above(least, shift)
        if math.isinf(least_budget):
            return cls(Status.OUT_OF_RANGE, budget, stats={"sweeps": sweeps, "active": 0})
        # Infeasible beyond doubt is infeasible all the same; see _precision.
        doubtful = least_budget - budget <= facts.users * unit and unit > TOLERANCE * facts.typical_cost
        if doubtful:
            return cls(Status.TOO_WIDE, budget, stats={"sweeps": sweeps, "active": 0})
        stats = {"sweeps": sweeps, "active": 0}
        return cls(Status.INFEASIBLE_BUDGET, budget, least_budget=least_budget, stats=stats)

    def raise_for(self, where: int | None = None) -> None:
        """The exception of an outcome that is no plan."""
        if self.status is Status.INFEASIBLE_BUDGET:
            raise InfeasibleBudget(self.budget, self.least_budget, where)
        if self.status in (Status.TOO_WIDE, Status.OUT_OF_RANGE):
            raise ValueError(self.status.sentence)


def finish(
    near: Narrowed,
    before: tuple[int, int],
    bracket: tuple[float, float],
    money: int,
    budget: float,
    fill: bool,
    facts: Facts,
    costs_rounded: bool,
    stats: dict[str, Any],
) -> Outcome | None:
    """The plan, from the edges around the one that does not fit; None if the bracket may miss an edge that matters.

    before: value and cost of everybody's choice at the bracket's high end; money: the budget in fixed point.
    """
    scales = facts.scales
    value, cost = before[0] + near.value_before, before[1] + near.cost_before
    edges = near.edges
    split = 0
    while split < len(edges) and cost + edges[split].edge.cost <= money:
        value, cost = value + edges[split].edge.value, cost + edges[split].edge.cost
        split += 1
    window = window_of(fill)
    end = min(len(edges), split + window)
    low, high = bracket
    own = scales.cost - scales.value

    def slope(k: int) -> float:
        return _fixed.ldexp(edges[k].edge.value / edges[k].edge.cost, own)

    if low > 0 and (end < split + window or slope(end - 1) < low * (1 + _INSIDE)):
        return None
    if math.isfinite(high) and split < len(edges) and slope(split) > high * (1 - _INSIDE):
        return None

    bound, multiplier, key, start = value, 0.0, None, -1
    if split < len(edges):
        e, start = edges[split].edge, edges[split].start
        key = e
        bound += -(-e.value * (money - cost) // e.cost)
        # Costs that were rounded up, and the budget down, each hide at most λ* times a unit.
        if costs_rounded:
            bound += -(-e.value * (facts.users + 1) // e.cost)
        multiplier = _fixed.near(Fraction(e.value, e.cost) * Fraction(2) ** own)
    picks: list[tuple[int, int, int]] = []
    passed_over: set[int] = set()
    if fill:
        for p in edges[split:end]:
            if p.edge.user in passed_over or cost + p.edge.cost > money:
                passed_over.add(p.edge.user)
                continue
            picks.append((p.edge.user, p.start, p.stop))
            value, cost = value + p.edge.value, cost + p.edge.cost
    out = Outcome(
        Status.SOLVED,
        budget,
        multiplier,
        _fixed.nearest(value, scales.value),
        _fixed.nearest(cost, scales.cost),
        _fixed.above(bound, scales.value),
        _fixed.above(bound - value, scales.value),
        bracket=bracket,
        split=key,
        split_start=start,
        picks=tuple(picks),
        totals=(value, cost),
        stats=stats,
    )
    if not np.isfinite((multiplier, out.value, out.spend, out.dual_bound, out.gap)).all():
        return Outcome(Status.OUT_OF_RANGE, budget, stats=stats)  # infinity certifies nothing
    return Outcome(Status.TOO_WIDE, budget, stats=stats) if _too_wide(out, facts) else out


def _too_wide(plan: Outcome, facts: Facts) -> bool:
    """Whether fixed point was too coarse for the certificate: `_precision.refuse_too_wide`, with the typical numbers of
    samples, and |Σ| where that has Σ|·|."""
    value_unit, cost_unit = facts.units
    with np.errstate(over="ignore"):
        moved = facts.users * (value_unit + plan.multiplier * cost_unit)
    if moved <= TOLERANCE * abs(plan.dual_bound):
        return False
    size = abs(plan.value) + facts.users * facts.typical_value
    size += plan.multiplier * (abs(plan.spend) + facts.users * facts.typical_cost)
    return moved > TOLERANCE * size
