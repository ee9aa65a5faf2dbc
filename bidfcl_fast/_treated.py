"""A cap on how many users get another treatment than `control`, beside the budget.

Two limits need two multipliers. One is exact where only one of the limits binds: the plan for the budget alone, if it keeps
the cap, or the plan for the cap alone (every treatment but control costs 1), if it keeps the budget. Ties are used to get
there: edges of one slope may be bought in any order.
"""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import NamedTuple

import numpy as np

from . import _totals
from ._precision import refuse
from ._problems import MckpResult, Problems
from ._proven import only
from .errors import Status

_NEAR = 2.0**-40  # slopes this close to λ* are looked at as ties; only true ones are reordered by that


class Limits(NamedTuple):
    treated: int  # users that get another treatment than control
    multiplier: float  # value of one more treated user, where the cap binds alone; else 0


def cap(
    problems: Problems, raw: MckpResult, b: int, most: int, control: int, module: ModuleType, *, fill: bool
) -> Limits | None:
    """Bring problem b under the cap, in place; or give it a status, and return None."""
    choice = raw.choice_of(problems, b)
    if _treated(choice, control) <= most:
        return Limits(_treated(choice, control), 0.0)
    one = only(problems, b)
    bare = module.mckp(one, fill=False) if fill else None
    if bare is not None and _treated(bare.choice[0], control) <= most:
        return _take(problems, raw, b, bare, bare.choice[0], control)
    price = float(raw.multiplier[b])
    order = _by_ties(one, price, module) if price > 0 else None
    if order is not None:
        again = module.mckp(_reordered(one, order), fill=False)
        found = np.empty_like(again.choice[0])
        found[order] = again.choice[0]
        if _treated(found, control) <= most:
            return _take(problems, raw, b, again, found, control)
    if price == 0:
        found = _untreated_for_money(one, choice, most, control)
        if found is not None:
            choice[:] = found
            raw.spend[b] = _totals.rounded(one.costs(0, found))
            return Limits(_treated(found, control), 0.0)
    return _cap_alone(problems, raw, b, one, most, control, module)


def _treated(choice: np.ndarray, control: int) -> int:
    return int(np.count_nonzero(choice != control))


def _take(problems: Problems, raw: MckpResult, b: int, found: MckpResult, choice: np.ndarray, control: int) -> Limits:
    raw.choice_of(problems, b)[:] = choice
    for name in ("value", "spend", "dual_bound", "gap"):
        getattr(raw, name)[b] = getattr(found, name)[0]
    return Limits(_treated(choice, control), 0.0)


def _reordered(one: Problems, order: np.ndarray) -> Problems:
    mask = None if one.mask is None else one.mask[:, order]
    return replace(one, value=one.value[:, order], cost=one.cost[:, order], mask=mask)


def _by_ties(one: Problems, price: float, module: ModuleType) -> np.ndarray | None:
    """Users in an order that buys, of equal slopes, the dear edges first: those spend the budget on few users."""
    ends = one.some(np.zeros(2, np.intp))
    low, high = module.decide(ends, price * np.array([1 - _NEAR, 1 + _NEAR])).choice
    tied = np.flatnonzero(low != high)
    if len(tied) < 2:
        return None
    step = (one.costs(0, low) - one.costs(0, high))[tied]
    return np.concatenate([tied[np.argsort(-step, kind="stable")], np.flatnonzero(low == high)])


def _untreated_for_money(one: Problems, choice: np.ndarray, most: int, control: int) -> np.ndarray | None:
    """With money left over: users for whom control is worth as much as their treatment, and dearer, go back to it."""
    value, rows = one.value[0], np.arange(len(choice))
    same = (choice != control) & (value[rows, choice] == value[:, control])
    if one.mask is not None:
        same &= one.mask[0, :, control]
    some = np.flatnonzero(same)
    step = (one.cost[0, :, control] - one.costs(0, choice))[some]
    some = some[np.argsort(step, kind="stable")][: _treated(choice, control) - most]
    found = choice.copy()
    found[some] = control
    fits = _treated(found, control) <= most and _totals.at_most(one.costs(0, found), float(one.budget[0]))
    return found if fits else None


def _cap_alone(
    problems: Problems, raw: MckpResult, b: int, one: Problems, most: int, control: int, module: ModuleType
) -> Limits | None:
    value, cost = one.value[0], one.cost[0]
    n = len(value)
    rows = np.arange(n)
    open_ = np.ones(value.shape, bool) if one.mask is None else one.mask[0]
    other = open_.copy()
    other[:, control] = False
    v = np.where(other, value, -np.inf)
    # The best other treatment: most value, then least cost, then the index.
    best = np.argmin(np.where(other & (v == v.max(axis=1)[:, None]), cost, np.inf), axis=1)
    two = Problems(
        np.stack([value[:, control], value[rows, best]], axis=1)[None],
        np.broadcast_to(np.array([0, 1], value.dtype), (1, n, 2)),
        np.stack([open_[:, control], other.any(axis=1)], axis=1)[None],
        one.start,
        one.stop,
        np.array([float(most)]),
    )
    spends = np.where(open_[:, control], cost[rows, best] - cost[:, control], 0)
    for order in (rows, np.argsort(spends, kind="stable")):
        found = module.mckp(_reordered(two, order), fill=False)
        if found.status[0] == Status.INFEASIBLE_BUDGET:
            refuse(problems, raw, b, Status.INFEASIBLE_MAX_TREATED)
            return None
        choice = np.empty(n, np.int32)
        choice[order] = found.choice[0]
        choice = np.where(choice == 1, best, control).astype(np.int32)
        costs = one.costs(0, choice)
        if _totals.at_most(costs, float(one.budget[0])):
            limits = _take(problems, raw, b, found, choice, control)
            raw.spend[b], raw.multiplier[b] = _totals.rounded(costs), 0.0
            return limits._replace(multiplier=float(found.multiplier[0]))
    refuse(problems, raw, b, Status.TWO_LIMITS)
    return None
