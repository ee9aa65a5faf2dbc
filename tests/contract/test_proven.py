"""`integrality="proven"`: the integer optimum and its proof, against enumeration and against HiGHS."""

from __future__ import annotations

import functools
import time

import numpy as np
import pytest
from oracles import exact, highs
from oracles.instances import CORPUS, budgets, diminishing, head, instance
from oracles.same import assert_same_plan, bits, part

import bidfcl_fast as bf
from bidfcl_fast import _core

NAMES = [name for name in CORPUS if name not in ("many treatments", "no users")]


def proven(x, budget, backend, **more):
    return bf.solve_mckp(x.value, x.cost, budget, mask=x.mask, integrality="proven", backend=backend, **more)


@functools.cache
def _small(name, dtype):
    x = head(instance(name, dtype), 3 if instance(name, dtype).value.shape[1] > 6 else 4)
    population = exact.users(*x)
    return x, population, budgets(x), exact.integer_optima(population, budgets(x))


@pytest.mark.parametrize("name", NAMES)
def test_enumeration(name, dtype, backend):
    x, population, money, optima = _small(name, dtype)
    plan = proven(x, money, backend)
    unit = exact.unit(x.value, x.mask)
    for k, optimum in enumerate(optima):
        total, spent = exact.totals(population, plan.choice[k])
        assert plan.status[k] == bf.Status.SOLVED
        assert spent <= money[k] and plan.spend[k] <= money[k]
        assert total <= optimum <= total + len(x.value) * unit  # values are rounded up to the unit on their way in
        assert optimum <= plan.dual_bound[k]
        if exact.exact_in_units(x.value, x.mask) and exact.exact_in_units(x.cost, x.mask):
            assert total == optimum and plan.gap[k] == 0
            assert plan.value[k] == float(total) and plan.spend[k] == float(spent)


# From a lattice with few ties to nothing but ties.
@pytest.mark.parametrize("top", [1000, 60, 7])
def test_highs(top, fast):
    """Whole numbers, where a solver with tolerances is exact too."""
    rng = np.random.default_rng(top)
    for _ in range(4):
        value, cost = (rng.integers(0, top + 1, (40, 5)).astype(np.float32) for _ in range(2))
        budget = float(cost.min(axis=1).sum() + rng.integers(0, 20 * top))
        plan = bf.solve_mckp(value, cost, budget, integrality="proven", backend=fast)
        assert plan.value == plan.dual_bound == highs.integer_value(value, cost, budget)
        assert plan.gap == 0 and plan.status is bf.Status.SOLVED
        assert cost[np.arange(40), plan.choice].sum() <= budget


@pytest.mark.parametrize("name", ["campaign", "negative", "masked", "small integers", "twelve orders", "all alike"])
def test_bits(name, fast, dtype):
    x = head(instance(name, dtype), 150)
    money = budgets(x)
    assert_same_plan(proven(x, money, fast), proven(x, money, "reference"))


def test_it_is_never_worse_and_never_beyond_the_bound(fast, dtype):
    x = diminishing(np.random.default_rng(1), 30_000, 6, dtype)
    for budget in budgets(x, (0.1, 0.5)):
        plain = bf.solve_mckp(x.value, x.cost, budget, backend=fast)
        plan = proven(x, budget, fast)
        assert plan.status is bf.Status.SOLVED
        assert plain.value < plan.value <= plan.dual_bound <= plain.dual_bound
        assert plan.gap <= 1e-9 * plan.value
        rows = np.arange(len(x.value))
        assert plan.value == pytest.approx(x.value[rows, plan.choice].sum(dtype=np.float64), rel=1e-12)
        assert plan.spend == pytest.approx(x.cost[rows, plan.choice].sum(dtype=np.float64), rel=1e-12)
        assert plan.spend <= budget and plan.multiplier == plain.multiplier


def test_backends_agree_where_the_core_is_a_part_of_the_users(dtype):
    x = diminishing(np.random.default_rng(2), 30_000, 6, dtype)
    budget = float(budgets(x)[2])
    plans = [proven(x, budget, k) for k in bf.backends.available() if k != "reference"]
    for plan in plans[1:]:
        assert_same_plan(plan, plans[0])


def test_users_alike_are_one(fast):
    """20,000 users of two kinds, all of them contested: what matters is how many of each are treated."""
    value = np.tile([[0.0, 3.0], [0.0, 2.0]], (10_000, 1))
    cost = np.tile([[0.0, 3.0], [0.0, 2.0]], (10_000, 1))
    plan = bf.solve_mckp(value, cost, 29_999.0, fill=False, integrality="proven", backend=fast)
    assert plan.value == plan.spend == plan.dual_bound == 29_999.0
    cost[::2, 1] = 3.5
    plan = bf.solve_mckp(value, cost, 29_999.0, integrality="proven", backend=fast)
    most = max(3 * ((29_999 - 2 * k) // 3.5) + 2 * k for k in range(10_001))
    assert plan.value == plan.dual_bound == most


def test_what_is_proven_already_stays(backend):
    x = head(instance("small integers", np.float64), 40)
    plain = bf.solve_mckp(x.value, x.cost, 1e6, backend=backend)
    plan = proven(x, 1e6, backend)
    assert_same_plan(plan, plain)
    assert plan.stats["contested"] == 0


def test_batches_and_segments_are_their_problems(fast, dtype):
    rng = np.random.default_rng(1)
    value, cost = rng.random((3, 30, 4)).astype(dtype), rng.random((3, 30, 4)).astype(dtype)
    money = cost.min(axis=2).sum(axis=1) + [0.5, 2.0, 6.0]
    batch = bf.solve_mckp(value, cost, money, integrality="proven", backend=fast)
    joined = bf.solve_mckp(
        value.reshape(90, 4), cost.reshape(90, 4), money, segments=np.arange(4) * 30, integrality="proven", backend=fast
    )
    for k in range(3):
        alone = bf.solve_mckp(value[k], cost[k], money[k], integrality="proven", backend=fast)
        assert_same_plan(part(batch, k), alone)
        assert_same_plan(part(joined, k, joined.choice[30 * k : 30 * k + 30]), alone)
    x = instance("campaign", dtype)
    start = bf.solve_mckp(x.value, x.cost, 90.0, backend=fast)
    warm = bf.solve_mckp(x.value, x.cost, 100.0, warm_start=start, integrality="proven", backend=fast)
    assert bits(warm.value) == bits(proven(x, 100.0, fast).value)


def test_out_of_time_is_the_certified_plan_at_least(fast):
    x = diminishing(np.random.default_rng(1), 3_000, 6, np.float32)
    plain = bf.solve_mckp(x.value, x.cost, 400.0, backend=fast)
    plan = proven(x, 400.0, fast, time_limit=0.0)
    assert plan.status is bf.Status.TIME_LIMIT
    assert "best plan so far" in plan.status.sentence
    assert plain.value <= plan.value <= plan.dual_bound == plain.dual_bound
    assert plan.gap <= plain.gap and plan.spend <= 400.0
    assert repr(plan).startswith("Plan(value=")


def test_a_core_too_large_is_given_up_in_words(fast, monkeypatch):
    monkeypatch.setattr(_core, "LONGEST", 8)
    x = diminishing(np.random.default_rng(1), 3_000, 6, np.float32)
    plain = bf.solve_mckp(x.value, x.cost, 400.0, backend=fast)
    plan = proven(x, 400.0, fast)
    assert plan.status is bf.Status.NOT_PROVEN
    assert plan.value >= plain.value and plan.dual_bound == plain.dual_bound
    assert plan.gap == pytest.approx(plan.dual_bound - plan.value)
    assert plan.gap > 0 and plan.spend <= 400.0


def test_a_time_limit_ends_a_hard_proof(fast):
    """Value and cost nearly the same, digits without end: next to every combination of users is a contender."""
    rng = np.random.default_rng(0)
    cost = np.column_stack([np.zeros(300), rng.random(300)])
    value = cost * (1 + 1e-7 * rng.random((300, 2)))
    start = time.monotonic()
    plan = bf.solve_mckp(value, cost, 77.7, integrality="proven", time_limit=0.3, backend=fast)
    assert time.monotonic() - start < 20  # a hang, not a time
    assert plan.status in (bf.Status.TIME_LIMIT, bf.Status.NOT_PROVEN, bf.Status.SOLVED)
    assert plan.value <= plan.dual_bound and plan.spend <= 77.7


def test_costs_that_are_rounded_stay_honest(fast):
    """A cheaper dear step by less than fixed point can tell: the bound must allow for it."""
    c = 1.0000001234567e-6
    plan = bf.solve_mckp([[0.0, 1e-12], [0.0, 1.0]], [[0.0, 1.0], [0.0, c]], c, integrality="proven", backend=fast)
    assert plan.dual_bound >= 1.0


def test_misuse(backend):
    value = np.ones((3, 2))
    with pytest.raises(ValueError, match="integrality must be 'gap' or 'proven', got 'integer'"):
        bf.solve_mckp(value, value, 9.0, integrality="integer", backend=backend)
    with pytest.raises(ValueError, match="time_limit goes with integrality='proven'"):
        bf.solve_mckp(value, value, 9.0, time_limit=1.0, backend=backend)
    for wrong in (-1.0, "soon", np.nan):
        with pytest.raises(ValueError, match="time_limit must be seconds, at least 0"):
            bf.solve_mckp(value, value, 9.0, integrality="proven", time_limit=wrong, backend=backend)
