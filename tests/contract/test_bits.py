"""Every fast backend gives the reference's plan to the last bit, whatever the instance."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from oracles.instances import CORPUS, budgets, diminishing, head, instance
from oracles.same import assert_same_plan, bits

import bidfcl_fast as bf


@functools.cache
def _reference(name, dtype, fill):
    x = instance(name, dtype)
    return bf.solve_mckp(x.value, x.cost, budgets(x), mask=x.mask, fill=fill, backend="reference")


@pytest.mark.parametrize("fill", [True, False], ids=["fill", "bare"])
@pytest.mark.parametrize("name", CORPUS)
def test_several_budgets(name, fast, dtype, fill):
    x = instance(name, dtype)
    got = bf.solve_mckp(x.value, x.cost, budgets(x), mask=x.mask, fill=fill, backend=fast)
    assert_same_plan(got, _reference(name, dtype, fill))


@pytest.mark.parametrize("name", CORPUS)
def test_one_budget_at_a_time(name, fast, dtype):
    """The single problem may take another road than several budgets do; it must lead to the same place."""
    x = instance(name, dtype)
    expected = _reference(name, dtype, True)
    for k, b in enumerate(budgets(x)):
        got = bf.solve_mckp(x.value, x.cost, b, mask=x.mask, backend=fast)
        np.testing.assert_array_equal(got.choice, expected.choice[k])
        for field in ("multiplier", "value", "spend", "dual_bound", "gap"):
            assert bits(getattr(got, field)) == bits(getattr(expected, field)[k]), field


@pytest.mark.parametrize("m", [1, 2, 3, 4, 7, 8, 9, 16, 17, 33])
def test_every_width_of_row(m, fast, dtype):
    """Row widths around the lanes of a vector register, and user counts that leave a remainder."""
    for n in (1, 15, 16, 17, 67):
        x = diminishing(np.random.default_rng(m), n, m, dtype)
        b = budgets(x, (0.1, 0.5))
        expected = bf.solve_mckp(x.value, x.cost, b, backend="reference")
        assert_same_plan(bf.solve_mckp(x.value, x.cost, b, backend=fast), expected)


@pytest.mark.parametrize("name", CORPUS)
def test_frontier(name, fast, dtype):
    x = instance(name, dtype)
    expected = bf.budget_frontier(x.value, x.cost, mask=x.mask, backend="reference")
    got = bf.budget_frontier(x.value, x.cost, mask=x.mask, backend=fast)
    for field in ("budget", "value", "multiplier"):
        a, b = getattr(got, field), getattr(expected, field)
        assert np.array_equal(bits(a), bits(b)), field


def test_infeasible_names_the_same_least_budget(fast, dtype):
    for name in CORPUS:
        x = head(instance(name, dtype), 100)
        b = float(budgets(x)[0]) - 1 - abs(float(budgets(x)[0]))
        plans = [bf.solve_mckp(*x[:2], b, mask=x.mask, backend=k, throw=False) for k in (fast, "reference")]
        assert plans[0].status == plans[1].status == bf.Status.INFEASIBLE_BUDGET
        assert bits(plans[0].least_budget) == bits(plans[1].least_budget)
        assert (plans[0].choice == -1).all()
