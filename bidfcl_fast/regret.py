"""True regret of predictions, where the truth is known: the decisions they lead to, against the best plan. NumPy only."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import InfeasibleBudget
from .mckp import solve_mckp

Array = NDArray[Any]


class PredictedSpend(NamedTuple):
    """Regret of a plan sized by predicted cost, and its true spend above the budget as a share of the budget."""

    regret: Any
    overspend: Any


def regret(value_hat: Any, cost_hat: Any, true_value: Any, true_cost: Any, budget: Any, *, spend: str = "true") -> Any:
    """1 − (V − V0)/(V* − V0): the share of what can be gained that these predictions leave behind.

    V is the true value of the decisions argmax(value_hat − λ·cost_hat) at the smallest λ whose true spend is within the
    budget. Users change their decision one by one as λ falls (those with equal slopes in order of row); the one whose change
    no longer fits counts in part. V* is the `dual_bound` of `solve_mckp` on the truth, V0 the true value of its least-cost plan.

    Parameters
    ----------
    value_hat, cost_hat
        [N, M] predictions.
    true_value, true_cost
        [N, M] the truth.
    budget
        Total money for the N users: a number, or [K].
    spend
        "true", or "predicted": λ is then the smallest whose *predicted* spend is within the budget. Money overspent is not
        charged for: read the overspend beside it.

    Returns
    -------
    float or float64 [K]; with spend="predicted" a pair (regret, overspend) of these, overspend = true spend / budget − 1.

    Raises
    ------
    InfeasibleBudget
        If even the decisions at the largest λ spend more.
    ValueError
        If shapes differ, a number is not finite, or the budget allows no gain over the least-cost plan.

    Source: METHOD.md §1.2 for the plan; the measure is this project's.
    """
    vh, ch, v, c = (_matrix(a) for a in (value_hat, cost_hat, true_value, true_cost))
    if not vh.shape == ch.shape == v.shape == c.shape:
        shapes = ", ".join(str(list(a.shape)) for a in (vh, ch, v, c))
        raise ValueError(f"predictions and truth must have one shape [N, M], got {shapes}")
    if spend not in ("true", "predicted"):
        raise ValueError(f"spend must be 'true' or 'predicted', got {spend!r}")
    money = np.asarray(budget, np.float64)
    budgets = np.atleast_1d(money)
    if money.ndim > 1 or not np.isfinite(budgets).all():
        raise ValueError(f"budget must be a finite number or [K] of them, got {budget!r}")

    row = np.arange(len(v))
    start = _least_cost(vh, ch)
    user, before, after = _edges(vh, ch, start)
    value = np.concatenate([[v[row, start].sum()], v[user, after] - v[user, before]]).cumsum()
    true = np.concatenate([[c[row, start].sum()], c[user, after] - c[user, before]]).cumsum()
    sized = true
    if spend == "predicted":
        sized = np.concatenate([[ch[row, start].sum()], ch[user, after] - ch[user, before]]).cumsum()

    reached, spent = np.empty(len(budgets)), np.empty(len(budgets))
    for k, b in enumerate(budgets):
        fits = np.flatnonzero(sized <= b)
        if not fits.size:
            raise InfeasibleBudget(float(b), float(sized.min()), k if money.ndim else None)
        last = int(fits[-1])
        reached[k], spent[k] = value[last], true[last]
        if last + 1 < len(sized):
            part = (b - sized[last]) / (sized[last + 1] - sized[last])
            reached[k] += part * (value[last + 1] - value[last])
            spent[k] += part * (true[last + 1] - true[last])

    lowest = float(v[row, _least_cost(v, c)].sum())
    best = np.atleast_1d(np.asarray(solve_mckp(v, c, budgets if money.ndim else float(money)).dual_bound, np.float64))
    if not (best > lowest).all():
        raise ValueError("the budget allows no gain over the least-cost plan: regret is not defined")
    left, over = 1 - (reached - lowest) / (best - lowest), spent / budgets - 1
    if spend == "true":
        return left if money.ndim else float(left[0])
    return PredictedSpend(left, over) if money.ndim else PredictedSpend(float(left[0]), float(over[0]))


def _matrix(given: Any) -> Array:
    a = np.asarray(given, np.float64)
    if a.ndim != 2 or not np.isfinite(a).all():
        raise ValueError(f"predictions and truth must be finite [N, M], got shape {list(a.shape)}")
    return a


def _least_cost(value: Array, cost: Array) -> Array:
    """[N] the decision at the largest multipliers: least cost, then largest value, then first."""
    cheap = cost == cost.min(1, keepdims=True)
    return np.asarray(np.where(cheap, value, -np.inf).argmax(1))


def _edges(value: Array, cost: Array, start: Array) -> tuple[Array, Array, Array]:
    """All changes of decision as the multiplier falls to 0, in order: user, treatment before, treatment after."""
    row = np.arange(len(value))
    at, users, befores, afters, slopes = start.copy(), [], [], [], []
    for _ in range(value.shape[1] - 1):
        gain, price = value - value[row, at][:, None], cost - cost[row, at][:, None]
        ahead = (gain > 0) & (price > 0)
        if not ahead.any():
            break
        slope = np.where(ahead, gain / np.where(ahead, price, 1.0), -np.inf)
        # Of equal slopes the farthest: the ones between are passed at the same multiplier.
        steepest = slope == slope.max(1, keepdims=True)
        to = np.where(steepest & ahead, price, -np.inf).argmax(1)
        moves = np.flatnonzero(ahead.any(1))
        users.append(moves)
        befores.append(at[moves])
        afters.append(to[moves])
        slopes.append(slope[moves, to[moves]])
        at[moves] = to[moves]
    if not users:
        none = np.empty(0, np.int64)
        return none, none, none
    user, before, after, slope = (np.concatenate(a) for a in (users, befores, afters, slopes))
    order = np.lexsort((user, -slope))  # stable: a user's earlier edges come first
    return user[order], before[order], after[order]
