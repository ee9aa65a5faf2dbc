"""`max_treated`: exact where one limit binds, whatever the ties; refused where two do."""

from __future__ import annotations

import functools
from fractions import Fraction

import numpy as np
import pytest
from oracles import exact, limits
from oracles.instances import diminishing, head, instance
from oracles.same import assert_same_plan, part

import bidfcl_fast as bf

NAMES = ["campaign", "negative", "small integers", "negative integers", "masked", "duplicate users", "zero costs"]


@functools.cache
def _small(name, dtype, control):
    x = head(instance(name, dtype), 4)
    population = exact.users(*x)
    return x, population, limits.plans(population, control)


@pytest.mark.parametrize("control", [0, 1])
@pytest.mark.parametrize("name", NAMES)
def test_every_cap_of_a_small_instance(name, backend, dtype, control):
    x, population, every = _small(name, dtype, control)
    least = exact.least_spend(population)
    most = sum((max(p.cost for p in points) for points in population), Fraction(0))
    solved = refused = 0
    for share in (0.1, 0.4, 1.0):
        budget = exact.up(least + Fraction(share) * (most - least))
        for cap in range(5):
            plan = bf.solve_mckp(
                *x[:2], budget, max_treated=cap, control=control, mask=x.mask, backend=backend, throw=False
            )  # fmt: skip
            inside = [t for t in every if t.spend <= budget and t.treated <= cap]
            if plan.status < 0:
                refused += 1
                assert plan.status in (bf.Status.TWO_LIMITS, bf.Status.INFEASIBLE_MAX_TREATED)
                assert (plan.choice == -1).all()
                if plan.status == bf.Status.INFEASIBLE_MAX_TREATED:
                    assert min(t.treated for t in every) > cap
                continue
            solved += 1
            total, spent = exact.totals(population, plan.choice)
            treated = int((plan.choice != control).sum())
            assert spent <= Fraction(budget) and treated <= cap
            assert plan.stats["treated"] == treated
            slack = 10 * len(population) * exact.unit(x.value, x.mask)
            assert total <= max(t.value for t in inside) <= Fraction(plan.dual_bound) + slack
            assert abs(plan.dual_bound - plan.value - plan.gap) <= 1e-9
            assert plan.value == pytest.approx(float(total)) and plan.spend == pytest.approx(float(spent))
            if plan.stats["treated_multiplier"] > 0:
                assert plan.gap == 0 and plan.multiplier == 0
    assert solved
    assert refused or name not in ("campaign", "masked") or control


def test_a_cap_that_does_not_bind_changes_nothing(backend, dtype):
    x = instance("campaign", dtype)
    expected = bf.solve_mckp(x.value, x.cost, 100.0, backend=backend)
    treated = int((expected.choice != 0).sum())
    assert_same_plan(bf.solve_mckp(x.value, x.cost, 100.0, max_treated=treated, backend=backend), expected)


def test_a_cap_alone_takes_the_users_who_gain_most(backend, dtype):
    x = diminishing(np.random.default_rng(6), 200, 4, dtype)
    plan = bf.solve_mckp(x.value, x.cost, 1e6, max_treated=30, backend=backend)
    gain = (x.value.astype(float) - x.value[:, :1].astype(float)).max(axis=1)
    assert set(np.flatnonzero(plan.choice)) == set(np.argsort(-gain, kind="stable")[:30])
    assert plan.gap == 0 and plan.multiplier == 0
    assert plan.stats["treated"] == 30
    assert plan.stats["treated_multiplier"] == pytest.approx(np.sort(gain)[-31], rel=1e-6)


def test_of_equal_slopes_the_dear_ones_treat_fewer(backend):
    """Ten users of one coin and five of two, all equally good: in their own order 10 are treated, and 5 will do."""
    value = np.array([[0.0, 1.0]] * 10 + [[0.0, 2.0]] * 5)
    assert bf.solve_mckp(value, value, 10.0, backend=backend).choice.sum() == 10
    plan = bf.solve_mckp(value, value, 10.0, max_treated=6, backend=backend)
    assert plan.choice.tolist() == [0] * 10 + [1] * 5
    assert plan.value == plan.dual_bound == 10.0


def test_of_equal_gains_the_cheap_ones_keep_the_budget(backend):
    """The cap alone is indifferent between users; taken in their own order, the dear ones break the budget."""
    value = np.array([[0.0, 1.0]] * 8)
    cost = np.array([[0.0, 5.0]] * 4 + [[0.0, 1.0]] * 4)
    plan = bf.solve_mckp(value, cost, 9.0, max_treated=3, backend=backend)
    assert plan.spend <= 9.0 and plan.value == plan.dual_bound == 3.0


def test_with_money_left_a_dearer_control_of_equal_value_is_no_loss(backend):
    value, cost = np.array([[1.0, 1.0]] * 6), np.array([[2.0, 0.0]] * 6)
    assert bf.solve_mckp(value, cost, 100.0, backend=backend).choice.tolist() == [1] * 6
    plan = bf.solve_mckp(value, cost, 100.0, max_treated=2, backend=backend)
    assert (plan.choice != 0).sum() == 2 and plan.value == plan.dual_bound == 6.0 and plan.spend == 8.0


def test_what_fill_adds_is_given_up_for_the_cap(backend):
    x = diminishing(np.random.default_rng(0), 60, 4, np.float64)
    bare = bf.solve_mckp(x.value, x.cost, 10.0, fill=False, backend=backend)
    full = bf.solve_mckp(x.value, x.cost, 10.0, backend=backend)
    few = int((bare.choice != 0).sum())
    assert (full.choice != 0).sum() > few
    assert_same_plan(bf.solve_mckp(x.value, x.cost, 10.0, max_treated=few, backend=backend), bare)


def test_two_limits_are_refused_with_the_reason(backend):
    x = diminishing(np.random.default_rng(6), 200, 4, np.float64)
    alone = bf.solve_mckp(x.value, x.cost, 60.0, backend=backend)
    with pytest.raises(bf.NotCertified, match=r"max_treated: budget and max_treated bind at once") as caught:
        bf.solve_mckp(x.value, x.cost, 60.0, max_treated=int((alone.choice != 0).sum()) - 9, backend=backend)
    assert caught.value.status is bf.Status.TWO_LIMITS
    mask = np.ones(x.value.shape, bool)
    mask[:20, 0] = False
    with pytest.raises(bf.NotCertified, match="control treatment closed"):
        bf.solve_mckp(x.value, x.cost, 600.0, max_treated=19, mask=mask, backend=backend)


def test_several_problems_each_with_its_cap(backend, dtype):
    rng = np.random.default_rng(4)
    value, cost = rng.normal(size=(3, 9, 3)).astype(dtype), rng.random((3, 9, 3)).astype(dtype)
    caps = [2, 9, 4]
    plan = bf.solve_mckp(value, cost, 100.0, max_treated=caps, backend=backend, throw=False)
    joined = bf.solve_mckp(
        value.reshape(27, 3), cost.reshape(27, 3), 100.0, max_treated=caps, segments=np.arange(4) * 9,
        backend=backend, throw=False,
    )  # fmt: skip
    for k in range(3):
        alone = bf.solve_mckp(value[k], cost[k], 100.0, max_treated=caps[k], backend=backend, throw=False)
        assert_same_plan(part(plan, k), alone)
        assert_same_plan(part(joined, k, joined.choice[9 * k : 9 * k + 9]), alone)


def test_misuse(backend):
    value = np.ones((3, 2))
    for wrong in (-1, 1.5):
        with pytest.raises(ValueError, match=rf"max_treated must be a whole number of users.*{wrong}"):
            bf.solve_mckp(value, value, 9.0, max_treated=wrong, backend=backend)
    with pytest.raises(ValueError, match="control must be the index of a treatment, 0 to 1, got 2"):
        bf.solve_mckp(value, value, 9.0, max_treated=1, control=2, backend=backend)
    with pytest.raises(TypeError, match=r"control must be .* integer, got 0[.]5"):
        bf.solve_mckp(value, value, 9.0, max_treated=1, control=0.5, backend=backend)
    with pytest.raises(ValueError, match=r"integrality='proven' .* without max_treated"):
        bf.solve_mckp(value, value, 9.0, max_treated=1, integrality="proven", backend=backend)
