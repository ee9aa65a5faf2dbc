"""The instance whose every answer is known by hand (METHOD.md §6.1), for whole budgets 0 to 12."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from oracles import exact, highs
from oracles.instances import golden

import bidfcl_fast as bf

ILP = [0, 4, 7, 9, 12, 14, 17, 18, 19, 21, 22, 23, 24]
LP = [0, 4, 7, Fraction(19, 2), 12, Fraction(29, 2), 17, Fraction(55, 3), Fraction(59, 3), 21, 22, 23, 24]
GREEDY = [0, 4, 7, 7, 12, 12, 17, 17, 17, 21, 21, 23, 24]
THIRD = Fraction(4, 3)
MULTIPLIERS = [(4, None), (3, 4), (2.5, 3), (2.5, 2.5), (2.5, 2.5), (2.5, 2.5), (THIRD, 2.5), (THIRD, THIRD)]
MULTIPLIERS += [(THIRD, THIRD), (1, THIRD), (1, 1), (1, 1), (0, 1)]
ON_HULL = [{0, 1, 2}, {0, 1, 2}, {0, 1, 2}, {0, 2}]  # the last user's treatment 1 lies under its hull


@pytest.mark.parametrize("budget", range(13))
def test_oracles_agree_with_the_table(budget):
    value, cost, _ = golden(np.float64)
    population = exact.users(value, cost)
    assert exact.integer_optimum(population, budget) == ILP[budget]
    assert exact.lp_optimum(population, budget) == LP[budget]
    assert exact.multiplier_interval(population, budget) == MULTIPLIERS[budget]
    assert highs.lp_value(value, cost, budget) == pytest.approx(float(LP[budget]), rel=1e-9, abs=1e-9)
    assert [exact.hull_treatments(points) for points in population] == ON_HULL


@pytest.mark.parametrize("budget", range(13))
def test_every_number_of_the_table(backend, dtype, budget):
    value, cost, _ = golden(dtype)
    plan = bf.solve_mckp(value, cost, budget, fill=False, backend=backend)
    filled = bf.solve_mckp(value, cost, budget, backend=backend)
    assert plan.value == GREEDY[budget]
    assert GREEDY[budget] <= filled.value <= ILP[budget]
    low, high = MULTIPLIERS[budget]
    for p in (plan, filled):
        assert p.dual_bound == pytest.approx(float(LP[budget]), rel=1e-15)
        assert p.dual_bound >= LP[budget]
        assert float(low) <= p.multiplier <= (math.inf if high is None else float(high))
        assert p.spend <= budget
        assert all(j in on for j, on in zip(p.choice, ON_HULL, strict=True))
        assert p.status is bf.Status.SOLVED


@pytest.mark.parametrize("fill", [False, True])
def test_all_thirteen_in_one_call(backend, dtype, fill):
    value, cost, _ = golden(dtype)
    plan = bf.solve_mckp(value, cost, np.arange(13.0), fill=fill, backend=backend)
    assert plan.choice.shape == (13, 4)
    if not fill:
        assert plan.value.tolist() == GREEDY
    assert (plan.dual_bound >= np.array(ILP)).all()
    assert plan.dual_bound == pytest.approx(np.array(LP, float), rel=1e-15)


def test_at_the_split_fill_takes_what_still_fits(backend, dtype):
    """Budget 7 leaves 1 after four steps: the next two in line cost 3 and 2, the last one costs 1 and is taken."""
    value, cost, _ = golden(dtype)
    plan = bf.solve_mckp(value, cost, 7, backend=backend)
    assert (plan.choice.tolist(), plan.value, plan.spend) == ([1, 1, 2, 2], 18, 7)


@pytest.mark.parametrize("budget", [0.5, 1.5, 2.5, 4.5, 6.5, 7.5, 9.5, 11.5])
def test_dual_gradient_bisection_finds_the_same_multiplier(budget):
    """LBCF's DGB (METHOD.md §1.4): treatment 0 is implicit, and the sign of B − spend leads to λ."""
    value, cost, _ = golden(np.float64)
    low, high = 0.0, 10.0
    for _ in range(60):
        lam = (low + high) / 2
        score = value[:, 1:] - lam * cost[:, 1:]
        spend = np.where(score.max(1) > 0, cost[np.arange(len(cost)), 1 + score.argmax(1)], 0.0).sum()
        low, high = (lam, high) if spend > budget else (low, lam)
    assert bf.solve_mckp(value, cost, budget).multiplier == pytest.approx(low, rel=1e-9)
