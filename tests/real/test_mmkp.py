"""Published instances, whose LP and integer optima other solvers proved."""

from __future__ import annotations

import numpy as np
import pytest

import bidfcl_fast as bf

from . import mmkp

ROWS = mmkp.rows()
if not ROWS:
    pytest.skip(f"no published instances at {mmkp.TABLE.name}; set BIDFCL_SHARED", allow_module_level=True)

SIX_DECIMALS = 0.5000001e-6


def _check(row, backend, dtype):
    value, cost, mask, budget = mmkp.load(row)
    assert (budget, len(value)) == (row.capacity, row.n_groups)
    value, cost = value.astype(dtype), cost.astype(dtype)
    bare = bf.solve_mckp(value, cost, budget, mask=mask, fill=False, backend=backend)
    plan = bf.solve_mckp(value, cost, budget, mask=mask, backend=backend)
    assert plan.dual_bound == bare.dual_bound
    assert abs(plan.dual_bound - row.lp_value) <= SIX_DECIMALS
    assert bare.value <= plan.value <= row.optimum <= plan.dual_bound
    # whole numbers: these sums are exact in any order
    rows = np.arange(len(value))
    assert plan.value == value[rows, plan.choice].sum(dtype=np.float64)
    assert plan.spend == cost[rows, plan.choice].sum(dtype=np.float64) <= budget
    assert plan.gap == pytest.approx(plan.dual_bound - plan.value, abs=1e-9)
    assert 0 <= plan.gap <= bare.gap
    assert mask is None or mask[rows, plan.choice].all()
    frontier = bf.budget_frontier(value, cost, mask=mask, backend=backend)
    assert frontier.value_at(budget) == pytest.approx(row.lp_value, abs=1e-6)
    return plan


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.file}-{row.resource}")
def test_published(row, fast):
    plans = [_check(row, fast, dtype) for dtype in (np.float64, np.float32)]
    np.testing.assert_array_equal(plans[0].choice, plans[1].choice)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.file}-{row.resource}")
def test_published_optimum_is_proven(row, fast):
    value, cost, mask, budget = mmkp.load(row)
    plan = bf.solve_mckp(value, cost, budget, mask=mask, integrality="proven", backend=fast)
    assert plan.status is bf.Status.SOLVED
    assert plan.value == plan.dual_bound == row.optimum and plan.gap == 0
    rows = np.arange(len(value))
    assert plan.value == value[rows, plan.choice].sum()
    assert plan.spend == cost[rows, plan.choice].sum() <= budget


@pytest.mark.parametrize("row", ROWS[::24], ids=lambda row: f"{row.file}-{row.resource}")
def test_published_on_the_reference(row):
    expected = _check(row, "reference", np.float64)
    for backend in set(bf.backends.available()) - {"reference"}:
        np.testing.assert_array_equal(_check(row, backend, np.float64).choice, expected.choice)


def test_all_of_one_set_as_segments(fast):
    """Every file with ten items a group, end to end in one call, is each file alone."""
    rows = [row for row in ROWS if row.set == "set_a"]
    parts = [mmkp.load(row) for row in rows]
    widest = max(value.shape[1] for value, *_ in parts)

    def wide(x, empty):
        return np.pad(x, ((0, 0), (0, widest - x.shape[1])), constant_values=empty)

    value, cost = (np.concatenate([wide(part[k], 0.0) for part in parts]) for k in (0, 1))
    mask = np.concatenate([wide(np.ones(p[0].shape, bool) if p[2] is None else p[2], False) for p in parts])
    segments = np.cumsum([0, *(len(part[0]) for part in parts)])
    budgets = np.array([part[3] for part in parts])
    plan = bf.solve_mckp(value, cost, budgets, mask=mask, segments=segments, backend=fast)
    for k, row in enumerate(rows):
        alone = _check(row, fast, np.float64)
        assert (plan.value[k], plan.dual_bound[k]) == (alone.value, alone.dual_bound)
        np.testing.assert_array_equal(plan.choice[segments[k] : segments[k + 1]], alone.choice)
