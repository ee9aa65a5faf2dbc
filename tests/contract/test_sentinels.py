"""A forbidden treatment priced out by a huge number, instead of closed by the mask."""

from __future__ import annotations

import numpy as np
import pytest
from oracles.instances import diminishing

import bidfcl_fast as bf

BUDGET = 100.0


@pytest.mark.parametrize("size", [1e6, 1e9, 1e15, 1e18, 1e30])
@pytest.mark.parametrize("where", ["value", "cost"])
def test_the_certificate_survives_or_the_input_is_refused(backend, dtype, where, size):
    """What the same treatment closed by the mask gives is the truth."""
    value, cost, _ = diminishing(np.random.default_rng(0), 200, 5, dtype)
    mask = np.ones(value.shape, bool)
    mask[3, 4] = False
    expected = bf.solve_mckp(value, cost, BUDGET, mask=mask, backend=backend)
    if where == "value":
        value[3, 4] = -size
    else:
        cost[3, 4] = size
    if size >= 1e15:
        with pytest.raises(ValueError, match=rf"{where}\[3, 4\] = .*mask"):
            bf.solve_mckp(value, cost, BUDGET, backend=backend)
        return
    plan = bf.solve_mckp(value, cost, BUDGET, backend=backend)
    rows = np.arange(len(value))
    assert plan.dual_bound == pytest.approx(expected.dual_bound, rel=1e-8)
    assert plan.value == pytest.approx(value[rows, plan.choice].sum(dtype=np.float64), rel=1e-8)
    assert plan.spend == pytest.approx(cost[rows, plan.choice].sum(dtype=np.float64), rel=1e-8)


def test_a_refusal_is_a_status_too(backend):
    value, cost, _ = diminishing(np.random.default_rng(0), 200, 5, np.float64)
    cost[3, 4] = 1e18
    plan = bf.solve_mckp(value, cost, [BUDGET, BUDGET / 2], backend=backend, throw=False)
    assert (plan.status == bf.Status.TOO_WIDE).all()
    assert (plan.choice == -1).all() and np.isnan(plan.dual_bound).all()
    assert "mask" in bf.Status.TOO_WIDE.sentence


def test_what_cannot_be_afforded_stays_infeasible(backend):
    value, cost, _ = diminishing(np.random.default_rng(0), 50, 5, np.float64)
    cost[3, 4] = 1e18
    with pytest.raises(bf.InfeasibleBudget):
        bf.solve_mckp(value, cost, -1e9, backend=backend)


def test_costs_that_fixed_point_rounds_leave_a_valid_bound(backend):
    """A plan worth 1 fits, so the bound is at least 1, though the dear user's cost is no whole number of units."""
    c = 1.0000001234567e-6
    plan = bf.solve_mckp([[0.0, 1e-12], [0.0, 1.0]], [[0.0, 1.0], [0.0, c]], c, backend=backend)
    assert plan.dual_bound >= 1.0
    assert plan.dual_bound == pytest.approx(1.0, rel=1e-9)
