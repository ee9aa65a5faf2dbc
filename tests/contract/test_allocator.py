"""`Allocator`: the decisions of a price, a hard budget, exact running totals, restarts and threads."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from oracles import exact
from oracles.instances import CORPUS, diminishing, head, instance

import bidfcl_fast as bf


@pytest.fixture(params=["campaign", "small integers", "negative integers", "masked rubbish", "one slope", "whale"])
def users(request, dtype):
    return head(instance(request.param, dtype), 60)


def _rows(x):
    for i in range(len(x.value)):
        yield x.value[i].tolist(), x.cost[i].tolist(), None if x.mask is None else x.mask[i].tolist()


@pytest.mark.parametrize("price", [0.0, 0.5, 1.0, 3.0, 1e300])
def test_one_at_a_time_in_batches_and_the_solver_agree(users, backend, price):
    if not exact.exact_in_units(users.value, users.mask) or not exact.exact_in_units(users.cost, users.mask):
        pytest.skip("a batch rounds its numbers together, a user alone")
    x = users
    expected = bf.solve_mckp(x.value, x.cost, multiplier=price, mask=x.mask, backend=backend)
    one, batch = bf.Allocator(price), bf.Allocator(price, backend=backend)
    assert [one.choose(*row) for row in _rows(x)] == expected.choice.tolist()
    np.testing.assert_array_equal(batch.choose_batch(x.value, x.cost, x.mask), expected.choice)
    for a in (one, batch):
        assert (a.users, a.spend, a.value) == (len(x.value), expected.spend, expected.value)


@pytest.mark.parametrize("name", CORPUS)
def test_a_user_alone_is_a_problem_of_one(name, dtype):
    x = head(instance(name, dtype), 15)
    allocator = bf.Allocator(0.75)
    for i, row in enumerate(_rows(x)):
        mask = None if x.mask is None else x.mask[i : i + 1]
        plan = bf.solve_mckp(x.value[i : i + 1], x.cost[i : i + 1], multiplier=0.75, mask=mask, backend="reference")
        assert allocator.choose(*row) == plan.choice[0]


def test_arrays_serve_as_well_as_lists():
    a = bf.Allocator(1.0)
    assert a.choose(np.array([0.0, 4.0], np.float32), np.array([0.0, 1.0], np.float32)) == 1
    assert a.choose((0, 4), (0, 1)) == 1
    assert (a.users, a.value, a.spend) == (2, 8.0, 2.0)


def test_a_plans_multiplier_is_taken_over():
    x = diminishing(np.random.default_rng(0), 3_000, 5, np.float32)
    plan = bf.solve_mckp(x.value, x.cost, 500.0)
    a = bf.Allocator(plan)
    assert a.multiplier == plan.multiplier
    a.choose_batch(x.value, x.cost)
    assert a.spend == pytest.approx(500.0, abs=3)
    assert "3000" in repr(a)


@pytest.mark.parametrize("together", [False, True])
def test_a_hard_budget_is_never_exceeded(together, dtype):
    """Users get the best treatment that fits; the count is exact to the last coin."""
    x = diminishing(np.random.default_rng(3), 400, 5, dtype)
    a = bf.Allocator(0.4, budget=60.0)
    if together:
        choice = np.concatenate([a.choose_batch(x.value[k : k + 57], x.cost[k : k + 57]) for k in range(0, 400, 57)])
    else:
        choice = np.array([a.choose(*row) for row in _rows(x)])
    spent = Fraction(0)
    for i, j in enumerate(choice):
        costs = [Fraction(float(c)) for c in x.cost[i]]
        fits = [k for k in range(5) if spent + costs[k] <= 60]
        score = [Fraction(float(v)) - Fraction(0.4) * c for v, c in zip(x.value[i], costs, strict=True)]
        assert j == min(fits, key=lambda k: (-score[k], costs[k], k))
        spent += costs[j]
    assert spent <= 60 and a.spend == float(spent)
    assert a.spend > 59.5 and a.users == 400


def test_when_nothing_fits():
    a = bf.Allocator(0.0, budget=2.5)
    assert a.choose([1.0, 2.0], [1.0, 2.0]) == 1
    with pytest.raises(bf.BudgetExhausted, match=r"cheapest open treatment costs 1.0, and 0.5 is left"):
        a.choose([1.0, 2.0], [1.0, 2.0])
    assert (a.users, a.spend) == (1, 2.0)
    costs = np.array([[1.0, 2.0], [0.5, 2.0], [0.0, 1.0], [0.25, 1.0]])
    assert a.choose_batch(np.ones((4, 2)), costs).tolist() == [-1, 0, 0, -1]
    assert (a.users, a.spend) == (3, 2.5)
    assert a.choose([1.0, 2.0], [-1.0, 3.0]) == 0  # money comes back
    with pytest.raises(bf.BudgetExhausted):
        a.choose([0.0, 1.0], [0.0, 2.0], [False, True])


def test_a_restart_goes_on_to_the_bit(dtype):
    x = diminishing(np.random.default_rng(3), 300, 5, dtype)
    whole = bf.Allocator(0.4, budget=45.0)
    whole.choose_batch(x.value, x.cost)
    first = bf.Allocator(0.4, budget=45.0)
    first.choose_batch(x.value[:120], x.cost[:120])
    text = json.dumps(first.state())
    second = bf.Allocator.from_state(text)
    second.choose_batch(x.value[120:], x.cost[120:])
    assert second.state() == whole.state()
    assert bf.Allocator.from_state(whole.state()).state() == whole.state()


def test_threads_lose_nothing():
    a = bf.Allocator(0.0, budget=1000.5)

    def serve(_):
        for _ in range(500):
            a.choose([0.0, 1.0], [0.0, 1.0])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(serve, range(6)))
    assert (a.users, a.spend, a.value) == (3000, 1000.0, 1000.0)


def test_misuse():
    a = bf.Allocator(1.0)
    with pytest.raises(ValueError, match="one length, at least 1, got 2 and 1"):
        a.choose([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="one length, at least 1, got 0 and 0"):
        a.choose([], [])
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match=rf"cost must be finite, got {bad} at cost\[1\]"):
            a.choose([1.0, 2.0], [1.0, bad])
    with pytest.raises(ValueError, match="no open treatment"):
        a.choose([1.0, 2.0], [1.0, 2.0], [False, False])
    with pytest.raises(ValueError, match="mask must have the length of value, 2, got 1"):
        a.choose([1.0, 2.0], [1.0, 2.0], [True])
    with pytest.raises(ValueError, match=r"value must be \[M\] numbers"):
        a.choose(np.ones((2, 2)), [1.0, 2.0])
    assert a.users == 0
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="multiplier must be finite and at least 0"):
            bf.Allocator(wrong)
    with pytest.raises(ValueError, match="budget must be finite"):
        bf.Allocator(1.0, budget=math.inf)
    plans = bf.solve_mckp(np.ones((3, 2)), np.ones((3, 2)), [4.0, 5.0])
    with pytest.raises(TypeError, match="plan must be a Plan of one problem or a multiplier"):
        bf.Allocator(plans)
    with pytest.raises(ValueError, match=r"state must be what Allocator.state\(\) returned"):
        bf.Allocator.from_state({"multiplier": 1.0})


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("spend", "1e999999999"),  # an integer of a thousand million digits
        ("spend", "1/3"),
        ("spend", "1/0"),
        ("spend", "1/-2"),
        ("value", "nan"),
        ("value", "9" * 5000),
        ("value", 1.0),
        ("users", 1.5),
        ("users", -1),
        ("users", "7"),
        ("multiplier", "1"),
        ("multiplier", math.nan),
        ("budget", "1"),
        ("budget", math.inf),
    ],
)
def test_a_state_that_is_none(name, wrong):
    state = bf.Allocator(1.0, budget=5.0).state()
    with pytest.raises(ValueError, match=r"state must be what Allocator.state\(\) returned"):
        bf.Allocator.from_state({**state, name: wrong})


@pytest.mark.parametrize("text", ["", "[]", "3", "{", "[" * 100_000, '{"multiplier": NaN}'])
def test_a_text_that_is_no_state(text):
    with pytest.raises(ValueError, match=r"state must be what Allocator.state\(\) returned"):
        bf.Allocator.from_state(text)


def test_totals_beyond_all_floats():
    """The sums stay exact; their floats say infinity, and come back with the sums."""
    a = bf.Allocator(1.0, budget=1e308)
    for cost in (9e307, -9e307, -1.7e308, -1.7e308):
        a.choose([1.0], [cost])
    assert a.spend == -math.inf and "-inf" in repr(a)
    assert bf.Allocator.from_state(json.dumps(a.state())).state() == a.state()
    assert a.choose_batch([[0.0, 1.0]] * 3, [[0.0, 1.7e308]] * 3).tolist() == [0, 0, 0]
    a.choose([1.0], [1.7e308])
    assert a.spend == -1.7e308


def test_totals_read_meanwhile_are_totals():
    """A sum that is read while it is added to is the one before or the one after."""
    a = bf.Allocator(0.0)

    def serve():
        for k in range(2000):
            a.choose([1.0], [2.0 ** -(k % 1000)])
            a.choose([1.0], [-(2.0 ** -(k % 1000))])

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(serve)
        while not done.done():
            assert -1 <= a.spend <= 1 and 0 <= a.value <= 4000
    assert a.spend == 0


def test_a_matrix_is_an_array_here():
    matrix = np.asmatrix(np.array([[0.0, 4.0], [0.0, 3.0]]))
    a = bf.Allocator(0.0, budget=5.0)
    assert a.choose_batch(matrix, matrix).tolist() == [1, 0]
