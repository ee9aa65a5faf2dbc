"""The search over a core: in C++ and in Python the same, entry by entry, and both right by enumeration."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import numpy as np
import pytest

import bidfcl_fast as bf
from bidfcl_fast import _core
from bidfcl_fast._core import Options

native = pytest.importorskip("bidfcl_fast._native")
needs_cpp = pytest.mark.skipif("cpp" not in bf.backends.available(), reason="installed without _C")
SEARCHES = ["python", pytest.param("cpp", marks=needs_cpp)]


def search(name: str):
    return _core.solve if name == "python" else native.core


def available() -> list[str]:
    return ["cpp", "python"] if "cpp" in bf.backends.available() else ["python"]


def core(rng: np.random.Generator, rows: int, most: int, digits: int, alike: bool) -> tuple[Options, tuple]:
    """Losses as a price makes them, and the price; numbers up to 2^digits, zeros and ties among them."""
    value, cost = (rng.integers(-(2**digits), 2**digits, (rows, most), endpoint=True) for _ in range(2))
    if digits < 8 and rng.random() < 0.5:
        value *= 6  # a divisor in common
        cost *= 10
    value[:, 0] = cost[:, 0] = 0
    price = float(rng.choice([0.0, 0.5, 1.0, rng.random()]))
    score = value - price * cost
    first = score.argmax(axis=1)
    at = np.arange(rows)
    value, cost = value - value[at, first][:, None], cost - cost[at, first][:, None]
    for x in (value, cost, score):  # the base stands first
        x[at, 0], x[at, first] = x[at, first], x[at, 0]
    loss = score[:, :1] - score
    loss[:, 1:][rng.random((rows, most - 1)) < 0.2] = np.inf
    if alike:
        loss[:, 2:] = np.inf
        copies = rng.integers(1, 6, rows)
    else:
        copies = np.ones(rows, np.int64)
    # Fewer options to the left, as _proven.py orders them.
    order = np.argsort(loss[:, 1:], axis=1, kind="stable") + 1
    order = np.concatenate([np.zeros((rows, 1), np.intp), order], axis=1)
    value, cost, loss = (np.take_along_axis(x, order, axis=1) for x in (value, cost, loss))
    finite = np.isfinite(loss)
    spread = int(np.where(finite, np.abs(cost), 0).max(axis=1).astype(object).sum())
    room = int(rng.random() * spread) - spread // 3
    return Options(value, cost, loss, copies), (room, price)


def cores(seed: int, count: int, rows: int, digits: tuple[int, ...]) -> Iterator[tuple[Options, tuple]]:
    rng = np.random.default_rng(seed)
    for k in range(count):
        yield core(
            rng,
            int(rng.integers(1, rows + 1)),
            int(rng.integers(2, 5)),
            digits[k % len(digits)],
            bool(rng.random() < 0.4),
        )


def optimum(options: Options, room: int) -> int | None:
    """By trying every plan, in Python's integers."""
    plans = {0: 0}  # the best value at each cost
    for g in range(len(options.copies)):
        kept = [j for j in range(options.loss.shape[1]) if np.isfinite(options.loss[g, j])]
        for _ in range(int(options.copies[g])):
            more: dict[int, int] = {}
            for (cost, value), j in itertools.product(plans.items(), kept):
                c, v = cost + int(options.cost[g, j]), value + int(options.value[g, j])
                more[c] = max(v, more.get(c, v))
            plans = more
    return max((v for c, v in plans.items() if c <= room), default=None)


def totals(options: Options, taken: list[tuple[int, int, int]]) -> tuple[int, int]:
    assert len({g for g, _, _ in taken}) == len(taken)
    assert all(1 <= times <= options.copies[g] and np.isfinite(options.loss[g, j]) for g, j, times in taken)
    value, cost = (sum(int(x[g, j]) * times for g, j, times in taken) for x in (options.value, options.cost))
    return value, cost


def lp_gap(options: Options, room: int, price: float) -> float:
    """Wide enough for every plan: what all losses add up to."""
    losses = np.where(np.isfinite(options.loss), options.loss, 0).max(axis=1) * options.copies
    return float(losses.sum() * (1 + 1e-9) + price * abs(room) + 1.0)


@pytest.mark.parametrize("name", SEARCHES)
def test_enumeration(name):
    proven = 0
    for options, (room, price) in cores(1, 300, 5, (2, 5, 30, 61)):
        gap = lp_gap(options, room, price)
        found = search(name)(options, room, room + 3, price, 1.0, gap)
        expected = optimum(options, room)
        assert found.value == expected
        if expected is None:
            assert found.bound is None
            continue
        value, cost = totals(options, found.taken)
        assert value == found.value and cost <= room
        assert found.bound is not None and found.bound >= expected
        assert found.bound <= optimum(options, room + 3)
        proven += 1
    assert proven > 200


def test_what_is_dropped_between_meetings_is_no_better():
    """Cores of many meetings, whose best plan is often a unit or two better than the first one met."""
    improved = 0
    rng = np.random.default_rng(5)
    for _ in range(40):
        options, (_, price) = core(rng, 24, 3, 6, False)
        room = int(rng.integers(0, 400))
        gap = lp_gap(options, room, price)
        expected = optimum(options, room)
        first = _core.solve(options, room, room, price, 1.0, gap, deadline=0.0).value
        for name in available():
            found = search(name)(options, room, room, price, 1.0, gap)
            assert found.value == found.bound == expected
            value, cost = totals(options, found.taken)
            assert value == expected and cost <= room
        improved += first is not None and first < expected
    assert improved > 10


@pytest.mark.parametrize("name", SEARCHES)
def test_a_plan_better_by_one_step_is_not_dropped(name):
    """Fours without loss fill 800 of 803; a three at a loss of two brings one unit more: all that the gap has room for."""
    fours = 4 << np.arange(8)  # as many as the first look begins with, which hence does not see the three
    cost = np.column_stack([np.zeros(9, np.int64), np.append(fours, 3)])
    loss = np.zeros((9, 2))
    loss[8, 1] = 2
    options = Options(cost - loss.astype(np.int64), cost, loss, np.ones(9, np.int64))
    found = search(name)(options, 803, 803, 1.0, 1.0, 40.0)
    assert found.value == found.bound == 801


@needs_cpp
def test_cpp_is_python_to_the_last_entry():
    """From nothing but ties to numbers whose sums leave 64 bits; with gaps that hold all plans, some, and none."""
    kinds = set()
    for k, (options, (room, price)) in enumerate(cores(2, 3000, 14, (1, 3, 6, 20, 45, 61))):
        gap = lp_gap(options, room, price) * (1.0, 0.1, 1e-3)[k // 6 % 3]
        unit = (1.0, 0.25)[k % 2]
        ours, theirs = (search(name)(options, room, room + 2, price, unit, gap) for name in ("cpp", "python"))
        assert ours == theirs
        kinds.add((ours.value is None, ours.bound is None))
    assert kinds == {(False, False), (True, True)}


@needs_cpp
@pytest.mark.parametrize("copies", [2, 1000, 5000])
def test_many_alike(copies):
    options = Options(
        np.array([[0, 3], [0, 2], [0, -2]]),
        np.array([[0, 3], [0, 2], [0, -1]]),
        np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]]),
        np.array([copies, copies, 1]),
    )
    for room in (0, 2, 7, 4 * copies + 2, 10 * copies, 10**30):
        ours, theirs = (search(name)(options, room, room, 1.0, 1.0, 2.0) for name in ("cpp", "python"))
        assert ours == theirs
        assert ours.value == min(room, 5 * copies)


@needs_cpp
def test_sums_at_the_end_of_64_bits_and_beyond(monkeypatch):
    """Just below 2^62 in all, at it, and far above: the same plans, each right."""
    for total in (2**62 - 2, 2**62, 2**62 + 2, 2**64 + 8):
        half = total // 2
        third = min(half, 2**62 - 1)
        options = Options(
            np.array([[0, third], [0, third - 1], [0, -third]]),
            np.array([[0, third], [0, third - 1], [0, 1 - third]]),
            np.zeros((3, 2)),
            np.ones(3, np.int64),
        )
        for room in (-third, 0, third, 2 * third - 1, -(2**90), 2**90):
            ours, theirs = (search(name)(options, room, room, 0.0, 1.0, 1e30) for name in ("cpp", "python"))
            assert ours == theirs
            assert ours.value == optimum(options, room)


def hard(rng: np.random.Generator) -> Options:
    """Forty users who differ by next to nothing, at whose meeting no plan fills the room."""
    cost = np.column_stack([np.zeros(40, np.int64), rng.integers(2**50, 2**51, 40)])
    return Options(cost.copy(), cost, np.zeros((40, 2)), np.ones(40, np.int64))


@pytest.mark.parametrize("name", SEARCHES)
def test_a_deadline_keeps_the_best_plan_so_far(name):
    options = hard(np.random.default_rng(0))
    room = int(options.cost.sum()) // 2
    found = search(name)(options, room, room, 1.0, 1.0, 1e15, time.monotonic() - 1)
    assert found.given_up and found.bound is None
    assert found.value == 0 and found.taken == []
    some = search(name)(options, room, room, 1.0, 1.0, 1e15, time.monotonic() + 0.05)
    assert some.given_up and some.bound is None
    value, cost = totals(options, some.taken)
    assert value == some.value and 0 < cost <= room


@needs_cpp
@pytest.mark.parametrize("limit", ["LONGEST", "MOST_NAMED"])
def test_both_give_up_at_the_same_entry(limit, monkeypatch):
    given_up = 0
    for bound in (4, 30, 200):
        monkeypatch.setattr(_core, limit, bound)
        for options, (room, price) in cores(3, 60, 12, (3, 20, 61)):
            gap = lp_gap(options, room, price)
            ours, theirs = (search(name)(options, room, room, price, 1.0, gap) for name in ("cpp", "python"))
            assert ours == theirs
            given_up += ours.given_up
    assert given_up > 30
