"""Instances large enough to be sampled, swept in chunks and narrowed, with the whole plan known.

Small whole numbers let a few NumPy passes judge any size exactly (oracles.integers), so these look for what a sample
may miss: order, periods, rare users that hold most of the money, and nothing but ties.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
from oracles import integers
from oracles.same import FLOATS, bits

import bidfcl_fast as bf

USERS = 100_000
MANY = 270_000  # so many that the first chunks read narrow the bracket for the others
SHARES = (0.0, 1e-6, 0.01, 0.37, 0.9, 0.9999, 1.2)


def _campaign(rng):
    c = np.cumsum(rng.integers(0, 2000, (USERS, 5)), axis=1)
    return np.cumsum(rng.integers(0, 9000, (USERS, 5)) // np.arange(1, 6), axis=1), c - c[:, :1]


def _sorted_users(rng):
    """Best users first: the first chunk is nothing like the last."""
    v, c = _campaign(rng)
    order = np.argsort(-v[:, 1] / (1 + c[:, 1]))
    return v[order], c[order]


def _period(rng):
    """Every 64th user is of another kind, which an even sample either always meets or never."""
    v, c = _campaign(rng)
    v[::64] = v[::64] * 40
    return v, c


def _whales(rng):
    """A handful of users hold most of the money and the value."""
    v, c = rng.integers(0, 5, (USERS, 4)), rng.integers(0, 5, (USERS, 4))
    rare = rng.choice(USERS, 7, replace=False)
    v[rare], c[rare] = rng.integers(0, 2**20, (7, 4)), rng.integers(0, 2**20, (7, 4))
    return v, c


def _ties(rng):
    return rng.integers(0, 4, (USERS, 5)), rng.integers(0, 4, (USERS, 5))


def _all_alike(rng):
    return np.tile([0, 5, 7, 8], (USERS, 1)), np.tile([0, 1, 2, 4], (USERS, 1))


def _two_kinds(rng):
    """Only two slopes in all, one of them in the last tenth alone."""
    v, c = np.tile([0, 3], (USERS, 1)), np.tile([0, 1], (USERS, 1))
    v[-USERS // 10 :, 1] = 1
    return v, c


def _kinds(rng, kinds=1500):
    """Segments: whole rows repeat, in no order; some kinds are met once in a while, most often."""
    v, c = _campaign(rng)
    kind = np.minimum(rng.geometric(1 / 300, USERS), kinds)
    return v[kind], c[kind]


def _signed(rng):
    return rng.integers(-999, 1000, (USERS, 6)), rng.integers(-999, 1000, (USERS, 6))


def _one_rich_end(rng):
    """Nothing to buy but from the last 300 users."""
    v, c = np.zeros((USERS, 3), int), np.tile([0, 1, 2], (USERS, 1))
    v[-300:] = np.cumsum(rng.integers(1, 999, (300, 3)), axis=1)
    return v, c


def _near_ties(rng):
    """Slopes that differ in the last bits of float32: p/q with p, q near 2^19."""
    c = np.column_stack([np.zeros(USERS, int), rng.integers(2**19 - 300, 2**19, USERS)])
    return np.column_stack([np.zeros(USERS, int), rng.integers(2**19 - 300, 2**19, USERS)]), c


def _many(rng, users=MANY):
    c = np.cumsum(rng.integers(0, 2000, (users, 3)), axis=1)
    return np.cumsum(rng.integers(0, 9000, (users, 3)) // np.arange(1, 4), axis=1), c - c[:, :1]


def _many_sorted(rng):
    v, c = _many(rng)
    order = np.argsort(-v[:, 2] / (1 + c[:, 2]))
    return v[order], c[order]


def _many_in_blocks(rng):
    """Runs of 8,192 users that are nothing like the next: whichever are read first tell little of the others."""
    v, c = _many(rng)
    v[np.arange(MANY) // 8192 % 3 == 0] *= 7
    return v, c


KINDS = {
    make.__name__.strip("_").replace("_", " "): make
    for make in (
        _campaign,
        _sorted_users,
        _period,
        _whales,
        _ties,
        _all_alike,
        _two_kinds,
        _signed,
        _one_rich_end,
        _many,
        _many_sorted,
        _many_in_blocks,
    )
} | {"near ties": _near_ties}


@functools.cache
def _case(kind):
    value, cost = KINDS[kind](np.random.default_rng(11))
    low, high = int(cost.min(axis=1).sum()), int(cost.max(axis=1).sum())
    return value, cost, [low + int(share * (high - low)) for share in SHARES]


@functools.cache
def _answers(kind, fill):
    value, cost, budgets = _case(kind)
    judge = integers.Judge(value, cost)
    return [judge.plan(b, fill) for b in budgets]


def _check(plan, k, answer):
    for name in FLOATS:
        got = getattr(plan, name) if k is None else getattr(plan, name)[k]
        assert bits(got) == bits(getattr(answer, name)), f"{name}: {got!r} is not {getattr(answer, name)!r}"
    np.testing.assert_array_equal(plan.choice if k is None else plan.choice[k], answer.choice)


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_plan_at_every_budget(kind, fast, dtype):
    value, cost, budgets = _case(kind)
    value, cost = value.astype(dtype), cost.astype(dtype)
    for b, answer in zip(budgets, _answers(kind, True), strict=True):
        _check(bf.solve_mckp(value, cost, b, backend=fast), None, answer)


@pytest.mark.parametrize("kind", ["campaign", "whales", "ties"])
def test_without_fill_and_all_budgets_in_one_call(kind, fast):
    value, cost, budgets = _case(kind)
    value, cost = value.astype(np.float32), cost.astype(np.float32)
    plan = bf.solve_mckp(value, cost, np.array(budgets, float), fill=False, backend=fast)
    for k, answer in enumerate(_answers(kind, False)):
        _check(plan, k, answer)


def test_the_judge_agrees_with_the_reference():
    """On the first few hundred users of every kind, fill and bare."""
    for kind, fill in [(kind, fill) for kind in KINDS for fill in (True, False)]:
        value, cost, _ = _case(kind)
        value, cost = value[-400:], cost[-400:]
        b = int(cost.min(axis=1).sum() + 0.3 * (cost.max(axis=1) - cost.min(axis=1)).sum())
        plan = bf.solve_mckp(value.astype(float), cost.astype(float), b, fill=fill, backend="reference")
        _check(plan, None, integers.Judge(value, cost).plan(b, fill))


def test_alike_users_are_served_in_their_order(fast):
    """One slope, a hundred thousand times: the plan is decided by the order of users alone."""
    users = 100_003
    value, cost = (
        np.tile(np.array(x, np.float32), (users, 1)) for x in ([0.25, 1.25, 1.75, 1.5], [0.0, 0.5, 1.0, 2.0])
    )
    for bought, left in ((0, 0.25), (1, 0.0), (70_000, 0.25), (users - 1, 0.25), (users, 0.25)):
        plan = bf.solve_mckp(value, cost, 0.5 * users + 0.5 * bought + left, backend=fast)
        expected = np.where(np.arange(users) < bought, 2, 1)
        np.testing.assert_array_equal(plan.choice, expected)
        assert plan.spend == 0.5 * (users + bought)
        assert plan.value == 1.25 * users + 0.5 * bought
        assert plan.multiplier == (1.0 if bought < users else 0.0)
