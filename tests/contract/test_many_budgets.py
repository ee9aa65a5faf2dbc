"""Many budgets of one large instance, which have a machinery of their own: the whole plan at each of them is known."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import integers
from oracles.same import FLOATS, assert_same_plan, bits, part

import bidfcl_fast as bf

USERS = 40_009  # no multiple of any pack, block or chunk
SPREAD = np.linspace(0.02, 0.98, 27)
# Unsorted, some twice, the next a whisker away, some that buy nothing, everything, or do not even pay for the cheapest plan.
SHARES = np.concatenate([SPREAD[::-1], SPREAD[3:5], SPREAD[7:9] + 1e-6, [0.0, 1.0, 1.3, -0.01, -5.0]])


def _campaign(rng, users=USERS, m=6):
    c = np.cumsum(rng.integers(0, 2000, (users, m)), axis=1)
    return np.cumsum(rng.integers(0, 9000, (users, m)) // np.arange(1, m + 1), axis=1), c - c[:, :1]


def _some_ties(rng):
    """One user in forty has points on a line, or two treatments that are the same."""
    v, c = _campaign(rng)
    v[::40], c[::40] = np.arange(6) * rng.integers(1, 5, (len(v[::40]), 1)), np.arange(6)
    v[20::40, 3], c[20::40, 3] = v[20::40, 4], c[20::40, 4]
    return v, c


def _unordered(rng):
    """No treatment is the cheapest everywhere, and costs fall below zero."""
    v, c = _campaign(rng)
    order = rng.permuted(np.tile(np.arange(6), (USERS, 1)), axis=1)
    return np.take_along_axis(v, order, 1), np.take_along_axis(c, order, 1) - 3000


def _all_alike(rng):
    return np.tile([0, 5, 7, 8], (USERS, 1)), np.tile([0, 1, 2, 4], (USERS, 1))


def _half_alike(rng):
    """Half of the users share one slope: one zone would hold them all."""
    v, c = _campaign(rng)
    v[::2], c[::2] = np.minimum(np.arange(6), 3), np.arange(6)
    return v, c


def _whales(rng):
    v, c = _campaign(rng)
    v, c = v // 1000, c // 500
    rare = rng.choice(USERS, 5, replace=False)
    v[rare], c[rare] = np.sort(rng.integers(0, 2**20, (2, 5, 6)), axis=2)
    return v, c


def _sorted(rng):
    v, c = _campaign(rng)
    order = np.argsort(-v[:, 1] / (1 + c[:, 1]))
    return v[order], c[order]


def _worthless(rng):
    """Nothing to buy."""
    v, c = _campaign(rng)
    return -v, c


def _one_buyer(rng):
    v, c = _worthless(rng)
    v[-2] = [0, 9, 12, 14, 15, 16]
    return v, c


def _flat_ends(rng):
    """One user in 200 ends with several edges, flatter than all others, whose order rounding does not tell."""
    v, c = _campaign(rng)
    v *= 16
    v[::200], c[::200] = [0, 5000, 9999, 14997, 19994, 24990], np.arange(6) * 200_000
    return v, c


def _wide(rng):
    return _campaign(rng, m=32)


KINDS = {make.__name__.strip("_"): make for make in (
    _campaign, _some_ties, _unordered, _all_alike, _half_alike, _whales, _sorted, _worthless, _one_buyer, _flat_ends, _wide,
)}  # fmt: skip


def _case(kind):
    value, cost = KINDS[kind](np.random.default_rng(5))
    low, high = int(cost.min(axis=1).sum()), int(cost.max(axis=1).sum())
    return value, cost, low, low + np.floor(SHARES * (high - low)).astype(int)


@pytest.fixture(scope="module", params=KINDS)
def case(request):
    value, cost, low, budgets = _case(request.param)
    judge = integers.Judge(value, cost)
    answers = {fill: [judge.plan(int(b), fill) if b >= low else None for b in budgets] for fill in (True, False)}
    return value, cost, low, budgets, answers


@pytest.mark.parametrize("fill", [True, False])
def test_the_whole_plan_at_every_budget(case, fast, fill):
    value, cost, low, budgets, answers = case
    value, cost = value.astype(np.float32), cost.astype(np.float32)
    plan = bf.solve_mckp(value, cost, budgets.astype(float), fill=fill, backend=fast, throw=False)
    for k, answer in enumerate(answers[fill]):
        if answer is None:
            assert plan.status[k] == bf.Status.INFEASIBLE_BUDGET
            assert plan.least_budget[k] == low
            assert (plan.choice[k] == -1).all()
            continue
        for name in FLOATS:
            assert bits(getattr(plan, name)[k]) == bits(getattr(answer, name)), (k, name)
        np.testing.assert_array_equal(plan.choice[k], answer.choice)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7, 200])
def test_any_number_of_budgets(count, fast):
    value, cost, low, _ = _case("campaign")
    judge = integers.Judge(value, cost)
    budgets = np.random.default_rng(count).integers(low, low + int(np.ptp(cost, axis=1).sum()), count)
    plan = bf.solve_mckp(value.astype(np.float32), cost.astype(np.float32), budgets.astype(float), backend=fast)
    for k in {0, count // 2, count - 1}:
        answer = judge.plan(int(budgets[k]), True)
        assert [bits(getattr(plan, name)[k]) for name in FLOATS] == [bits(getattr(answer, name)) for name in FLOATS]
        np.testing.assert_array_equal(plan.choice[k], answer.choice)


def _uneven(rng):
    """Full float32 mantissas; one user in fifty has numbers far too small to be whole units beside the largest."""
    value = np.cumsum(rng.exponential(1, (USERS, 5)), axis=1).astype(np.float32)
    cost = np.cumsum(rng.exponential(1, (USERS, 5)) * np.arange(1, 6), axis=1).astype(np.float32)
    value[::50], cost[25::50] = value[::50] * np.float32(1e-11), cost[25::50] * np.float32(1e-11)
    return value, cost - cost[:, :1]


def _alone(value, cost, budgets, plan, **options):
    for k, budget in enumerate(budgets):
        assert_same_plan(part(plan, k), bf.solve_mckp(value, cost, budget, **options))


@pytest.mark.parametrize("scale", [1.0, 2.0**45, 2.0**-45])
def test_each_is_the_plan_that_it_has_alone(scale, fast):
    value, cost = _uneven(np.random.default_rng(8))
    value, cost = value * np.float32(scale), cost / np.float32(scale)
    budgets = np.linspace(0.01, 0.99, 9) * cost.max(axis=1).sum(dtype=float)
    _alone(value, cost, budgets, bf.solve_mckp(value, cost, budgets, backend=fast), backend=fast)


def test_halves_masks_and_steps_in_memory(fast):
    value, cost = _uneven(np.random.default_rng(9))
    rng = np.random.default_rng(2)
    budgets = np.linspace(0.05, 0.9, 7) * cost.max(axis=1).sum(dtype=float)
    halves = [x.astype(np.float16) for x in (value, cost)]
    _alone(*halves, budgets, bf.solve_mckp(*halves, budgets, backend=fast), backend=fast)
    apart = [np.repeat(x, 2, axis=0)[::2] for x in (value, cost)]
    _alone(value, cost, budgets, bf.solve_mckp(*apart, budgets, backend=fast), backend=fast)
    mask = rng.random(value.shape) < 0.9
    mask[:, 0] = True
    masked = bf.solve_mckp(value, cost, budgets, mask=mask, backend=fast)
    _alone(value, cost, budgets, masked, mask=mask, backend=fast)


def test_one_reading_serves_all():
    """In C++ the rows read do not grow with the number of budgets."""
    if "cpp" not in bf.backends.available():
        pytest.skip("no C++ here")
    value, cost, low, budgets = _case("campaign")
    budgets = budgets[budgets > low].astype(float)
    plan = bf.solve_mckp(value.astype(np.float32), cost.astype(np.float32), budgets, backend="cpp")
    assert (plan.stats["rows_read"] < 2.5 * USERS).all()
    assert (plan.stats["sweeps"] == 1).all()
