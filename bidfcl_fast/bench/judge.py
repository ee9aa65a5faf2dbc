"""Is an answer right? Asked before it is timed, with sums of its own."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

# The peers add floats in whatever order suits them; what they say and what is so may differ by this much.
SLOPPY = 1e-6


class Quality(NamedTuple):
    gap: float  # (LP optimum - value) / LP optimum; a fractional answer has none
    violation: float  # spend beyond the budget / budget
    slack: float  # (bound - LP optimum) / LP optimum: how loose the proof is


def dual(value: np.ndarray, cost: np.ndarray, budget: float, multiplier: float, rows: int = 65_536) -> float:
    """Weak duality: no plan within the budget is worth more than this, whatever the multiplier."""
    total = multiplier * budget
    for i in range(0, len(value), rows):
        part = slice(i, i + rows)
        total += float((value[part].astype(np.float64) - multiplier * cost[part].astype(np.float64)).max(axis=1).sum())
    return total


def quality(value: np.ndarray, cost: np.ndarray, budget: float, answer: dict[str, Any], optimum: float) -> Quality:
    """Recompute the totals of the plan, hold the answer to them, and compare with the LP optimum."""
    worth, spend = answer["value"], answer["spend"]
    if answer["choice"] is not None:
        rows = np.arange(len(value))
        worth = float(value[rows, answer["choice"]].sum(dtype=np.float64))
        spend = float(cost[rows, answer["choice"]].sum(dtype=np.float64))
        assert abs(answer["value"] - worth) <= SLOPPY * abs(worth), "value is not the plan's"
        assert abs(answer["spend"] - spend) <= SLOPPY * abs(spend), "spend is not the plan's"
    found = Quality(
        (optimum - worth) / optimum, max(0.0, spend - budget) / budget, (answer["bound"] - optimum) / optimum
    )
    assert found.violation <= SLOPPY, f"over the budget by {found.violation:.1e}"
    assert found.gap >= -SLOPPY, f"worth more than any plan can be, by {-found.gap:.1e}"
    assert found.slack >= -SLOPPY, f"the bound is below the optimum by {-found.slack:.1e}"
    return found
