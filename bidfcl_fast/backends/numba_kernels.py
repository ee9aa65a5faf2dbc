"""The compiled loops of the Numba backend; each is the twin of the C++ function of the same name in csrc/.

All of them stand in one file, with every constant they use, because Numba's cache knows a function by its own file alone:
were `to_fixed` or FILL_WINDOW edited in another one, its users here would go on running the old code, for those who
upgrade as well.

Numba has no 128-bit integer. A wide number is a pair (high, low) for high·2^32 + low with 0 ≤ low < 2^32, and a sum of
many adds the two parts apart: |q| ≤ 2^61, so 2^31 of them fit.
"""

# Numba infers the types of these functions from their arguments.
# mypy: disallow-untyped-defs=False, check-untyped-defs=False

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np


def jit(function: Callable) -> Any:
    """Compiled at the first call and kept on disk, without the GIL; never with fastmath, which would round as it likes."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": False, "boundscheck": False}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to keep it in, neither beside this file nor the user's own
        return numba.njit(**options)(function)


CLOSED = np.int64(2**63 - 1)  # as a cost
SLOPE_FILTER = 2.0**-49  # two rounded slopes further apart decide the exact order (each carries three roundings)
SLACK = 2.0**-40  # a bracket is widened by this much when edges are listed: listing one too many never hurts
LOW_32, THIRTY_TWO = np.uint64(2**32 - 1), np.uint64(32)

# Written again: those of _spec.py, and codes of errors.Status.
FIXED_POINT_BITS, FILL_WINDOW = 61, 64
SOLVED, INFEASIBLE_BUDGET, NOT_FINITE, NO_OPEN_TREATMENT = 0, -1, -2, -3


class Instance(NamedTuple):
    """Where the numbers of a problem lie: flat arrays, and strides in elements that may be zero or negative.

    One type for all layouts, so that a dtype compiles once. `open` is a single 1 with strides of zero where there is no mask.
    """

    value: Any  # [...] float32 or float64
    cost: Any
    open: Any  # [...] uint8
    value_at: int
    value_row: int
    value_item: int
    cost_at: int
    cost_row: int
    cost_item: int
    open_at: int
    open_row: int
    open_item: int
    users: int
    items: int
    masked: bool


class Batch(NamedTuple):
    """The steps from one problem to the next, in elements."""

    value: int
    cost: int
    open: int


class Scale(NamedTuple):
    """x becomes x·2^shift, an integer; 2^shift in two factors, since one alone may leave the range of double."""

    shift: int
    factor: float
    factor_too: float


# One step up a hull: `cost` more money for `value` more value; `slope` is value/cost rounded, a filter.
EDGE = np.dtype(
    [
        ("slope", "f8"),
        ("value", "i8"),
        ("cost", "i8"),
        ("user", "i4"),
        ("position", "i4"),
        ("start", "i4"),
        ("stop", "i4"),
    ]
)


# --- Exact numbers (core/fixed.h) -------------------------------------------------------------------------------------


@jit
def scale_for(magnitude):
    """The scale at which every number up to `magnitude` fits FIXED_POINT_BITS."""
    shift = FIXED_POINT_BITS - np.int64(math.frexp(magnitude)[1])
    half = shift // 2
    return Scale(shift, math.ldexp(1.0, half), math.ldexp(1.0, shift - half))


@jit
def to_fixed(scale, x):
    """x·2^shift, rounded up: a cost is never understated, nor a value, which the bound counts."""
    scaled = x * scale.factor * scale.factor_too  # exact, or so small that only its sign matters
    n = np.int64(scaled)
    n += np.int64(np.float64(n) < scaled)
    n += np.int64((n == 0) & (x > 0))
    return n


@jit
def carry(high, low):
    return high + (low >> 32), low & 0xFFFFFFFF


@jit
def at_most(a_high, a_low, b_high, b_low):
    return a_high < b_high or (a_high == b_high and a_low <= b_low)


@jit
def floor_wide(scale, x):
    """The largest integer not above x·2^shift, held within 2^93: a budget beyond that is beyond every spend."""
    scaled = np.floor(max(-(2.0**93), min(2.0**93, x * scale.factor * scale.factor_too)))
    if scaled == 0 and x < 0:
        scaled = -1.0
    high = np.floor(scaled * 2.0**-32)
    return np.int64(high), np.int64(scaled - high * 2.0**32)


@jit
def to_double(high, low):
    """The nearest double: the sum of two exact ones is rounded once."""
    return np.float64(high >> 20) * 2.0**52 + np.float64(((high & 0xFFFFF) << 32) | low)


@jit
def above(high, low, shift):
    """The smallest double that is not below the wide number over 2^shift."""
    x = to_double(high, low)
    x_high = np.floor(x * 2.0**-32)
    if not at_most(high, low, np.int64(x_high), np.int64(x - x_high * 2.0**32)):
        x = np.nextafter(x, np.inf)
    return math.ldexp(x, -shift)


@jit
def product(a, b):
    """a·b of two non-negative int64, as two uint64."""
    a_high, a_low = np.uint64(a) >> THIRTY_TWO, np.uint64(a) & LOW_32
    b_high, b_low = np.uint64(b) >> THIRTY_TWO, np.uint64(b) & LOW_32
    low = a_low * b_low
    middle = a_high * b_low + (low >> THIRTY_TWO)  # cannot overflow: a, b < 2^63
    other = a_low * b_high + (middle & LOW_32)
    return a_high * b_high + (middle >> THIRTY_TWO) + (other >> THIRTY_TWO), (other << THIRTY_TWO) | (low & LOW_32)


@jit
def share_up(value, left, cost):
    """⌈value·left/cost⌉ for 0 ≤ left < cost: value bit by bit, so that nothing passes 2^64."""
    quotient, rest = np.int64(0), np.uint64(0)
    left, cost = np.uint64(left), np.uint64(cost)
    for k in range(62, -1, -1):
        rest += rest
        quotient += quotient
        if (value >> k) & 1:
            rest += left
        while rest >= cost:
            rest -= cost
            quotient += 1
    return quotient + np.int64(rest > 0)


@jit
def times_up(value, cost, count):
    """⌈value·count/cost⌉ as a wide number, for a small count."""
    quotient = value // cost
    extra = share_up(count, value % cost, cost)
    return carry((quotient >> 32) * count, (quotient & 0xFFFFFFFF) * count + extra)


@jit
def slope_nearest(value, cost, shift):
    """The double nearest to value/cost, times 2^shift (both positive)."""
    a, b = np.float64(value), np.float64(cost)
    if np.int64(a) == value and np.int64(b) == cost:
        return math.ldexp(a / b, shift)
    quotient, rest = value // cost, np.uint64(value % cost)
    while quotient < 2**61:
        rest += rest
        more = rest >= np.uint64(cost)
        if more:
            rest -= np.uint64(cost)
        quotient += quotient + np.int64(more)
        shift -= 1
    return math.ldexp(np.float64(quotient | np.int64(rest > 0)), shift)  # a sticky bit: one rounding in all


# --- One row's hull (core/hull.h) -------------------------------------------------------------------------------------


@jit
def compare_slopes(slope_a, value_a, cost_a, slope_b, value_b, cost_b):
    """Exact order of value_a/cost_a against value_b/cost_b: negative, zero or positive."""
    difference, doubt = slope_a - slope_b, SLOPE_FILTER * slope_a
    if difference > doubt:
        return 1
    if difference < -doubt:
        return -1
    left, left_low = product(value_a, cost_b)
    right, right_low = product(value_b, cost_a)
    if left == right:
        left, right = left_low, right_low
    return np.int64(left > right) - np.int64(left < right)


@jit
def steeper(a, b):
    """The order in which a budget buys: slope falling, then user, then position."""
    order = compare_slopes(a.slope, a.value, a.cost, b.slope, b.value, b.cost)
    if order != 0:
        return order > 0
    return a.user < b.user if a.user != b.user else a.position < b.position


@jit
def quantise(instance, user, value_scale, cost_scale, value, cost):
    """One row in fixed point."""
    v = instance.value_at + user * instance.value_row
    c = instance.cost_at + user * instance.cost_row
    o = instance.open_at + user * instance.open_row
    for j in range(instance.items):
        if not instance.masked or instance.open[o + j * instance.open_item]:
            value[j] = to_fixed(value_scale, instance.value[v + j * instance.value_item])
            cost[j] = to_fixed(cost_scale, instance.cost[c + j * instance.cost_item])
        else:
            cost[j] = CLOSED


@jit
def cheapest(value, cost):
    """Where a hull starts: least cost, then largest value, then smallest index; -1 if nothing is open."""
    at = -1
    for j in range(len(cost)):
        if cost[j] == CLOSED:
            continue
        if at < 0 or cost[j] < cost[at] or (cost[j] == cost[at] and value[j] > value[at]):
            at = j
    return at


@jit
def next_edge(value, cost, at):
    """The edge that leaves vertex `at`, as (stop, slope, value, cost): the steepest, then the cheaper (points on a line
    stay apart, so that a budget can stop at each), then the smallest index. stop = -1 at the end of the hull."""
    stop, best_slope, best_value, best_cost = -1, 0.0, np.int64(0), np.int64(0)
    for j in range(len(cost)):
        if cost[j] == CLOSED or cost[j] <= cost[at] or value[j] <= value[at]:
            continue
        more_value, more_cost = value[j] - value[at], cost[j] - cost[at]
        slope = np.float64(more_value) / np.float64(more_cost)
        if stop >= 0:
            order = compare_slopes(slope, more_value, more_cost, best_slope, best_value, best_cost)
            if order < 0 or (order == 0 and more_cost >= best_cost):
                continue
        stop, best_slope, best_value, best_cost = j, slope, more_value, more_cost
    return stop, best_slope, best_value, best_cost


# --- Hull edges of many users (cpu/edges.cpp) -------------------------------------------------------------------------


@jit
def list_edges(instance, users, whole, begin, end, value_scale, cost_scale, low, high, at_out):
    """The edges whose slope lies in [low, high] (in fixed-point units), by user and position, of users[begin:end].

    Returns the edges, the totals of value and cost in front of them, and whether some user had nothing open; at_out[k]
    is where the k-th user stands in front of its edges.
    """
    value, cost = np.empty(instance.items, np.int64), np.empty(instance.items, np.int64)
    edges = np.empty(2 * (end - begin) + instance.items, EDGE)
    found, closed = 0, False
    value_high, value_low, cost_high, cost_low = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for n in range(begin, end):
        user = np.int64(n if whole else users[n, 0])
        quantise(instance, user, value_scale, cost_scale, value, cost)
        at = np.int64(-1 if whole else users[n, 2])
        if at < 0:
            at = cheapest(value, cost)
        if at < 0:
            closed = True
            at_out[n] = -1
            continue
        stop, slope, more_value, more_cost = next_edge(value, cost, at)
        while stop >= 0 and slope > high:
            at = stop
            stop, slope, more_value, more_cost = next_edge(value, cost, at)
        at_out[n] = at
        value_high += value[at] >> 32
        value_low += value[at] & 0xFFFFFFFF
        cost_high += cost[at] >> 32
        cost_low += cost[at] & 0xFFFFFFFF
        if found + instance.items > len(edges):
            wider = np.empty(2 * len(edges) + instance.items, EDGE)
            wider[:found] = edges[:found]
            edges = wider
        first = found
        while stop >= 0 and slope >= low:
            e = edges[found]
            e.slope, e.value, e.cost = slope, more_value, more_cost
            e.user, e.position, e.start, e.stop = user, found - first, at, stop
            found += 1
            at = stop
            stop, slope, more_value, more_cost = next_edge(value, cost, at)
    return edges[:found], carry(value_high, value_low), carry(cost_high, cost_low), closed


# --- Scan and sweep: the two loops that read every row (cpu/sweep.cpp) ------------------------------------------------


@jit
def magnitudes(x, at, row, item, instance, begin, end, all_but_sign):
    """The largest |x| of open cells and the least that is not zero, as the integers that hold them: those compare alike,
    with infinity and NaN above every number."""
    largest, least = np.int64(0), np.int64(all_but_sign)
    if item == 1 and row == instance.items and not instance.masked:
        rows = x[at + begin * row : at + end * row]
        for k in range(len(rows)):
            bits = rows[k] & all_but_sign
            largest = max(largest, bits)
            least = min(least, bits if bits > 0 else all_but_sign)
        return largest, least
    for i in range(begin, end):
        for j in range(instance.items):
            if not instance.masked or instance.open[instance.open_at + i * instance.open_row + j * instance.open_item]:
                bits = x[at + i * row + j * item] & all_but_sign
                largest = max(largest, bits)
                least = min(least, bits if bits > 0 else all_but_sign)
    return largest, least


@jit
def scan(instance, begin, end, magnitude):
    """The largest |value|, the largest |cost|, and the least |cost| that is not zero (NaN if none is).

    `magnitude` [1] holds all bits but the sign, in the integer of the same width.
    """
    out = np.empty(3, magnitude.dtype)
    x = instance.value.view(magnitude.dtype)
    out[0], _ = magnitudes(
        x, instance.value_at, instance.value_row, instance.value_item, instance, begin, end, magnitude[0]
    )
    x = instance.cost.view(magnitude.dtype)
    out[1], out[2] = magnitudes(
        x, instance.cost_at, instance.cost_row, instance.cost_item, instance, begin, end, magnitude[0]
    )
    return out.view(instance.value.dtype)


@jit
def whole_units(instance, scale, begin, end):
    """Whether every open cost is a whole number of units. A double of 2^52 or more always is."""
    for i in range(begin, end):
        for j in range(instance.items):
            if instance.masked and not instance.open[instance.open_at + i * instance.open_row + j * instance.open_item]:
                continue
            x = instance.cost[instance.cost_at + i * instance.cost_row + j * instance.cost_item]
            size = abs(np.float64(x)) * scale.factor * scale.factor_too
            if size < 2.0**52 and (np.floor(size) != size or (size == 0 and x != 0)):
                return False
    return True


@jit
def doubtful(cost_scale, largest, least, digits):
    """Whether some cost may be no whole number of units; `digits` are the bits of a mantissa."""
    return largest > 0 and least < math.ldexp(1.0, digits - 1 - cost_scale.shift)


# Users of a block, side by side as lanes: the loops over them compile to vector instructions. A block's columns and its
# state stay in the first cache.
W = 64

# The state of a block, W numbers each: at the high end the best score, the second best, the index of the best (as a
# float, so that all are of one type), its value and its cost; three of them at the low end; the row's largest |cost|.
HIGH, HIGH_SECOND, HIGH_INDEX, VALUE, COST, LOW, LOW_SECOND, LOW_INDEX, REACH, STATES = (W * k for k in range(10))


@jit
def load_columns(x, at, row, item, users, whole, first, count, items, out):
    """out[j·W + lane] = x of treatment j of the block's user `lane`."""
    if whole and item == 1 and row == items:
        rows = x[at + first * items : at + (first + count) * items]
        for j in range(items):
            for lane in range(count):
                out[j * W + lane] = rows[lane * items + j]
        return
    for j in range(items):  # users inside: their first treatments bring in the rest, many cache misses at once
        for lane in range(count):
            user = np.int64(first + lane if whole else users[first + lane, 0])
            out[j * W + lane] = x[at + user * row + j * item]


@jit
def close_columns(instance, users, whole, first, count, never, value, cost):
    """A closed treatment scores below every open one."""
    for lane in range(count):
        p = instance.open_at + np.int64(first + lane if whole else users[first + lane, 0]) * instance.open_row
        for j in range(instance.items):
            if not instance.open[p + j * instance.open_item]:
                value[j * W + lane] = never
                cost[j * W + lane] = 0


@jit
def take_both(value, cost, items, low, high, never, numbers, s):
    """Every row's best and second best score at both ends of the bracket (core/select.h, not fused)."""
    for lane in range(W):
        s[HIGH + lane] = s[HIGH_SECOND + lane] = s[LOW + lane] = s[LOW_SECOND + lane] = never
        s[HIGH_INDEX + lane] = s[LOW_INDEX + lane] = s[VALUE + lane] = s[COST + lane] = s[REACH + lane] = 0
    for j in range(items):
        number = numbers[j]
        for lane in range(W):
            v, c = value[j * W + lane], cost[j * W + lane]
            score, best, second = v - high * c, s[HIGH + lane], s[HIGH_SECOND + lane]
            better = score > best
            lower = score if score < best else best
            s[HIGH_SECOND + lane] = lower if lower > second else second
            s[HIGH_INDEX + lane] = number if better else s[HIGH_INDEX + lane]
            s[VALUE + lane] = v if better else s[VALUE + lane]
            s[COST + lane] = c if better else s[COST + lane]
            s[HIGH + lane] = score if better else best

            score, best, second = v - low * c, s[LOW + lane], s[LOW_SECOND + lane]
            better = score > best
            lower = score if score < best else best
            s[LOW_SECOND + lane] = lower if lower > second else second
            s[LOW_INDEX + lane] = number if better else s[LOW_INDEX + lane]
            s[LOW + lane] = score if better else best

            size, reach = abs(c), s[REACH + lane]
            s[REACH + lane] = size if size > reach else reach


@jit
def certain(best, second, reach, multiplier, relative, doubt):
    """Whether the best choice is so in exact arithmetic. NaN compares false: uncertain."""
    margin = relative * (abs(best) + abs(second)) + doubt + relative * (multiplier * reach)
    return best - second > margin


@jit
def sweep(instance, users, whole, begin, end, ends, numbers, value_scale, cost_scale, slope_low, slope_high, choice):
    """Each user's choice at the high end is written out. Users that choose alike at both ends, certainly, are settled and
    added up; the others are returned: [found, 3] of user, choice at the low and at the high end, -1 if not certain.

    Totals are wide: value and cost of the settled, costs of the others at the low and at the high end.
    """
    low, high, doubt_low, doubt_high, relative, never = ends
    items = instance.items
    value, cost = np.zeros(items * W, instance.value.dtype), np.zeros(items * W, instance.value.dtype)
    s = np.empty(STATES, instance.value.dtype)
    pick_low, pick_high = np.empty(W, np.int32), np.empty(W, np.int32)
    row_value, row_cost = np.empty(items, np.int64), np.empty(items, np.int64)
    active = np.empty((end - begin, 3), np.int32)
    found = 0
    v_high, v_low, c_high, c_low = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    l_high, l_low, h_high, h_low = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for first in range(begin, end, W):
        count = min(W, end - first)
        if count < W:  # idle lanes: scores of zero, never certain, or values of zero
            value[:] = 0
            cost[:] = 0
        load_columns(
            instance.value,
            instance.value_at,
            instance.value_row,
            instance.value_item,
            users,
            whole,
            first,
            count,
            items,
            value,
        )
        load_columns(
            instance.cost,
            instance.cost_at,
            instance.cost_row,
            instance.cost_item,
            users,
            whole,
            first,
            count,
            items,
            cost,
        )
        if instance.masked:
            close_columns(instance, users, whole, first, count, never, value, cost)
        take_both(value, cost, items, low, high, never, numbers, s)

        for lane in range(W):
            sure = certain(s[LOW + lane], s[LOW_SECOND + lane], s[REACH + lane], low, relative, doubt_low)
            pick_low[lane] = np.int32(s[LOW_INDEX + lane]) if sure else np.int32(-1)
            sure = certain(s[HIGH + lane], s[HIGH_SECOND + lane], s[REACH + lane], high, relative, doubt_high)
            pick_high[lane] = np.int32(s[HIGH_INDEX + lane]) if sure else np.int32(-1)
        for lane in range(W):
            settled = (pick_low[lane] == pick_high[lane]) & (pick_low[lane] >= 0)
            n = to_fixed(value_scale, s[VALUE + lane])
            n = n if settled else np.int64(0)
            v_high += n >> 32
            v_low += n & 0xFFFFFFFF
            n = to_fixed(cost_scale, s[COST + lane])
            n = n if settled else np.int64(0)
            c_high += n >> 32
            c_low += n & 0xFFFFFFFF
        if whole:
            for lane in range(count):
                choice[first + lane] = np.int32(s[HIGH_INDEX + lane])
        for lane in range(count):
            if pick_low[lane] == pick_high[lane] and pick_low[lane] >= 0:
                if not whole:
                    choice[users[first + lane, 0]] = pick_high[lane]
                continue
            user = first + lane if whole else np.int64(users[first + lane, 0])
            active[found, 0], active[found, 1], active[found, 2] = user, pick_low[lane], pick_high[lane]
            found += 1
            if pick_low[lane] >= 0 and pick_high[lane] >= 0:
                at_low = to_fixed(cost_scale, cost[pick_low[lane] * W + lane])
                at_high = to_fixed(cost_scale, cost[pick_high[lane] * W + lane])
            else:  # too close to call in floating point: walk the hull
                quantise(instance, user, value_scale, cost_scale, row_value, row_cost)
                at_high, at_low = walk(row_value, row_cost, pick_high[lane], slope_low, slope_high)
            l_high += at_low >> 32
            l_low += at_low & 0xFFFFFFFF
            h_high += at_high >> 32
            h_low += at_high & 0xFFFFFFFF
    totals = (carry(v_high, v_low), carry(c_high, c_low), carry(l_high, l_low), carry(h_high, h_low))
    return active[:found].copy(), totals


@jit
def walk(value, cost, at, low, high):
    """A row's cost after all edges steeper than `high`, and after those down to `low`; as in list_edges."""
    if at < 0:
        at = cheapest(value, cost)
    if at < 0:
        return np.int64(0), np.int64(0)
    stop, slope, _, _ = next_edge(value, cost, at)
    while stop >= 0 and slope > high:
        at = stop
        stop, slope, _, _ = next_edge(value, cost, at)
    first = at
    while stop >= 0 and slope >= low:
        at = stop
        stop, slope, _, _ = next_edge(value, cost, at)
    return cost[first], cost[at]


# --- Selection and order (core/search.h, cpu/sort.h) ------------------------------------------------------------------


@jit
def nth_element(edges, order, first, nth, last):
    """order[first:last] so that the edge at `nth` stands in its sorted place, steeper ones before it."""
    while last - first > 1:
        a, b, c = order[first], order[(first + last) // 2], order[last - 1]
        if steeper(edges[b], edges[a]):
            a, b = b, a
        if steeper(edges[c], edges[b]):
            b = a if steeper(edges[c], edges[a]) else c
        pivot, i, k = edges[b], first, last - 1
        while i <= k:
            while steeper(edges[order[i]], pivot):
                i += 1
            while steeper(pivot, edges[order[k]]):
                k -= 1
            if i <= k:
                order[i], order[k] = order[k], order[i]
                i += 1
                k -= 1
        if nth <= k:
            last = k + 1
        elif nth >= i:
            first = i
        else:
            return


@jit
def sort(edges, order, first, last):
    """Merge sort of order[first:last], from runs of one upwards."""
    a, b, width = order[first:last].copy(), order[first:last], 1
    n = last - first
    while width < n:
        for start in range(0, n, 2 * width):
            middle, stop = min(start + width, n), min(start + 2 * width, n)
            i, k = start, middle
            for at in range(start, stop):
                if k >= stop or (i < middle and not steeper(edges[a[k]], edges[a[i]])):
                    b[at] = a[i]
                    i += 1
                else:
                    b[at] = a[k]
                    k += 1
        a, b = b, a
        width *= 2
    order[first:last] = a


@jit
def settle_ties(edges, order):
    """Exact order from an order by rounded slopes: only runs of slopes too close to call are sorted again."""
    first = 0
    for k in range(1, len(order) + 1):
        if k < len(order):
            above, below = edges[order[k - 1]].slope, edges[order[k]].slope
            if above - below <= SLOPE_FILTER * above:
                continue
        if k - first > 1:
            sort(edges, order, first, k)
        first = k


@jit
def first_beyond(edges, order, high, low):
    """Where, from the steepest down, the first edge stands that the wide room (high, low) cannot pay; the room in front
    of it, and the value bought. Halves the range around the place instead of sorting."""
    first, last = 0, len(order)
    value_high, value_low = np.int64(0), np.int64(0)
    while first < last:
        middle = first + (last - first) // 2
        nth_element(edges, order, first, middle, last)
        taken_high, taken_low, more_high, more_low = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        for k in range(first, middle + 1):
            e = edges[order[k]]
            taken_high += e.cost >> 32
            taken_low += e.cost & 0xFFFFFFFF
            more_high += e.value >> 32
            more_low += e.value & 0xFFFFFFFF
        taken_high, taken_low = carry(taken_high, taken_low)
        if at_most(taken_high, taken_low, high, low):
            high, low = carry(high - taken_high, low - taken_low)
            value_high, value_low = carry(value_high + more_high, value_low + more_low)
            first = middle + 1
        else:
            last = middle
    return first, (high, low), (value_high, value_low)


@jit
def buy(edges, order, split, window, high, low, choice):
    """Writes the choices after the first `split` edges of the order; then takes what still fits of the next `window`.
    Returns the wide room left at the end, and the value that the window added."""
    taken = np.zeros(len(order), np.bool_)
    for k in range(split):
        taken[order[k]] = True
    for k in range(len(edges)):
        if taken[k]:
            choice[edges[k].user] = edges[k].stop
    value_high, value_low = np.int64(0), np.int64(0)
    for k in range(split, split + window):
        e = edges[order[k]]
        cost_high, cost_low = e.cost >> 32, e.cost & 0xFFFFFFFF
        if choice[e.user] == e.start and at_most(cost_high, cost_low, high, low):
            choice[e.user] = e.stop
            high, low = carry(high - cost_high, low - cost_low)
            value_high, value_low = carry(value_high + (e.value >> 32), value_low + (e.value & 0xFFFFFFFF))
    return (high, low), (value_high, value_low)


@jit
def sort_window(edges, order, split, window):
    """The next `window` edges after `split` in their order."""
    nth_element(edges, order, split, min(split + window, len(order) - 1), len(order))
    sort(edges, order, split, split + window)


# --- Small problems from end to end (cpu/mckp.cpp), and the frontier --------------------------------------------------


@jit
def solve_small(instance, batch, which, begin, end, start, stop, budget, fill, magnitude, digits, out):
    """The problems which[begin:end], each by listing all its edges; `out` is filled in place."""
    nobody = np.empty((0, 3), np.int32)
    for k in range(begin, end):
        b = which[k]
        users = stop[b] - start[b]
        rows = Instance(
            instance.value,
            instance.cost,
            instance.open,
            instance.value_at + b * batch.value + start[b] * instance.value_row,
            instance.value_row,
            instance.value_item,
            instance.cost_at + b * batch.cost + start[b] * instance.cost_row,
            instance.cost_row,
            instance.cost_item,
            instance.open_at + b * batch.open + start[b] * instance.open_row,
            instance.open_row,
            instance.open_item,
            users,
            instance.items,
            instance.masked,
        )
        out.rows_read[b] = 2 * users
        largest = scan(rows, 0, users, magnitude)
        if not (np.isfinite(largest[0]) and np.isfinite(largest[1])):
            out.rows_read[b] = 0
            out.status[b] = NOT_FINITE
            continue
        value_scale, cost_scale = scale_for(np.float64(largest[0])), scale_for(np.float64(largest[1]))
        out.value_unit[b] = math.ldexp(1.0, -value_scale.shift) if largest[0] > 0 else 0.0
        out.cost_unit[b] = math.ldexp(1.0, -cost_scale.shift) if largest[1] > 0 else 0.0
        choice = np.empty(users, np.int32)
        edges, value, spend, closed = list_edges(
            rows, nobody, True, 0, users, value_scale, cost_scale, 0.0, np.inf, choice
        )
        out.sweeps[b], out.active[b] = 1, users
        if closed:
            out.status[b] = NO_OPEN_TREATMENT
            continue
        limit = floor_wide(cost_scale, budget[b])
        if not at_most(spend[0], spend[1], limit[0], limit[1]):
            out.status[b] = INFEASIBLE_BUDGET
            out.least_budget[b] = above(spend[0], spend[1], cost_scale.shift)
            continue

        order = np.arange(len(edges))
        room = carry(limit[0] - spend[0], limit[1] - spend[1])
        split, left, more = first_beyond(edges, order, room[0], room[1])
        value = carry(value[0] + more[0], value[1] + more[1])
        bound, out.multiplier[b] = value, 0.0
        if split < len(edges):
            e = edges[order[split]]
            extra = share_up(e.value, (left[0] << 32) + left[1], e.cost)
            bound = carry(value[0] + (extra >> 32), value[1] + (extra & 0xFFFFFFFF))
            # Costs that were rounded up, and the budget down, each hide at most λ* times a unit.
            if doubtful(cost_scale, largest[1], largest[2], digits) and not whole_units(rows, cost_scale, 0, users):
                hidden = times_up(e.value, e.cost, users + 1)
                bound = carry(bound[0] + hidden[0], bound[1] + hidden[1])
            out.multiplier[b] = slope_nearest(e.value, e.cost, cost_scale.shift - value_scale.shift)
        window = min(len(edges) - split, FILL_WINDOW) if fill else 0
        if window > 0:
            sort_window(edges, order, split, window)
        rest, more = buy(edges, order, split, window, left[0], left[1], choice)
        value = carry(value[0] + more[0], value[1] + more[1])
        spend = carry(limit[0] - rest[0], limit[1] - rest[1])
        gap = carry(bound[0] - value[0], bound[1] - value[1])
        row = 0 if out.choice.shape[0] == 1 else b
        out.choice[row, start[b] : stop[b]] = choice
        out.status[b] = SOLVED
        out.value[b] = math.ldexp(to_double(value[0], value[1]), -value_scale.shift)
        out.spend[b] = math.ldexp(to_double(spend[0], spend[1]), -cost_scale.shift)
        out.dual_bound[b] = above(bound[0], bound[1], value_scale.shift)
        out.gap[b] = above(gap[0], gap[1], value_scale.shift)


@jit
def breakpoints(edges, order, value, spend, value_shift, cost_shift):
    """The prefix sums of the sorted edges, equal slopes joined: budget, value and multiplier of the frontier."""
    n = len(order)
    out = np.empty((3, n + 1))
    out[0, 0] = math.ldexp(to_double(spend[0], spend[1]), -cost_shift)
    out[1, 0] = math.ldexp(to_double(value[0], value[1]), -value_shift)
    points = 1
    for k in range(n):
        e = edges[order[k]]
        spend = carry(spend[0] + (e.cost >> 32), spend[1] + (e.cost & 0xFFFFFFFF))
        value = carry(value[0] + (e.value >> 32), value[1] + (e.value & 0xFFFFFFFF))
        if k + 1 < n:
            after = edges[order[k + 1]]
            if compare_slopes(e.slope, e.value, e.cost, after.slope, after.value, after.cost) == 0:
                continue
        out[2, points - 1] = slope_nearest(e.value, e.cost, cost_shift - value_shift)
        out[0, points] = math.ldexp(to_double(spend[0], spend[1]), -cost_shift)
        out[1, points] = math.ldexp(to_double(value[0], value[1]), -value_shift)
        points += 1
    out[2, points - 1] = 0.0
    return out[:, :points].copy()
