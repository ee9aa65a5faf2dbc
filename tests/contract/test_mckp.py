"""What a `Plan` promises, on every backend and dtype, against oracles that share no code with the package."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from oracles import exact, highs
from oracles.instances import CORPUS, budgets, head, instance
from oracles.same import assert_same_plan, part

import bidfcl_fast as bf

# The exact oracles look at every pair of points, hence few users; what one user can do to a solver fits in a dozen.
USERS = 12
SMALL = [name for name in CORPUS if name != "many treatments"]


@pytest.fixture(params=SMALL)
def small(request, dtype):
    return head(instance(request.param, dtype), USERS)


@pytest.mark.parametrize("fill", [False, True])
def test_spend_value_and_gap_are_exact(small, backend, fill):
    """Spend within the budget to the last bit; totals correctly rounded; gap what it says."""
    value, cost, mask = small
    population = exact.users(value, cost, mask)
    v_unit, c_unit = exact.unit(value, mask), exact.unit(cost, mask)
    v_exact, c_exact = exact.exact_in_units(value, mask), exact.exact_in_units(cost, mask)
    for b in budgets(small):
        plan = bf.solve_mckp(value, cost, b, mask=mask, fill=fill, backend=backend)
        total, spent = exact.totals(population, plan.choice)
        assert spent <= Fraction(b) and plan.spend <= b
        if v_exact:
            assert plan.value == float(total)
        if c_exact:
            assert plan.spend == float(spent)
        # rounded up on the way in, by less than a unit a user, then to the nearest float
        assert float(total) <= plan.value <= float(total + len(value) * v_unit)
        assert float(spent) <= plan.spend <= float(spent + len(value) * c_unit)
        assert 0 <= plan.gap <= exact.up(exact.largest_edge(population) + 2 * v_unit)
        # the gap is subtracted before rounding; its three neighbours are rounded once each
        slack = np.spacing(abs(plan.dual_bound)) + np.spacing(abs(plan.value))
        assert abs(plan.dual_bound - plan.value - plan.gap) <= slack


def test_dual_bound_is_the_lp_optimum(small, backend):
    value, cost, mask = small
    population = exact.users(value, cost, mask)
    v_unit, c_unit = exact.unit(value, mask), exact.unit(cost, mask)
    for b in budgets(small):
        plan = bf.solve_mckp(value, cost, b, mask=mask, backend=backend)
        lp = exact.lp_optimum(population, b)
        # one unit a user and one for the budget, at the price of money; then one rounding up
        slack = (len(value) + 1) * (v_unit + Fraction(plan.multiplier) * c_unit)
        assert lp - slack <= Fraction(plan.dual_bound)
        assert plan.dual_bound <= np.nextafter(float(lp + slack), np.inf)
        if exact.exact_in_units(cost, mask) and exact.exact_in_units([b], None) and Fraction(b) % c_unit == 0:
            assert Fraction(plan.dual_bound) >= lp


def test_dual_bound_is_not_below_the_integer_optimum(small, backend):
    value, cost, mask = (None if x is None else x[:5] for x in small)
    if value.shape[1] > 6:
        value, cost, mask = value[:4], cost[:4], None if mask is None else mask[:4]
    few = head(small, len(value))
    population = exact.users(value, cost, mask)
    v_unit, c_unit = exact.unit(value, mask), exact.unit(cost, mask)
    for b in budgets(few):
        for fill in (False, True):
            plan = bf.solve_mckp(value, cost, b, mask=mask, fill=fill, backend=backend)
            best = exact.integer_optimum(population, b)
            total, _ = exact.totals(population, plan.choice)
            assert total <= best
            slack = Fraction(plan.multiplier) * c_unit * (len(value) + 1)
            assert Fraction(plan.dual_bound) >= best - (0 if exact.exact_in_units(cost, mask) else slack)
            assert best <= total + Fraction(plan.gap) + len(value) * v_unit + slack


def test_multiplier_is_where_spend_meets_the_budget(small, backend):
    """Just below λ* the users want more than there is; just above, and at it with ties to the cheaper, they do not."""
    value, cost, mask = small
    population = exact.users(value, cost, mask)
    for b in budgets(small):
        plan = bf.solve_mckp(value, cost, b, mask=mask, backend=backend)
        assert plan.multiplier >= 0
        wiggle = Fraction(1, 2**50)
        if not (exact.exact_in_units(value, mask) and exact.exact_in_units(cost, mask)):
            wiggle = Fraction(1, 2**20)  # a slope between numbers near the unit keeps few of its bits
        at = Fraction(plan.multiplier)
        assert exact.spend_range(population, at * (1 + wiggle))[0] <= Fraction(b)
        if at > 0:
            assert exact.spend_range(population, at * (1 - wiggle))[1] > Fraction(b)


def test_only_treatments_on_the_hull_are_given(small, backend):
    value, cost, mask = small
    if not (exact.exact_in_units(value, mask) and exact.exact_in_units(cost, mask)):
        pytest.skip("rounding to the unit moves points across a hull")
    on_hull = [exact.hull_treatments(points) for points in exact.users(value, cost, mask)]
    plan = bf.solve_mckp(value, cost, budgets(small), mask=mask, backend=backend)
    for choice in plan.choice:
        assert all(j in on for j, on in zip(choice, on_hull, strict=True))


@pytest.mark.parametrize("name", ["campaign", "negative", "small integers", "masked", "rising returns", "one slope"])
def test_dual_bound_agrees_with_highs(name, backend, dtype):
    x = head(instance(name, dtype), 200)
    for b in budgets(x, (0.05, 0.5, 0.9)):
        plan = bf.solve_mckp(x.value, x.cost, b, mask=x.mask, backend=backend)
        assert plan.dual_bound == pytest.approx(highs.lp_value(x.value, x.cost, b, x.mask), rel=1e-9)


def test_fill_is_never_worse_and_proves_the_same(small, backend):
    value, cost, mask = small
    b = budgets(small)
    bare = bf.solve_mckp(value, cost, b, mask=mask, fill=False, backend=backend)
    filled = bf.solve_mckp(value, cost, b, mask=mask, fill=True, backend=backend)
    assert (filled.value >= bare.value).all() and (filled.gap <= bare.gap).all()
    np.testing.assert_array_equal(filled.multiplier, bare.multiplier)
    np.testing.assert_array_equal(filled.dual_bound, bare.dual_bound)


def test_several_budgets_are_several_calls(small, backend):
    value, cost, mask = small
    b = budgets(small)[::-1].copy()  # in no particular order
    plan = bf.solve_mckp(value, cost, b, mask=mask, backend=backend)
    assert plan.choice.shape == (len(b), len(value)) and plan.choice.dtype == np.int32
    for k, one in enumerate(b):
        alone = bf.solve_mckp(value, cost, one, mask=mask, backend=backend)
        assert_same_plan(part(plan, k), alone)


def _stack(dtype, count=5, n=9, m=4):
    rng = np.random.default_rng(3)
    value, cost = (rng.normal(size=(count, n, m)).astype(dtype) for _ in range(2))
    mask = rng.random(value.shape) < 0.7
    mask[..., 1] = True
    return value, cost, mask, np.nanmin(np.where(mask, cost, np.nan), axis=2).sum(axis=1) + rng.uniform(0.1, 6, count)


@pytest.mark.parametrize("masked", [False, True])
def test_a_batch_is_its_problems(backend, dtype, masked):
    value, cost, mask, b = _stack(dtype)
    mask = mask if masked else np.ones_like(mask)
    plan = bf.solve_mckp(value, cost, b, mask=mask if masked else None, backend=backend)
    for k in range(len(b)):
        alone = bf.solve_mckp(value[k], cost[k], b[k], mask=mask[k] if masked else None, backend=backend)
        assert_same_plan(part(plan, k), alone)


def test_one_budget_serves_a_whole_batch(backend, dtype):
    value, cost, mask, b = _stack(dtype)
    plan = bf.solve_mckp(value, cost, float(b.max()), mask=mask, backend=backend)
    assert_same_plan(plan, bf.solve_mckp(value, cost, np.full(len(b), b.max()), mask=mask, backend=backend))


def test_an_empty_batch_has_no_plans(backend, dtype):
    plan = bf.solve_mckp(np.zeros((0, 4, 3), dtype), np.zeros((0, 4, 3), dtype), np.zeros(0), backend=backend)
    assert plan.choice.shape == (0, 4) and plan.value.shape == (0,)


@pytest.mark.parametrize("masked", [False, True])
def test_segments_are_their_problems(backend, dtype, masked):
    """Unequal lengths, an empty problem among them, and scales that differ by far."""
    x = instance("masked" if masked else "negative", dtype)
    value, cost, mask = (None if a is None else a[:60].copy() for a in x)
    value[20:33] *= 1e6
    segments = np.array([0, 1, 20, 20, 33, 60])
    b = np.zeros(5)
    for k in range(5):
        rows = slice(segments[k], segments[k + 1])
        least = exact.least_spend(exact.users(value[rows], cost[rows], None if mask is None else mask[rows]))
        b[k] = float(least) + 1.5
    plan = bf.solve_mckp(value, cost, b, mask=mask, segments=segments, backend=backend)
    assert plan.choice.shape == (60,) and plan.value.shape == (5,)
    for k in range(5):
        rows = slice(segments[k], segments[k + 1])
        mask_k = None if mask is None else mask[rows]
        alone = bf.solve_mckp(value[rows], cost[rows], b[k], mask=mask_k, backend=backend)
        assert_same_plan(part(plan, k, plan.choice[rows]), alone)


def test_stats_and_types_are_as_told(backend, dtype):
    x = instance("campaign", dtype)
    plan = bf.solve_mckp(x.value, x.cost, budgets(x)[2], backend=backend)
    assert plan.stats["backend"] == backend
    assert plan.stats["sweeps"] >= 1 and plan.stats["rows_read"] >= len(x.value) >= plan.stats["active"] >= 0
    numbers = (plan.multiplier, plan.value, plan.spend, plan.dual_bound, plan.gap, plan.budget)
    assert all(type(number) is float for number in numbers)
    assert plan.choice.dtype == np.int32 and plan.choice.flags.writeable
    assert "gap" in repr(plan)
