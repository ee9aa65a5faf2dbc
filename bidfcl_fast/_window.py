"""A least spend beside the budget: the window [min_spend, budget].

The best LP value at a spend is a concave function of it. Up to where it peaks the budget binds, and the plain plan is the
answer; a plan that stays below min_spend though the budget binds has met a window narrower than one edge. Where the
peak itself is below min_spend, money is forced out: mirrored, with costs and limits negated, that is the plain problem again.
"""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np

from . import _totals
from ._precision import refuse, refuse_too_wide
from ._problems import MckpResult, Problems
from .errors import Status


def spend_at_least(
    problems: Problems, raw: MckpResult, least: np.ndarray, module: ModuleType, *, fill: bool
) -> np.ndarray:
    """Bring the solved plans into their windows, in place; the others get a status. [B] the most that can be spent, where
    that is too little, else NaN."""
    most = np.full(problems.count, np.nan)
    if not fill:  # a limit is a limit: what fill adds may be just what is missing
        short = _short(problems, raw, least, binding=True)
        if len(short):
            _copy(problems, raw, short, module.mckp(problems.some(short), fill=True))
    for b in _short(problems, raw, least, binding=True):
        refuse(problems, raw, int(b), Status.NARROW_WINDOW)
    short = _short(problems, raw, least, binding=False)
    if not len(short):
        return most
    asked = problems.some(short)
    mirrored = replace(asked, cost=_negated(asked.cost), budget=-least[short])
    forced = module.mckp(mirrored, fill=fill)
    refuse_too_wide(mirrored, forced)
    for k, b in enumerate(short.tolist()):
        peak = raw.choice_of(problems, b).copy()
        if forced.status[k] == Status.INFEASIBLE_BUDGET:
            most[b] = -forced.least_budget[k]
            refuse(problems, raw, b, Status.INFEASIBLE_MIN_SPEND)
        elif forced.status[k] != Status.SOLVED:
            refuse(problems, raw, b, Status(int(forced.status[k])))
        else:
            spend = -forced.spend[k] + 0.0
            _copy(problems, raw, [b], forced, k)
            raw.multiplier[b], raw.spend[b] = -forced.multiplier[k] + 0.0, spend
            if not _totals.at_most(problems.costs(b, raw.choice_of(problems, b)), problems.budget[b]) and not _between(
                problems, raw, b, peak, least[b]
            ):
                refuse(problems, raw, b, Status.NARROW_WINDOW)
    return most


def _short(problems: Problems, raw: MckpResult, least: np.ndarray, *, binding: bool) -> np.ndarray:
    """Solved problems that spend too little, those whose budget binds or the others."""
    found = [
        b
        for b in np.flatnonzero((raw.status == Status.SOLVED) & ((raw.multiplier > 0) == binding))
        if raw.spend[b] <= least[b] + 1e-9 * abs(least[b])
        and not _totals.at_least(problems.costs(int(b), raw.choice_of(problems, int(b))), least[b])
    ]
    return np.array(found, np.intp)


def _negated(x: np.ndarray) -> np.ndarray:
    """-x; an instance that several problems share stays shared."""
    return np.broadcast_to(-x[:1], x.shape) if x.strides[0] == 0 else -x


def _copy(problems: Problems, raw: MckpResult, which, found: MckpResult, k: int | None = None) -> None:  # type: ignore[no-untyped-def]
    for row, b in enumerate(which):
        row = row if k is None else k
        users = slice(int(problems.start[b]), int(problems.stop[b]))
        raw.choice_of(problems, int(b))[:] = found.choice[row, users]
        for name in ("multiplier", "value", "spend", "dual_bound", "gap", "status"):
            getattr(raw, name)[b] = getattr(found, name)[row]
        for name in ("rows_read", "sweeps", "active"):
            getattr(raw, name)[b] += getattr(found, name)[row]


def _between(problems: Problems, raw: MckpResult, b: int, peak: np.ndarray, least: float) -> bool:
    """Where several plans are worth the most, some cheaper than min_spend and some dearer than the budget: move users from
    the one to the other until the spend is inside."""
    if raw.multiplier[b] != 0:
        return False
    dear = raw.choice_of(problems, b)
    before, after = problems.costs(b, peak).astype(np.float64), problems.costs(b, dear).astype(np.float64)
    spend = float(before.sum()) + np.cumsum(after - before)
    moved = int(np.searchsorted(spend, problems.budget[b], side="right"))
    for count in (moved, moved - 1):  # the float sums may be off by one user
        mixed = np.concatenate([after[: max(count, 0)], before[max(count, 0) :]])
        if _totals.at_most(mixed, problems.budget[b]) and _totals.at_least(mixed, least):
            dear[max(count, 0) :] = peak[max(count, 0) :]
            raw.spend[b] = _totals.rounded(mixed)
            return True
    return False
