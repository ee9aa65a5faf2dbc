"""A forbidden treatment priced out by a huge number, instead of closed by the mask."""

from __future__ import annotations

import numpy as np
import pytest
from oracles.instances import diminishing

import bidfcl_fast as bf

BUDGET = 100.0

_COARSE = pytest.mark.xfail(
    reason="one huge number sets the fixed-point unit, and all others are rounded up to it: the bound is then "
    "the bound of another problem",
)


@pytest.mark.parametrize("size", [1e6, 1e9, pytest.param(1e15, marks=_COARSE), pytest.param(1e18, marks=_COARSE)])
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
    try:
        plan = bf.solve_mckp(value, cost, BUDGET, backend=backend)
    except ValueError:
        return
    rows = np.arange(len(value))
    assert plan.dual_bound == pytest.approx(expected.dual_bound, rel=1e-8)
    assert plan.value == pytest.approx(value[rows, plan.choice].sum(dtype=np.float64), rel=1e-8)
    assert plan.spend == pytest.approx(cost[rows, plan.choice].sum(dtype=np.float64), rel=1e-8)
