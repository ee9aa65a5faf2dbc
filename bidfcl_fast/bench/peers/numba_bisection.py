"""Bisection with one fused, parallel pass a multiplier: no table of scores, only sums come out.

This is the bar on a CPU: what a good engineer writes in an afternoon.
"""

from __future__ import annotations

import numba
import numpy as np

from . import Answer, Array, bisect


@numba.njit(fastmath=True, cache=True)
def _block(value: Array, cost: Array, multiplier: float, choice: Array) -> tuple[float, float, float]:
    """Spend, value and best scores of a block of users; writes their choices where asked."""
    spend = worth = best_scores = 0.0
    for i in range(value.shape[0]):
        at, best = 0, value[i, 0] - multiplier * cost[i, 0]
        for j in range(1, value.shape[1]):
            score = value[i, j] - multiplier * cost[i, j]
            if score > best:
                at, best = j, score
        spend += cost[i, at]
        worth += value[i, at]
        best_scores += best
        if choice.size:
            choice[i] = at
    return spend, worth, best_scores


@numba.njit(parallel=True, cache=True)
def _pass(value: Array, cost: Array, multiplier: float, choice: Array, blocks: int) -> Array:
    sums = np.zeros((blocks, 3))
    n = value.shape[0]
    for k in numba.prange(blocks):
        rows = slice(k * n // blocks, (k + 1) * n // blocks)
        sums[k] = _block(value[rows], cost[rows], multiplier, choice[rows])
    return sums.sum(axis=0)


def solve(value: np.ndarray, cost: np.ndarray, budget: float) -> Answer:
    number, blocks = value.dtype.type, 4 * numba.get_num_threads()
    nothing = np.empty(0, np.int32)
    multiplier = bisect(lambda m: _pass(value, cost, number(m), nothing, blocks)[0], budget)
    choice = np.empty(len(value), np.int32)
    spend, worth, best_scores = _pass(value, cost, number(multiplier), choice, blocks)
    return {
        "value": worth,
        "spend": spend,
        "bound": best_scores + float(number(multiplier)) * budget,
        "choice": choice,
    }
