"""`min_spend`: exact where one multiplier is, forced spending by the mirror, and a status where the window is too narrow."""

from __future__ import annotations

import functools
from fractions import Fraction

import numpy as np
import pytest
from oracles import exact, limits
from oracles.instances import Instance, diminishing, head, instance
from oracles.same import assert_same_plan, part

import bidfcl_fast as bf

NAMES = ["campaign", "negative", "small integers", "negative integers", "masked", "duplicate users", "zero costs"]


def _ends(population) -> tuple[Fraction, Fraction]:
    return exact.least_spend(population), sum((max(p.cost for p in points) for points in population), Fraction(0))


@functools.cache
def _small(name, dtype):
    x = head(instance(name, dtype), 4)
    population = exact.users(*x)
    return x, population, limits.plans(population)


@pytest.mark.parametrize("name", NAMES)
def test_every_window_of_a_small_instance(name, backend, dtype):
    """In the window, exactly; the bound is the LP optimum of the window; refused only where nothing simple is inside."""
    x, population, every = _small(name, dtype)
    least, most = _ends(population)
    forced = 0
    for low in (0.2, 0.5, 0.8, 1.0):
        for wide in (0.0, 0.1, 0.6):
            low_at = exact.up(least + Fraction(low) * (most - least))
            if low == 1.0:
                low_at = float(most) if Fraction(float(most)) <= most else np.nextafter(float(most), -np.inf)
            high_at = float(low_at + Fraction(wide) * (most - least) + Fraction(1, 10**6))
            plan = bf.solve_mckp(
                *x[:2], high_at, min_spend=low_at, mask=x.mask, backend=backend, throw=False
            )  # fmt: skip
            inside = [t for t in every if low_at <= t.spend <= high_at]
            if plan.status == bf.Status.NARROW_WINDOW:
                assert (plan.choice == -1).all() and np.isnan(plan.value)
                assert high_at - low_at <= max(float(most - least), 0)  # narrower than some step, see the next test
                continue
            assert plan.status == bf.Status.SOLVED
            total, spent = exact.totals(population, plan.choice)
            assert low_at <= spent <= high_at
            assert inside and total <= max(t.value for t in inside)
            bound = limits.window_bound(population, low_at, high_at)
            slack = (
                10
                * len(population)
                * (exact.unit(x.value, x.mask) + abs(Fraction(plan.multiplier)) * exact.unit(x.cost, x.mask))
            )
            assert bound - slack <= Fraction(plan.dual_bound) <= bound + slack + abs(bound) * Fraction(1, 2**50)
            assert max(t.value for t in inside) <= Fraction(plan.dual_bound) + slack
            assert plan.dual_bound - plan.value == pytest.approx(plan.gap, abs=1e-9)
            forced += plan.multiplier < 0
    assert forced or name not in ("negative", "small integers", "negative integers")


def test_forced_money_is_spent_where_it_hurts_least(backend, dtype):
    """By hand: both users are best off with nothing; 3 must go, and the second loses less per unit (1/3 against 1)."""
    value, cost = np.array([[5, 3], [5, 4]], dtype), np.array([[0, 2], [0, 3]], dtype)
    plan = bf.solve_mckp(value, cost, 10.0, min_spend=3.0, backend=backend)
    assert plan.choice.tolist() == [0, 1]
    assert (plan.value, plan.spend, plan.dual_bound, plan.gap) == (9, 3, 9, 0)
    assert plan.multiplier == pytest.approx(-1 / 3) or plan.multiplier == -1.0  # between the two slopes
    part_of_it = bf.solve_mckp(value, cost, 10.0, min_spend=4.0, backend=backend)
    assert part_of_it.spend == 5.0 and part_of_it.multiplier == -1.0
    assert part_of_it.dual_bound == 8.0  # half of the first user's step


def test_the_plain_plan_where_it_spends_enough(backend, dtype):
    x = instance("campaign", dtype)
    expected = bf.solve_mckp(x.value, x.cost, 100.0, backend=backend)
    got = bf.solve_mckp(x.value, x.cost, 100.0, min_spend=expected.spend, backend=backend)
    assert_same_plan(got, expected)


def test_a_limit_is_worth_more_than_fill_false(backend):
    x = diminishing(np.random.default_rng(0), 60, 4, np.float64)
    bare = bf.solve_mckp(x.value, x.cost, 10.0, fill=False, backend=backend)
    full = bf.solve_mckp(x.value, x.cost, 10.0, backend=backend)
    assert full.spend > bare.spend
    got = bf.solve_mckp(x.value, x.cost, 10.0, min_spend=full.spend, fill=False, backend=backend)
    assert got.spend == full.spend


def test_a_window_between_two_steps(backend):
    """One user, 0 or 10: nothing spends 4 to 6, whether the budget binds or money is forced out."""
    cost = np.array([[0.0, 10.0]])
    for value in ([[0.0, 1.0]], [[1.0, 0.0]]):
        plan = bf.solve_mckp(value, cost, 6.0, min_spend=4.0, backend=backend, throw=False)
        assert plan.status is bf.Status.NARROW_WINDOW and (plan.choice == -1).all()
        with pytest.raises(bf.NotCertified, match=r"min_spend: the window .* narrower than one step"):
            bf.solve_mckp(value, cost, 6.0, min_spend=4.0, backend=backend)


def test_worthless_money_is_spent_user_by_user(backend):
    """All plans are worth the same: none of the two ends is in the window, what lies between is."""
    value, cost = np.ones((9, 2)), np.tile([0.0, 1.0], (9, 1))
    plan = bf.solve_mckp(value, cost, 5.0, min_spend=4.0, backend=backend)
    assert plan.spend == 5.0 and plan.value == plan.dual_bound == 9.0 and plan.multiplier == 0 and plan.gap == 0


def test_more_than_there_is_to_spend(backend, dtype):
    x = instance("campaign", dtype)
    most = exact.users(*x)
    most = sum(max(p.cost for p in points) for points in most)
    with pytest.raises(bf.InfeasibleMinSpend, match="the most that can be spent") as caught:
        bf.solve_mckp(x.value, x.cost, 1e9, min_spend=1e8, backend=backend)
    assert caught.value.most_spend == pytest.approx(float(most), rel=1e-12)
    assert bf.solve_mckp(x.value, x.cost, 1e9, min_spend=caught.value.most_spend, backend=backend).spend > 0
    plan = bf.solve_mckp(x.value, x.cost, 1e9, min_spend=1e8, backend=backend, throw=False)
    assert plan.status is bf.Status.INFEASIBLE_MIN_SPEND
    assert plan.stats["most_spend"] == caught.value.most_spend


def test_several_problems_each_with_its_window(backend, dtype):
    rng = np.random.default_rng(4)
    value, cost = rng.normal(size=(4, 9, 3)).astype(dtype), rng.random((4, 9, 3)).astype(dtype)
    least = np.array([0.0, 6.0, 6.5, 99.0])
    plan = bf.solve_mckp(value, cost, 100.0, min_spend=least, backend=backend, throw=False)
    joined = bf.solve_mckp(
        value.reshape(36, 3), cost.reshape(36, 3), 100.0, min_spend=least, segments=np.arange(5) * 9,
        backend=backend, throw=False,
    )  # fmt: skip
    for k in range(4):
        alone = bf.solve_mckp(value[k], cost[k], 100.0, min_spend=least[k], backend=backend, throw=False)
        assert_same_plan(part(plan, k), alone)
        assert_same_plan(part(joined, k, joined.choice[9 * k : 9 * k + 9]), alone)
    budgets = bf.solve_mckp(value[0], cost[0], [50.0, 60.0], min_spend=[6.0, 7.0], backend=backend, throw=False)
    for k, (b, low) in enumerate([(50.0, 6.0), (60.0, 7.0)]):
        alone = bf.solve_mckp(value[0], cost[0], b, min_spend=low, backend=backend, throw=False)
        assert_same_plan(part(budgets, k), alone)


def test_bits_of_a_large_forced_plan(fast):
    x = diminishing(np.random.default_rng(8), 3_000, 5, np.float64)
    most = float(x.cost.max(axis=1).sum())
    x = Instance(x.value - 3 * x.cost, x.cost)
    plans = [
        bf.solve_mckp(x.value, x.cost, most, min_spend=0.6 * most, backend=k) for k in (fast, "reference")
    ]  # fmt: skip
    assert_same_plan(*plans)
    assert plans[0].multiplier < 0 and 0.6 * most <= plans[0].spend <= 0.6 * most + 3


def test_misuse(backend):
    value = np.ones((3, 2))
    with pytest.raises(ValueError, match=r"min_spend must not exceed the budget 2.0, got 3.0"):
        bf.solve_mckp(value, value, 2.0, min_spend=3.0, backend=backend)
    with pytest.raises(ValueError, match="min_spend must be finite"):
        bf.solve_mckp(value, value, 2.0, min_spend=np.inf, backend=backend)
    with pytest.raises(ValueError, match=r"min_spend must be one number or \[2\], one for each problem, got 3"):
        bf.solve_mckp(value, value, [4.0, 5.0], min_spend=[1.0, 1.0, 1.0], backend=backend)
    with pytest.raises(ValueError, match="min_spend and max_treated exclude each other"):
        bf.solve_mckp(value, value, 4.0, min_spend=1.0, max_treated=1, backend=backend)
    with pytest.raises(ValueError, match=r"integrality='proven' .* without min_spend"):
        bf.solve_mckp(value, value, 4.0, min_spend=1.0, integrality="proven", backend=backend)
