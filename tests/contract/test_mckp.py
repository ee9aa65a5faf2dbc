"""What a `Plan` promises, on every backend and dtype, against oracles that share no code with the package."""

from __future__ import annotations

import functools
from fractions import Fraction

import numpy as np
import pytest
from oracles import exact, highs
from oracles.instances import CORPUS, budgets, head, instance
from oracles.same import assert_same_plan, part

import bidfcl_fast as bf

# The exact oracles look at every pair of points, hence few users; what one user can do to a solver fits in a few.
USERS = 10
SMALL = [name for name in CORPUS if name != "many treatments"]


class Case:
    """An instance of few users and what the oracles say about it, asked once for all backends."""

    def __init__(self, name, dtype, users=USERS) -> None:
        x = head(instance(name, dtype), users)
        self.value, self.cost, self.mask = x
        self.budgets = budgets(x)
        self.population = exact.users(*x)
        self.v_unit, self.c_unit = exact.unit(x.value, x.mask), exact.unit(x.cost, x.mask)
        self.v_exact, self.c_exact = exact.exact_in_units(x.value, x.mask), exact.exact_in_units(x.cost, x.mask)
        self.largest_edge = exact.largest_edge(self.population)
        self.lp = exact.lp_optima(self.population, self.budgets)

    def plans(self, backend, fill=True):
        for k, b in enumerate(self.budgets):
            yield k, bf.solve_mckp(self.value, self.cost, b, mask=self.mask, fill=fill, backend=backend)

    def together(self, backend, fill=True, budgets=None):
        b = self.budgets if budgets is None else budgets
        return bf.solve_mckp(self.value, self.cost, b, mask=self.mask, fill=fill, backend=backend)


_case = functools.cache(Case)


@pytest.fixture(params=SMALL)
def small(request, dtype):
    return _case(request.param, dtype)


@pytest.mark.parametrize("fill", [False, True])
def test_spend_value_and_gap_are_exact(small, backend, fill):
    """Spend within the budget to the last bit; totals correctly rounded; gap what it says."""
    n = len(small.value)
    for k, plan in small.plans(backend, fill):
        total, spent = exact.totals(small.population, plan.choice)
        assert spent <= Fraction(small.budgets[k])
        assert plan.spend <= small.budgets[k]
        if small.v_exact:
            assert plan.value == float(total)
        if small.c_exact:
            assert plan.spend == float(spent)
        # rounded up on the way in, by less than a unit a user, then to the nearest float
        assert float(total) <= plan.value <= float(total + n * small.v_unit)
        assert float(spent) <= plan.spend <= float(spent + n * small.c_unit)
        hidden = 0 if small.c_exact else Fraction(plan.multiplier) * small.c_unit * (n + 1)
        assert 0 <= plan.gap <= exact.up(small.largest_edge + 2 * small.v_unit + hidden)
        # the gap is subtracted before rounding; it and its two neighbours are rounded once each
        slack = np.spacing(abs(plan.dual_bound)) + np.spacing(abs(plan.value))
        assert abs(plan.dual_bound - plan.value - plan.gap) <= slack


def test_dual_bound_is_the_lp_optimum(small, backend):
    for k, plan in small.plans(backend):
        # one unit a user and one for the budget, at the price of money; then one rounding up
        slack = (len(small.value) + 1) * (small.v_unit + 2 * Fraction(plan.multiplier) * small.c_unit)
        lp, bound = small.lp[k], Fraction(plan.dual_bound)
        assert lp - slack <= bound
        assert plan.dual_bound <= np.nextafter(float(lp + slack), np.inf)
        if not small.c_exact or Fraction(small.budgets[k]) % small.c_unit == 0:
            assert bound >= lp  # whatever was rounded has been paid for


@functools.cache
def _tiny(name, dtype):
    users = 4 if instance(name, dtype).value.shape[1] > 4 else 6
    case = Case(name, dtype, users)
    return case, exact.integer_optima(case.population, case.budgets)


@pytest.mark.parametrize("fill", [False, True])
@pytest.mark.parametrize("name", [name for name in SMALL if name not in ("campaign of ten", "duplicate treatments")])
def test_dual_bound_is_not_below_the_integer_optimum(name, dtype, backend, fill):
    tiny, optima = _tiny(name, dtype)
    n = len(tiny.value)
    for k, plan in tiny.plans(backend, fill):
        total, _ = exact.totals(tiny.population, plan.choice)
        assert total <= optima[k] <= Fraction(plan.dual_bound)
        assert optima[k] <= total + Fraction(plan.gap) + n * tiny.v_unit


def test_multiplier_is_where_spend_meets_the_budget(small, backend):
    """Just below λ* the users want more than there is; just above, with ties to the cheaper, they do not."""
    wiggle = Fraction(1, 2**50)
    if not (small.v_exact and small.c_exact):
        wiggle = Fraction(1, 2**20)  # a slope between numbers near the unit keeps few of its bits
    for k, plan in small.plans(backend):
        at, budget = Fraction(plan.multiplier), Fraction(small.budgets[k])
        assert at >= 0
        assert exact.spend_range(small.population, at * (1 + wiggle))[0] <= budget
        if at > 0:
            assert exact.spend_range(small.population, at * (1 - wiggle))[1] > budget


def test_only_treatments_on_the_hull_are_given(small, backend):
    if not (small.v_exact and small.c_exact):
        pytest.skip("rounding to the unit moves points across a hull")
    on_hull = [exact.hull_treatments(points) for points in small.population]
    for choice in small.together(backend).choice:
        assert all(j in on for j, on in zip(choice, on_hull, strict=True))


@pytest.mark.parametrize("name", ["campaign", "negative", "small integers", "masked", "rising returns", "one slope"])
def test_dual_bound_agrees_with_highs(name, backend, dtype):
    x = head(instance(name, dtype), 200)
    for b in budgets(x, (0.05, 0.5, 0.9)):
        plan = bf.solve_mckp(x.value, x.cost, b, mask=x.mask, backend=backend)
        assert plan.dual_bound == pytest.approx(highs.lp_value(x.value, x.cost, b, x.mask), rel=1e-9)


def test_fill_is_never_worse_and_proves_the_same(small, backend):
    bare, filled = small.together(backend, fill=False), small.together(backend)
    assert (filled.value >= bare.value).all()
    assert (filled.gap <= bare.gap).all()
    np.testing.assert_array_equal(filled.multiplier, bare.multiplier)
    np.testing.assert_array_equal(filled.dual_bound, bare.dual_bound)


def test_several_budgets_are_several_calls(small, backend):
    order = [3, 0, 1, 4, 2] if len(small.budgets) == 5 else [1, 0]
    plan = small.together(backend, budgets=small.budgets[order])
    assert plan.choice.shape == (len(order), len(small.value))
    assert plan.choice.dtype == np.int32
    alone = dict(small.plans(backend))
    for row, k in enumerate(order):
        assert_same_plan(part(plan, row), alone[k])


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
    assert plan.choice.shape == (0, 4)
    assert plan.value.shape == (0,)


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
    assert plan.choice.shape == (60,)
    assert plan.value.shape == (5,)
    for k in range(5):
        rows = slice(segments[k], segments[k + 1])
        mask_k = None if mask is None else mask[rows]
        alone = bf.solve_mckp(value[rows], cost[rows], b[k], mask=mask_k, backend=backend)
        assert_same_plan(part(plan, k, plan.choice[rows]), alone)


def test_stats_and_types_are_as_told(backend, dtype):
    x = instance("campaign", dtype)
    plan = bf.solve_mckp(x.value, x.cost, budgets(x)[2], backend=backend)
    assert plan.stats["backend"] == backend
    assert plan.stats["sweeps"] >= 1
    assert plan.stats["rows_read"] >= len(x.value) >= plan.stats["active"] >= 0
    numbers = (plan.multiplier, plan.value, plan.spend, plan.dual_bound, plan.gap, plan.budget)
    assert all(type(number) is float for number in numbers)
    assert plan.choice.dtype == np.int32
    assert plan.choice.flags.writeable
    assert "gap" in repr(plan)
