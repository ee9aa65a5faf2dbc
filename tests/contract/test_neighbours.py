"""Batches of problems of a few hundred users, where one problem's answer is the next one's first guess: a good one, or not."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import integers
from oracles.same import FLOATS, assert_same_plan, bits, part

import bidfcl_fast as bf

PROBLEMS = 24
SHARES = (0.3, 0.31, 0.29)


def _like(rng, users):
    c = np.cumsum(rng.integers(0, 2000, (PROBLEMS, users, 5)), axis=2)
    return np.cumsum(rng.integers(0, 9000, (PROBLEMS, users, 5)) // np.arange(1, 6), axis=2), c - c[:, :, :1]


def _unlike(rng, users):
    """From one problem to the next λ* moves by a factor of up to 1,000."""
    v, c = _like(rng, users)
    return v // (1 + rng.integers(0, 1000, (PROBLEMS, 1, 1))), c


def _leaps(rng, users):
    """Three kinds of users: spend falls in three leaps, and the next problem's kinds are others."""
    v, c = _like(rng, users)
    kind = rng.integers(0, 3, (PROBLEMS, users))
    return tuple(np.take_along_axis(x, kind[:, :, None], axis=1) for x in (v, c))


def _whale(rng, users):
    v, c = _like(rng, users)
    v, c = v // 500, c // 500
    v[1::2, 7], c[1::2, 7] = np.arange(5) * 2**17, np.arange(5) * 2**16
    return v, c


def _signed(rng, users):
    return rng.integers(-999, 1000, (PROBLEMS, users, 5)), rng.integers(-999, 1000, (PROBLEMS, users, 5))


def _few_buyers(rng, users):
    """Fewer edges in all than `fill` may try."""
    v, c = _like(rng, users)
    v[:, 30:] = 0
    return v, c


@pytest.mark.parametrize("users", [65, 257, 500, 2048])
@pytest.mark.parametrize("make", [_like, _unlike, _leaps, _whale, _signed, _few_buyers])
def test_the_whole_plan_of_every_problem(make, users, fast, dtype):
    value, cost = make(np.random.default_rng(users), users)
    low, high = cost.min(axis=2).sum(axis=1), cost.max(axis=2).sum(axis=1)
    budgets = low + (np.resize(SHARES, PROBLEMS) * (high - low)).astype(int)
    plan = bf.solve_mckp(value.astype(dtype), cost.astype(dtype), budgets.astype(float), backend=fast)
    for b in range(PROBLEMS):
        answer = integers.Judge(value[b], cost[b]).plan(int(budgets[b]), True)
        np.testing.assert_array_equal(plan.choice[b], answer.choice)
        for name in FLOATS:
            assert bits(getattr(plan, name)[b]) == bits(getattr(answer, name)), (b, name)


@pytest.mark.parametrize(("users", "items"), [(64, 32), (65, 4), (500, 8), (511, 10), (1025, 7)])
@pytest.mark.parametrize("fill", [True, False])
def test_full_mantissas(users, items, fill, fast):
    """Some numbers are no whole units beside the largest, some treatments nearly tie; a budget in eight buys all, or nothing."""
    rng = np.random.default_rng(users)
    value = np.cumsum(rng.exponential(1, (PROBLEMS, users, items)) / np.arange(1, items + 1), axis=2, dtype=np.float32)
    cost = np.cumsum(rng.exponential(1, (PROBLEMS, users, items)), axis=2, dtype=np.float32)
    value[:, ::50] *= np.float32(1e-12)
    cost[:, 25::50] *= np.float32(1e-12)
    value[:, 7::40] = cost[:, 7::40] * np.float32(0.3)
    least = cost.min(axis=2).sum(axis=1, dtype=float)
    share = np.resize([0.3, 0.31, 0.2, 0.3, 0.32, 0.3, 1.01, 1e-4], PROBLEMS)
    budgets = least + share * (cost.max(axis=2).sum(axis=1, dtype=float) - least)
    plan = bf.solve_mckp(value, cost, budgets, fill=fill, backend=fast)
    for b in range(PROBLEMS):
        alone = bf.solve_mckp(value[b], cost[b], budgets[b], fill=fill, backend="reference" if b < 2 else fast)
        assert_same_plan(part(plan, b), alone)


def test_a_neighbour_spares_readings():
    """In C++ most problems of a batch are read once; the first, which has no neighbour, more often."""
    if "cpp" not in bf.backends.available():
        pytest.skip("no C++ here")
    value, cost = _like(np.random.default_rng(3), 500)
    value, cost = (np.tile(x, (8, 1, 1)).astype(np.float32) for x in (value, cost))
    plan = bf.solve_mckp(value, cost, 0.3 * cost.max(axis=2).sum(axis=1, dtype=float), backend="cpp")
    assert (plan.stats["rows_read"] == 500).mean() > 0.75
