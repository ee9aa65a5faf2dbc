"""Bisection in whole-array NumPy: a score table, its argmax and a gather for each multiplier."""

from __future__ import annotations

import numpy as np

from . import Answer, bisect


def solve(value: np.ndarray, cost: np.ndarray, budget: float) -> Answer:
    users = np.arange(len(value))

    def score(multiplier: float) -> np.ndarray:
        return value - value.dtype.type(multiplier) * cost

    def spend_at(multiplier: float) -> float:
        return float(cost[users, score(multiplier).argmax(axis=1)].sum(dtype=np.float64))

    multiplier = bisect(spend_at, budget)
    scores = score(multiplier)
    choice = scores.argmax(axis=1)
    best = scores[users, choice].sum(dtype=np.float64)
    return {
        "value": float(value[users, choice].sum(dtype=np.float64)),
        "spend": float(cost[users, choice].sum(dtype=np.float64)),
        "bound": float(best) + float(value.dtype.type(multiplier)) * budget,
        "choice": choice.astype(np.int32),
    }
