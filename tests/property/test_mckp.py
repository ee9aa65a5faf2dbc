"""What must hold for every instance, on examples that hypothesis makes up and shrinks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import assume, given, reject
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles import exact
from oracles.same import assert_same_plan, bits

import bidfcl_fast as bf

from .strategies import instances, solvable, spend_ends


def solve(x, budget, backend, **options):
    try:
        return bf.solve_mckp(x.value, x.cost, budget, mask=x.mask, backend=backend, **options)
    except ValueError as error:
        if "so large beside the rest" not in str(error):
            raise
        reject()  # a refusal is a promise kept; tests/contract/test_errors.py says when it must come


@given(case=solvable(), fill=st.booleans())
def test_bits_of_the_reference(fast, case, fill):
    x, budget = case
    # Numbers of too unlike sizes are refused alike.
    got, expected = (solve(x, budget, backend, fill=fill, throw=False) for backend in (fast, "reference"))
    assert_same_plan(got, expected)


@given(x=instances(max_users=5))
def test_frontier_bits_of_the_reference(fast, x):
    got, expected = (bf.budget_frontier(x.value, x.cost, mask=x.mask, backend=k) for k in (fast, "reference"))
    for name in ("budget", "value", "multiplier"):
        assert np.array_equal(bits(getattr(got, name)), bits(getattr(expected, name))), name


@given(case=solvable(max_users=4, max_treatments=4))
def test_the_certificate(backend, case):
    """Within the budget, and between the bound and the bound less one edge, in exact arithmetic."""
    x, budget = case
    population = exact.users(*x)
    v_unit, c_unit = exact.unit(x.value, x.mask), exact.unit(x.cost, x.mask)
    plan = solve(x, budget, backend)
    total, spent = exact.totals(population, plan.choice)
    assert spent <= Fraction(budget)
    # rounded up to the unit on the way in: values by a unit each, costs at the price of money
    slack = (len(x.value) + 2) * (v_unit + Fraction(plan.multiplier) * c_unit)
    lp = exact.lp_optimum(population, budget)
    assert lp - slack <= Fraction(plan.dual_bound)
    assert plan.dual_bound <= np.nextafter(float(lp + slack), np.inf)
    assert 0 <= plan.gap <= exact.up(exact.largest_edge(population) + 2 * v_unit)
    assert Fraction(plan.dual_bound) - total >= -slack


@given(case=solvable(max_users=6), data=st.data())
def test_permuting_users_permutes_the_plan(backend, case, data):
    """The proof never moves. The plan may where edges of one slope compete, which the order of users decides."""
    x, budget = case
    order = np.array(data.draw(st.permutations(range(len(x.value)))))
    there = type(x)(*(None if a is None else a[order] for a in x))
    plan, moved = (solve(y, budget, backend, fill=False) for y in (x, there))
    assert bits(plan.multiplier) == bits(moved.multiplier)
    assert bits(plan.dual_bound) == bits(moved.dual_bound)
    wants = exact.users(*x)
    at = Fraction(plan.multiplier)
    near = [s for points in wants for s in exact.slopes([points]) if abs(s - at) <= at * Fraction(1, 2**20)]
    if len(near) <= 1 or at == 0:
        assert_same_plan(moved, _with_choice(plan, plan.choice[order]))


def _with_choice(plan, choice):
    return type(plan)(**{**plan.__dict__, "choice": choice})


@given(case=solvable(wide=False), power=st.integers(-40, 40))
def test_the_unit_of_value_means_nothing(backend, case, power):
    x, budget = case
    s = 2.0**power
    plan, other = solve(x, budget, backend), solve(x._replace(value=x.value * x.value.dtype.type(s)), budget, backend)
    np.testing.assert_array_equal(other.choice, plan.choice)
    for name in ("value", "dual_bound", "gap", "multiplier"):
        assert bits(getattr(other, name)) == bits(getattr(plan, name) * s), name
    assert bits(other.spend) == bits(plan.spend)


@given(case=solvable(wide=False), power=st.integers(-40, 40))
def test_the_unit_of_money_means_nothing(backend, case, power):
    x, budget = case
    s = 2.0**power
    plan, other = solve(x, budget, backend), solve(x._replace(cost=x.cost * x.cost.dtype.type(s)), budget * s, backend)
    np.testing.assert_array_equal(other.choice, plan.choice)
    assert bits(other.spend) == bits(plan.spend * s)
    assert bits(other.multiplier) == bits(plan.multiplier / s)
    for name in ("value", "dual_bound", "gap"):
        assert bits(getattr(other, name)) == bits(getattr(plan, name)), name


@given(case=solvable(masks=False), data=st.data())
def test_a_dominated_treatment_changes_nothing(backend, case, data):
    """The dearest cost of the row at its least value, or a copy of another treatment."""
    x, budget = case
    n, m = x.value.shape
    if data.draw(st.booleans()):
        v, c = x.value.min(axis=1), x.cost.max(axis=1)
    else:
        twin = data.draw(hnp.arrays(np.int64, n, elements=st.integers(0, m - 1)))
        v, c = x.value[np.arange(n), twin], x.cost[np.arange(n), twin]
    more = type(x)(np.column_stack([x.value, v]), np.column_stack([x.cost, c]))
    assert_same_plan(solve(more, budget, backend), solve(x, budget, backend))


@given(case=solvable(masks=False))
def test_a_closed_treatment_is_no_treatment(backend, case):
    x, budget = case
    value, cost = (np.column_stack([a, np.full(len(a), np.nan, a.dtype)]) for a in x[:2])
    mask = np.ones(value.shape, bool)
    mask[:, -1] = False
    assert_same_plan(solve(type(x)(value, cost, mask), budget, backend), solve(x, budget, backend))


@given(x=instances(), shares=st.lists(st.floats(0, 1.3), min_size=2, max_size=6))
def test_more_money_never_hurts(backend, x, shares):
    low, high = spend_ends(x)
    budgets = np.sort(np.maximum(low, low + np.array(shares) * (high - low)))
    plan = solve(x, budgets, backend)
    assert (np.diff(plan.dual_bound) >= 0).all()
    assert (np.diff(plan.multiplier) <= 0).all()
    bare = solve(x, budgets, backend, fill=False)
    assert (np.diff(bare.value) >= 0).all()
    assert (np.diff(bare.spend) >= 0).all()


@given(x=instances(masks=False, max_users=6), copies=st.integers(2, 5))
def test_twice_the_users_and_the_money_is_twice_the_bound(backend, x, copies):
    """The LP does not care how many alike users there are, so long as the money per user stays."""
    low, high = spend_ends(x)
    budget = (low + high) / 2
    assume(exact.exact_in_units(x.value) and exact.exact_in_units(x.cost))
    assume(Fraction(budget) % exact.unit(x.cost) == 0 and budget >= low)
    assume(Fraction(budget * copies) == Fraction(budget) * copies)  # else it is another budget, and may be too small
    many = type(x)(np.tile(x.value, (copies, 1)), np.tile(x.cost, (copies, 1)))
    one, several = solve(x, budget, backend), solve(many, budget * copies, backend)
    lp = exact.lp_optimum(exact.users(*x), budget)
    assert abs(Fraction(several.dual_bound) - copies * lp) <= abs(copies * lp) * Fraction(1, 2**52) + exact.unit(
        x.value
    )
    assert bits(several.multiplier) == bits(one.multiplier)


@given(case=solvable(), start=st.floats(allow_nan=True, allow_infinity=True))
def test_a_warm_start_never_moves_the_plan(backend, case, start):
    x, budget = case
    assert_same_plan(solve(x, budget, backend, warm_start=start), solve(x, budget, backend))
