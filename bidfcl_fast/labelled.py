"""Budgets on labelled rows: the multiplier at which the observed, inverse-propensity weighted spend is within a budget.

A trial shows a decision's cost only for the users who happened to receive it: the spend at a multiplier λ is
C(λ) = Σ_i weight_i·cost_i·1[i decides for the treatment received], and V(λ) the same with values. C is a step function and not
monotone (METHOD.md §1.3), so a bisection finds some crossing, and may end outside the budget. But each row's own treatment is its
decision on one interval of λ. The ends of these intervals are all the breakpoints there are: sorted and summed once, they give
every budget its answer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import _check, backends
from ._device import on_host, view
from .data.table import Table
from .errors import InfeasibleBudget


class Eom(NamedTuple):
    """Value and spend per user at the multiplier; floats for one budget, float64 [K] for several."""

    value: Any
    spend: Any
    multiplier: Any


def eom(value_hat: Any, cost_hat: Any, table: Table, budget: Any, *, backend: str | None = None) -> Eom:
    """Expected outcome metric: what the decisions of these predictions bring on a trial, at a budget per user.

    Horvitz–Thompson, with the multiplier found on the same rows. The answer is the smallest multiplier whose spend is within the
    budget; of the interval of multipliers that decide alike, its middle, far from ties.

    Parameters
    ----------
    value_hat, cost_hat
        [N, M] float32 or float64: predictions for the users of `table`.
    table
        A trial. Without propensities, the shares of its treatments are used, and every treatment must have been received.
    budget
        Money per user: a number, or [K].
    backend
        As in `solve_mckp`.

    Returns
    -------
    Eom
        (value, spend, multiplier); spend ≤ budget always.

    Raises
    ------
    InfeasibleBudget
        If no multiplier spends so little.
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    Source: Bi-DFCL Algorithms 2 and 6; the exact breakpoints are this project's. Algorithm 2's bisection is
    `backends.reference.bisection`.
    """
    received = table.received_propensity
    if table.propensity is None:
        _all_received(table.treatment, np.asarray(value_hat).shape[-1] if np.ndim(value_hat) else 0)
    weight = 1.0 / (len(table) * received)
    return labelled_multiplier(
        value_hat, cost_hat, table.treatment, table.value, table.cost, weight, budget, backend=backend
    )


def labelled_multiplier(
    value_hat: Any,
    cost_hat: Any,
    treatment: Any,
    outcome: Any,
    cost_outcome: Any,
    weight: Any,
    budget: Any,
    *,
    backend: str | None = None,
) -> Eom:
    """`eom` from arrays, those of the losses: value_hat, cost_hat [N, M]; treatment, outcome, cost_outcome, weight [N].

    Halves give the answer of their float32 copies. With `weight` = 1/(N·p_t), `budget` is money per user. Arrays of any library; predictions on a CUDA device are read there, and the
    two ends of each row's interval come to the host, where they are sorted.
    """
    problems = _check.instance(value_hat, cost_hat, None, device=True)
    module = backends.resolve(backend, on_device=problems.on_device)
    if problems.on_device:
        if not module.magnitudes(problems).finite:
            problems = problems.on_host()
        value, cost = view("value_hat", value_hat), view("cost_hat", cost_hat)
    if not problems.on_device:
        problems = problems.widened()
        value, cost = problems.value[0], problems.cost[0]
        _finite("value_hat", value)
        _finite("cost_hat", cost)
    n = problems.users
    t = np.ascontiguousarray(_label("treatment", treatment))
    if t.dtype.kind not in "iu" or t.shape != (n,):
        raise ValueError(f"treatment must be [{n}] integers, got shape {list(t.shape)}, dtype {t.dtype}")
    labels = []
    for name, x in (("outcome", outcome), ("cost_outcome", cost_outcome), ("weight", weight)):
        array = np.asarray(_label(name, x), np.float64)
        if array.shape != (n,):
            raise ValueError(f"{name} must be [{n}], got shape {list(array.shape)}")
        _finite(name, array)
        labels.append(array)
    budgets = np.asarray(_label("budget", budget), np.float64)
    if budgets.ndim > 1 or budgets.size == 0 or not np.isfinite(budgets).all():
        raise ValueError(f"budget must be a finite number or [K], got {budget!r}")
    low, high = module.received_intervals(value, cost, t.astype(np.int64, copy=False))
    worth, price = labels[2] * labels[0], labels[2] * labels[1]
    steps = _steps(low, high, price, worth)
    found = [_first_within(steps, low, high, price, float(b)) for b in np.atleast_1d(budgets)]
    spend, multiplier = (np.array(x) for x in zip(*found, strict=True))
    value_at = np.array([worth[(low <= m) & (m < high)].sum() for m in multiplier])
    if budgets.ndim:
        return Eom(value_at, spend, multiplier)
    return Eom(float(value_at[0]), float(spend[0]), float(multiplier[0]))


def _steps(
    low: np.ndarray, high: np.ndarray, price: np.ndarray, worth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the steps of (C, V)(λ) start, C on each, and the least C up to each."""
    matters = (low < high) & ((price != 0) | (worth != 0))
    low, high, price = low[matters], high[matters], price[matters]
    ends = np.isfinite(high)
    place = np.concatenate([[0.0], low, high[ends]])
    change = np.concatenate([[0.0], price, -price[ends]])
    order = np.argsort(place)
    place, spend = place[order], np.cumsum(change[order])
    last = np.append(place[1:] != place[:-1], True)  # the sum at a place is known after its last change
    return place[last], spend[last], np.minimum.accumulate(spend[last])


def _first_within(
    steps: tuple[np.ndarray, np.ndarray, np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
    price: np.ndarray,
    budget: float,
) -> tuple[float, float]:
    """Spend and multiplier of the first step within the budget."""
    start, spend, least = steps
    # Running sums carry rounding: a step that may be within is summed anew, and that sum decides.
    slack = 1e-12 * float(np.abs(price).sum())
    first = int(np.searchsorted(-least, -(budget + slack), side="left"))
    for k in range(first, len(start)):
        if spend[k] > budget + slack:
            continue
        after = start[k + 1] if k + 1 < len(start) else 2 * start[k]
        multiplier = float(start[k] + (after - start[k]) / 2) if k else 0.0
        total = float(price[(low <= multiplier) & (multiplier < high)].sum())
        if total <= budget:
            return total, multiplier
    raise InfeasibleBudget(budget, float(least[-1]))


def _label(name: str, x: Any) -> np.ndarray:
    """On the host, wherever it was."""
    seen: np.ndarray = on_host(view(name, x))
    return seen


def _finite(name: str, x: np.ndarray) -> None:
    if not np.isfinite(x).all():
        at = tuple(map(int, np.argwhere(~np.isfinite(x))[0]))
        raise ValueError(f"{name} must be finite, got {x[at]} at {name}{list(at)}")


def _all_received(treatment: np.ndarray, treatments: int) -> None:
    missing = np.flatnonzero(np.bincount(treatment, minlength=treatments) == 0)
    if missing.size:
        raise ValueError(
            f"nobody received treatment {missing[0]}: what it brings is unknown; leave it out, or give the table propensities"
        )
