"""The frontier is every answer of the solver at once."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from oracles import exact, highs
from oracles.instances import CORPUS, budgets, golden, head, instance

import bidfcl_fast as bf

NAMES = [name for name in CORPUS if name not in ("no users", "many treatments")]


@pytest.fixture(params=NAMES)
def named(request, dtype):
    return head(instance(request.param, dtype), 40)


def test_golden(backend, dtype):
    value, cost, _ = golden(dtype)
    frontier = bf.budget_frontier(value, cost, backend=backend)
    assert frontier.budget.tolist() == [0, 1, 2, 6, 9, 12]
    assert frontier.value.tolist() == [0, 4, 7, 17, 21, 24]
    assert frontier.multiplier.tolist() == [4, 3, 2.5, 4 / 3, 1, 0]
    assert [frontier.value_at(b) for b in (-1, 3, 4.5, 12, 99)] == [-math.inf, 9.5, 13.25, 24, 24]
    assert [frontier.multiplier_at(b) for b in (-1, 0, 0.5, 1, 6, 11.5, 12, 99)] == [math.inf, 4, 4, 3, 4 / 3, 1, 0, 0]


def test_breakpoints_are_concave_and_rise(named, backend):
    frontier = bf.budget_frontier(named.value, named.cost, mask=named.mask, backend=backend)
    budget, value, multiplier = frontier.budget, frontier.value, frontier.multiplier
    assert budget.dtype == value.dtype == multiplier.dtype == np.float64
    assert len(budget) == len(value) == len(multiplier) >= 1
    assert (np.diff(budget) >= 0).all()
    assert (np.diff(value) >= 0).all()
    # two exact slopes may share a float, but they never swap
    assert (np.diff(multiplier) <= 0).all()
    assert multiplier[-1] == 0
    assert (multiplier[:-1] > 0).all()


def test_breakpoints_are_the_distinct_slopes(backend, dtype):
    """Equal slopes are one breakpoint, also where they come from different users."""
    x = head(instance("small integers", dtype), 60)
    population = exact.users(x.value, x.cost)
    frontier = bf.budget_frontier(x.value, x.cost, backend=backend)
    on_hull = {s for points in population for s in exact.slopes([points]) if s and len({*exact.tied(points, s)}) > 1}
    on_hull = {s for s in on_hull if exact.spend_range(population, s)[0] < exact.spend_range(population, s)[1]}
    assert frontier.multiplier.tolist() == [float(s) for s in sorted(on_hull, reverse=True)] + [0.0]
    assert frontier.budget[:-1].tolist() == [float(exact.spend_range(population, s)[0]) for s in sorted(on_hull)[::-1]]


def test_value_at_is_the_solvers_bound(named, backend):
    frontier = bf.budget_frontier(named.value, named.cost, mask=named.mask, backend=backend)
    least = float(exact.least_spend(exact.users(*named)))
    middles = (frontier.budget[:-1] + frontier.budget[1:]) / 2
    asked = np.concatenate([budgets(named), middles[:: max(1, len(middles) // 8)]])
    asked = asked[asked >= least]
    plan = bf.solve_mckp(named.value, named.cost, asked, mask=named.mask, backend=backend)
    # A breakpoint's budget is rounded, and so is the solver's budget to its unit: each shifts the value by as much,
    # at the price of money just before it. Costs that were rounded raise the solver's bound by a unit a user more.
    before = np.maximum(np.searchsorted(frontier.budget, asked, side="right") - 2, 0)
    slack = 4 * np.spacing(np.abs(frontier.value).max())
    grain = 2 * np.spacing(np.abs(frontier.budget).max()) + float(exact.unit(named.cost, named.mask))
    if not exact.exact_in_units(named.cost, named.mask):
        grain += (len(named.value) + 1) * float(exact.unit(named.cost, named.mask))
    slack = slack + frontier.multiplier[before] * grain
    error = np.abs(frontier.value_at(asked) - plan.dual_bound)
    assert (error <= slack).all(), (error / slack).max()


def test_multiplier_at_is_the_solvers(named, backend):
    """In the middle of a piece, where no rounding can move a budget past a breakpoint."""
    frontier = bf.budget_frontier(named.value, named.cost, mask=named.mask, backend=backend)
    wide = np.diff(frontier.budget) > 1e-9 * np.abs(frontier.budget).max()
    middles = ((frontier.budget[:-1] + frontier.budget[1:]) / 2)[wide][:20]
    if not middles.size:
        pytest.skip("a frontier of one point")
    plan = bf.solve_mckp(named.value, named.cost, middles, mask=named.mask, backend=backend)
    np.testing.assert_array_equal(frontier.multiplier_at(middles), plan.multiplier)
    np.testing.assert_array_equal(frontier.multiplier_at(middles), frontier.multiplier[:-1][wide][:20])


def _many_edges(kind):
    rng = np.random.default_rng(4)
    value, cost = (np.cumsum(rng.exponential(1, (2000, 6)), axis=1) for _ in range(2))
    if kind == "all alike":
        value, cost = (np.tile(x[:1], (2000, 1)) for x in (value, cost))
    elif kind == "close":  # thousands of slopes that no float64 tells apart, few of them equal
        cost = rng.integers(2**29, 2**30, (2000, 2)) * 2.0 ** rng.integers(0, 2, (2000, 2)) + 0.0
        value = cost + rng.integers(0, 2, cost.shape) * 2.0**-22
        cost[:, 0] = value[:, 0] = 0
    elif kind == "wide":
        value, cost = value * 10.0 ** rng.integers(-12, 12, (2000, 1)), cost * 10.0 ** rng.integers(-12, 12, (2000, 1))
    return value, cost


@pytest.mark.parametrize("kind", ["ordinary", "all alike", "close", "wide"])
def test_thousands_of_edges(kind, fast, dtype):
    value, cost = (x.astype(dtype) for x in _many_edges(kind))
    made = bf.budget_frontier(value, cost, backend=fast)
    right = bf.budget_frontier(value, cost, backend="reference")
    for name in ("budget", "value", "multiplier"):
        np.testing.assert_array_equal(getattr(made, name), getattr(right, name))


def test_against_exact_lp(backend, dtype):
    x = head(instance("campaign", dtype), 10)
    population = exact.users(x.value, x.cost)
    frontier = bf.budget_frontier(x.value, x.cost, backend=backend)
    for b in np.linspace(0, frontier.budget[-1] * 1.2, 23):
        assert frontier.value_at(b) == pytest.approx(float(exact.lp_optimum(population, Fraction(b))), rel=1e-15)


@pytest.mark.parametrize("name", ["campaign", "negative", "masked"])
def test_against_highs(name, backend, dtype):
    x = head(instance(name, dtype), 150)
    frontier = bf.budget_frontier(x.value, x.cost, mask=x.mask, backend=backend)
    for b in budgets(x, (0.1, 0.6)):
        assert frontier.value_at(b) == pytest.approx(highs.lp_value(x.value, x.cost, b, x.mask), rel=1e-9)


def test_scalars_in_scalars_out_arrays_in_arrays_out(backend, dtype):
    value, cost, _ = golden(dtype)
    frontier = bf.budget_frontier(value, cost, backend=backend)
    assert type(frontier.value_at(3)) is float
    assert type(frontier.multiplier_at(3)) is float
    asked = np.array([[-1.0, 0.0], [3.0, 50.0]])
    assert frontier.value_at(asked).tolist() == [[-math.inf, 0], [9.5, 24]]
    assert frontier.multiplier_at(asked).tolist() == [[math.inf, 4], [2.5, 0]]


def test_nan_budget_is_refused(backend, dtype):
    frontier = bf.budget_frontier(*golden(dtype)[:2], backend=backend)
    for ask in (frontier.value_at, frontier.multiplier_at):
        with pytest.raises(ValueError, match="budget must not be NaN"):
            ask(math.nan)


def test_no_users_cost_nothing(backend, dtype):
    frontier = bf.budget_frontier(np.zeros((0, 3), dtype), np.zeros((0, 3), dtype), backend=backend)
    assert (frontier.budget.tolist(), frontier.value.tolist(), frontier.multiplier.tolist()) == ([0], [0], [0])
