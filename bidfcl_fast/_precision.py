"""Whether fixed point was fine enough for a plan's certificate.

Every number is rounded up to a unit of 2^-61 times the largest. A single huge one ("not allowed", written as a cost of 1e18)
makes that unit coarse for all others, and then the certificate would be about another problem.
"""

from __future__ import annotations

import numpy as np

from ._problems import MckpResult, Problems
from .errors import Status

# How far, relatively, rounding may have moved the dual bound.
TOLERANCE = 1e-8


def refuse_too_wide(problems: Problems, raw: MckpResult) -> None:
    """Turn solved and infeasible problems whose numbers span too wide a range into `Status.TOO_WIDE`.

    N users move the Lagrangian bound at λ* by less than N·(value unit + λ*·cost unit): values are rounded up, which
    raises it, and costs too, which lowers it by λ* units at most.
    """
    users = problems.stop - problems.start
    with np.errstate(over="ignore"):
        moved = users * (raw.value_unit + raw.multiplier * raw.cost_unit)
    solved = raw.status == Status.SOLVED
    for b in np.flatnonzero(solved & (moved > TOLERANCE * np.abs(raw.dual_bound))):
        if moved[b] > TOLERANCE * _magnitude(problems, raw, int(b)):
            refuse(problems, raw, int(b), Status.TOO_WIDE)
    # Infeasible beyond doubt is infeasible all the same.
    infeasible = raw.status == Status.INFEASIBLE_BUDGET
    for b in np.flatnonzero(infeasible & (raw.least_budget - problems.budget <= users * raw.cost_unit)):
        if raw.cost_unit[b] > TOLERANCE * typical(problems.cost, problems, int(b)):
            refuse(problems, raw, int(b), Status.TOO_WIDE)


def _magnitude(problems: Problems, raw: MckpResult, b: int) -> float:
    """What the plan adds up, without signs: Σ|value| + λ*·Σ|cost| of its choices, and as many typical ones."""
    rows = slice(int(problems.start[b]), int(problems.stop[b]))
    choice = raw.choice_of(problems, b)[:, None]
    value, cost = (
        float(np.abs(np.take_along_axis(x[b, rows], choice, axis=1)).sum(dtype=np.float64))
        for x in (problems.value, problems.cost)
    )
    # Typical cells keep an empty plan (all free, all worthless) from being refused.
    value += len(choice) * typical(problems.value, problems, b)
    cost += len(choice) * typical(problems.cost, problems, b)
    return value + float(raw.multiplier[b]) * cost


def typical(array: np.ndarray, problems: Problems, b: int) -> float:
    """The median size of the open, non-zero cells of problem b; 0 if there are none."""
    rows = slice(int(problems.start[b]), int(problems.stop[b]))
    size = np.abs(array[b, rows])
    wanted = size > 0 if problems.mask is None else (size > 0) & problems.mask[b, rows]
    return float(np.median(size[wanted])) if wanted.any() else 0.0


def refuse(problems: Problems, raw: MckpResult, b: int, status: Status) -> None:
    """Problem b has no plan, and this status."""
    raw.status[b] = status
    raw.choice_of(problems, b)[:] = -1
    for x in (raw.multiplier, raw.value, raw.spend, raw.dual_bound, raw.gap, raw.least_budget):
        x[b] = np.nan


def largest_cell(problems: Problems, b: int, alone: bool) -> str:
    """The cell furthest from the typical one, as in `cost[3, 4] = 1e+18`."""
    rows = slice(int(problems.start[b]), int(problems.stop[b]))
    worst = ("", -1.0)
    for name, array in (("value", problems.value), ("cost", problems.cost)):
        size = np.abs(np.asarray(array[b, rows], np.float64))
        if problems.mask is not None:
            size = np.where(problems.mask[b, rows], size, 0.0)
        i, j = np.unravel_index(int(size.argmax()), size.shape)
        place = f"{i + rows.start}, {j}" if alone or array.strides[0] == 0 else f"{b}, {i + rows.start}, {j}"
        ratio = float(size[i, j]) / (typical(array, problems, b) or 1.0)
        if ratio > worst[1]:
            worst = (f"{name}[{place}] = {array[b, rows][i, j]:g}", ratio)
    return worst[0]
