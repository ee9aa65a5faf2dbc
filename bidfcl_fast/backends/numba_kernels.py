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
from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _compiled(function: Callable, **more: Any) -> Any:
    """Compiled at the first call and kept on disk, without the GIL; never with fastmath, which would round as it likes."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": False, "boundscheck": False, **more}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to keep it in, neither beside this file nor the user's own
        return numba.njit(**options)(function)


def jit(function: Callable) -> Any:
    return _compiled(function)


def inner(function: Callable) -> Any:
    """Called by kernels alone: what Python would need to call it is not compiled."""
    return _compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def inlined(function: Callable) -> Any:
    """Part of whoever calls it; or run by Python, as .py_func."""
    return numba.njit(inline="always")(function)


CLOSED = np.int64(2**62)  # as a cost; minus that, as a value
SLOPE_FILTER = 2.0**-49  # two rounded slopes further apart decide the exact order (each carries three roundings)
SLACK = 2.0**-40  # a bracket is widened by this much when edges are listed: listing one too many never hurts
INSIDE = 2.0**-45  # an edge this close to a bracket's end may have company among the users not listed
LOW_32, THIRTY_TWO = np.uint64(2**32 - 1), np.uint64(32)

SAMPLE, LEAST_SAMPLE = 4096, 64  # users that a bracket is read off
IN_CACHE = 4096  # among so few users, a scan of all costs no more than looking at some of them
DIRECT = 256  # so few users are all walked
WARM = 16384  # among fewer users, a bracket a 64th wide may leave too few edges for `fill`
DEVIATIONS = 2.5  # how many standard errors a bracket reaches to each side
FIRST_HIGH = 64.0  # stands in for an infinite end, times the steepest sampled slope
# Of problems next door: the mean of their multipliers and their relative variance, how far below lies the last edge that
# matters, and that one's variance; how often that did not help.
NEAR_MEAN, NEAR_SPREAD, NEAR_DEPTH, NEAR_DEPTH_SPREAD, NEAR_MISSES, NEAR = range(6)
NEAR_ERRORS = 1.5  # how many standard deviations a bracket reaches beyond
TRIES = 16  # brackets; then everybody is walked
SURPRISE = 16.0  # how much larger than a small sample's the largest numbers may be
ROOM = 64.0  # above the largest number, so that whole numbers stay below 2^55 and a block's sum in 62 bits

# Written again: those of _spec.py, and codes of errors.Status.
FIXED_POINT_BITS, FILL_WINDOW = 61, 64
SOLVED, INFEASIBLE_BUDGET, NOT_FINITE, NO_OPEN_TREATMENT = 0, -1, -2, -3


class Kind(NamedTuple):
    """What kernels know of the numbers' type."""

    digits: int  # of a mantissa
    magnitude: Any  # [1] all bits but the sign, in the integer of the same width
    limits: Any  # [3] in the type itself: four roundings; below every score; one


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
    kind: Kind


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


class Survey(NamedTuple):
    """What a scan of an instance teaches."""

    value: float  # the largest magnitude
    cost: float
    least_cost: float  # the least that is not zero; 0 if there is none
    finite: bool
    costs_rounded: bool  # fixed point rounds some cost, or none has looked
    known: bool  # False: nothing of the above


class Counting(NamedTuple):
    """The scales a pass counts in. `whole`: none's numbers are rounded, and who has numbers that would be is put off.

    Scales with room above leave most of a float32's digits whole; nothing is rounded on the way, so the true scales
    need not be known beforehand.
    """

    value: Scale
    cost: Scale
    whole: bool
    floors: Any  # [4] in the numbers' type: from where on a value, a cost is whole; 2^shift of both


class Buckets(NamedTuple):
    """A monotone map from slopes to a few buckets (core/buckets.h): positive doubles order like their bits."""

    lowest: int
    shift: int
    size: int


class Slopes(NamedTuple):
    """Which edges a walk lists, in fixed-point units: those from `low` to `high`."""

    low: float
    high: float
    moved: float  # what slopes are multiplied with to be in the units of `buckets`
    buckets: Buckets


class Curve(NamedTuple):
    """What the users of a sample spend, as a function of the multiplier: their edges, steepest bucket first."""

    edges: Any  # EDGE; `user` is the place in the sample
    order: Any  # by bucket; sorted where `sorted` says so
    start: Any  # [count + 1] where a bucket begins in `order`
    cost: Any  # [count] in money
    sorted: Any
    spend: Any  # [sample] of a user before its first edge
    base: float  # their sum
    buckets: Buckets


class Found(NamedTuple):
    """What one reading of users with a bracket leaves: see pass_over."""

    totals: Any  # [count + 1, 5] of each bucket's edges: value and cost as wide numbers, how many; last, of all choices
    listed: Any  # LISTED
    put_off: Any  # users that nothing here knows of yet
    open: int
    closed_user: bool  # some user has no open treatment
    seen: Any  # largest magnitudes, if the pass was to scan as well
    usable: bool  # False: some number lies beyond the guess; nothing else here holds


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
# The same as a pass keeps it; value and cost can be had from the row again.
LISTED = np.dtype([("slope", "f8"), ("user", "i4"), ("position", "i4"), ("start", "i4"), ("stop", "i4")])


# --- Exact numbers (core/fixed.h) -------------------------------------------------------------------------------------


@inner
def scale_for(magnitude):
    """The scale at which every number up to `magnitude` fits FIXED_POINT_BITS."""
    shift = FIXED_POINT_BITS - np.int64(math.frexp(magnitude)[1])
    half = shift // 2
    return Scale(shift, math.ldexp(1.0, half), math.ldexp(1.0, shift - half))


@inner
def to_fixed(scale, x):
    """x·2^shift, rounded up: a cost is never understated, nor a value, which the bound counts."""
    scaled = x * scale.factor * scale.factor_too  # exact, or so small that only its sign matters
    n = np.int64(scaled)
    n += np.int64(np.float64(n) < scaled)
    n += np.int64((n == 0) & (x > 0))
    return n


@inner
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


@inner
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


@inner
def product(a, b):
    """a·b of two non-negative int64, as two uint64."""
    a_high, a_low = np.uint64(a) >> THIRTY_TWO, np.uint64(a) & LOW_32
    b_high, b_low = np.uint64(b) >> THIRTY_TWO, np.uint64(b) & LOW_32
    low = a_low * b_low
    middle = a_high * b_low + (low >> THIRTY_TWO)  # cannot overflow: a, b < 2^63
    other = a_low * b_high + (middle & LOW_32)
    return a_high * b_high + (middle >> THIRTY_TWO) + (other >> THIRTY_TWO), (other << THIRTY_TWO) | (low & LOW_32)


@inner
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


@inner
def times_up(value, cost, count):
    """⌈value·count/cost⌉ as a wide number, for a small count."""
    quotient = value // cost
    extra = share_up(count, value % cost, cost)
    return carry((quotient >> 32) * count, (quotient & 0xFFFFFFFF) * count + extra)


@inner
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


# --- Order of slopes (core/hull.h) --------------------------------------------------------------------------------------


@inner
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


@inner
def steeper(a, b):
    """The order in which a budget buys: slope falling, then user, then position."""
    order = compare_slopes(a.slope, a.value, a.cost, b.slope, b.value, b.cost)
    if order != 0:
        return order > 0
    return a.user < b.user if a.user != b.user else a.position < b.position


# --- Rows to columns (cpu/columns.h) ----------------------------------------------------------------------------------

W = 64  # users swept side by side as lanes: the loops over them compile to vector instructions, their data stays in cache
L = 32  # users walked side by side


@intrinsic
def transpose(typing_context, x, a, b, c, d, out, to, step):
    """out[to + k·step + r] = x[r-th of a, b, c, d, plus k] for r, k < 4. Left to loops, compilers gather one by one."""
    signature = types.void(x, types.int64, types.int64, types.int64, types.int64, out, types.int64, types.int64)

    def generate(context, builder, signature, arguments):
        source, target = (context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in (0, 5))
        number = context.get_value_type(signature.args[0].dtype)
        four, align = ir.VectorType(number, 4), signature.args[0].dtype.bitwidth // 8

        def place(base, at):
            return builder.bitcast(builder.gep(base, [at]), four.as_pointer())

        def shuffle(x, y, lanes):
            return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), 4), lanes))

        r = [builder.load(place(source, at), align=align) for at in arguments[1:5]]
        low = [shuffle(r[k], r[k + 1], [0, 4, 1, 5]) for k in (0, 2)]
        high = [shuffle(r[k], r[k + 1], [2, 6, 3, 7]) for k in (0, 2)]
        to, step = arguments[6:]
        for pair in (low, high):
            for lanes in ([0, 1, 4, 5], [2, 3, 6, 7]):
                builder.store(shuffle(*pair, lanes), place(target, to), align=align)
                to = builder.add(to, step)
        return context.get_dummy_value()

    return signature, generate


@inner
def load_block(x, at, row, item, count, items, out):
    """out[j·W + lane] = x of treatment j of the `count` users from `at` on."""
    if item == 1 and items >= 4 and count == W:
        for quad in range(0, items, 4):
            j = min(quad, items - 4)
            for lane in range(0, W, 4):
                p = at + lane * row + j
                transpose(x, p, p + row, p + 2 * row, p + 3 * row, out, j * W + lane, W)
        return
    for j in range(items):
        column = out[j * W : (j + 1) * W]
        for lane in range(count):
            column[lane] = x[at + lane * row + j * item]


@inner
def load_users(x, at, row, item, users, items, out):
    """out[j·L + lane] = x of treatment j of user users[lane]."""
    if item == 1 and items >= 4:
        for lane in range(0, L, 4):
            a, b = at + users[lane] * row, at + users[lane + 1] * row
            c, d = at + users[lane + 2] * row, at + users[lane + 3] * row
            for quad in range(0, items, 4):
                j = min(quad, items - 4)
                transpose(x, a + j, b + j, c + j, d + j, out, j * L + lane, L)
        return
    for j in range(items):
        column = out[j * L : (j + 1) * L]
        for lane in range(L):
            column[lane] = x[at + users[lane] * row + j * item]


# --- Scan (cpu/scan.h) --------------------------------------------------------------------------------------------------


@inner
def magnitudes(x, at, row, item, rows, begin, end, largest, least):
    """The largest |x| of open cells and the least that is not zero, as the integers that hold them: those compare alike,
    with infinity and NaN above every number."""
    all_but_sign = rows.kind.magnitude[0]
    if item == 1 and row == rows.items and not rows.masked:
        cells = x[at + begin * row : at + end * row]
        for k in range(len(cells)):
            bits = cells[k] & all_but_sign
            largest = max(largest, bits)
            least = min(least, bits if bits > 0 else all_but_sign)
        return largest, least
    for i in range(begin, end):
        for j in range(rows.items):
            if not rows.masked or rows.open[rows.open_at + i * rows.open_row + j * rows.open_item]:
                bits = x[at + i * row + j * item] & all_but_sign
                largest = max(largest, bits)
                least = min(least, bits if bits > 0 else all_but_sign)
    return largest, least


@inner
def nothing_seen(kind):
    """Of no cells at all: the largest |value|, the largest |cost|, the least |cost| that is not zero, as integers."""
    seen = np.zeros(3, kind.magnitude.dtype)
    seen[2] = kind.magnitude[0]
    return seen


@inner
def see(rows, begin, end, seen):
    """Takes the cells of users begin, ..., end − 1 into `seen`."""
    x = rows.value.view(seen.dtype)
    seen[0], _ = magnitudes(x, rows.value_at, rows.value_row, rows.value_item, rows, begin, end, seen[0], seen[2])
    x = rows.cost.view(seen.dtype)
    seen[1], seen[2] = magnitudes(x, rows.cost_at, rows.cost_row, rows.cost_item, rows, begin, end, seen[1], seen[2])


@jit
def scan(rows, begin, end):
    seen = nothing_seen(rows.kind)
    see(rows, begin, end, seen)
    return seen


@inner
def beyond(seen, guess):
    return seen[0] > guess[0] or seen[1] > guess[1]


@jit
def survey_of(rows, seen):
    """Magnitudes as numbers; by them alone, fixed point may have rounded some cost."""
    x = seen.view(rows.value.dtype)
    if not (np.isfinite(x[0]) and np.isfinite(x[1])):
        return Survey(0.0, 0.0, 0.0, False, False, True)
    value, cost, least = np.float64(x[0]), np.float64(x[1]), np.float64(x[2]) if seen[1] > 0 else 0.0
    doubtful = least > 0 and least < math.ldexp(1.0, rows.kind.digits - 1 - scale_for(cost).shift)
    return Survey(value, cost, least, True, doubtful, True)


@jit
def with_rounding(survey, costs_rounded):
    return Survey(survey.value, survey.cost, survey.least_cost, survey.finite, costs_rounded, survey.known)


@jit
def whole_units(rows, survey, begin, end):
    """Whether every open cost is a whole number of units. A double of 2^52 or more always is."""
    scale = scale_for(survey.cost)
    for i in range(begin, end):
        for j in range(rows.items):
            if rows.masked and not rows.open[rows.open_at + i * rows.open_row + j * rows.open_item]:
                continue
            x = rows.cost[rows.cost_at + i * rows.cost_row + j * rows.cost_item]
            size = abs(np.float64(x)) * scale.factor * scale.factor_too
            if size < 2.0**52 and (np.floor(size) != size or (size == 0 and x != 0)):
                return False
    return True


@inner
def counting_for(rows, value, cost):
    """How to count numbers up to `value` and `cost`: whole, if the type leaves digits enough."""
    coarse_value, coarse_cost = scale_for(value * ROOM), scale_for(cost * ROOM)
    floors = np.zeros(4, rows.value.dtype)
    # 2^shift, and what is whole from there on, must be numbers of the type.
    whole = (
        rows.kind.digits == 24
        and min(coarse_value.shift, coarse_cost.shift) > -100
        and max(coarse_value.shift, coarse_cost.shift) < 126
    )
    if not whole:
        return Counting(scale_for(value), scale_for(cost), False, floors)
    floors[0], floors[1] = math.ldexp(1.0, 23 - coarse_value.shift), math.ldexp(1.0, 23 - coarse_cost.shift)
    floors[2], floors[3] = math.ldexp(1.0, coarse_value.shift), math.ldexp(1.0, coarse_cost.shift)
    return Counting(coarse_value, coarse_cost, True, floors)


# --- Buckets of slopes (core/buckets.h) ---------------------------------------------------------------------------------


@inner
def bits_of(slope):
    return np.float64(slope).view(np.int64)


@inner
def buckets_between(low, high, count):
    """`count` buckets over [low, high]; slopes beyond fall into the first and the last.

    A bucket spans at least 2^12 neighbouring doubles, more than rounding can confuse.
    """
    lowest, shift = bits_of(max(low, 0.0)), 12
    span = bits_of(high) - lowest if high > low else 0
    while span >> shift >= count:
        shift += 1
    return Buckets(np.int64(lowest), np.int64(shift), np.int64(count))


@inner
def bucket_of(buckets, slope):
    return min(max(bits_of(slope) - buckets.lowest, 0) >> buckets.shift, buckets.size - 1)


@inner
def add_wide(totals, at, value, cost):
    totals[at] += value >> 32
    totals[at + 1] += value & 0xFFFFFFFF
    totals[at + 2] += cost >> 32
    totals[at + 3] += cost & 0xFFFFFFFF


@inner
def add_times(totals, at, value, cost, times):
    """Adds so many edges of one kind to a bucket, and to its count."""
    totals[at] += (value >> 32) * times
    totals[at + 1] += (value & 0xFFFFFFFF) * times
    totals[at + 2] += (cost >> 32) * times
    totals[at + 3] += (cost & 0xFFFFFFFF) * times
    totals[at + 4] += times


# --- The sweep: everybody's choice at both ends of a bracket (cpu/sweep.h, core/select.h) ---------------------------------

# What a sweep needs to know of a bracket, in the numbers' type. A user is settled if one choice is best, alone, all over
# the bracket: its lead is clear at the high end, and not negative a little below the low one (core/select.h).
LOW_END, HIGH_END, DOUBT_LOW, DOUBT_HIGH, LEVERAGE = range(5)

# The state of a block, W numbers each: at the high end the best score, the second best, the index of the best (as a
# float, so that all are of one type), its value and its cost; the best score at the low end; the row's largest |cost|.
BEST, SECOND, INDEX, VALUE, COST, LOW, REACH, STATES = (W * k for k in range(8))
SETTLED = -2  # in place of an index; −1 where the choice at the high end is not certain


@jit
def place(rows, counting, low, high, ends):
    """The bracket's ends, moved outwards, and the doubts of scores there; False if the type has no such numbers."""
    t = np.empty(2, rows.value.dtype)
    t[0] = np.inf
    reach = (high - low) / 16
    ends[LOW_END] = low - (low / 2 if low > 0 and reach > low / 2 else reach)
    ends[HIGH_END] = high
    ends[HIGH_END] = np.nextafter(ends[HIGH_END], t[0])
    reach = low - np.float64(ends[LOW_END])
    if not reach > 0:
        return False
    ends[LEVERAGE] = (np.float64(ends[HIGH_END]) - np.float64(ends[LOW_END])) / reach
    ends[LEVERAGE] = np.nextafter(ends[LEVERAGE], t[0])
    value_unit, cost_unit = math.ldexp(4.0, -counting.value.shift), math.ldexp(4.0, -counting.cost.shift)
    for end in range(2):
        ends[DOUBT_LOW + end] = value_unit + abs(np.float64(ends[end])) * cost_unit
        ends[DOUBT_LOW + end] = np.nextafter(ends[DOUBT_LOW + end], t[0])
    return np.isfinite(ends[LOW_END]) and np.isfinite(ends[HIGH_END]) and np.isfinite(ends[LEVERAGE])


@inner
def close_block(rows, first, count, never, value, cost):
    """A closed treatment scores below every open one."""
    for lane in range(count):
        p = rows.open_at + (first + lane) * rows.open_row
        for j in range(rows.items):
            if not rows.open[p + j * rows.open_item]:
                value[j * W + lane] = never
                cost[j * W + lane] = 0


@inner
def step(v, c, number, low, high, best, second, index, value, cost, least, reach):
    """One treatment more of one lane."""
    score = v - high * c
    better = score > best
    lower = best if better else score
    second = lower if lower > second else second
    index = number if better else index
    value = v if better else value
    cost = c if better else cost
    best = score if better else best
    score = v - low * c
    least = score if score > least else least
    size = abs(c)
    reach = size if size > reach else reach
    return best, second, index, value, cost, least, reach


@inner
def take_both(value, cost, columns, low, high, never, one, s):
    """Every lane's scores at both ends; `columns` is even."""
    for lane in range(W):
        s[BEST + lane] = s[SECOND + lane] = s[LOW + lane] = never
        s[INDEX + lane] = s[VALUE + lane] = s[COST + lane] = s[REACH + lane] = 0
    number = one - one
    for j in range(0, columns, 2):
        v, c = value[j * W : (j + 2) * W], cost[j * W : (j + 2) * W]
        for lane in range(W):
            t = (
                s[BEST + lane],
                s[SECOND + lane],
                s[INDEX + lane],
                s[VALUE + lane],
                s[COST + lane],
                s[LOW + lane],
                s[REACH + lane],
            )
            t = step(v[lane], c[lane], number, low, high, *t)
            t = step(v[W + lane], c[W + lane], number + one, low, high, *t)
            (
                s[BEST + lane],
                s[SECOND + lane],
                s[INDEX + lane],
                s[VALUE + lane],
                s[COST + lane],
                s[LOW + lane],
                s[REACH + lane],
            ) = t
        number += one + one


@inner
def settle(ends, limits, counting, s):
    """INDEX becomes SETTLED where that is so, or −1 where the choice at the high end is in doubt; VALUE and COST become
    zero where not settled. NaN compares false: not settled."""
    low, high, leverage = ends[LOW_END], ends[HIGH_END], ends[LEVERAGE]
    doubt_low, doubt_high = ends[DOUBT_LOW], ends[DOUBT_HIGH]
    relative, low_size = limits[0], abs(low)
    least_value, least_cost = counting.floors[0], counting.floors[1]
    zero, none = limits[2] - limits[2], -limits[2]
    for lane in range(W):
        best, second, reach, value, cost = (
            s[BEST + lane],
            s[SECOND + lane],
            s[REACH + lane],
            s[VALUE + lane],
            s[COST + lane],
        )
        blur = relative * abs(s[LOW + lane]) + doubt_low + relative * (low_size * reach)
        margin = relative * (abs(best) + abs(second)) + doubt_high + relative * (high * reach)
        lead = best - second
        settled = (value - low * cost >= s[LOW + lane]) & (lead > margin + leverage * blur)
        # Where nothing is counted whole, both floors are zero.
        settled &= ((abs(value) >= least_value) | (value == 0)) & ((abs(cost) >= least_cost) | (cost == 0))
        index = s[INDEX + lane] if lead > margin else none
        s[INDEX + lane] = none + none if settled else index
        s[VALUE + lane] = value if settled else zero
        s[COST + lane] = cost if settled else zero


@inner
def add_settled(counting, s, totals, at):
    """Adds up VALUE and COST."""
    if counting.whole:
        value_factor, cost_factor = counting.floors[2], counting.floors[3]
        value, cost = np.int64(0), np.int64(0)
        for lane in range(W):
            value += np.int64(s[VALUE + lane] * value_factor)
            cost += np.int64(s[COST + lane] * cost_factor)
        add_wide(totals, at, value, cost)
        return
    value_high, value_low, cost_high, cost_low = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for lane in range(W):
        n = to_fixed(counting.value, s[VALUE + lane])
        value_high += n >> 32
        value_low += n & 0xFFFFFFFF
        n = to_fixed(counting.cost, s[COST + lane])
        cost_high += n >> 32
        cost_low += n & 0xFFFFFFFF
    totals[at] += value_high
    totals[at + 1] += value_low
    totals[at + 2] += cost_high
    totals[at + 3] += cost_low


@inner
def sweep_scratch(rows):
    """Columns of values and costs, an even number (what is added scores below everything), and a block's state."""
    t, columns = rows.value.dtype, rows.items + rows.items % 2
    value, cost = np.zeros(columns * W, t), np.zeros(columns * W, t)
    for k in range(rows.items * W, columns * W):
        value[k] = rows.kind.limits[1]
    return value, cost, np.zeros(STATES, t)


@inner
def sweep(rows, counting, ends, begin, end, scratch, totals, users, at, choice):
    """Everybody's choice at the high end goes to `choice`, the settled are added to the last of `totals`; the others are
    written to `users`, their choices or −1 to `at`, and counted. Both have room for W more than that."""
    value, cost, s = scratch
    limits, last, waiting = rows.kind.limits, len(totals) - 5, np.int64(0)
    for first in range(begin, end, W):
        count = min(W, end - first)
        p, q = rows.value_at + first * rows.value_row, rows.cost_at + first * rows.cost_row
        load_block(rows.value, p, rows.value_row, rows.value_item, count, rows.items, value)
        load_block(rows.cost, q, rows.cost_row, rows.cost_item, count, rows.items, cost)
        if rows.masked:
            close_block(rows, first, count, limits[1], value, cost)
        take_both(value, cost, len(value) // W, ends[LOW_END], ends[HIGH_END], limits[1], limits[2], s)
        for lane in range(count):
            choice[first + lane] = np.int32(s[INDEX + lane])
        settle(ends, limits, counting, s)
        for lane in range(count, W):
            s[VALUE + lane] = s[COST + lane] = 0
        add_settled(counting, s, totals, last)
        for lane in range(count):
            index = np.int32(s[INDEX + lane])
            users[waiting] = first + lane
            at[waiting] = index
            waiting += np.int64(index != SETTLED)
    return waiting


# --- The walk: hull edges of users, a lane a user (cpu/walk.h, core/hull.h) -----------------------------------------------

# What the lanes know: whole numbers, and doubles. HERE_* is where a lane stands.
HERE_VALUE, HERE_COST, HERE, BROKEN, NUMBERS = (L * k for k in range(5))
STEEPEST, RUNNER_UP, STOP, SLOPES = (L * k for k in range(4))


EVERY_EDGE = Slopes(0.0, math.inf, 1.0, Buckets(0, 63, 1))
PUT_OFF = -2  # in place of a choice


class Lanes(NamedTuple):
    """Scratch of one thread's walks."""

    value: Any  # [items·L] in the data's type
    cost: Any
    whole_value: Any  # [items·L] in fixed point
    whole_cost: Any
    here: Any  # [NUMBERS] int64
    slope: Any  # [SLOPES] float64
    users: Any  # [L] int64


@inner
def lanes_for(rows):
    n = rows.items * L
    t = rows.value.dtype
    return Lanes(
        np.zeros(n, t),
        np.zeros(n, t),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.empty(NUMBERS, np.int64),
        np.empty(SLOPES, np.float64),
        np.empty(L, np.int64),
    )


@inner
def load_lanes(rows, counting, lanes):
    """Every lane's row in fixed point, and who has to be put off."""
    load_users(rows.value, rows.value_at, rows.value_row, rows.value_item, lanes.users, rows.items, lanes.value)
    load_users(rows.cost, rows.cost_at, rows.cost_row, rows.cost_item, lanes.users, rows.items, lanes.cost)
    if rows.masked:  # what stands in a closed cell may not even be a number
        for lane in range(L):
            p = rows.open_at + lanes.users[lane] * rows.open_row
            for j in range(rows.items):
                if not rows.open[p + j * rows.open_item]:
                    lanes.value[j * L + lane] = lanes.cost[j * L + lane] = 0
    least_value, least_cost = counting.floors[0], counting.floors[1]
    here = lanes.here
    for lane in range(L):
        here[BROKEN + lane] = 0
    for j in range(rows.items):
        value, cost = lanes.value[j * L : (j + 1) * L], lanes.cost[j * L : (j + 1) * L]
        whole_value, whole_cost = lanes.whole_value[j * L : (j + 1) * L], lanes.whole_cost[j * L : (j + 1) * L]
        for lane in range(L):
            whole_value[lane] = to_fixed(counting.value, np.float64(value[lane]))
            whole_cost[lane] = to_fixed(counting.cost, np.float64(cost[lane]))
        if counting.whole:
            for lane in range(L):
                fine = (abs(value[lane]) >= least_value) | (value[lane] == 0)
                fine &= (abs(cost[lane]) >= least_cost) | (cost[lane] == 0)
                here[BROKEN + lane] |= np.int64(not fine)
    if rows.masked:
        for lane in range(L):
            p = rows.open_at + lanes.users[lane] * rows.open_row
            for j in range(rows.items):
                if not rows.open[p + j * rows.open_item]:
                    lanes.whole_value[j * L + lane] = -CLOSED
                    lanes.whole_cost[j * L + lane] = CLOSED


@inner
def cheapest(value, cost, items, lane):
    """Where a hull starts: least cost, then largest value, then smallest index; −1 if nothing is open."""
    at, p = 0, lane
    for j in range(1, items):
        q = j * L + lane
        if cost[q] < cost[p] or (cost[q] == cost[p] and value[q] > value[p]):
            at, p = j, q
    return -1 if cost[p] == CLOSED else at


@inner
def steepest_steps(value, cost, items, here, slope):
    """Every lane's steepest step from where it stands, as rounding has it: slope 0 at the end of a hull."""
    for lane in range(L):
        slope[STEEPEST + lane] = slope[RUNNER_UP + lane] = slope[STOP + lane] = 0.0
    number = 0.0
    for j in range(items):
        v, c = value[j * L : (j + 1) * L], cost[j * L : (j + 1) * L]
        for lane in range(L):
            more_value, more_cost = v[lane] - here[HERE_VALUE + lane], c[lane] - here[HERE_COST + lane]
            this = np.float64(more_value) / np.float64(more_cost)
            this = this if (more_value > 0) & (more_cost > 0) else 0.0
            best, second = slope[STEEPEST + lane], slope[RUNNER_UP + lane]
            better = this > best
            lower = best if better else this
            slope[RUNNER_UP + lane] = lower if lower > second else second
            slope[STOP + lane] = number if better else slope[STOP + lane]
            slope[STEEPEST + lane] = this if better else best
        number += 1.0


@inner
def settle_tie(value, cost, items, here, lane, contender):
    """Exactly: the steepest step, then the cheaper (points on a line stay apart, so that a budget can stop at each), then
    the smallest index; and its slope."""
    stop, best_slope, best_value, best_cost = 0, 0.0, np.int64(0), np.int64(0)
    for j in range(items):
        more_value = value[j * L + lane] - here[HERE_VALUE + lane]
        more_cost = cost[j * L + lane] - here[HERE_COST + lane]
        if more_value <= 0 or more_cost <= 0:
            continue
        slope = np.float64(more_value) / np.float64(more_cost)
        if slope < contender:
            continue
        if best_slope > 0:
            order = compare_slopes(slope, more_value, more_cost, best_slope, best_value, best_cost)
            if order < 0 or (order == 0 and more_cost >= best_cost):
                continue
        stop, best_slope, best_value, best_cost = j, slope, more_value, more_cost
    return stop, best_slope


@inner
def walk(rows, counting, wanted, users, names, first, count, at, lanes, choice, totals, listed, found):
    """Up to L users from users[first] on, whose choices at the high end are `at`, −1 for unknown: where each stands in
    front of the wanted edges goes to `choice` and the last of `totals`, the edges to `listed` and the others.

    `names` are what `choice` and the list know users by. Returns how many edges are listed, and whether some user has no
    open treatment; a choice may become PUT_OFF.
    """
    for lane in range(L):
        lanes.users[lane] = users[first + (lane if lane < count else 0)]
    load_lanes(rows, counting, lanes)
    value, cost, here, slopes = lanes.whole_value, lanes.whole_cost, lanes.here, lanes.slope
    closed_user, live, last = False, 0, wanted.buckets.size * 5
    for lane in range(L):
        stands = np.int64(at[first + lane]) if lane < count else np.int64(-1)
        if lane < count and stands < 0:
            stands = cheapest(value, cost, rows.items, lane)
            closed_user |= stands < 0
        if here[BROKEN + lane]:
            stands = np.int64(-1)
        live += stands >= 0
        here[HERE + lane] = stands
        here[HERE_VALUE + lane] = value[max(stands, 0) * L + lane]
        here[HERE_COST + lane] = cost[max(stands, 0) * L + lane]
    for lane in range(count):
        choice[names[first + lane]] = PUT_OFF if here[BROKEN + lane] else here[HERE + lane]
    # Lanes wait until they are inside the bracket; −1 in HERE ends them.
    waiting = (1 << count) - 1
    position = 0
    while live > 0:
        steepest_steps(value, cost, rows.items, here, slopes)
        for lane in range(count):
            start = here[HERE + lane]
            if start < 0:
                continue
            slope, stop = slopes[STEEPEST + lane], np.int64(slopes[STOP + lane])
            contender = slope * (1 - SLOPE_FILTER)
            if slope > 0 and slopes[RUNNER_UP + lane] >= contender:
                stop, slope = settle_tie(value, cost, rows.items, here, lane, contender)
            more_value, more_cost = here[HERE_VALUE + lane], here[HERE_COST + lane]
            name = names[first + lane]
            if (waiting >> lane) & 1:
                if slope > wanted.high:
                    choice[name] = stop
                    here[HERE + lane] = stop
                    here[HERE_VALUE + lane] = value[stop * L + lane]
                    here[HERE_COST + lane] = cost[stop * L + lane]
                    continue
                waiting &= ~(1 << lane)
                add_wide(totals, last, more_value, more_cost)
            if slope == 0 or slope < wanted.low:
                here[HERE + lane] = -1
                live -= 1
                continue
            here[HERE + lane] = stop
            here[HERE_VALUE + lane] = value[stop * L + lane]
            here[HERE_COST + lane] = cost[stop * L + lane]
            slope *= wanted.moved
            b = bucket_of(wanted.buckets, slope) * 5
            add_wide(totals, b, here[HERE_VALUE + lane] - more_value, here[HERE_COST + lane] - more_cost)
            totals[b + 4] += 1
            e = listed[found]
            e.slope, e.user, e.position, e.start, e.stop = slope, name, position, start, stop
            found += 1
        position += 1
    return found, closed_user


@inner
def wider(listed, found, room):
    """`listed` with room for so many edges more."""
    if found + room <= len(listed):
        return listed
    out = np.empty(2 * (found + room), LISTED)
    for k in range(found):
        out[k] = listed[k]
    return out


@inner
def walk_all(rows, counting, wanted, users, names, begin, end, at, lanes, choice, totals, listed, found):
    """The walk of users[begin:end]; `listed` may be moved to have room."""
    closed_user = False
    for first in range(begin, end, L):
        listed, count = wider(listed, found, L * rows.items), min(L, end - first)
        found, closed = walk(
            rows, counting, wanted, users, names, first, count, at, lanes, choice, totals, listed, found
        )
        closed_user |= closed
    return listed, found, closed_user


@jit
def walk_users(rows, counting, wanted, users, names, begin, end, choice):
    """users[begin:end] of which nothing is known: the totals, the edges, and whether one has no open treatment."""
    listed = np.empty(2 * (end - begin) + L * rows.items, LISTED)
    totals = np.zeros((wanted.buckets.size + 1) * 5, np.int64)
    at = np.empty(end, np.int32)
    for k in range(begin, end):
        at[k] = -1
    listed, found, closed_user = walk_all(
        rows, counting, wanted, users, names, begin, end, at, lanes_for(rows), choice, totals, listed, np.int64(0)
    )
    return totals, listed[:found], closed_user


# --- Users alike (cpu/solver/alike.h) ---------------------------------------------------------------------------------------

BLOCK = 1024  # users scanned, and then swept and walked while their rows are in cache
CHUNK = 8 * BLOCK  # so many users are compared with each other
PLACES = 8  # two to that many: where kinds of rows are looked for


class Alike(NamedTuple):
    """Users whose rows hold the same numbers: one of a kind is walked, and its twins have its edges."""

    place: Any  # [2^PLACES] a kind whose rows have such numbers, or −1; two kinds of one place displace each other
    user: Any  # [CHUNK] of each kind, who is walked
    first: Any  # [CHUNK] that one's edges in the list: from here
    last: Any  # to here
    twins: Any  # [CHUNK] how many they are
    kind: Any  # [BLOCK] of each open user in turn
    own: Any  # [BLOCK] by user of a block: of which kind is who was walked


@inner
def alike_scratch():
    return Alike(
        np.empty(1 << PLACES, np.int32),
        np.empty(CHUNK, np.int32),
        np.empty(CHUNK, np.int64),
        np.empty(CHUNK, np.int64),
        np.empty(CHUNK, np.int64),
        np.empty(BLOCK, np.int32),
        np.empty(BLOCK, np.int32),
    )


@intrinsic
def same_four(typing_context, x, a, b):
    """Whether x[a : a + 4] and x[b : b + 4] are the same bits: number by number it takes three times as long."""
    signature = types.boolean(x, types.int64, types.int64)

    def generate(context, builder, signature, arguments):
        source = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        bits = signature.args[0].dtype.bitwidth
        four = ir.IntType(4 * bits).as_pointer()
        one, other = (
            builder.load(builder.bitcast(builder.gep(source, [at]), four), align=bits // 8) for at in arguments[1:]
        )
        return builder.icmp_unsigned("==", one, other)

    return signature, generate


@inner
def same_row(rows, one, other):
    v, c = rows.value_at + one * rows.value_row, rows.cost_at + one * rows.cost_row
    w, d = rows.value_at + other * rows.value_row, rows.cost_at + other * rows.cost_row
    if rows.value_item == 1 and rows.cost_item == 1 and rows.items >= 4:
        for j in range(0, rows.items, 4):
            k = min(np.int64(j), rows.items - 4)
            if not (same_four(rows.value, v + k, w + k) and same_four(rows.cost, c + k, d + k)):
                return False
        return True
    different = False
    for j in range(rows.items):
        k, q = j * rows.value_item, j * rows.cost_item
        different |= (rows.value[v + k] != rows.value[w + k]) | (rows.cost[c + q] != rows.cost[d + q])
    return not different


@inner
def place_of(rows, user):
    v, c = rows.value_at + user * rows.value_row, rows.cost_at + user * rows.cost_row
    last, middle = rows.items - 1, (rows.items - 1) // 2
    mixed = np.float64(rows.value[v]) + 3.1 * np.float64(rows.value[v + last * rows.value_item])
    mixed += 5.3 * np.float64(rows.cost[c + last * rows.cost_item])
    mixed += 7.7 * np.float64(rows.value[v + middle * rows.value_item])
    return (bits_of(mixed) * -7046029254386353131) >> (64 - PLACES) & ((1 << PLACES) - 1)


@inner
def sort_out(rows, alike, kinds, users, at, waiting):
    """Moves those to the front of the open users who are to be walked; how many, and how many kinds there are now."""
    fresh, twins, kind = np.int64(0), np.empty(BLOCK, np.int32), kinds - 1
    for k in range(waiting):
        user = np.int64(users[k])
        # Often it is the one before; else a few of a row's numbers say where its kind is looked for.
        if kind < 0 or not same_row(rows, np.int64(alike.user[kind]), user):
            place = place_of(rows, user)
            kind = np.int64(alike.place[place])
            if kind < 0 or not same_row(rows, np.int64(alike.user[kind]), user):
                kind = kinds
                kinds += 1
                alike.place[place] = kind
                alike.user[kind] = user
                alike.first[kind] = alike.last[kind] = alike.twins[kind] = 0
                users[fresh] = user
                at[fresh] = at[k]
                fresh += 1
                continue
        alike.kind[k - fresh] = kind
        twins[k - fresh] = user
    for k in range(waiting - fresh):
        users[fresh + k] = twins[k]
    return fresh, kinds


@inner
def settle_twins(alike, before, kinds, block, users, fresh, waiting, choice, listed, start, found):
    """What a block's walk has found of one of a kind holds for its twins, users[fresh:waiting]; their edges are listed."""
    # The edges of each are brought together.
    for kind in range(before, kinds):
        alike.own[alike.user[kind] - block] = kind
    for k in range(start, found):
        alike.last[alike.own[listed[k].user - block]] += 1
    place = start
    for kind in range(before, kinds):
        alike.first[kind] = place
        place += alike.last[kind]
        alike.last[kind] = alike.first[kind]
    apart = np.empty(found - start, LISTED)
    for k in range(start, found):
        apart[k - start] = listed[k]
    for k in range(len(apart)):
        kind = alike.own[apart[k].user - block]
        listed[alike.last[kind]] = apart[k]
        alike.last[kind] += 1
    most = np.int64(0)
    for k in range(fresh, waiting):
        kind = alike.kind[k - fresh]
        most = max(most, alike.last[kind] - alike.first[kind])
    listed = wider(listed, found, (waiting - fresh) * most)
    for k in range(fresh, waiting):
        user, kind = users[k], alike.kind[k - fresh]
        chosen = choice[user] = choice[alike.user[kind]]
        if chosen == PUT_OFF:
            continue
        alike.twins[kind] += 1
        for e in range(alike.first[kind], alike.last[kind]):
            listed[found] = listed[e]
            listed[found].user = user
            found += 1
    return listed, found


@inner
def add_twins(rows, counting, buckets, alike, kinds, choice, listed, totals):
    """Adds up what is the twins' of each kind."""
    for kind in range(kinds):
        times = alike.twins[kind]
        if times == 0:
            continue
        v = rows.value_at + alike.user[kind] * rows.value_row
        c = rows.cost_at + alike.user[kind] * rows.cost_row
        chosen = np.int64(choice[alike.user[kind]])
        for e in range(alike.first[kind] - 1, alike.last[kind]):
            # In front of the edges, the choice itself.
            to, at = chosen, 5 * buckets.size
            if e >= alike.first[kind]:
                to, at = np.int64(listed[e].stop), 5 * bucket_of(buckets, listed[e].slope)
            value = to_fixed(counting.value, np.float64(rows.value[v + to * rows.value_item]))
            cost = to_fixed(counting.cost, np.float64(rows.cost[c + to * rows.cost_item]))
            if e >= alike.first[kind]:
                start = np.int64(listed[e].start)
                value -= to_fixed(counting.value, np.float64(rows.value[v + start * rows.value_item]))
                cost -= to_fixed(counting.cost, np.float64(rows.cost[c + start * rows.cost_item]))
            add_times(totals, at, value, cost, times)


# --- The pass (cpu/solver/pass.cpp) -------------------------------------------------------------------------------------------


@jit
def pass_over(rows, counting, wanted, everybody, ends, guess, begin, end, choice):
    """One reading of users with a bracket: who is settled is added up; of the others the wanted edges
    are listed, and counted by slope. `choice` becomes everybody's choice at the high end.

    With a `guess` [2] of the largest magnitudes, the pass scans as well. `everybody`: no sweep, all are walked.
    """
    users, items = np.empty(BLOCK + W, np.int32), rows.items
    at = np.empty(BLOCK + W, np.int32)
    put_off, broken = np.empty(end - begin if counting.whole else 0, np.int32), 0
    scratch = sweep_scratch(rows)
    totals = np.zeros((wanted.buckets.size + 1) * 5, np.int64)
    # Room for an edge a user: pages that nobody writes to cost nothing, and where users are alike a list that grew would be
    # copied again and again.
    listed = np.empty(end - begin + L * items, LISTED)
    lanes, found, opened, closed_user = lanes_for(rows), np.int64(0), 0, False
    alike, kinds, looking = alike_scratch(), np.int64(0), False
    seen = nothing_seen(rows.kind)
    for block in range(begin, end, BLOCK):
        stop = min(block + BLOCK, end)
        if len(guess) > 0:
            see(rows, block, stop, seen)
            if beyond(seen, guess):
                return Found(totals, listed[:0], put_off[:0], opened, closed_user, seen, False)
        waiting = np.int64(0)
        if everybody:
            for user in range(block, stop):
                users[waiting] = user
                at[waiting] = -1
                waiting += 1
        else:
            waiting = sweep(rows, counting, ends, block, stop, scratch, totals, users, at, choice)
        opened += waiting
        if (block - begin) % CHUNK == 0:
            add_twins(rows, counting, wanted.buckets, alike, kinds, choice, listed, totals)
            kinds, looking = np.int64(0), not rows.masked
            for k in range(len(alike.place)):
                alike.place[k] = -1
        fresh, before, start = waiting, kinds, found
        if looking and waiting >= BLOCK // 8:
            fresh, kinds = sort_out(rows, alike, kinds, users, at, waiting)
            looking = 2 * fresh <= waiting  # of ordinary rows no two are alike: a first look is enough
        listed, found, closed = walk_all(
            rows, counting, wanted, users, users, np.int64(0), fresh, at, lanes, choice, totals, listed, found
        )
        closed_user |= closed
        if fresh < waiting:
            listed, found = settle_twins(
                alike, before, kinds, block, users, fresh, waiting, choice, listed, start, found
            )
        if counting.whole:
            late = broken
            for k in range(waiting):
                if k == fresh and broken == late:
                    break  # nor any twin
                if choice[users[k]] == PUT_OFF:
                    put_off[broken] = users[k]
                    broken += 1
    add_twins(rows, counting, wanted.buckets, alike, kinds, choice, listed, totals)
    return Found(totals, listed[:found], put_off[:broken], opened, closed_user, seen, True)


@jit
def edges_between(rows, counting, everybody, low, high):
    """The edges inside a bracket, and those a hair beyond."""
    to_fixed_units = counting.value.shift - counting.cost.shift
    from_, to = low, high
    if everybody:  # the bracket that was asked last only makes the buckets finer there
        useful = low > 0 and np.isfinite(high)
        from_, to, low, high = low / 4 if useful else 0.0, high * 4 if useful else np.inf, 0.0, np.inf
    buckets = buckets_between(
        math.ldexp(from_, to_fixed_units), math.ldexp(to, to_fixed_units), 1024 if rows.users > 65536 else 128
    )
    return Slopes(
        math.ldexp(low * (1 - SLACK), to_fixed_units), math.ldexp(high * (1 + SLACK), to_fixed_units), 1.0, buckets
    )


@jit
def true_counting(rows, survey):
    return Counting(scale_for(survey.value), scale_for(survey.cost), False, np.zeros(4, rows.value.dtype))


@jit
def in_true_units(wanted, counting, true):
    """The same edges for a walk in the true scales."""
    value, cost = true.value.shift - counting.value.shift, true.cost.shift - counting.cost.shift
    return Slopes(
        math.ldexp(wanted.low, value - cost),
        math.ldexp(wanted.high, value - cost),
        math.ldexp(1.0, cost - value),
        wanted.buckets,
    )


@jit
def join(a, b):
    out = np.empty(len(a) + len(b), LISTED)
    for k in range(len(a)):
        out[k] = a[k]
    for k in range(len(b)):
        out[len(a) + k] = b[k]
    return out


@jit
def finer(totals, value_shift, cost_shift):
    """Totals in units that are so many powers of two smaller."""
    for k in range(0, len(totals), 5):
        high, low = carry(totals[k], totals[k + 1])
        totals[k], totals[k + 1] = carry(high << value_shift, low << value_shift)
        high, low = carry(totals[k + 2], totals[k + 3])
        totals[k + 2], totals[k + 3] = carry(high << cost_shift, low << cost_shift)


@inner
def exact(rows, value_scale, cost_scale, listed, user, edge):
    """A listed edge of row `user` in fixed point."""
    v, c = rows.value_at + user * rows.value_row, rows.cost_at + user * rows.cost_row
    edge.slope, edge.user, edge.position = listed.slope, listed.user, listed.position
    edge.start, edge.stop = listed.start, listed.stop
    edge.value = to_fixed(value_scale, np.float64(rows.value[v + listed.stop * rows.value_item])) - to_fixed(
        value_scale, np.float64(rows.value[v + listed.start * rows.value_item])
    )
    edge.cost = to_fixed(cost_scale, np.float64(rows.cost[c + listed.stop * rows.cost_item])) - to_fixed(
        cost_scale, np.float64(rows.cost[c + listed.start * rows.cost_item])
    )


# --- Selection and order (core/search.h, cpu/machine/sort.h) ------------------------------------------------------------------


@inner
def nth_element(edges, order, first, nth, last):
    """order[first:last] so that the edge at `nth` stands in its sorted place, steeper ones before it."""
    turn = 0.0
    while last - first > 1:
        # No pattern of the list meets these three places time and again.
        turn = (turn + 0.6180339887498949) % 1.0
        size = last - first
        a, b = order[first + np.int64(turn * size)], order[first + np.int64((turn * 7 % 1.0) * size)]
        c = order[first + np.int64((turn * 31 % 1.0) * size)]
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


@inner
def sort(edges, order, first, last):
    """Merge sort of order[first:last], from runs of one upwards."""
    n, width = last - first, 1
    a, b = np.empty(n, order.dtype), np.empty(n, order.dtype)
    for k in range(n):
        a[k] = order[first + k]
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
    for k in range(n):
        order[first + k] = a[k]


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


@inner
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


@inner
def sort_window(edges, order, split, window):
    """The next `window` edges after `split` in their order."""
    nth_element(edges, order, split, min(split + window, len(order) - 1), len(order))
    sort(edges, order, split, split + window)


@inner
def buy(edges, order, split, end, high, low, choice):
    """Writes the choices after the first `split` edges of the order; then takes what still fits of those up to `end`.
    Returns the wide room left at the end, and the value that those added."""
    taken = np.zeros(len(edges), np.bool_)
    for k in range(split):
        taken[order[k]] = True
    # A user's edges are bought in turn; only where rounding put a later one into a higher bucket is it there already.
    for k in range(len(edges)):
        if taken[k] and choice[edges[k].user] == edges[k].start:
            choice[edges[k].user] = edges[k].stop
    value_high, value_low = np.int64(0), np.int64(0)
    for k in range(split, end):
        e = edges[order[k]]
        cost_high, cost_low = e.cost >> 32, e.cost & 0xFFFFFFFF
        if choice[e.user] == e.start and at_most(cost_high, cost_low, high, low):
            choice[e.user] = e.stop
            high, low = carry(high - cost_high, low - cost_low)
            value_high, value_low = carry(value_high + (e.value >> 32), value_low + (e.value & 0xFFFFFFFF))
    return (high, low), (value_high, value_low)


# --- The search (core/search.h) -----------------------------------------------------------------------------------------------


@jit
def spread(samples, count):
    """So many users out of `count`: even, but off any period the data may have."""
    out = np.empty(samples, np.int32)
    for k in range(samples):
        golden = k * 0.6180339887498949
        out[k] = min(np.int64((k + golden - np.floor(golden)) * count / samples), count - 1)
    return out


@jit
def no_curve():
    nothing, numbers = np.empty(0, np.float64), np.empty(0, np.int64)
    return Curve(np.empty(0, EDGE), numbers, numbers, nothing, np.empty(0, np.bool_), nothing, 0.0, Buckets(0, 0, 1))


@jit
def spend_curve(rows, counting, users, at, listed):
    """From the walk of a sample at all multipliers: `at` is where they start."""
    n, samples = len(listed), len(users)
    unit = math.ldexp(1.0, -counting.cost.shift)
    spend, base = np.zeros(samples), 0.0
    for k in range(samples):
        if at[k] >= 0:
            spend[k] = rows.cost[rows.cost_at + users[k] * rows.cost_row + at[k] * rows.cost_item]
            base += spend[k]
    # Outliers must not stretch the buckets: they span what a few of the edges span, the rest falls to the ends.
    tried = min(64, n)
    few = np.empty(tried)
    for k in range(tried):
        slope, at_k = listed[k * n // tried].slope, k
        while at_k > 0 and few[at_k - 1] > slope:
            few[at_k] = few[at_k - 1]
            at_k -= 1
        few[at_k] = slope
    count = 1024 if n > 4096 else 64
    buckets = Buckets(np.int64(0), np.int64(63), np.int64(count))
    if n > 0:
        buckets = buckets_between(few[tried // 32] / 4, few[tried - 1 - tried // 32] * 4, count)
    edges, order, start, cost = np.empty(n, EDGE), np.empty(n, np.int64), np.zeros(count + 1, np.int64), np.zeros(count)
    for k in range(n):
        exact(rows, counting.value, counting.cost, listed[k], np.int64(users[listed[k].user]), edges[k])
        b = count - 1 - bucket_of(buckets, edges[k].slope)
        start[b + 1] += 1
        cost[b] += np.float64(edges[k].cost) * unit
    for b in range(count):
        start[b + 1] += start[b]
    after = start.copy()
    for k in range(n):
        b = count - 1 - bucket_of(buckets, edges[k].slope)
        order[after[b]] = k
        after[b] += 1
    return Curve(edges, order, start, cost, np.zeros(count, np.bool_), spend, base, buckets)


@inner
def sort_bucket(curve, b):
    if not curve.sorted[b]:
        sort(curve.edges, curve.order, curve.start[b], curve.start[b + 1])
        curve.sorted[b] = True


@inner
def slope_at(curve, k):
    """The slope of the k-th steepest edge."""
    b = 0
    while curve.start[b + 1] <= k:
        b += 1
    sort_bucket(curve, b)
    return curve.edges[curve.order[k]].slope


@jit
def sample_size(users):
    return max(LEAST_SAMPLE, min(users // 8, SAMPLE))


@inner
def bought(curve, unit, money):
    """How many of the steepest edges `money` buys in all, the users' base included."""
    left = money - curve.base
    for b in range(curve.buckets.size):
        if curve.cost[b] <= left and b + 1 < curve.buckets.size:
            left -= curve.cost[b]
            continue
        sort_bucket(curve, b)
        k = curve.start[b]
        while k < curve.start[b + 1]:
            left -= np.float64(curve.edges[curve.order[k]].cost) * unit
            if left < 0:
                break
            k += 1
        return k
    return len(curve.order)


@inner
def spend_at(curve, unit, slope):
    """The sample's spend once all edges steeper than `slope` are bought."""
    total = curve.base
    boundary = curve.buckets.size - 1 - bucket_of(curve.buckets, slope)
    for b in range(boundary):
        total += curve.cost[b]
    for k in range(curve.start[boundary], curve.start[boundary + 1]):
        e = curve.edges[curve.order[k]]
        if e.slope > slope:
            total += np.float64(e.cost) * unit
    return total


@inner
def deviation(curve, unit, first, last):
    """Standard deviation of what such a sample spends on the edges first, ..., last − 1; from 0 on, their base included."""
    spend = curve.spend.copy() if first == 0 else np.zeros(len(curve.spend))
    for k in range(first, last):
        e = curve.edges[curve.order[k]]
        spend[e.user] += np.float64(e.cost) * unit
    total, squares = 0.0, 0.0
    for x in spend:
        total += x
        squares += x * x
    return math.sqrt(max(0.0, squares - total * total / len(spend)))


@jit
def guess_from(rows, survey):
    """What no magnitude should exceed, going by a few users; empty if that says nothing, or all is known."""
    nothing = np.zeros(0, rows.kind.magnitude.dtype)
    if survey.known or rows.kind.digits != 24 or rows.users <= IN_CACHE:  # a double's digits leave no room for a guess
        return nothing
    seen = nothing_seen(rows.kind)
    for user in spread(512, rows.users):
        see(rows, np.int64(user), np.int64(user) + 1, seen)
    few = survey_of(rows, seen)
    guess = np.zeros(2, rows.value.dtype)
    guess[0], guess[1] = few.value * SURPRISE, few.cost * SURPRISE
    if few.value == 0 or few.cost == 0 or not (np.isfinite(guess[0]) and np.isfinite(guess[1])):
        return nothing
    return guess.view(seen.dtype) if counting_for(rows, few.value * SURPRISE, few.cost * SURPRISE).whole else nothing


@jit
def counting_by(rows, survey, guess):
    if len(guess) == 0:
        return counting_for(rows, survey.value, survey.cost)
    x = guess.view(rows.value.dtype)
    return counting_for(rows, np.float64(x[0]), np.float64(x[1]))


@jit
def propose(curve, counting, users, budget, deviations, spare, outer_low, outer_high, anchor, spend_at_anchor):
    """A bracket around λ*, read off a sample (the idea of Floyd and Rivest's SELECT): where its spend, by rising
    multiplier, passes its share of the budget, give or take some standard errors, and `spare` edges more further down.

    `anchor` is where everybody's spend is known, or NaN: then the sample has to bridge only the way from there.
    """
    to_own, unit = counting.cost.shift - counting.value.shift, math.ldexp(1.0, -counting.cost.shift)
    share = len(curve.spend) / users
    target, first = budget * share, 0
    if anchor == anchor:
        before = spend_at(curve, unit, math.ldexp(anchor, -to_own))
        target = before + (budget - spend_at_anchor) * share
        first = bought(curve, unit, before)
    last = bought(curve, unit, target)
    stray = deviations * math.sqrt(1 - share) * deviation(curve, unit, min(first, last), max(first, last))
    count, low, high = len(curve.order), outer_low, outer_high
    # A hair beyond the edges found: λ* may be one of the sampled slopes itself.
    k = bought(curve, unit, target - stray)
    if count > 0 and k > 0:
        high = math.ldexp(slope_at(curve, min(k, count - 1)), to_own) * (1 + 1e-6)
    k = bought(curve, unit, target + stray) + 1 + np.int64(spare * share) + 8
    if k < count:
        low = math.ldexp(slope_at(curve, k), to_own) * (1 - 1e-6)
    # λ* is inside the outer bracket: one beside it would be lost work. Below, `fill` may need more than λ* does.
    if not high < outer_high:
        high = outer_high
    if not high > outer_low:
        high = outer_low * (1 + 1 / 16)
    if not low < outer_high:
        low = outer_high * (1 - 1 / 16)
    if not np.isfinite(high) and count > 0:
        high = math.ldexp(slope_at(curve, np.int64(0)), to_own) * FIRST_HIGH
        if high <= outer_low:
            high = np.inf
    return low, high


# --- The solver (cpu/solver.cpp) ----------------------------------------------------------------------------------------------


@inner
def close_edges(rows, survey, totals, listed, buckets, low, high, choice):
    """The listed edges of buckets low, ..., high in fixed point; those above are bought."""
    value_scale, cost_scale = scale_for(survey.value), scale_for(survey.cost)
    count = 0
    for b in range(low, high + 1):
        count += totals[5 * b + 4]
    edges, found = np.empty(count, EDGE), 0
    for k in range(len(listed)):
        b = bucket_of(buckets, listed[k].slope)
        if b > high:
            choice[listed[k].user] = listed[k].stop
        elif b >= low:
            exact(rows, value_scale, cost_scale, listed[k], np.int64(listed[k].user), edges[found])
            found += 1
    return edges


@jit
def finish(rows, counting, survey, totals, listed, buckets, low_end, high_end, budget, fill, choice, out, b, least):
    """The exact end: buy the listed edges from the steepest down. False if the list may miss an edge that matters.
    least[0]: becomes the slope of the last edge that mattered.

    Whole buckets are bought by their totals; the one where the money runs out, its neighbour above, and as many below
    as `fill` needs are looked at edge by edge.
    """
    top, last = buckets.size - 1, buckets.size * 5
    window = FILL_WINDOW if fill else 1
    room = carry(budget[0] - totals[last + 2], budget[1] - totals[last + 3])
    split_bucket = top
    while split_bucket >= 0:
        left = carry(room[0] - totals[5 * split_bucket + 2], room[1] - totals[5 * split_bucket + 3])
        if left[0] < 0:
            break
        room = left
        split_bucket -= 1
    all_fit = split_bucket < 0
    if all_fit and low_end > 0:
        return False
    high, low = min(top, split_bucket + 1), max(0, split_bucket)
    below = 0
    while low > 0 and below < window:
        low -= 1
        below += totals[5 * low + 4]

    while True:
        edges = close_edges(rows, survey, totals, listed, buckets, low, high, choice)
        value = carry(totals[last], totals[last + 1])
        room = carry(budget[0] - totals[last + 2], budget[1] - totals[last + 3])
        for k in range(high + 1, top + 1):
            value = carry(value[0] + totals[5 * k], value[1] + totals[5 * k + 1])
            room = carry(room[0] - totals[5 * k + 2], room[1] - totals[5 * k + 3])
        order = np.arange(len(edges))
        split, left, more = first_beyond(edges, order, room[0], room[1])
        value = carry(value[0] + more[0], value[1] + more[1])
        end = min(len(edges), split + window)
        if end > split:
            sort_window(edges, order, split, end - split)
        # Rounded slopes may be out of order where buckets meet: what was looked at must lie clear of the rest.
        clear_above = all_fit or high == top
        if not clear_above and split < len(edges):
            clear_above = bucket_of(buckets, edges[order[split]].slope * (1 + INSIDE)) <= high
        clear_below = low == 0
        if not clear_below and end == split + window:
            clear_below = bucket_of(buckets, edges[order[end - 1]].slope * (1 - INSIDE)) >= low
        if clear_above and clear_below:
            break
        if not clear_above:
            high = top
        if not clear_below:
            low = 0
        for k in range(len(listed) - 1, -1, -1):
            choice[listed[k].user] = listed[k].start

    # Is everything that matters on the list?
    to_own = counting.cost.shift - counting.value.shift
    if low_end > 0 and end < split + window:
        return False
    if low_end > 0 and math.ldexp(edges[order[end - 1]].slope, to_own) < low_end * (1 + INSIDE):
        return False
    unlisted_above = np.isfinite(high_end) and split < len(edges)
    if unlisted_above and math.ldexp(edges[order[split]].slope, to_own) > high_end * (1 - INSIDE):
        return False

    value_scale, cost_scale = scale_for(survey.value), scale_for(survey.cost)
    bound, out.multiplier[b] = value, 0.0
    if split < len(edges):
        e = edges[order[split]]
        extra = share_up(e.value, (left[0] << 32) + left[1], e.cost)
        bound = carry(value[0] + (extra >> 32), value[1] + (extra & 0xFFFFFFFF))
        # Costs that were rounded up, and the budget down, each hide at most λ* times a unit.
        if survey.costs_rounded:
            hidden = times_up(e.value, e.cost, rows.users + 1)
            bound = carry(bound[0] + hidden[0], bound[1] + hidden[1])
        out.multiplier[b] = slope_nearest(e.value, e.cost, cost_scale.shift - value_scale.shift)
    least[0] = math.ldexp(edges[order[end - 1]].slope, to_own) if end > 0 else 0.0
    rest, more = buy(edges, order, split, end if fill else split, left[0], left[1], choice)
    value = carry(value[0] + more[0], value[1] + more[1])
    spend = carry(budget[0] - rest[0], budget[1] - rest[1])
    gap = carry(bound[0] - value[0], bound[1] - value[1])
    out.status[b] = SOLVED
    out.value[b] = math.ldexp(to_double(value[0], value[1]), -value_scale.shift)
    out.spend[b] = math.ldexp(to_double(spend[0], spend[1]), -cost_scale.shift)
    out.dual_bound[b] = above(bound[0], bound[1], value_scale.shift)
    out.gap[b] = above(gap[0], gap[1], value_scale.shift)
    return True


@jit
def tied(rows, counting, listed, begin, end, buckets, bucket):
    """Whether all of listed[begin:end] that are in a bucket have one slope: one of them, and their sums by users in
    chunks [chunks, 5]."""
    sums, like, edge = np.zeros(5 * (rows.users // CHUNK + 1), np.int64), np.zeros(1, EDGE), np.zeros(1, EDGE)
    found, at, run = False, np.int64(0), np.int64(0)  # how many like `edge` are not added yet, to `at`
    v0 = v1 = rows.value[0]
    c0 = c1 = rows.cost[0]
    for k in range(begin, end):
        if bucket_of(buckets, listed[k].slope) != bucket:
            continue
        e, one, user = edge[0], like[0], np.int64(listed[k].user)
        v, c = rows.value_at + user * rows.value_row, rows.cost_at + user * rows.cost_row
        v_from, v_to = v + listed[k].start * rows.value_item, v + listed[k].stop * rows.value_item
        c_from, c_to = c + listed[k].start * rows.cost_item, c + listed[k].stop * rows.cost_item
        # Most have the numbers of the one before.
        same = (rows.value[v_from] == v0) & (rows.value[v_to] == v1)
        same &= (rows.cost[c_from] == c0) & (rows.cost[c_to] == c1) & (at == 5 * (user // CHUNK))
        if same and run > 0:
            run += 1
            continue
        add_times(sums, at, e.value, e.cost, run)
        v0, v1, c0, c1 = rows.value[v_from], rows.value[v_to], rows.cost[c_from], rows.cost[c_to]
        exact(rows, counting.value, counting.cost, listed[k], user, e)
        if not found:
            one.slope, one.value, one.cost, found = e.slope, e.value, e.cost, True
        if compare_slopes(e.slope, e.value, e.cost, one.slope, one.value, one.cost) != 0:
            return False, like, sums
        at, run = 5 * (user // CHUNK), np.int64(1)
    add_times(sums, at, edge[0].value, edge[0].cost, run)
    return True, like[: np.int64(found)], sums


@jit
def without_tied(listed, buckets, bucket, first, last, below, choice):
    """Buys what is above a bucket, and of its own edges those of chunks before `first`; those from `last` on are left
    out, and, unless wanted, what is below the bucket. Returns the others."""
    out, kept = np.empty(len(listed), LISTED), 0
    for k in range(len(listed)):
        b, chunk = bucket_of(buckets, listed[k].slope), listed[k].user // CHUNK
        if b > bucket or (b == bucket and chunk < first):
            choice[listed[k].user] = listed[k].stop
        elif below if b < bucket else chunk < last:
            out[kept] = listed[k]
            kept += 1
    return out[:kept]


@jit
def add(totals, more):
    for k in range(len(totals)):
        totals[k] += more[k]


@jit
def spends(totals, cost_shift):
    """Everybody's spend at the high end and at the low one, as wide numbers and in money."""
    high_end, high, low = carry(totals[-3], totals[-2]), np.int64(0), np.int64(0)
    for k in range(0, len(totals), 5):
        high, low = carry(high + totals[k + 2], low + totals[k + 3])
    low_end = (high, low)
    return (
        high_end,
        low_end,
        math.ldexp(to_double(high_end[0], high_end[1]), -cost_shift),
        math.ldexp(to_double(high, low), -cost_shift),
    )


@jit
def is_warm(rows, multiplier):
    return multiplier > 0 and np.isfinite(multiplier) and rows.users >= WARM


@jit
def tell_units(survey, out, b):
    out.value_unit[b] = math.ldexp(1.0, -scale_for(survey.value).shift) if survey.value > 0 else 0.0
    out.cost_unit[b] = math.ldexp(1.0, -scale_for(survey.cost).shift) if survey.cost > 0 else 0.0


@jit
def is_near(rows, near):
    return near[NEAR_MEAN] > 0 and rows.users <= IN_CACHE and near[NEAR_SPREAD] < 0.04 and near[NEAR_MISSES] < 0.5


@jit
def see_neighbour(near, multiplier, least):
    """What a problem solved says of the next: a quarter of what is known from now on."""
    if not (multiplier > 0 and np.isfinite(multiplier) and least > 0):
        return
    depth, near[NEAR_MISSES] = least / multiplier, near[NEAR_MISSES] * (1 - 1 / 16)
    if near[NEAR_MEAN] == 0:
        near[NEAR_MEAN], near[NEAR_DEPTH] = multiplier, depth
        near[NEAR_SPREAD] = near[NEAR_DEPTH_SPREAD] = 0.01
        return
    off, deeper = multiplier / near[NEAR_MEAN] - 1, depth - near[NEAR_DEPTH]
    near[NEAR_SPREAD] += (min(off * off, 4.0) - near[NEAR_SPREAD]) / 4
    near[NEAR_MEAN] += (multiplier - near[NEAR_MEAN]) / 4
    near[NEAR_DEPTH_SPREAD] += (deeper * deeper - near[NEAR_DEPTH_SPREAD]) / 4
    near[NEAR_DEPTH] += deeper / 4


@jit
def bracket_near(near):
    """Where the multiplier is, and the edges that matter, if this problem is as its neighbours."""
    off = 0.02 + NEAR_ERRORS * math.sqrt(near[NEAR_SPREAD])
    depth = near[NEAR_DEPTH] - 0.02 - NEAR_ERRORS * math.sqrt(near[NEAR_DEPTH_SPREAD])
    return near[NEAR_MEAN] * (1 - off) * max(depth, 0.05), near[NEAR_MEAN] * (1 + off)


@inlined
def solve(rows, asked, fill, warm_start, survey, choice, out, b, threads, near):
    """One problem: `choice` [N] and the b-th place of `out` are written. `survey` need not be known: then the first pass
    does the scan's work on the way, if it can. `near`: of problems next door, what is known and will be.

    Runs compiled, with threads = None; or as plain Python, where `threads` has the functions that read many users.
    """
    out.rows_read[b] = out.sweeps[b] = out.active[b] = 0
    users, ends = rows.users, np.zeros(5, rows.value.dtype)
    guess = guess_from(rows, survey)
    counting = counting_by(rows, survey, guess)
    curve, sampled = no_curve(), False
    outer_low, outer_high, anchor, spend_there = 0.0, np.inf, np.nan, 0.0
    low, high, deviations, tries, widened = 0.0, np.inf, DEVIATIONS, 0, 0
    spare = 1.25 * FILL_WINDOW if fill else 0.0
    everybody, none, least = users <= DIRECT, np.int64(0), np.zeros(1)
    while True:
        if not survey.known and len(guess) == 0:
            if threads is None:
                seen = scan(rows, none, users)
            else:
                seen = threads.scan(rows)
            survey = survey_of(rows, seen)
            counting = counting_by(rows, survey, guess)
            out.rows_read[b] += users
        if survey.known and not survey.finite:
            out.status[b] = NOT_FINITE
            choice[:] = -1  # a pass that was to scan as well may have been under way
            return

        if not everybody:
            if tries == 0 and is_warm(rows, warm_start):
                low, high = warm_start * (1 - 1 / 64), warm_start * (1 + 1 / 64)
            elif tries == 0 and is_near(rows, near):
                low, high = bracket_near(near)
            else:
                if not sampled:
                    size = sample_size(users)
                    some, names, at = spread(size, users), np.arange(size).astype(np.int32), np.empty(size, np.int32)
                    if threads is None:
                        _, listed, _ = walk_users(rows, counting, EVERY_EDGE, some, names, none, size, at)
                    else:
                        _, listed, _ = threads.walk_users(rows, counting, EVERY_EDGE, some, names, at)
                    curve, sampled = spend_curve(rows, counting, some, at, listed), True
                    out.rows_read[b] += size
                low, high = propose(
                    curve, counting, users, asked, deviations, spare, outer_low, outer_high, anchor, spend_there
                )
            everybody = tries == TRIES or widened == 3 or not place(rows, counting, low, high, ends)
        wanted = edges_between(rows, counting, everybody, low, high)
        if threads is None:
            found = pass_over(rows, counting, wanted, everybody, ends, guess, none, users, choice)
        else:
            # What a part of the users has been wrong about before, no part shall narrow.
            money = asked if tries == 0 else np.nan
            found, wanted, low, high = threads.pass_over(
                rows, counting, wanted, everybody, ends, guess, choice, low, high, money, max(spare, 1.0)
            )
        out.rows_read[b] += users
        out.sweeps[b] += 1
        out.active[b] = found.open
        if len(guess) > 0:
            guess = guess[:0]
            if not found.usable:
                sampled = False
                continue
            survey = survey_of(rows, found.seen)
        if tries == 0 and survey.costs_rounded:
            if threads is None:
                whole = whole_units(rows, survey, none, users)
            else:
                whole = threads.whole_units(rows, survey)
            survey = with_rounding(survey, not whole)
        tell_units(survey, out, b)

        true = true_counting(rows, survey)
        finer(found.totals, true.value.shift - counting.value.shift, true.cost.shift - counting.cost.shift)
        listed, closed_user = found.listed, found.closed_user
        if len(found.put_off) > 0:
            again, late = in_true_units(wanted, counting, true), found.put_off
            if threads is None:
                more, extra, closed = walk_users(rows, true, again, late, late, none, len(late), choice)
            else:
                more, extra, closed = threads.walk_users(rows, true, again, late, late, choice)
            add(found.totals, more)
            listed, closed_user = join(listed, extra), closed_user or closed
        if closed_user:
            out.status[b] = NO_OPEN_TREATMENT
            choice[:] = -1
            return

        budget = floor_wide(true.cost, asked)
        at_high, at_low, money_high, money_low = spends(found.totals, true.cost.shift)
        if everybody:
            low, high = 0.0, np.inf
        if not at_most(at_high[0], at_high[1], budget[0], budget[1]):
            if everybody:
                out.status[b] = INFEASIBLE_BUDGET
                out.least_budget[b] = above(at_high[0], at_high[1], true.cost.shift)
                choice[:] = -1
                return
            outer_low, anchor, spend_there = max(outer_low, high), high, money_high
        elif low > 0 and at_most(at_low[0], at_low[1], budget[0], budget[1]):
            outer_high, anchor, spend_there = min(outer_high, low), low, money_low
        else:
            outer_low, outer_high = max(outer_low, low), min(outer_high, high)
            if threads is not None:
                listed = threads.buy_ties(rows, true, found.totals, listed, wanted.buckets, budget, fill, choice)
            if finish(
                rows,
                counting,
                survey,
                found.totals,
                listed,
                wanted.buckets,
                low,
                high,
                budget,
                fill,
                choice,
                out,
                b,
                least,
            ):
                see_neighbour(near, out.multiplier[b], least[0])
                return
            spare = max(8 * spare, 8.0)  # too little below λ*
            widened += 1
            tries += 1
            continue
        if tries > 0:  # a first miss may be a warm start's
            deviations *= 2
        elif is_near(rows, near):
            near[NEAR_MISSES] += 0.25
        tries += 1


@jit
def solve_several(all_rows, batch, which, start, stop, budget, warm_start, survey, fill, out):
    """The problems named, one after the other."""
    near = np.zeros(NEAR)
    for b in which:
        rows = Instance(
            all_rows.value,
            all_rows.cost,
            all_rows.open,
            all_rows.value_at + b * batch.value + start[b] * all_rows.value_row,
            all_rows.value_row,
            all_rows.value_item,
            all_rows.cost_at + b * batch.cost + start[b] * all_rows.cost_row,
            all_rows.cost_row,
            all_rows.cost_item,
            all_rows.open_at + b * batch.open + start[b] * all_rows.open_row,
            all_rows.open_row,
            all_rows.open_item,
            stop[b] - start[b],
            all_rows.items,
            all_rows.masked,
            all_rows.kind,
        )
        choice = out.choice[0 if out.choice.shape[0] == 1 else b, start[b] : stop[b]]
        solve(rows, budget[b], fill, warm_start[b], survey, choice, out, b, None, near)


# --- Decisions at a multiplier (cpu/decide.cpp) -----------------------------------------------------------------------------


@jit
def place_at(rows, counting, multiplier, margin):
    """What a sweep at one multiplier needs: who is settled leads by `margin` there.

    Beyond the type, scores are infinite or NaN, and those are never certain; below it, λ·cost is lost in the units.
    """
    ends = np.zeros(5, rows.value.dtype)
    ends[LOW_END] = multiplier
    ends[HIGH_END] = ends[LOW_END]
    tiny = 2.0**-126 if rows.kind.digits == 24 else 2.0**-1022
    doubt = math.ldexp(4.0, -counting.value.shift) + multiplier * math.ldexp(4.0, -counting.cost.shift)
    doubt += min(multiplier, tiny) * math.ldexp(1.0, FIXED_POINT_BITS - counting.cost.shift) + margin
    infinite = np.empty(1, rows.value.dtype)
    infinite[0] = np.inf
    ends[DOUBT_HIGH] = doubt
    ends[DOUBT_HIGH] = np.nextafter(ends[DOUBT_HIGH], infinite[0])
    return ends


@jit
def slope_at_multiplier(counting, multiplier):
    return math.ldexp(multiplier, counting.value.shift - counting.cost.shift)


@jit
def slopes_at(counting, multiplier):
    """The edges that rounding may have on either side of a multiplier."""
    slope = slope_at_multiplier(counting, multiplier)
    return Slopes(slope * (1 - SLACK), slope * (1 + SLACK), 1.0, Buckets(0, 63, 1))


@jit
def nearest(high, low, shift):
    return math.ldexp(to_double(high, low), -shift)


@jit
def decide(rows, counting, ends, begin, end, choice):
    """Everybody's best choice; the totals of those who are settled, and the others."""
    totals, scratch = np.zeros(5, np.int64), sweep_scratch(rows)
    users, at = np.empty(end - begin + W, np.int32), np.empty(end - begin + W, np.int32)
    open_ = sweep(rows, counting, ends, begin, end, scratch, totals, users, at, choice)
    return totals, users[:open_]


# --- The frontier (cpu/frontier.cpp) ------------------------------------------------------------------------------------------


@jit
def exact_edges(rows, counting, listed):
    edges = np.empty(len(listed), EDGE)
    for k in range(len(listed)):
        exact(rows, counting.value, counting.cost, listed[k], np.int64(listed[k].user), edges[k])
    return edges


@jit
def breakpoints(edges, order, before, value_shift, cost_shift):
    """The prefix sums of the sorted edges from the totals `before` on, equal slopes joined: budget, value and multiplier
    of the frontier."""
    value, spend = carry(before[0], before[1]), carry(before[2], before[3])
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
