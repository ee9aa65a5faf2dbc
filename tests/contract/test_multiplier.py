"""A price instead of a budget: every user's choice from its own numbers, in exact fractions."""

from __future__ import annotations

import functools
from fractions import Fraction

import numpy as np
import pytest
from oracles import exact
from oracles.instances import CORPUS, budgets, diminishing, golden, head, instance
from oracles.same import assert_same_plan, bits, part

import bidfcl_fast as bf

PRICES = [0.0, 0.3, 1.0, 5e-324, 1e300]
USERS = 90  # the reference is slow; what one user can do to a decision fits in a few


@functools.cache
def _prices(name, dtype) -> np.ndarray:
    """Prices of no meaning, and those at which whole groups of users are in two minds."""
    x = head(instance(name, dtype), USERS)
    at = bf.solve_mckp(x.value, x.cost, budgets(x), mask=x.mask, backend="reference").multiplier
    return np.concatenate([PRICES, at[1:4], np.nextafter(at[1:3], np.inf)])


@functools.cache
def _reference(name, dtype):
    x = head(instance(name, dtype), USERS)
    return bf.solve_mckp(x.value, x.cost, multiplier=_prices(name, dtype), mask=x.mask, backend="reference")


@pytest.mark.parametrize("name", CORPUS)
def test_bits(name, fast, dtype):
    x, prices, expected = head(instance(name, dtype), USERS), _prices(name, dtype), _reference(name, dtype)
    got = bf.solve_mckp(x.value, x.cost, multiplier=prices, mask=x.mask, backend=fast)
    assert_same_plan(got, expected)
    for k in (1, len(prices) - 1):
        one = bf.solve_mckp(x.value, x.cost, multiplier=float(prices[k]), mask=x.mask, backend=fast)
        assert bits(one.value) == bits(expected.value[k]) and bits(one.spend) == bits(expected.spend[k])
        np.testing.assert_array_equal(one.choice, expected.choice[k])


@pytest.mark.parametrize("name", [name for name in CORPUS if name != "many treatments"])
def test_every_user_has_the_best_score_and_the_least_cost_of_ties(name, backend, dtype):
    x = head(instance(name, dtype), 20)
    if not (exact.exact_in_units(x.value, x.mask) and exact.exact_in_units(x.cost, x.mask)):
        pytest.skip("rounding to the unit moves scores that are this close")
    population = exact.users(*x)
    for price in PRICES:
        plan = bf.solve_mckp(x.value, x.cost, multiplier=price, mask=x.mask, backend=backend)
        for points, j in zip(population, plan.choice, strict=True):
            ties = exact.tied(points, Fraction(price))
            assert j == min(p.treatment for p in ties if p.cost == ties[0].cost)
        total, spent = exact.totals(population, plan.choice)
        assert (plan.value, plan.spend, plan.gap) == (float(total), float(spent), 0.0)
        assert plan.multiplier == price and plan.budget == plan.spend
        assert plan.dual_bound >= plan.value


def test_it_is_optimal_for_a_budget_equal_to_its_spend(backend):
    x = head(instance("small integers", np.float64), 40)
    for price in (0.2, 0.5, 1.0, 2.5):
        plan = bf.solve_mckp(x.value, x.cost, multiplier=price, backend=backend)
        best = bf.solve_mckp(x.value, x.cost, plan.spend, backend=backend)
        assert plan.value == plan.dual_bound == best.dual_bound
        below = bf.solve_mckp(x.value, x.cost, plan.spend, fill=False, backend=backend)
        np.testing.assert_array_equal(below.choice, plan.choice)


def test_by_hand(backend, dtype):
    """METHOD.md §6.1: the slopes are 4, 1 · 3, 4/3 · 2.5, 1 · 2, 3; steps of exactly the price are not taken."""
    x = golden(dtype)
    plan = bf.solve_mckp(x.value, x.cost, multiplier=1.0, backend=backend)
    assert plan.choice.tolist() == [1, 2, 1, 2]
    assert bf.solve_mckp(x.value, x.cost, multiplier=np.nextafter(1.0, 0), backend=backend).choice.tolist() == [2] * 4


def test_batches_and_segments_are_their_problems(backend, dtype):
    rng = np.random.default_rng(1)
    value, cost = (rng.normal(size=(3, 8, 4)).astype(dtype) for _ in range(2))
    value[1] *= 1e6
    price = np.array([0.5, 1e5, 0.0])
    batch = bf.solve_mckp(value, cost, multiplier=price, backend=backend)
    joined = bf.solve_mckp(
        value.reshape(24, 4), cost.reshape(24, 4), multiplier=price, segments=[0, 8, 16, 24], backend=backend
    )
    for k in range(3):
        alone = bf.solve_mckp(value[k], cost[k], multiplier=price[k], backend=backend)
        assert_same_plan(part(batch, k), alone)
        assert_same_plan(part(joined, k, joined.choice[8 * k : 8 * k + 8]), alone)


@pytest.mark.parametrize("count", ["1", "2", "7"])
def test_any_number_of_threads(fast, monkeypatch, count):
    x = diminishing(np.random.default_rng(5), 50_000, 6, np.float32)
    monkeypatch.setenv("BIDFCL_NUM_THREADS", "1")
    expected = bf.solve_mckp(x.value, x.cost, multiplier=[0.2, 0.9], backend=fast)
    monkeypatch.setenv("BIDFCL_NUM_THREADS", count)
    assert_same_plan(bf.solve_mckp(x.value, x.cost, multiplier=[0.2, 0.9], backend=fast), expected)


@pytest.mark.parametrize("spread", [0, 30, 45])
def test_chunks_of_different_size_add_up(fast, spread):
    """Later users are far larger: what was added up in small units moves to large ones, or is added up again."""
    x = diminishing(np.random.default_rng(2), 20_000, 4, np.float32)
    size = np.where(np.arange(20_000) < 15_000, 1.0, 2.0**spread).astype(np.float32)[:, None]
    value, cost = x.value * size, x.cost * size
    at = [0.3, 0.7]
    few = np.r_[0:40, 14_980:15_020]
    expected = bf.solve_mckp(value[few], cost[few], multiplier=at, backend="reference")
    plan = bf.solve_mckp(value, cost, multiplier=at, backend=fast, throw=False)
    if spread < 45:
        np.testing.assert_array_equal(plan.choice[:, few], expected.choice)
        rows = np.arange(20_000)
        for k in (0, 1):
            assert plan.value[k] == pytest.approx(value[rows, plan.choice[k]].sum(dtype=np.float64), rel=1e-12)
    other = bf.solve_mckp(value, cost, multiplier=at, backend="numba" if fast == "cpp" else fast, throw=False)
    assert_same_plan(plan, other)


def test_misuse(backend):
    value = np.ones((3, 2))
    with pytest.raises(TypeError, match=r"budget must be .*multiplier.*NoneType"):
        bf.solve_mckp(value, value, backend=backend)
    with pytest.raises(ValueError, match="budget and multiplier exclude each other"):
        bf.solve_mckp(value, value, 1.0, multiplier=1.0, backend=backend)
    with pytest.raises(ValueError, match=r"multiplier must be at least 0, got -0[.]5"):
        bf.solve_mckp(value, value, multiplier=-0.5, backend=backend)
    with pytest.raises(ValueError, match="multiplier must be finite, got nan"):
        bf.solve_mckp(value, value, multiplier=np.nan, backend=backend)
    with pytest.raises(ValueError, match=r"multiplier must be one number or \[2\]"):
        bf.solve_mckp(np.ones((2, 3, 2)), np.ones((2, 3, 2)), multiplier=[1.0, 2.0, 3.0], backend=backend)
    for more in ({"min_spend": 1.0}, {"max_treated": 1}, {"integrality": "proven"}):
        with pytest.raises(ValueError, match="multiplier"):
            bf.solve_mckp(value, value, multiplier=1.0, backend=backend, **more)
    bad = value.copy()
    bad[1, 0] = np.nan
    with pytest.raises(ValueError, match=r"cost must be finite, got nan at cost\[1, 0\]"):
        bf.solve_mckp(value, bad, multiplier=1.0, backend=backend)
    closed = np.ones((3, 2), bool)
    closed[2] = False
    with pytest.raises(ValueError, match="mask leaves user 2 no open treatment"):
        bf.solve_mckp(value, value, multiplier=1.0, mask=closed, backend=backend)
