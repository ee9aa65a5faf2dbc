"""How many threads work, who else works, and where the search starts: none of it moves a bit of the plan."""

from __future__ import annotations

import importlib
import math
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from oracles.instances import budgets, diminishing, instance
from oracles.same import assert_same_plan

import bidfcl_fast as bf

USERS = 50_000  # several chunks for every thread


@pytest.fixture(scope="module")
def large():
    x = diminishing(np.random.default_rng(5), USERS, 6, np.float32)
    return x, budgets(x, (0.0, 0.2, 0.7, 1.1))


@pytest.mark.parametrize("count", ["1", "2", "3", "7", "16"])
def test_any_number_of_threads(large, fast, monkeypatch, count):
    x, b = large
    monkeypatch.setenv("BIDFCL_NUM_THREADS", "1")
    expected = bf.solve_mckp(x.value, x.cost, b, backend=fast)
    frontier = bf.budget_frontier(x.value, x.cost, backend=fast)
    monkeypatch.setenv("BIDFCL_NUM_THREADS", count)
    assert bf.backends.threads() == int(count)
    assert_same_plan(bf.solve_mckp(x.value, x.cost, b, backend=fast), expected)
    again = bf.budget_frontier(x.value, x.cost, backend=fast)
    for name in ("budget", "value", "multiplier"):
        np.testing.assert_array_equal(getattr(again, name), getattr(frontier, name))
    for k in (0, 2):
        one = bf.solve_mckp(x.value, x.cost, b[k], backend=fast)
        np.testing.assert_array_equal(one.choice, expected.choice[k])
        assert one.dual_bound == expected.dual_bound[k]


@pytest.mark.parametrize("count", ["1", "2", "5", "16"])
def test_any_number_of_threads_for_many_budgets(large, fast, monkeypatch, count):
    x, _ = large
    b = budgets(x, np.linspace(0.02, 1.02, 12))
    monkeypatch.setenv("BIDFCL_NUM_THREADS", "1")
    expected = bf.solve_mckp(x.value, x.cost, b, backend=fast)
    monkeypatch.setenv("BIDFCL_NUM_THREADS", count)
    assert_same_plan(bf.solve_mckp(x.value, x.cost, b, backend=fast), expected)


@pytest.fixture
def users_at_a_time(fast, monkeypatch):
    """Sets how many users a thread takes at a time."""
    if fast == "cpp":
        module = importlib.import_module("bidfcl_fast._C")
        yield module.set_users_at_a_time
        module.set_users_at_a_time(8192)
    elif fast == "numba":
        kinds = [importlib.import_module(f"bidfcl_fast.backends.{name}") for name in ("numba_narrow", "numba_zones")]

        def set_users(users):
            for kind in kinds:
                monkeypatch.setattr(kind, "CHUNK", users)

        yield set_users
    else:
        pytest.skip("a GPU's blocks have one size")


@pytest.mark.parametrize("users", [1000, 1024, 3001, 20_000, 65_536])
@pytest.mark.parametrize("kind", ["ordinary", "alike"])
def test_any_number_of_users_at_a_time(large, fast, users_at_a_time, kind, users):
    x, _ = large
    value, cost = (x.value, x.cost) if kind == "ordinary" else (a[np.arange(USERS) % 3] for a in (x.value, x.cost))
    b = cost.min(axis=1).sum(dtype=float) + np.linspace(0.02, 0.9, 12) * np.ptp(cost, axis=1).sum(dtype=float)

    def answers():
        plan = bf.solve_mckp(value, cost, b[6], backend=fast)
        bought = bf.solve_mckp(value, cost, multiplier=plan.multiplier, backend=fast)
        top = bf.budget_frontier(value, cost, backend=fast)
        return plan, bf.solve_mckp(value, cost, b, backend=fast), bought, top

    expected = answers()
    users_at_a_time(users)
    found = answers()
    for one, other in zip(found[:3], expected[:3], strict=True):
        assert_same_plan(one, other)
    for name in ("budget", "value", "multiplier"):
        np.testing.assert_array_equal(getattr(found[3], name), getattr(expected[3], name))


@pytest.mark.parametrize("count", ["1", "2", "7"])
def test_any_number_of_threads_for_many_small_problems(fast, monkeypatch, count):
    rng = np.random.default_rng(6)
    value, cost = rng.random((300, 20, 4)), rng.random((300, 20, 4))
    b = cost.min(axis=2).sum(axis=1) + rng.uniform(0.1, 5, 300)
    monkeypatch.setenv("BIDFCL_NUM_THREADS", "1")
    expected = bf.solve_mckp(value, cost, b, backend=fast)
    monkeypatch.setenv("BIDFCL_NUM_THREADS", count)
    assert_same_plan(bf.solve_mckp(value, cost, b, backend=fast), expected)


def test_the_same_call_twice_is_the_same_plan(large, fast):
    x, b = large
    first = bf.solve_mckp(x.value, x.cost, b, backend=fast)
    assert_same_plan(bf.solve_mckp(x.value, x.cost, b, backend=fast), first)


def test_solves_from_several_threads_at_once(large, backend):
    """Different problems side by side, each the plan it gets alone."""
    x, b = large
    if backend == "reference":
        x, b = instance("small integers", np.float32), np.array([100.0, 400.0])
    jobs = [(x.value[k:], x.cost[k:], float(b[1 if k < 4 else -1])) for k in range(6)]

    def solve(job):
        return bf.solve_mckp(*job, backend=backend)

    alone = [solve(job) for job in jobs]
    with ThreadPoolExecutor(6) as pool:
        for got, expected in zip(pool.map(solve, jobs * 2), alone * 2, strict=True):
            assert_same_plan(got, expected)


STARTS = [0.0, 1e-300, 1e-3, 1.0, 1e3, 1e300, math.inf, -1.0, -math.inf, math.nan]


@pytest.mark.parametrize("start", STARTS)
def test_a_warm_start_never_moves_the_plan(large, fast, start):
    x, b = large
    for one in b:
        expected = bf.solve_mckp(x.value, x.cost, one, backend=fast)
        assert_same_plan(bf.solve_mckp(x.value, x.cost, one, warm_start=start, backend=fast), expected)


@pytest.mark.parametrize("start", STARTS)
def test_a_warm_start_never_moves_a_small_plan(backend, dtype, start):
    for name in ("negative", "small integers", "masked", "no users"):
        x = instance(name, dtype)
        b = budgets(x)[1]
        expected = bf.solve_mckp(x.value, x.cost, b, mask=x.mask, backend=backend)
        got = bf.solve_mckp(x.value, x.cost, b, mask=x.mask, warm_start=start, backend=backend)
        assert_same_plan(got, expected)


def test_good_starts_and_plans_as_starts(large, fast):
    """The answer itself, its neighbours, the plan of another budget, and one start for each of several budgets."""
    x, b = large
    plans = [bf.solve_mckp(x.value, x.cost, one, backend=fast) for one in b]
    for other in plans:
        for one, expected in zip(b, plans, strict=True):
            assert_same_plan(bf.solve_mckp(x.value, x.cost, one, warm_start=other, backend=fast), expected)
    at = plans[1].multiplier
    for start in (at, np.nextafter(at, 0), np.nextafter(at, np.inf), np.float32(at), at * 1.01, at * 0.99):
        assert_same_plan(bf.solve_mckp(x.value, x.cost, b[1], warm_start=start, backend=fast), plans[1])
    together = bf.solve_mckp(x.value, x.cost, b, backend=fast)
    assert_same_plan(bf.solve_mckp(x.value, x.cost, b, warm_start=together, backend=fast), together)
    starts = np.array([math.nan, at, 0.0, 7.0])
    assert_same_plan(bf.solve_mckp(x.value, x.cost, b, warm_start=starts, backend=fast), together)


def test_the_large_plan_is_the_references(large, fast):
    x, b = large
    few = slice(0, 8_000)
    budget = float(b[1]) * 8_000 / USERS
    expected = bf.solve_mckp(x.value[few], x.cost[few], budget, backend="reference")
    assert_same_plan(bf.solve_mckp(x.value[few], x.cost[few], budget, backend=fast), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_solves(large, threaded):
    """The child has none of its parent's threads, and must not wait for them."""
    x, b = large
    expected = bf.solve_mckp(x.value, x.cost, b[1], backend=threaded)
    child = os.fork()
    if child == 0:
        try:
            same = np.array_equal(bf.solve_mckp(x.value, x.cost, b[1], backend=threaded).choice, expected.choice)
            os._exit(0 if same else 1)
        finally:
            os._exit(2)
    for _ in range(600):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.1)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the forked child never finished")
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.parametrize("nearby", [0.97, 1.001, 1.03])
def test_a_start_that_misses_costs_a_sweep_and_not_a_listing_of_everybody(nearby, fast):
    x = diminishing(np.random.default_rng(9), 70_000, 5, np.float32)
    b = float(budgets(x)[1])
    other = bf.solve_mckp(x.value, x.cost, b * nearby, backend=fast)
    plan = bf.solve_mckp(x.value, x.cost, b, warm_start=other, backend=fast)
    assert plan.stats["active"] < 7_000
    assert plan.stats["rows_read"] < 4 * 70_000


def test_infeasible_budgets_are_found_in_few_passes(fast):
    x = diminishing(np.random.default_rng(9), 70_000, 5, np.float32)
    plan = bf.solve_mckp(x.value, x.cost, -1.0, backend=fast, throw=False)
    assert plan.status is bf.Status.INFEASIBLE_BUDGET
    assert plan.stats["rows_read"] < 5 * 70_000
