"""What the decisions of predictions lose against the best ones, where the truth is known (a simulation)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import _check
from ._arrays import to_numpy
from ._half import widened
from .errors import InfeasibleBudget
from .mckp import solve_mckp


class Overspent(NamedTuple):
    """A regret at a multiplier that predictions chose, and the money spent beyond the budget (negative: left over)."""

    regret: Any
    overspend: Any


def regret(
    value_hat: Any,
    cost_hat: Any,
    true_value: Any,
    true_cost: Any,
    budget: Any,
    *,
    spend: str = "true",
    backend: str | None = None,
) -> Any:
    """1 − (V − V0)/(V* − V0): the share of what the budget can bring that the predictions' decisions miss.

    V is the true value of the decisions argmax_j (value_hat − λ·cost_hat), at the smallest λ at which they spend no more than the
    budget; the user whose next step would break it counts in part, so that λ = ∞ … 0 is a curve and not a staircase.
    V* is the `dual_bound` of `solve_mckp(true_value, true_cost, budget)`, and V0 the true value of giving everybody
    the treatment that truly costs least.

    Parameters
    ----------
    value_hat, cost_hat, true_value, true_cost
        [N, M] floats. Predictions and truth may differ in dtype.
    budget
        Total money, a number or [K].
    spend
        "true": λ is that at which the *true* spend meets the budget, so that all predictions are compared at the same spend. It is not
        monotone in λ; steps of equal λ are taken in the order of the users. "predicted": λ meets the budget by predicted
        costs, as when serving; the true spend then misses it, and is returned beside.
    backend
        Of the solver, as in `solve_mckp`.

    Returns
    -------
    float, or float64 [K]; for spend="predicted" `Overspent(regret, overspend)` of these. An overspending plan may have a
    negative regret: read the two together.

    Raises
    ------
    InfeasibleBudget
        If no λ spends so little, or no plan does.
    ValueError
        Naming the argument; also where even the best plan adds nothing to V0.

    Source: this project's (METHOD.md §1.2 for V*); the experiments behind the defaults of `methods` use it.
    """
    if spend not in ("true", "predicted"):
        raise ValueError(f"spend must be 'true' or 'predicted', got {spend!r}")
    guess, truth = (_numbers(v, c) for v, c in ((value_hat, cost_hat), (true_value, true_cost)))
    if guess[0].shape != truth[0].shape:
        raise ValueError(f"true_value must be {list(guess[0].shape)} like value_hat, got {list(truth[0].shape)}")
    limits = np.atleast_1d(np.asarray(to_numpy("budget", budget), np.float64))
    best = np.atleast_1d(np.asarray(solve_mckp(*truth, limits, backend=backend).dual_bound))
    cheapest = truth[1].min(axis=1, keepdims=True)
    idle = float(np.where(truth[1] == cheapest, truth[0], -np.inf).max(axis=1).sum())
    if (best <= idle).any():
        raise ValueError(
            "the best plan brings no more than giving everybody what costs least: there is nothing to miss"
        )
    steps = _steps(*guess, *truth)
    paid = steps.cost if spend == "true" else steps.cost_hat
    found = [_at(steps, paid, float(b)) for b in limits]
    value, cost = (np.array(x) for x in zip(*found, strict=True))
    missed = 1 - (value - idle) / (best - idle)
    over = cost - limits
    answer = (missed, over) if np.ndim(budget) else (float(missed[0]), float(over[0]))
    return answer[0] if spend == "true" else Overspent(*answer)


class _Steps(NamedTuple):
    """Sums after 0, 1, … steps as λ falls from ∞ to 0: [E+1]."""

    value: np.ndarray
    cost: np.ndarray
    cost_hat: np.ndarray


def _steps(value_hat: np.ndarray, cost_hat: np.ndarray, value: np.ndarray, cost: np.ndarray) -> _Steps:
    """Every change of a user's decision, dearest multiplier first; equal ones by user.

    A user starts at the least predicted cost, and goes on along the upper hull of (cost_hat, value_hat): from each treatment to the
    one of the steepest slope, of those the furthest.
    """
    users = np.arange(len(value))
    at = _first(cost_hat, -value_hat)
    totals = [np.array([x[users, at].sum()]) for x in (value, cost, cost_hat)]
    slopes, who, changes = [], [], []
    while users.size:
        rows = np.arange(users.size)
        v, c = value_hat[users], cost_hat[users]
        run = c - c[rows, at][:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(run > 0, (v - v[rows, at][:, None]) / run, -np.inf)
        steepest = slope.max(axis=1)
        to = _first(np.where(slope == steepest[:, None], -c, np.inf), -v)
        goes = steepest > 0
        users, at, to, steepest = users[goes], at[goes], to[goes], steepest[goes]
        slopes.append(steepest)
        who.append(users)
        changes.append(np.stack([x[users, to] - x[users, at] for x in (value, cost, cost_hat)]))
        at = to
    order = np.lexsort((np.concatenate(who), -np.concatenate(slopes)))
    moved = np.concatenate(changes, axis=1)[:, order]
    return _Steps(*(np.concatenate([t, t + np.cumsum(d)]) for t, d in zip(totals, moved, strict=True)))


def _first(least: np.ndarray, then: np.ndarray) -> np.ndarray:
    """Of each row, the place of the smallest `least`; of equals the smallest `then`; of these the first."""
    tied = least == least.min(axis=1, keepdims=True)
    return np.asarray(np.where(tied, then, np.inf).argmin(axis=1))


def _at(steps: _Steps, paid: np.ndarray, budget: float) -> tuple[float, float]:
    """True value and true spend after as many steps as the budget pays for, the next one in part."""
    within = np.flatnonzero(paid <= budget)
    if within.size == 0:
        raise InfeasibleBudget(budget, float(paid.min()))
    last = int(within[-1])
    if last + 1 == len(paid):
        return float(steps.value[last]), float(steps.cost[last])
    part = (budget - paid[last]) / (paid[last + 1] - paid[last])
    value, cost = (float(x[last] + part * (x[last + 1] - x[last])) for x in (steps.value, steps.cost))
    return value, cost


def _numbers(value: Any, cost: Any) -> tuple[np.ndarray, np.ndarray]:
    problem = _check.instance(value, cost, None)
    made = tuple(widened(x[0]).astype(np.float64, copy=False) for x in (problem.value, problem.cost))
    for x in made:
        if not np.isfinite(x).all():
            raise ValueError(f"predictions and truth must be finite, got {x[~np.isfinite(x)][0]}")
    return made  # type: ignore[return-value]
