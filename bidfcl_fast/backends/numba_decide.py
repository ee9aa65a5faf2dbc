"""Decisions at given multipliers, and contested users, for the Numba backend (the twin of cpu/decide.cpp).

The kernel is the sweep, at a bracket of one multiplier. The one function
compiled here calls no other, since Numba's cache looks at the age of this file alone.
"""

from __future__ import annotations

import math

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


def _whole(high: int, low: int) -> int:
    return (int(high) << 32) + int(low)


def decide(problems: Problems, multiplier: np.ndarray) -> MckpResult:
    """Every user takes all hull edges steeper than the multiplier of its problem."""
    out = MckpResult.empty(problems)
    threads = driver.Threads(_threads() if problems.value.size >= driver.WORTH_THREADS else 1)
    if not problems.count:
        return out
    all_rows, batch = driver._instance(problems)
    same = batch == (0, 0, 0) and not problems.segmented
    survey = None
    for b in range(problems.count):
        rows, at = driver._problem(all_rows, batch, problems, b), float(multiplier[b])
        if survey is None or not same:
            survey = kernels.survey_of(rows, threads.scan(rows))
        out.multiplier[b], out.rows_read[b] = at, rows.users
        if not survey.finite:
            out.status[b] = Status.NOT_FINITE
            continue
        kernels.tell_units(survey, out, b)
        choice, counting = out.choice_of(problems, b), kernels.true_counting(rows, survey)
        totals, unsure = threads.decide(rows, counting, kernels.place_at(rows, counting, at, 0.0), choice)
        near = kernels.slopes_at(counting, at)
        more, listed, closed = threads.walk_users(rows, counting, near, unsure, unsure, choice)
        out.rows_read[b] += rows.users
        out.sweeps[b], out.active[b] = 1, len(unsure)
        if closed:
            out.status[b] = Status.NO_OPEN_TREATMENT
            choice[:] = -1
            continue
        totals += more[-5:]
        bought = take_steeper(
            kernels.exact_edges(rows, counting, listed), kernels.slope_at_multiplier(counting, at), choice
        )
        value = _whole(*totals[:2]) + _whole(*bought[0])
        cost = _whole(*totals[2:4]) + _whole(*bought[1])
        out.value[b] = kernels.nearest(value >> 32, value & 0xFFFFFFFF, counting.value.shift)
        out.spend[b] = kernels.nearest(cost >> 32, cost & 0xFFFFFFFF, counting.cost.shift)
        out.dual_bound[b] = kernels.above(value >> 32, value & 0xFFFFFFFF, counting.value.shift)
        out.gap[b] = 0.0
    return out


def contested(
    problems: Problems, plan: np.ndarray, multiplier: float, margin: float, units: tuple[float, float]
) -> Contested:
    """Users of problem 0 whose best score at the multiplier is not certain to beat the second best by the margin."""
    threads = driver.Threads(_threads() if problems.value.size >= driver.WORTH_THREADS else 1)
    rows = driver._problem(*driver._instance(problems), problems, 0)
    value, cost = (math.ldexp(unit, FIXED_POINT_BITS - 1) for unit in units)
    counting = kernels.true_counting(rows, kernels.Survey(value, cost, 0.0, True, False, True))
    choice = np.empty(rows.users, np.int32)
    ends = kernels.place_at(rows, counting, multiplier, margin)
    totals, unsure = threads.decide(rows, counting, ends, choice)
    return Contested.against(plan, unsure, choice, _whole(*totals[:2]), _whole(*totals[2:4]))
