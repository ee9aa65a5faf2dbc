"""Totals against limits, decided exactly."""

from __future__ import annotations

import math

import numpy as np


def at_most(x: np.ndarray, limit: float) -> bool:
    """Whether the exact sum of the numbers is at most the limit."""
    near = float(x.sum(dtype=np.float64)) - limit
    doubt = 1e-12 * (float(np.abs(x).sum(dtype=np.float64)) + abs(limit))
    if abs(near) > doubt:
        return near < 0
    return math.fsum([*x.tolist(), -limit]) <= 0  # correctly rounded, so the sign is that of the exact sum


def at_least(x: np.ndarray, limit: float) -> bool:
    return at_most(-x, -limit)


def rounded(x: np.ndarray) -> float:
    """The exact sum, rounded once."""
    return math.fsum(x.tolist())
