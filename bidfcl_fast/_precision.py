"""Whether fixed point was fine enough for a plan's certificate.

Every number is rounded up to a unit of 2^-61 times the largest. A single huge one ("not allowed", written as a cost of 1e18)
makes that unit coarse for all others, and then the certificate would be about another problem.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._device import on_host, view
from ._problems import MckpResult, Problems
from .errors import Status

# How far, relatively, rounding may have moved the dual bound.
TOLERANCE = 1e-8


def refuse_out_of_range(problems: Problems, raw: MckpResult) -> None:
    """Turn problems whose totals or multiplier overflowed into `Status.OUT_OF_RANGE`: infinity certifies nothing."""
    solved = [raw.multiplier, raw.value, raw.spend, raw.dual_bound, raw.gap]
    beyond = (raw.status == Status.SOLVED) & ~np.isfinite(solved).all(axis=0)
    beyond |= (raw.status == Status.INFEASIBLE_BUDGET) & ~np.isfinite(raw.least_budget)
    for b in np.flatnonzero(beyond).tolist():
        refuse(problems, raw, b, Status.OUT_OF_RANGE)


def provable(raw: MckpResult, b: int) -> bool:
    """Whether the floats of a proof of problem b stay normal: its losses are differences of scores, in units of values."""
    price, small = float(raw.multiplier[b]), 2.0**-960
    units = (float(raw.value_unit[b]), float(raw.cost_unit[b]))
    steps = [units[0], units[1]] + ([price, price * units[1]] if price > 0 else [])
    return min(steps) > small and max(units[0], units[1], price * units[1]) < 2.0**900


def refuse_too_wide(problems: Problems, raw: MckpResult) -> None:
    """Turn solved and infeasible problems whose numbers span too wide a range into `Status.TOO_WIDE`, or `OUT_OF_RANGE`.

    N users move the Lagrangian bound at λ* by less than N·(value unit + λ*·cost unit): values are rounded up, which
    raises it, and costs too, which lowers it by λ* units at most.
    """
    if _plainly_fine(problems, raw):
        return
    users = problems.stop - problems.start
    refuse_out_of_range(problems, raw)
    with np.errstate(over="ignore", invalid="ignore"):
        moved = _moved(users, raw.value_unit, raw.multiplier, raw.cost_unit)
    solved = raw.status == Status.SOLVED
    far = np.flatnonzero(solved & (moved > TOLERANCE * np.abs(raw.dual_bound)))
    # Infeasible beyond doubt is infeasible all the same.
    infeasible = raw.status == Status.INFEASIBLE_BUDGET
    near = np.flatnonzero(infeasible & (raw.least_budget - problems.budget <= users * raw.cost_unit))
    if not len(far) + len(near):
        return
    host = problems.on_host()  # once: it may be a copy of all
    for b in far:
        if moved[b] > TOLERANCE * _magnitude(host, raw, int(b)):
            refuse(problems, raw, int(b), Status.TOO_WIDE)
    for b in near:
        if raw.cost_unit[b] > TOLERANCE * typical(host.cost, host, int(b)):
            refuse(problems, raw, int(b), Status.TOO_WIDE)


def _moved(users: Any, value_unit: Any, multiplier: Any, cost_unit: Any) -> Any:
    """What rounding may have moved the bound by."""
    return users * (value_unit + multiplier * cost_unit)


def _plainly_fine(problems: Problems, raw: MckpResult) -> bool:
    """Whether it is one problem, and beyond doubt: what most calls ask, answered without arrays."""
    if len(raw.status) != 1 or raw.status[0] != 0:
        return False
    numbers = (raw.multiplier, raw.value, raw.spend, raw.dual_bound, raw.gap, raw.value_unit, raw.cost_unit)
    price, value, spend, bound, gap, value_unit, cost_unit = (x.item() for x in numbers)
    moved = _moved(int(problems.stop[0] - problems.start[0]), value_unit, price, cost_unit)
    return moved <= TOLERANCE * abs(bound) and all(map(math.isfinite, (price, value, spend, bound, gap)))


def _magnitude(problems: Problems, raw: MckpResult, b: int) -> float:
    """What the plan adds up, without signs: Σ|value| + λ*·Σ|cost| of its choices, and as many typical ones."""
    choice = on_host(view("choice", raw.choice_of(problems, b)))
    with np.errstate(over="ignore"):
        value, cost = (
            float(np.abs(problems.chosen(x, b, choice)).sum(dtype=np.float64)) for x in (problems.value, problems.cost)
        )
    # Typical cells keep an empty plan (all free, all worthless) from being refused.
    value += len(choice) * typical(problems.value, problems, b)
    cost += len(choice) * typical(problems.cost, problems, b)
    return value + float(raw.multiplier[b]) * cost


def typical(array: np.ndarray, problems: Problems, b: int) -> float:
    """The median size of the open, non-zero cells of problem b; 0 if there are none."""
    size = np.abs(problems.cells(array, b))
    wanted = size > 0 if problems.mask is None else (size > 0) & problems.cells(problems.mask, b)
    return median(size[wanted])


def median(sizes: np.ndarray) -> float:
    """Of numbers that are not negative; 0 if there are none. numpy.median adds the two in the middle, which may overflow."""
    if not len(sizes):
        return 0.0
    low, high = (len(sizes) - 1) // 2, len(sizes) // 2
    sizes = np.partition(sizes, (low, high))
    return float(sizes[low]) + (float(sizes[high]) - float(sizes[low])) / 2


def refuse(problems: Problems, raw: MckpResult, b: int, status: Status) -> None:
    """Problem b has no plan, and this status."""
    raw.status[b] = status
    raw.choice_of(problems, b)[:] = -1
    for x in (raw.multiplier, raw.value, raw.spend, raw.dual_bound, raw.gap, raw.least_budget):
        x[b] = np.nan


def largest_cell(problems: Problems, b: int) -> str:
    """The cell furthest from the typical one, as in `cost[3, 4] = 1e+18`."""
    worst = ("", -1.0)
    for name, array in (("value", problems.value), ("cost", problems.cost)):
        cells = problems.cells(array, b)
        size = np.abs(np.asarray(cells, np.float64))
        if problems.mask is not None:
            size = np.where(problems.cells(problems.mask, b), size, 0.0)
        k = int(size.argmax())
        ratio = float(size.flat[k]) / (typical(array, problems, b) or 1.0)
        if ratio > worst[1]:
            worst = (f"{name}{problems.place(array, b, k)} = {cells.flat[k]:g}", ratio)
    return worst[0]
