"""The decision losses of the Numba backend: row after row in float64, the twin of csrc/core/{policy,ppl,pifd}.h.

One type for all layouts: arrays come as flat memory, an offset and strides in elements. The exponential is the C library's, one
number at a time, so this backend is a few times slower than `cpp` here.
"""

# Numba infers the types of these functions from their arguments.
# mypy: disallow-untyped-defs=False, check-untyped-defs=False

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .._decisions import Decisions, Order, Total, stray_treatment
from . import threads as _threads
from .numba import _flat, for_chunks
from .numba_kernels import jit

ROWS = 1024  # users whose totals are added up together: the same for any number of threads
WORTH_THREADS = 2**15  # waking a thread costs more than this many numbers
VALUE, GRADIENT = int(Order.VALUE), int(Order.GRADIENT)
PPL, PIFD_EXACT, DECISION = 0, 2, 3
LOSS, VALUE_SLOPE, COST_SLOPE = int(Total.LOSS), int(Total.VALUE_SLOPE), int(Total.COST_SLOPE)
CLIPPED, WEIGHTED = int(Total.CLIPPED_ROWS), int(Total.WEIGHTED_ROWS)
NEVER = -math.inf


class Grid(NamedTuple):
    """One array [B, N, M], [B, N] (item stride 0), or nothing (one zero, all strides 0)."""

    data: Any
    at: int
    problem: int
    row: int
    item: int


class Job(NamedTuple):
    value: Grid
    cost: Grid
    open: Grid
    value_turn: Grid
    cost_turn: Grid
    treatment: Grid
    weight: Grid
    outcome: Grid
    cost_outcome: Grid
    multiplier: Any  # [B, K] float64
    price: Any
    turn: Any
    scale: Any  # [B]
    family: int
    order: int
    temperature: float
    bound: float
    window: bool
    epsilon: float
    users: int
    items: int


@jit
def cell(grid, b, i, j):
    return grid.data[grid.at + b * grid.problem + i * grid.row + j * grid.item]


@jit
def beats(score, cost, j, k):
    """The tie rule: largest score, then smallest cost, then smallest index."""
    if score[j] != score[k]:
        return score[j] > score[k]
    return cost[j] < cost[k] or (cost[j] == cost[k] and j < k)


@jit
def inverse_gap(job, gap, x, y):
    if job.window and job.bound > 0:
        return 1 / job.bound if gap < job.bound else 0.0
    gap = max(gap, job.bound)
    return 1 / gap if gap > job.epsilon * (abs(x) + abs(y)) + 1e-290 else 0.0


@jit
def pattern(job, score, cost, t, unit):
    """γ of a row of weight 1; returns the hard decision, and the gap of the treatment received."""
    items = job.items
    unit[:] = 0.0
    if job.family == PPL:
        unit[t] = -1.0
        return -1, 0.0
    best, rival = 0, NEVER
    for j in range(items):
        if beats(score, cost, j, best):
            best = j
        if j != t and score[j] > rival:
            rival = score[j]
    if job.family == DECISION:
        return best, 0.0
    if best == t:
        for j in range(items):
            if j != t:
                unit[j] = inverse_gap(job, score[t] - score[j], score[t], score[j])
        unit[t] = -inverse_gap(job, score[t] - rival, score[t], rival)
        return best, score[t] - rival
    gap = score[best] - score[t]
    step = inverse_gap(job, gap, score[best], score[t])
    unit[t] = -step
    heir = True
    if job.family == PIFD_EXACT:  # the winner's fall changes the loss only if the treatment received is next
        for j in range(items):
            if j != best and j != t and beats(score, cost, j, t):
                heir = False
    if heir:
        unit[best] = step
    return best, gap


@jit
def rows(job, b, begin, end, totals, value_out, cost_out, scratch):
    """Users [begin, end) of problem b: adds to totals [K, 5] and writes the outputs [B, N, M]; returns stray treatments."""
    items = job.items
    score, cost, share, unit, slope, turn = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5]
    value, value_turn, cost_turn = scratch[6], scratch[7], scratch[8]
    astray = 0
    for i in range(begin, end):
        t = cell(job.treatment, b, i, 0)
        if t < 0 or t >= items:
            astray += 1
    if astray > 0:
        return astray
    for i in range(begin, end):
        t = cell(job.treatment, b, i, 0)
        weight = np.float64(cell(job.weight, b, i, 0))
        rho, kappa = weight * cell(job.outcome, b, i, 0), weight * cell(job.cost_outcome, b, i, 0)
        if job.order != VALUE:
            for j in range(items):
                value_out[b, i, j] = 0
                cost_out[b, i, j] = 0
        if (rho == 0 and kappa == 0) or cell(job.open, b, i, t) == 0:
            continue
        for j in range(items):
            open_ = cell(job.open, b, i, j) != 0
            value[j] = cell(job.value, b, i, j) if open_ else NEVER
            cost[j] = cell(job.cost, b, i, j) if open_ else 0.0
            value_turn[j] = cell(job.value_turn, b, i, j) if open_ else 0.0
            cost_turn[j] = cell(job.cost_turn, b, i, j) if open_ else 0.0
        for k in range(job.multiplier.shape[1]):
            lam, moves = job.multiplier[b, k], job.turn[b, k]
            unscaled = rho - job.price[b, k] * kappa
            weigh = job.scale[b] * unscaled
            for j in range(items):
                score[j] = value[j] - lam * cost[j]
            best, gap = pattern(job, score, cost, t, unit)
            if job.family == DECISION:
                if best == t:
                    totals[k, LOSS] -= weigh
                    totals[k, VALUE_SLOPE] += rho
                    totals[k, COST_SLOPE] += kappa
                continue
            top = score.max()
            total = 0.0
            for j in range(items):
                share[j] = math.exp((score[j] - top) / job.temperature)
                total += share[j]
            mean = 0.0
            for j in range(items):
                share[j] /= total
                mean += share[j] * unit[j]
            along_cost = 0.0
            for j in range(items):
                slope[j] = share[j] * (unit[j] - mean) / job.temperature
                along_cost += slope[j] * cost[j]
            if job.order == VALUE:
                totals[k, LOSS] += weigh * mean
                totals[k, VALUE_SLOPE] -= rho * along_cost
                totals[k, COST_SLOPE] -= kappa * along_cost
                totals[k, CLIPPED] += job.family != PPL and gap < job.bound
                totals[k, WEIGHTED] += 1
            elif job.order == GRADIENT:
                totals[k, LOSS] += weigh * mean
                for j in range(items):
                    value_out[b, i, j] += weigh * slope[j]
                    cost_out[b, i, j] -= weigh * lam * slope[j]
            else:
                mean_turn, along = 0.0, 0.0
                for j in range(items):
                    turn[j] = value_turn[j] - lam * cost_turn[j] - moves * cost[j]
                    mean_turn += share[j] * turn[j]
                    along += slope[j] * turn[j]
                for j in range(items):
                    bend = weigh * ((turn[j] - mean_turn) * slope[j] - along * share[j]) / job.temperature
                    value_out[b, i, j] += bend
                    cost_out[b, i, j] -= lam * bend + moves * weigh * slope[j]
                    totals[k, VALUE_SLOPE] -= bend * cost[j] + weigh * slope[j] * cost_turn[j]
                totals[k, LOSS] += unscaled * along
    return 0


def _as_numpy(x: Any) -> np.ndarray:
    """Without a copy, but for half precision, which Numba does not know: that becomes float32."""
    if not isinstance(x, np.ndarray):
        x = x.detach()
        x = (x.float() if x.is_floating_point() and x.itemsize == 2 else x).numpy()
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _grid(x: Any, rank: int, missing: Any) -> Grid:
    if x is None:
        return Grid(missing, 0, 0, 0, 0)
    array = _as_numpy(x)
    data, at, steps = _flat(array.view(np.uint8) if array.dtype == np.bool_ else array)
    steps = [0] * (rank - len(steps)) + steps
    return Grid(data, at, *steps, *[0] * (3 - rank))


def decision_loss(d: Decisions, order: Order, value_out: Any = None, cost_out: Any = None) -> np.ndarray:
    count, users, items, multipliers = d.shape
    rule = d.rule
    whole = str(d.value.dtype).endswith("float64")
    dtype = np.dtype(np.float64 if whole else np.float32)
    zero = np.zeros(1, dtype)

    def small(x: Any, default: float, *shape: int) -> np.ndarray:
        return np.full(shape, default) if x is None else np.broadcast_to(_as_numpy(x), shape).astype(np.float64)

    job = Job(
        _grid(d.value, 3, zero),
        _grid(d.cost, 3, zero),
        _grid(d.mask, 3, np.ones(1, np.uint8)),
        _grid(d.value_turn, 3, zero),
        _grid(d.cost_turn, 3, zero),
        _grid(d.treatment, 2, zero),
        _grid(d.weight, 2, zero),
        _grid(d.outcome, 2, zero),
        _grid(d.cost_outcome, 2, zero),
        small(d.multiplier, 0.0, count, multipliers),
        small(d.price, 0.0, count, multipliers),
        small(d.turn, 0.0, count, multipliers),
        small(d.scale, 1.0, count),
        int(rule.family),
        int(order),
        rule.temperature,
        rule.bound,
        rule.window,
        float(np.finfo(dtype).eps),
        users,
        items,
    )
    outs = [np.empty((1, 1, 1), dtype)] * 2
    if order is not Order.VALUE and order != VALUE:
        # Halves are computed in float32 and rounded at the end.
        outs = [_as_numpy(x).reshape(count, users, items) for x in (value_out, cost_out)]
    runs = -(-users // ROWS)
    totals = np.zeros((count * runs, multipliers, len(Total)))

    def body(begin: int, end: int) -> int:
        scratch = np.zeros((9, items))
        astray = 0
        for r in range(begin, end):
            b, first = r // runs, r % runs * ROWS
            astray += rows(job, b, first, min(first + ROWS, users), totals[r], *outs, scratch)
        return astray

    threads = 1 if count * users * items < WORTH_THREADS else _threads()
    if sum(for_chunks(count * runs, 1, threads, body)):
        raise stray_treatment(d.treatment, items)
    if order != VALUE:
        for given, made in zip((value_out, cost_out), outs, strict=True):
            _store(given, made)
    return np.asarray(totals.reshape(count, runs, multipliers, len(Total)).sum(1))


def _store(given: Any, made: np.ndarray) -> None:
    """What was computed in memory of its own goes where it was wanted."""
    if isinstance(given, np.ndarray):
        if given.dtype != made.dtype:
            given[...] = made.reshape(given.shape)
    elif given.itemsize == 2:
        given.copy_(given.new_tensor(made.reshape(given.shape)))


@jit
def intervals(value, cost, treatment, items, begin, end, out):
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


def received_intervals(value: np.ndarray, cost: np.ndarray, treatment: np.ndarray) -> np.ndarray:
    users, items = value.shape
    if ((treatment < 0) | (treatment >= items)).any():
        raise stray_treatment(treatment, items)
    out = np.empty((2, users))
    grids = [_grid(x[None], 3, None) for x in (value, cost)]
    treatment = np.ascontiguousarray(treatment)
    threads = 1 if users * items < WORTH_THREADS else _threads()
    for_chunks(users, 8192, threads, lambda begin, end: intervals(*grids, treatment, items, begin, end, out))
    return out
