"""Decisions at given multipliers, and contested users, for the Numba backend (the twin of cpu/decide.cpp).

The kernel is the sweep, at a bracket no wider than the rows' own type needs to hold the multiplier. The one function
compiled here calls no other, since Numba's cache looks at the age of this file alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._problems import Contested, MckpResult, Problems
from .._spec import FIXED_POINT_BITS
from ..errors import Status
from . import numba as driver
from . import numba_kernels as kernels
from . import threads as _threads


@kernels.jit
def take_steeper(edges, slope, choice):  # type: ignore[no-untyped-def]
    """Takes, of listed edges (by user and position), those with value/cost > slope; returns what they add, as wide sums.

    Slopes too close for their roundings are compared digit by digit: the binary expansion of value/cost against that of
    `slope`, a double, whose digits end.
    """
    value_high, value_low, cost_high, cost_low = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for k in range(len(edges)):
        e = edges[k]
        if choice[e.user] != e.start:
            continue
        steeper = e.slope > slope
        if abs(e.slope - slope) <= 2.0**-49 * slope and slope < 2.0**63:
            whole = np.int64(slope)
            quotient, rest = e.value // e.cost, np.uint64(e.value % e.cost)
            steeper = quotient > whole
            if quotient == whole:
                fraction, cost = slope - np.float64(whole), np.uint64(e.cost)
                steeper = rest > 0
                while fraction > 0:
                    if rest == 0:
                        steeper = False
                        break
                    rest += rest
                    fraction += fraction
                    one, other = rest >= cost, fraction >= 1.0
                    if one != other:
                        steeper = one
                        break
                    if one:
                        rest -= cost
                        fraction -= 1.0
                    steeper = rest > 0
        if steeper:
            choice[e.user] = e.stop
            value_high += e.value >> 32
            value_low += e.value & 0xFFFFFFFF
            cost_high += e.cost >> 32
            cost_low += e.cost & 0xFFFFFFFF
    return (value_high, value_low), (cost_high, cost_low)


def _sweep(
    instance: kernels.Instance,
    scales: tuple[kernels.Scale, kernels.Scale],
    multiplier: float,
    margin: float,
    choice: np.ndarray,
    threads: int,
) -> tuple[np.ndarray, int, int]:
    """One pass: the users whose choice is not certain by the margin [found, 3], and value and cost of the others."""
    dtype = instance.value.dtype
    one, info = dtype.type, np.finfo(dtype)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        near = one(min(multiplier, float(info.max)))
        low = np.nextafter(near, one(0)) if float(near) > multiplier else near
        # An infinite end makes scores infinite or NaN, and those are never certain.
        high = np.nextafter(near, one(np.inf)) if float(near) < multiplier else near
        units = [math.ldexp(4.0, -scale.shift) for scale in scales]
        doubt = [np.nextafter(one(units[0] + float(end) * units[1] + margin), one(np.inf)) for end in (low, high)]
    ends = (low, high, *doubt, one(info.eps * 4), one(info.min))
    numbers = np.arange(instance.items, dtype=dtype)

    def chunk(begin: int, end: int) -> Any:
        return kernels.sweep(
            instance, driver.NOBODY, True, begin, end, ends, numbers, *scales, math.inf, math.inf, choice
        )

    parts = driver.for_chunks(instance.users, 4096, threads, chunk)
    if not parts:
        return driver.NOBODY, 0, 0
    value, cost = (sum(driver._whole(part[1][k]) for part in parts) for k in range(2))
    return np.concatenate([part[0] for part in parts]), value, cost


def decide(problems: Problems, multiplier: np.ndarray) -> MckpResult:
    """Every user takes all hull edges steeper than the multiplier of its problem."""
    out, threads = MckpResult.empty(problems), _threads()
    if problems.value.size < driver.WORTH_THREADS:
        threads = 1
    if not problems.count:
        return out
    instance, batch = driver._instance(problems)
    one_instance = batch == (0, 0, 0) and not problems.segmented
    largest = None
    for b in range(problems.count):
        one = driver._problem(instance, batch, problems, b)
        if largest is None or not one_instance:
            largest = driver._scan(one, threads)
        out.multiplier[b], out.rows_read[b] = multiplier[b], one.users
        if not np.isfinite(largest[:2]).all():
            out.status[b] = Status.NOT_FINITE
            continue
        solver = driver.Solver(one, largest, False, False, threads)
        scales, choice = (solver.value_scale, solver.cost_scale), out.choice_of(problems, b)
        out.value_unit[b], out.cost_unit[b] = (
            math.ldexp(1.0, -scale.shift) if most > 0 else 0.0 for scale, most in zip(scales, largest, strict=False)
        )
        unsure, value, cost = _sweep(one, scales, float(multiplier[b]), 0.0, choice, threads)
        at = float(multiplier[b])
        listing = solver.list_edges(unsure, len(unsure), driver.Bracket(at, at))
        out.rows_read[b] += one.users
        out.sweeps[b], out.active[b] = 1, len(unsure)
        if listing.closed:
            out.status[b] = Status.NO_OPEN_TREATMENT
            choice[:] = -1
            continue
        choice[unsure[:, 0]] = listing.at
        more = take_steeper(listing.edges, driver._ldexp(at, -solver.to_own), choice)
        value += listing.value + driver._whole(more[0])
        cost += listing.cost + driver._whole(more[1])
        out.value[b] = driver._ldexp(float(value), -scales[0].shift)
        out.spend[b] = driver._ldexp(float(cost), -scales[1].shift)
        out.dual_bound[b] = kernels.above(*driver._wide(value), scales[0].shift)
        out.gap[b] = 0.0
    return out


def contested(problems: Problems, multiplier: float, margin: float, units: tuple[float, float]) -> Contested:
    """Users of problem 0 whose best score at the multiplier is not certain to beat the second best by the margin."""
    threads = _threads() if problems.value.size >= driver.WORTH_THREADS else 1
    instance = driver._problem(*driver._instance(problems), problems, 0)
    scales = tuple(kernels.scale_for(math.ldexp(unit, FIXED_POINT_BITS - 1)) for unit in units)
    choice = np.empty(instance.users, np.int32)
    unsure, value, cost = _sweep(instance, scales, multiplier, margin, choice, threads)  # type: ignore[arg-type]
    return Contested(unsure[:, 0].copy(), choice, value, cost)
