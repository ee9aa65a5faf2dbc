"""After the first step that does not fit: which further steps are looked at, and what fits."""

from __future__ import annotations

import numpy as np
import pytest

import bidfcl_fast as bf

WINDOW = 64  # steps, from the one that does not fit on


@pytest.mark.parametrize(("place", "taken"), [(1, True), (WINDOW - 1, True), (WINDOW, False), (WINDOW + 500, False)])
@pytest.mark.parametrize("before", [0, 40])
@pytest.mark.parametrize("users", [700, 9000])
def test_only_so_many_steps_are_looked_at(backend, dtype, users, before, place, taken):
    """One cheap step among dear ones of falling slope; where it stands decides, whatever a backend keeps at hand."""
    cost = np.zeros((users, 2), dtype)
    cost[:, 1] = 8
    cost[before + place, 1] = 1
    slope = np.arange(users, 0, -1) + 5000
    value = cost * slope[:, None].astype(dtype)
    shuffled = np.random.default_rng(0).permutation(users)
    plan = bf.solve_mckp(value[shuffled], cost[shuffled], 8 * before + 1, backend=backend)
    expected = np.arange(users) < before
    expected[before + place] = taken
    np.testing.assert_array_equal(plan.choice, expected[shuffled])
    assert plan.spend == 8 * before + taken
    assert plan.multiplier == slope[before]


def test_the_last_unit_of_money_counts(backend):
    """A cost of two fixed-point units fits into two and not into one."""
    unit = 2.0**-60  # of costs whose largest is 1
    value, cost = np.array([[0, 1.0], [0, unit]]), np.array([[0, 1.0], [0, 2 * unit]])
    for budget, choice in ((unit, [0, 0]), (2 * unit, [0, 1]), (3 * unit, [0, 1])):
        plan = bf.solve_mckp(value, cost, budget, backend=backend)
        assert plan.choice.tolist() == choice
        assert plan.spend <= budget
