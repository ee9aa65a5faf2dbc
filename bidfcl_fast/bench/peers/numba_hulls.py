"""The exact textbook method: every user's hull in parallel, one sort of all edges by slope, then prefix sums.

Exact up to the rounding of its float64 sums. Its plan is the LP optimum less the edge that fits only in part.
"""

from __future__ import annotations

import numba
import numpy as np

from . import Answer, Array


@numba.njit(cache=True)
def _walk(value: Array, cost: Array, first: Array, stop: Array, gain: Array, price: Array) -> None:
    """Each user's hull by its steepest next step; unused places keep a price of zero."""
    for i in range(value.shape[0]):
        at = 0
        for j in range(1, value.shape[1]):
            if cost[i, j] < cost[i, at] or (cost[i, j] == cost[i, at] and value[i, j] > value[i, at]):
                at = j
        first[i] = at
        for step in range(price.shape[1]):
            best, best_gain, best_price = -1, 0.0, 1.0
            for j in range(value.shape[1]):
                dv = np.float64(value[i, j]) - np.float64(value[i, at])
                dc = np.float64(cost[i, j]) - np.float64(cost[i, at])
                if dv > 0 and dc > 0 and dv * best_price > best_gain * dc:
                    best, best_gain, best_price = j, dv, dc
            if best < 0:
                break
            at = best
            stop[i, step], gain[i, step], price[i, step] = best, best_gain, best_price


@numba.njit(parallel=True, cache=True)
def _hulls(value: Array, cost: Array, first: Array, stop: Array, gain: Array, price: Array, blocks: int) -> None:
    n = value.shape[0]
    for k in numba.prange(blocks):
        r = slice(k * n // blocks, (k + 1) * n // blocks)
        _walk(value[r], cost[r], first[r], stop[r], gain[r], price[r])


def solve(value: np.ndarray, cost: np.ndarray, budget: float) -> Answer:
    n, m = value.shape
    first, stop = np.empty(n, np.int32), np.empty((n, m - 1), np.int32)
    gain, price = np.zeros((n, m - 1)), np.zeros((n, m - 1))
    _hulls(value, cost, first, stop, gain, price, 8 * numba.get_num_threads())
    edge = np.flatnonzero(price)
    gain, price = gain.ravel()[edge], price.ravel()[edge]
    slope = gain / price
    order = np.argsort(-slope, kind="stable")

    users = np.arange(n)
    start_value, start_spend = (float(x[users, first].sum(dtype=np.float64)) for x in (value, cost))
    spends = start_spend + np.cumsum(price[order])
    taken = int(np.searchsorted(spends, budget, side="right"))
    choice, done = first, order[:taken]
    choice[edge[done] // (m - 1)] = stop.ravel()[edge[done]]  # a user's later edges come later and overwrite
    worth = start_value + float(gain[done].sum())
    spend = float(spends[taken - 1]) if taken else start_spend
    bound = worth + (float(slope[order[taken]]) * (budget - spend) if taken < len(order) else 0.0)
    return {"value": worth, "spend": spend, "bound": bound, "choice": choice}
