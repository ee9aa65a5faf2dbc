"""The decision losses of the Numba backend: arrays to flat memory, and runs of users to threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._decisions import Decisions, Family, Order, Total, arms, stray_treatment
from . import numba_loss_kernels as kernels
from . import threads as _threads
from .numba import _flat, for_chunks

WORTH_THREADS = 2**15  # waking a thread costs more than this many numbers


def _as_numpy(x: Any) -> np.ndarray:
    """Without a copy, but for half precision, which Numba does not know: that becomes float32."""
    if not isinstance(x, np.ndarray):
        x = x.detach()
        x = (x.float() if x.is_floating_point() and x.itemsize == 2 else x).numpy()
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _grid(x: Any, rank: int, missing: Any) -> kernels.Grid:
    if x is None:
        return kernels.Grid(missing, 0, 0, 0, 0)
    array = _as_numpy(x)
    data, at, steps = _flat(array.view(np.uint8) if array.dtype == np.bool_ else array)
    steps = [0] * (rank - len(steps)) + steps
    return kernels.Grid(data, at, *steps, *[0] * (3 - rank))


def _job(d: Decisions, order: Order, dtype: Any) -> kernels.Job:
    count, users, items, multipliers = d.shape
    rule, zero = d.rule, np.zeros(1, dtype)

    def small(x: Any, default: float, *shape: int) -> np.ndarray:
        return np.full(shape, default, dtype) if x is None else np.broadcast_to(_as_numpy(x), shape).astype(dtype)

    return kernels.Job(
        _grid(d.value, 3, zero),
        _grid(d.cost, 3, zero),
        _grid(d.mask, 3, np.ones(1, np.uint8)),
        _grid(d.value_turn, 3, zero),
        _grid(d.cost_turn, 3, zero),
        _grid(d.treatment, 2, np.zeros(1, np.int64)),
        _grid(d.weight, 2, zero),
        _grid(d.outcome, 2, zero),
        _grid(d.cost_outcome, 2, zero),
        small(d.multiplier, 0.0, count, multipliers),
        small(d.price, 0.0, count, multipliers),
        small(d.turn, 0.0, count, multipliers),
        small(d.scale, 1.0, count),
        int(rule.family),
        int(order),
        d.mask is not None,
        rule.window and rule.bound > 0,
        dtype(rule.bound),
        dtype(1 / rule.temperature),
        np.finfo(dtype).eps,
        dtype(1e-30 if dtype is np.float32 else 1e-290),
        dtype(0),
        dtype(1),
        dtype(-np.inf),
        kernels.exp_constants(dtype),
        users,
        items,
    )


def decision_loss(d: Decisions, order: Order, value_out: Any = None, cost_out: Any = None) -> np.ndarray:
    count, users, items, multipliers = d.shape
    dtype = np.float64 if str(d.value.dtype).endswith("float64") else np.float32
    job = _job(d, order, dtype)
    empty = np.empty((1, 1, 1), dtype)
    outs = [empty, empty]
    if order != Order.VALUE:
        # Halves are computed in float32 and rounded at the end.
        outs = [empty if x is None else _as_numpy(x).reshape(count, users, items) for x in (value_out, cost_out)]
    runs = -(-users // kernels.ROWS)
    totals = np.zeros((count * runs, multipliers, len(Total)))

    run = kernels.drp_rows if d.rule.family is Family.DRP else kernels.rows

    def body(begin: int, end: int) -> int:
        scratch = kernels.scratch(items, dtype)
        astray = 0
        for r in range(begin, end):
            b, first = r // runs, r % runs * kernels.ROWS
            astray += run(job, b, first, min(first + kernels.ROWS, users), totals[r], *outs, scratch)
        return astray

    threads = 1 if count * users * items < WORTH_THREADS else _threads()
    if sum(for_chunks(count * runs, 1, threads, body)):
        raise stray_treatment(d.treatment, arms(d.rule, items))
    if order != Order.VALUE:
        for given, made in zip((value_out, cost_out), outs, strict=True):
            if given is not None:
                _store(given, made)
    return np.asarray(totals.reshape(count, runs, multipliers, len(Total)).sum(1))


def _store(given: Any, made: np.ndarray) -> None:
    """What was computed in memory of its own goes where it was wanted."""
    if isinstance(given, np.ndarray):
        if given.dtype != made.dtype:
            given[...] = made.reshape(given.shape)
    elif given.itemsize == 2:
        given.copy_(given.new_tensor(made.reshape(given.shape)))


def received_intervals(value: np.ndarray, cost: np.ndarray, treatment: np.ndarray) -> np.ndarray:
    users, items = value.shape
    if ((treatment < 0) | (treatment >= items)).any():
        raise stray_treatment(treatment, items)
    out = np.empty((2, users))
    grids = [_grid(x[None], 3, None) for x in (value, cost)]
    treatment = np.ascontiguousarray(treatment)
    threads = 1 if users * items < WORTH_THREADS else _threads()
    for_chunks(users, 8192, threads, lambda begin, end: kernels.intervals(*grids, treatment, items, begin, end, out))
    return out
