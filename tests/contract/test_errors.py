"""Misuse raises one clear error: which argument, what was expected, what came. Outcomes are a status per problem."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from oracles.instances import CORPUS, budgets, head, instance

import bidfcl_fast as bf


@pytest.fixture
def arrays(dtype):
    rng = np.random.default_rng(0)
    return rng.random((5, 3)).astype(dtype), rng.random((5, 3)).astype(dtype)


def _raises(kind, *words):
    """One error whose message holds every one of the words."""
    return pytest.raises(kind, match="".join(f"(?=.*{re.escape(word)})" for word in words))


@pytest.mark.parametrize("name", ["value", "cost"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none(backend, arrays, name, bad):
    """The first of them is shown with its place, wherever it stands."""
    for i, j in ((0, 0), (3, 1), (4, 2)):
        pair = {"value": arrays[0].copy(), "cost": arrays[1].copy()}
        pair[name][i, j] = bad
        with _raises(ValueError, f"{name} must be finite", str(bad), f"{name}[{i}, {j}]"):
            bf.solve_mckp(**pair, budget=9.0, backend=backend)
        with _raises(ValueError, f"{name} must be finite", str(bad), f"{name}[{i}, {j}]"):
            bf.budget_frontier(**pair, backend=backend)


def test_nan_far_into_a_large_instance(backend, dtype):
    value = np.ones((3001, 4), dtype)
    cost = np.ones((3001, 4), dtype)
    cost[2999, 3] = np.nan
    with _raises(ValueError, "cost must be finite", "nan", "cost[2999, 3]"):
        bf.solve_mckp(value, cost, 1e9, backend=backend)


def test_nan_that_no_sample_meets_leaves_nothing_decided(backend, dtype):
    """By the time it is met, most users have been looked at."""
    value, cost = np.ones((30_000, 2), dtype), np.tile(np.array([0, 1], dtype), (30_000, 1))
    value[29_998, 1] = np.nan
    plan = bf.solve_mckp(value, cost, 5.0, backend=backend, throw=False)
    assert plan.status == bf.Status.NOT_FINITE
    assert (plan.choice == -1).all()


def test_nan_in_a_batch_says_which_problem(backend, arrays):
    value, cost = (np.stack([x] * 3) for x in arrays)
    value[2, 4, 1] = np.nan
    with _raises(ValueError, "value must be finite", "value[2, 4, 1]"):
        bf.solve_mckp(value, cost, 9.0, backend=backend)


def test_wrong_rank(backend, arrays):
    value, cost = arrays
    for wrong in (value[0], value[None, None], value[0, 0]):
        with _raises(ValueError, "value must have shape [N, M] or [B, N, M]", str(list(wrong.shape))):
            bf.solve_mckp(wrong, wrong, 9.0, backend=backend)
    with _raises(ValueError, "value must have shape [N, M]", "[1, 5, 3]"):
        bf.budget_frontier(value[None], cost[None], backend=backend)


def test_shapes_that_differ(backend, arrays):
    value, cost = arrays
    with _raises(ValueError, "cost must have the shape of value", "[5, 3]", "[4, 3]"):
        bf.solve_mckp(value, cost[:4], 9.0, backend=backend)
    with _raises(ValueError, "mask must have the shape of value", "[5, 3]", "[5, 2]"):
        bf.solve_mckp(value, cost, 9.0, mask=np.ones((5, 2), bool), backend=backend)
    with _raises(ValueError, "mask must have the shape of value", "[5, 3]", "[5]"):
        bf.budget_frontier(value, cost, mask=np.ones(5, bool), backend=backend)


@pytest.mark.parametrize("wrong", [np.int64, np.longdouble, np.complex64, bool, object, "U3"])
def test_dtypes_that_are_not_served(backend, arrays, wrong):
    value, cost = arrays
    with _raises(TypeError, "value must be float32 or float64", str(np.dtype(wrong))):
        bf.solve_mckp(value.astype(wrong), cost, 9.0, backend=backend)
    with _raises(TypeError, "cost must be float32 or float64", str(np.dtype(wrong))):
        bf.solve_mckp(value, cost.astype(wrong), 9.0, backend=backend)


def test_dtypes_that_differ(backend):
    with _raises(TypeError, "cost must have the dtype of value", "float32", "float64"):
        bf.solve_mckp(np.ones((2, 2), np.float32), np.ones((2, 2)), 9.0, backend=backend)


def test_foreign_byte_order(backend, arrays):
    value, cost = arrays
    swapped = value.astype(value.dtype.newbyteorder())
    with _raises(TypeError, "value must be float32 or float64", str(swapped.dtype)):
        bf.solve_mckp(swapped, cost, 9.0, backend=backend)


@pytest.mark.parametrize("wrong", [None, "many", object()])
def test_what_is_no_array(backend, arrays, wrong):
    with _raises(TypeError, "value must be an array", type(wrong).__name__):
        bf.solve_mckp(wrong, arrays[1], 9.0, backend=backend)
    with _raises(TypeError, "budget must be", type(wrong).__name__):
        bf.solve_mckp(*arrays, wrong, backend=backend)


@pytest.mark.parametrize("wrong", [[[1.0, 2.0], [3.0]], [["a", "b"]], [[None]]])
def test_lists_that_are_no_table(backend, wrong):
    with _raises((TypeError, ValueError), "value must be"):
        bf.solve_mckp(wrong, wrong, 9.0, backend=backend)


def test_mask_of_numbers(backend, arrays):
    with _raises(TypeError, "mask must be bool", "int64"):
        bf.solve_mckp(*arrays, 9.0, mask=np.ones((5, 3), np.int64), backend=backend)


def test_no_treatments(backend, dtype):
    empty = np.zeros((5, 0), dtype)
    with _raises(ValueError, "no treatments", "M >= 1", "[5, 0]"):
        bf.solve_mckp(empty, empty, 9.0, backend=backend)


def test_a_user_with_nothing_open(backend, arrays):
    mask = np.ones((5, 3), bool)
    mask[3] = False
    with _raises(ValueError, "mask", "user 3", "no open treatment"):
        bf.solve_mckp(*arrays, 9.0, mask=mask, backend=backend)
    with _raises(ValueError, "mask", "user 3", "no open treatment"):
        bf.budget_frontier(*arrays, mask=mask, backend=backend)
    plan = bf.solve_mckp(*arrays, 9.0, mask=mask, backend=backend, throw=False)
    assert plan.status is bf.Status.NO_OPEN_TREATMENT
    assert (plan.choice == -1).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_budget_that_is_no_number(backend, arrays, bad):
    with _raises(ValueError, "budget must be finite", str(bad)):
        bf.solve_mckp(*arrays, bad, backend=backend)
    with _raises(ValueError, "budget must be finite", str(bad)):
        bf.solve_mckp(*arrays, np.array([1.0, bad]), backend=backend)


def test_budget_of_the_wrong_shape(backend, arrays):
    batch = [np.stack([x] * 3) for x in arrays]
    for wrong in (np.ones((1, 1)), np.ones(0)):
        with _raises(ValueError, "budget must be a number or a non-empty [K]", str(list(wrong.shape))):
            bf.solve_mckp(*arrays, wrong, backend=backend)
    with _raises(ValueError, "budget must be one number or [3]", "got 2"):
        bf.solve_mckp(*batch, np.ones(2), backend=backend)
    with _raises(ValueError, "budget must be one number or [2]", "got 3"):
        bf.solve_mckp(*arrays, np.ones(3), segments=np.array([0, 2, 5]), backend=backend)


def test_budget_too_large_for_a_float(backend, arrays):
    with _raises(ValueError, "budget must be", "finite"):
        bf.solve_mckp(*arrays, 10**400, backend=backend)


@pytest.mark.parametrize("wrong", [[0, 6], [1, 5], [0, 4], [0, 3, 2, 5], [5], [], [[0, 5]], [-1, 5]])
def test_bad_segments(backend, arrays, wrong):
    with _raises(ValueError, "segments must rise from 0 to N = 5"):
        bf.solve_mckp(*arrays, 9.0, segments=np.array(wrong, np.int64), backend=backend)


def test_segments_of_fractions(backend, arrays):
    for wrong in (np.array([0, 2.5, 5]), [0, 2.5, 5]):
        with _raises(TypeError, "segments must be int64", "float64"):
            bf.solve_mckp(*arrays, 9.0, segments=wrong, backend=backend)


def test_segments_of_a_batch(backend, arrays):
    with _raises(ValueError, "segments goes with value of shape [N, M]"):
        bf.solve_mckp(arrays[0][None], arrays[1][None], 9.0, segments=np.array([0, 5]), backend=backend)


@pytest.mark.parametrize("wrong", [[1.0, 2.0], np.ones((1, 1)), np.ones(0)])
def test_warm_start_of_the_wrong_shape(backend, arrays, wrong):
    with _raises(ValueError, "warm_start must be a Plan, a multiplier or [1] of them", str(list(np.shape(wrong)))):
        bf.solve_mckp(*arrays, 9.0, warm_start=wrong, backend=backend)


@pytest.mark.parametrize("wrong", ["fast", {"multiplier": 1.0}, object()])
def test_warm_start_that_is_no_number(backend, arrays, wrong):
    with _raises(TypeError, "warm_start must be a Plan, a multiplier", type(wrong).__name__):
        bf.solve_mckp(*arrays, 9.0, warm_start=wrong, backend=backend)


def test_unknown_backend(arrays):
    with _raises(ValueError, "unknown backend 'fortran'", "expected one of", "reference"):
        bf.solve_mckp(*arrays, 9.0, backend="fortran")
    with _raises(ValueError, "unknown backend 'fortran'"):
        bf.backends.use("fortran")


def test_infeasible_budget_names_the_least_that_works(backend, dtype):
    for name in CORPUS:
        x = head(instance(name, dtype), 50)
        low = float(budgets(x)[0])
        with _raises(bf.InfeasibleBudget, "infeasible", "least budget that works") as caught:
            bf.solve_mckp(x.value, x.cost, low - 1 - abs(low), mask=x.mask, backend=backend)
        least = caught.value.least_budget
        assert repr(least) in str(caught.value)
        assert caught.value.budget == low - 1 - abs(low)
        assert bf.solve_mckp(x.value, x.cost, least, mask=x.mask, backend=backend).spend <= least
        below = bf.solve_mckp(x.value, x.cost, np.nextafter(least, -np.inf), mask=x.mask, backend=backend, throw=False)
        assert below.status is bf.Status.INFEASIBLE_BUDGET
        assert below.least_budget == least


def test_infeasible_says_which_problem(backend, arrays):
    with _raises(bf.InfeasibleBudget, "budget[1] = -3.0") as caught:
        bf.solve_mckp(*arrays, np.array([9.0, -3.0]), backend=backend)
    assert caught.value.problem == 1


def test_without_throw_every_problem_has_its_status(backend, arrays):
    """Solved ones are the plans they would have been alone."""
    value, cost = (np.stack([x] * 4) for x in arrays)
    value[1, 2, 0] = np.nan
    mask = np.ones(value.shape, bool)
    mask[3, 4] = False
    plan = bf.solve_mckp(value, cost, np.array([9.0, 9.0, -1.0, 9.0]), mask=mask, backend=backend, throw=False)
    S = bf.Status
    assert plan.status.tolist() == [S.SOLVED, S.NOT_FINITE, S.INFEASIBLE_BUDGET, S.NO_OPEN_TREATMENT]
    alone = bf.solve_mckp(*arrays, 9.0, backend=backend)
    assert (plan.choice[0] == alone.choice).all()
    assert plan.value[0] == alone.value
    assert (plan.choice[1:] == -1).all()
    for name in ("value", "spend", "dual_bound", "gap", "multiplier"):
        assert np.isnan(getattr(plan, name)[1:]).all(), name
    assert all(S(int(s)).sentence for s in plan.status)


@pytest.mark.parametrize("count", ["0", "-2", "two", ""])
def test_thread_count_that_is_none(threaded, arrays, monkeypatch, count):
    monkeypatch.setenv("BIDFCL_NUM_THREADS", count)
    with _raises(ValueError, "BIDFCL_NUM_THREADS must be a positive integer", repr(count)):
        bf.solve_mckp(*arrays, 9.0, backend=threaded)
