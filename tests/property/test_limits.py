"""Prices, windows, caps and proofs on awkward little instances, by looking at every plan."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles import exact, limits
from oracles.same import assert_same_plan

import bidfcl_fast as bf

from .strategies import instances, solvable, spend_ends

TINY = {"max_users": 3, "max_treatments": 4}
FEWER = settings(max_examples=40)


def _exact(x) -> bool:
    return exact.exact_in_units(x.value, x.mask) and exact.exact_in_units(x.cost, x.mask)


@FEWER
@given(x=instances(**TINY), price=st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]), st.floats(0, 1e9)))
def test_a_price_decides_every_user(backend, x, price):
    plan = bf.solve_mckp(x.value, x.cost, multiplier=price, mask=x.mask, backend=backend)
    reference = bf.solve_mckp(x.value, x.cost, multiplier=price, mask=x.mask, backend="reference")
    assert_same_plan(plan, reference)
    assume(_exact(x))
    for points, j in zip(exact.users(*x), plan.choice, strict=True):
        ties = exact.tied(points, Fraction(price))
        assert j == min(p.treatment for p in ties if p.cost == ties[0].cost)


@FEWER
@given(case=solvable(**TINY))
def test_a_proof_is_the_optimum(backend, case):
    x, budget = case
    assume(len(x.value) <= 6)
    population = exact.users(*x)
    optimum = exact.integer_optimum(population, budget)
    try:
        plan = bf.solve_mckp(x.value, x.cost, budget, mask=x.mask, integrality="proven", backend=backend)
    except ValueError as refused:
        assume("so large beside the rest" not in str(refused))  # refused by name, as it should be
        raise
    total, spent = exact.totals(population, plan.choice)
    assert plan.status == 0 and spent <= Fraction(budget)
    assert total <= optimum <= Fraction(plan.dual_bound) and optimum <= total + Fraction(plan.gap) + len(
        x.value
    ) * exact.unit(x.value, x.mask)
    if _exact(x):
        assert total == optimum and plan.gap == 0


@FEWER
@given(x=instances(wide=False, **TINY), low=st.floats(0, 1), wide=st.floats(0, 1))
def test_a_window_is_kept_or_refused(backend, x, low, wide):
    assume(len(x.value) <= 5)
    least, most = spend_ends(x)
    low = least + low * (most - least)
    high = max(low, low + wide * (most - least))
    population = exact.users(*x)
    every = limits.plans(population)
    plan = bf.solve_mckp(x.value, x.cost, high, min_spend=low, mask=x.mask, backend=backend, throw=False)
    inside = [t.value for t in every if low <= t.spend <= high]
    if plan.status != 0:
        assert plan.status == (
            bf.Status.INFEASIBLE_MIN_SPEND if low > max(t.spend for t in every) else bf.Status.NARROW_WINDOW
        )
        return
    total, spent = exact.totals(population, plan.choice)
    assert Fraction(low) <= spent <= Fraction(high)
    slack = 20 * (exact.unit(x.value, x.mask) + Fraction(abs(plan.multiplier)) * exact.unit(x.cost, x.mask))
    assert total <= max(inside) <= Fraction(plan.dual_bound) + slack
    bound = limits.window_bound(population, low, high)
    assert Fraction(plan.dual_bound) <= bound + abs(bound) * Fraction(1, 2**50) + 20 * slack


@FEWER
@given(case=solvable(wide=False, **TINY), cap=st.integers(0, 5), data=st.data())
def test_a_cap_is_kept_or_refused(backend, case, cap, data):
    x, budget = case
    assume(len(x.value) <= 5)
    control = data.draw(st.integers(0, x.value.shape[1] - 1))
    population = exact.users(*x)
    every = limits.plans(population, control)
    plan = bf.solve_mckp(
        x.value, x.cost, budget, max_treated=cap, control=control, mask=x.mask, backend=backend, throw=False
    )
    if plan.status != 0:
        capped = bf.Status.INFEASIBLE_MAX_TREATED
        assert plan.status == (capped if cap < min(t.treated for t in every) else bf.Status.TWO_LIMITS)
        return
    total, spent = exact.totals(population, plan.choice)
    assert spent <= Fraction(budget) and np.count_nonzero(plan.choice != control) <= cap
    best = max(t.value for t in every if t.spend <= Fraction(budget) and t.treated <= cap)
    assert total <= best <= Fraction(plan.dual_bound) + 20 * exact.unit(x.value, x.mask)
