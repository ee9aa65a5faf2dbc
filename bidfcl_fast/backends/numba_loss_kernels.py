"""The decision losses' compiled loops, the twin of csrc/core/{policy,ppl,pifd}.h and of the C++ executor around them.

64 users stand side by side as lanes: every loop over lanes compiles to vector instructions, in the precision of the arrays. All
constants and helpers stand in this file, for the reason that numba_kernels.py gives: Numba's cache knows a function
by its own file alone.
"""

# Numba infers the types of these functions from their arguments.
# mypy: disallow-untyped-defs=False, check-untyped-defs=False

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np


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


W = 64  # lanes
ROWS = 1024  # users whose totals are added up together: the same for any number of threads

# Written again: the codes of _decisions.Order, Family and Total.
VALUE, GRADIENT, HESSIAN = 0, 1, 2
PPL, PIFD, PIFD_EXACT, DECISION, DRP = 0, 1, 2, 3, 4
LOSS, VALUE_SLOPE, COST_SLOPE, CLIPPED, WEIGHTED = 0, 1, 2, 3, 4

# eˣ, as in csrc: x = n·ln 2 + r, and q the fit of (eʳ − 1 − r)/r².
_EXP: dict[Any, dict[str, Any]] = {
    np.float32: {
        "least": -87.33, "shift": 12582912.0, "log2_e": 1.44269504, "ln2_high": 0.693145751953125,
        "ln2_low": 1.42860677e-6, "bias": 127, "mantissa": 23,
        "q": [0.5, 0.16666576266288757, 0.041666556149721146, 0.008363178931176662, 0.0013926184037700295, 0, 0, 0, 0, 0],
    },
    np.float64: {
        "least": -708.39, "shift": 6755399441055744.0, "log2_e": 1.4426950408889634, "ln2_high": 0.6931471803691238,
        "ln2_low": 1.9082149292705877e-10, "bias": 1023, "mantissa": 52,
        "q": [0.5000000000000001, 0.16666666666666669, 0.04166666666662413, 0.008333333333330062,
              0.0013888888917213717, 0.00019841269863053618, 2.4801521295954376e-05, 2.7557268459997064e-06,
              2.7620088445409746e-07, 2.510038549551032e-08],
    },
}  # fmt: skip


class Grid(NamedTuple):
    """One array [B, N, M], [B, N] (item stride 0), or nothing (one zero, all strides 0)."""

    data: Any
    at: int
    problem: int
    row: int
    item: int


class Exp(NamedTuple):
    """The exponential's constants, in the arrays' own type."""

    least: Any
    shift: Any
    log2_e: Any
    ln2_high: Any
    ln2_low: Any
    q: Any  # [10]
    bias: Any  # integers of the same width
    mantissa: Any
    long: bool  # all ten of q count, not five
    one: Any
    gone: Any  # what makes 2ⁿ exactly 0


class Job(NamedTuple):
    """Numbers are in the arrays' own type T, so that nothing is widened on the way."""

    value: Grid
    cost: Grid
    open: Grid
    value_turn: Grid
    cost_turn: Grid
    treatment: Grid
    weight: Grid
    outcome: Grid
    cost_outcome: Grid
    multiplier: Any  # [B, K] T
    price: Any
    turn: Any
    scale: Any  # [B]
    family: int
    order: int
    masked: bool
    window: bool
    bound: Any
    rate: Any  # 1 / temperature
    relative: Any  # a gap below relative·(|a| + |b|) + tiny is rounding
    tiny: Any
    zero: Any
    one: Any
    never: Any  # −∞
    exp: Exp
    users: int
    items: int


class Scratch(NamedTuple):
    """Columns [M, W] of T, numbers and codes of a block's users [W], and the users of a run that have an outcome."""

    value: Any
    cost: Any
    value_turn: Any
    cost_turn: Any
    share: Any
    unit: Any
    slope: Any
    turn: Any
    value_out: Any
    cost_out: Any
    lanes: Any  # [8, W] T
    power: Any  # [W] T, and
    bits: Any  # the same memory as integers
    best: Any  # [W] int32
    heir: Any  # [W] bool
    user: Any  # [ROWS + W] int64
    received: Any  # int32
    value_label: Any  # T
    cost_label: Any


def exp_constants(dtype: Any) -> Exp:
    given = _EXP[dtype]
    whole = np.int32 if dtype is np.float32 else np.int64
    numbers = {name: dtype(given[name]) for name in ("least", "shift", "log2_e", "ln2_high", "ln2_low")}
    codes = {name: whole(given[name]) for name in ("bias", "mantissa")}
    gone = dtype(given["shift"] - given["bias"])
    return Exp(**numbers, **codes, q=np.array(given["q"], dtype), long=dtype is np.float64, one=dtype(1), gone=gone)


_COLUMNS = ("value", "cost", "value_turn", "cost_turn", "share", "unit", "slope", "turn", "value_out", "cost_out")


def scratch(items: int, dtype: Any) -> Scratch:
    power, room = np.zeros(W, dtype), ROWS + W
    return Scratch(
        **{name: np.zeros((items, W), dtype) for name in _COLUMNS},
        lanes=np.zeros((8, W), dtype),
        power=power,
        bits=power.view(np.int32 if dtype is np.float32 else np.int64),
        best=np.zeros(W, np.int32),
        heir=np.zeros(W, np.bool_),
        user=np.zeros(room, np.int64),
        received=np.zeros(room, np.int32),
        value_label=np.zeros(room, dtype),
        cost_label=np.zeros(room, dtype),
    )


@inner
def cell(grid, b, i, j):
    return grid.data[grid.at + b * grid.problem + i * grid.row + j * grid.item]


@inner
def exp_lanes(x, c, power, bits, out):
    """out = eˣ for x ≤ 0, W of them; exactly 0 below `least`. `out` is other memory than x, or no vector code runs."""
    least, shift, log2_e, high, low = c.least, c.shift, c.log2_e, c.ln2_high, c.ln2_low
    q0, q1, q2, q3, q4, one, gone = c.q[0], c.q[1], c.q[2], c.q[3], c.q[4], c.one, c.gone
    if c.long:
        q5, q6, q7, q8, q9 = c.q[5], c.q[6], c.q[7], c.q[8], c.q[9]
        for lane in range(W):
            at = least if x[lane] < least else x[lane]
            shifted = at * log2_e + shift
            n = shifted - shift
            r = at - n * high - n * low
            p = (((q9 * r + q8) * r + q7) * r + q6) * r + q5
            p = ((((p * r + q4) * r + q3) * r + q2) * r + q1) * r + q0
            power[lane] = gone if x[lane] < least else shifted
            out[lane] = p * (r * r) + r + one
    else:
        for lane in range(W):
            at = least if x[lane] < least else x[lane]
            shifted = at * log2_e + shift
            n = shifted - shift
            r = at - n * high - n * low
            p = (((q4 * r + q3) * r + q2) * r + q1) * r + q0
            power[lane] = gone if x[lane] < least else shifted
            out[lane] = p * (r * r) + r + one
    for lane in range(W):
        bits[lane] = (bits[lane] + c.bias) << c.mantissa
    for lane in range(W):
        out[lane] *= power[lane]


@inner
def inverse_gap(bound, window, relative, tiny, zero, one, gap, size):
    """1/gap under the rule; 0 for a gap that is only rounding, or infinite."""
    floored = bound if gap < bound else gap
    free = one / floored if floored > relative * size + tiny else zero
    boxed = one / bound if gap < bound else zero
    return boxed if window else free


@inner
def decide(score, cost, items, best, first, least):
    """best [W]: largest score, then smallest cost, then smallest index; its score and cost beside."""
    for lane in range(W):
        best[lane] = 0
        first[lane] = score[0, lane]
        least[lane] = cost[0, lane]
    for j in range(1, items):
        for lane in range(W):
            s, c = score[j, lane], cost[j, lane]
            better = (s > first[lane]) | ((s == first[lane]) & (c < least[lane]))
            first[lane] = s if better else first[lane]
            least[lane] = c if better else least[lane]
            best[lane] = j if better else best[lane]


@inner
def pifd_unit(job, score, cost, received, s, top, least, own, own_cost, rival, step):
    """γ of a block whose users weigh 1; leaves the users' own gaps in `top`, and the hard decisions in s.best."""
    items, best, heir, unit, zero, one = job.items, s.best, s.heir, s.unit, job.zero, job.one
    bound, window, relative, tiny = job.bound, job.window, job.relative, job.tiny
    decide(score, cost, items, best, top, least)
    for lane in range(W):
        own[lane], own_cost[lane], rival[lane], heir[lane] = job.never, zero, job.never, True
    for j in range(items):
        for lane in range(W):
            mine = received[lane] == j
            own[lane] = score[j, lane] if mine else own[lane]
            own_cost[lane] = cost[j, lane] if mine else own_cost[lane]
            beside = job.never if mine else score[j, lane]
            rival[lane] = beside if beside > rival[lane] else rival[lane]
    if job.family == PIFD_EXACT:  # the winner's fall changes the loss only if the treatment received is next
        for j in range(items):
            for lane in range(W):
                a, c = score[j, lane], cost[j, lane]
                first = (c < own_cost[lane]) | ((c == own_cost[lane]) & (j < received[lane]))
                beats = (a > own[lane]) | ((a == own[lane]) & first)
                heir[lane] = heir[lane] & (not (beats & (j != best[lane]) & (j != received[lane])))
    for lane in range(W):
        against = rival[lane] if best[lane] == received[lane] else top[lane]
        gap = own[lane] - against if best[lane] == received[lane] else against - own[lane]
        step[lane] = inverse_gap(bound, window, relative, tiny, zero, one, gap, abs(own[lane]) + abs(against))
        top[lane] = gap
    for j in range(items):
        for lane in range(W):
            entry = inverse_gap(
                bound,
                window,
                relative,
                tiny,
                zero,
                one,
                own[lane] - score[j, lane],
                abs(own[lane]) + abs(score[j, lane]),
            )
            fall = step[lane] if (best[lane] == j) & heir[lane] else zero
            other = entry if best[lane] == received[lane] else fall
            unit[j, lane] = -step[lane] if received[lane] == j else other


@inner
def load(job, grid, b, user, out, closed):
    """out[j, lane] = treatment j of user[lane]; `closed` where the mask says so."""
    base = grid.at + b * grid.problem
    data, row, item = grid.data, grid.row, grid.item
    for lane in range(W):
        at = base + user[lane] * row
        for j in range(job.items):
            out[j, lane] = data[at + j * item]
    if job.masked:
        for lane in range(W):
            for j in range(job.items):
                if cell(job.open, b, user[lane], j) == 0:
                    out[j, lane] = closed


@inner
def store(columns, b, user, lanes, items, out):
    for lane in range(lanes):
        i = user[lane]
        for j in range(items):
            out[b, i, j] = columns[j, lane]


@inner
def list_users(job, b, begin, end, s):
    """The users with an outcome and with their own treatment open, filled up to whole blocks by users of no weight."""
    count = 0
    for i in range(begin, end):
        t = cell(job.treatment, b, i, 0)
        weight = cell(job.weight, b, i, 0)
        rho, kappa = weight * cell(job.outcome, b, i, 0), weight * cell(job.cost_outcome, b, i, 0)
        if (rho == 0 and kappa == 0) or (job.masked and cell(job.open, b, i, t) == 0):
            continue
        s.user[count], s.received[count], s.value_label[count], s.cost_label[count] = i, t, rho, kappa
        count += 1
    if count > 0:
        for k in range(count, -(-count // W) * W):
            s.user[k], s.received[k] = s.user[count - 1], s.received[count - 1]
            s.value_label[k] = s.cost_label[k] = job.zero
    return count


@inner
def soften(job, s, score, share, mean):
    """From scores, which are spent, to P, and γ̄ = Σ γ·P."""
    items, zero, rate, top, total = job.items, job.zero, job.rate, s.lanes[6], s.lanes[7]
    for lane in range(W):
        top[lane], total[lane], mean[lane] = score[0, lane], zero, zero
    for j in range(1, items):
        for lane in range(W):
            top[lane] = score[j, lane] if score[j, lane] > top[lane] else top[lane]
    for j in range(items):
        for lane in range(W):
            score[j, lane] = (score[j, lane] - top[lane]) * rate
        exp_lanes(score[j], job.exp, s.power, s.bits, share[j])
        for lane in range(W):
            total[lane] += share[j, lane]
    for lane in range(W):
        total[lane] = job.one / total[lane]
    for j in range(items):
        for lane in range(W):
            share[j, lane] *= total[lane]
            mean[lane] += share[j, lane] * s.unit[j, lane]


@inner
def value_sums(job, s, mean, weigh, y, x, gap, totals):
    """What VALUE adds up: `slope` holds P(γ − γ̄)."""
    along = s.lanes[6]
    for lane in range(W):
        along[lane] = job.zero
    for j in range(job.items):
        for lane in range(W):
            along[lane] += s.slope[j, lane] * s.cost[j, lane]
    for lane in range(W):
        falls = np.float64(along[lane] * job.rate)
        totals[LOSS] += np.float64(weigh[lane] * mean[lane])
        totals[VALUE_SLOPE] -= np.float64(y[lane]) * falls
        totals[COST_SLOPE] -= np.float64(x[lane]) * falls
        counts = (y[lane] != 0) | (x[lane] != 0)
        totals[CLIPPED] += counts & (job.family != PPL) & (gap[lane] < job.bound)
        totals[WEIGHTED] += counts


@inner
def gradient(job, s, lam, mean, weigh, totals):
    for lane in range(W):
        totals[LOSS] += np.float64(weigh[lane] * mean[lane])
    for j in range(job.items):
        for lane in range(W):
            g = weigh[lane] * job.rate * s.slope[j, lane]
            s.value_out[j, lane] += g
            s.cost_out[j, lane] -= lam * g


@inner
def hessian(job, s, lam, moves, scale, unscaled, totals):
    """P_j [(u_j − ū)(γ_j − γ̄) − cov(u, γ)]/τ² along u = turn of value − λ·turn of cost − turn of λ·cost."""
    mean_turn, along, bends = s.lanes[3], s.lanes[6], s.lanes[7]
    for lane in range(W):
        mean_turn[lane] = along[lane] = bends[lane] = job.zero
    for j in range(job.items):
        for lane in range(W):
            u = s.value_turn[j, lane] - lam * s.cost_turn[j, lane] - moves * s.cost[j, lane]
            s.turn[j, lane] = u
            mean_turn[lane] += s.share[j, lane] * u
            along[lane] += s.slope[j, lane] * u
    for j in range(job.items):
        for lane in range(W):
            step = scale * unscaled[lane] * job.rate
            g = step * s.slope[j, lane]
            h = (
                step
                * job.rate
                * ((s.turn[j, lane] - mean_turn[lane]) * s.slope[j, lane] - along[lane] * s.share[j, lane])
            )
            s.value_out[j, lane] += h
            s.cost_out[j, lane] -= lam * h + moves * g
            bends[lane] += h * s.cost[j, lane] + g * s.cost_turn[j, lane]
    for lane in range(W):
        totals[LOSS] += np.float64(unscaled[lane] * job.rate * along[lane])
        totals[VALUE_SLOPE] -= np.float64(bends[lane])


@inner
def one_multiplier(job, b, k, received, y, x, s, totals):
    items, order, lam = job.items, job.order, job.multiplier[b, k]
    unscaled, weigh, mean, gap = s.lanes[0], s.lanes[1], s.lanes[2], s.lanes[4]
    share, unit, slope, score = s.share, s.unit, s.slope, s.turn
    for lane in range(W):
        unscaled[lane] = y[lane] - job.price[b, k] * x[lane]
        weigh[lane] = job.scale[b] * unscaled[lane]
    for j in range(items):
        for lane in range(W):
            score[j, lane] = s.value[j, lane] - lam * s.cost[j, lane]
    if job.family == DECISION:
        decide(score, s.cost, items, s.best, gap, s.lanes[5])
        for lane in range(W):
            if s.best[lane] == received[lane]:
                totals[LOSS] -= np.float64(weigh[lane])
                totals[VALUE_SLOPE] += np.float64(y[lane])
                totals[COST_SLOPE] += np.float64(x[lane])
        return
    if job.family == PPL:
        for j in range(items):
            for lane in range(W):
                unit[j, lane] = -job.one if received[lane] == j else job.zero
    else:
        pifd_unit(job, score, s.cost, received, s, gap, s.lanes[2], s.lanes[3], s.lanes[5], s.lanes[6], s.lanes[7])
    soften(job, s, score, share, mean)
    for j in range(items):
        for lane in range(W):
            slope[j, lane] = share[j, lane] * (unit[j, lane] - mean[lane])
    if order == VALUE:
        value_sums(job, s, mean, weigh, y, x, gap, totals)
    elif order == GRADIENT:
        gradient(job, s, lam, mean, weigh, totals)
    else:
        hessian(job, s, lam, job.turn[b, k], job.scale[b], unscaled, totals)


@jit
def rows(job, b, begin, end, totals, value_out, cost_out, s):
    """Users [begin, end) of problem b: adds to totals [K, 5] and writes the outputs [B, N, M]; returns stray treatments."""
    items, order = job.items, job.order
    astray = 0
    for i in range(begin, end):
        t = cell(job.treatment, b, i, 0)
        astray += (t < 0) | (t >= items)
    if astray > 0:
        return astray
    count = list_users(job, b, begin, end, s)
    if order != VALUE and count < end - begin:
        for i in range(begin, end):
            for j in range(items):
                value_out[b, i, j] = job.zero
                cost_out[b, i, j] = job.zero
    for first in range(0, count, W):
        user, received = s.user[first : first + W], s.received[first : first + W]
        y, x = s.value_label[first : first + W], s.cost_label[first : first + W]
        load(job, job.value, b, user, s.value, job.never)
        load(job, job.cost, b, user, s.cost, job.zero)
        if order == HESSIAN:
            load(job, job.value_turn, b, user, s.value_turn, job.zero)
            load(job, job.cost_turn, b, user, s.cost_turn, job.zero)
        if order != VALUE:
            for j in range(items):
                for lane in range(W):
                    s.value_out[j, lane] = job.zero
                    s.cost_out[j, lane] = job.zero
        for k in range(job.multiplier.shape[1]):
            one_multiplier(job, b, k, received, y, x, s, totals[k])
        if order != VALUE:
            lanes = min(W, count - first)
            store(s.value_out, b, user, lanes, items, value_out)
            store(s.cost_out, b, user, lanes, items, cost_out)
    return 0


@inner
def drp_step(job, b, i, step, sign, y, x, out):
    """One of the two scores of a user that matter; returns its loss, or the derivative along the direction."""
    s = np.float64(cell(job.value, b, i, step))
    e = math.exp(-abs(s))
    whole = 1 / (1 + e)
    share = whole if s > 0 else e * whole
    gradient = -sign * (y - x * share)
    if job.order == HESSIAN:
        turn = np.float64(cell(job.value_turn, b, i, step))
        out[b, i, step] = job.scale[b] * sign * x * e * whole * whole * turn
        return gradient * turn
    if job.order == GRADIENT:
        out[b, i, step] = job.scale[b] * gradient
    return -sign * (y * s - x * (max(s, 0.0) + math.log1p(e)))


@jit
def drp_rows(job, b, begin, end, totals, out, unused, s):
    """`rows` for the return on investment: of a user's scores, only those of the steps at the arm received matter."""
    steps, astray = job.items, 0
    for i in range(begin, end):
        t = cell(job.treatment, b, i, 0)
        if t < 0 or t > steps:
            astray += 1
            continue
        if job.order != VALUE:
            for j in range(steps):
                out[b, i, j] = job.zero
        weight = np.float64(cell(job.weight, b, i, 0))
        y, x = weight * cell(job.outcome, b, i, 0), weight * cell(job.cost_outcome, b, i, 0)
        if y == 0 and x == 0:
            continue
        if t > 0:
            totals[0, LOSS] += drp_step(job, b, i, t - 1, 1.0, y, x, out)
        if t < steps:
            totals[0, LOSS] += drp_step(job, b, i, t, -1.0, y, x, out)
    return astray


@jit
def intervals(value, cost, treatment, items, begin, end, out):
    """[low, high) of λ where the treatment received is the decision; 0, 0 where it never is."""
    for i in range(begin, end):
        t = treatment[i]
        own_value, own_cost = np.float64(cell(value, 0, i, t)), np.float64(cell(cost, 0, i, t))
        low, high, ever = 0.0, math.inf, True
        for j in range(items):
            if j == t:
                continue
            rise, run = cell(value, 0, i, j) - own_value, cell(cost, 0, i, j) - own_cost
            if run > 0:
                low = max(low, rise / run)
            elif run < 0:
                high = min(high, rise / run)
            elif not (rise < 0 or (rise == 0 and t < j)):
                ever = False
        if not (ever and low < high):
            low = high = 0.0
        out[0, i], out[1, i] = low, high
