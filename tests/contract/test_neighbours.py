"""Batches of problems of a few hundred users, where one problem's answer is the next one's first guess: a good one, or not."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import integers
from oracles.same import FLOATS, bits

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


@pytest.mark.parametrize("users", [257, 500, 2048])
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
