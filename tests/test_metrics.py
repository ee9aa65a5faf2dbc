"""Inverse-propensity estimates against enumeration, brute force and the bootstrap."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bidfcl_fast.data import Table
from bidfcl_fast.metrics import (
    Estimate,
    difference,
    difference_at_equal_spend,
    ipw_value,
    ipw_weight,
)


def observed(value, cost, treatment, propensity) -> Table:
    """The table of a world with potential outcomes [N, M] in which `treatment` was drawn."""
    i = np.arange(len(treatment))
    return Table(np.zeros((len(i), 1)), treatment, value[i, treatment], cost[i, treatment], propensity)


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(3)
    n, m = 4, 3
    propensity = rng.dirichlet(np.ones(m) * 2, size=n)
    return rng.normal(size=(n, m)), rng.random((n, m)), propensity


@pytest.mark.parametrize("kind", ["choice", "probabilities"])
def test_horvitz_thompson_is_unbiased_over_every_assignment(world, kind):
    value, cost, propensity = world
    n, m = value.shape
    rng = np.random.default_rng(0)
    pi = np.eye(m)[rng.integers(m, size=n)] if kind == "choice" else rng.dirichlet(np.ones(m), size=n)
    policy = pi.argmax(1) if kind == "choice" else pi
    expected_value = expected_spend = chance = 0.0
    for draw in itertools.product(range(m), repeat=n):
        t = np.array(draw)
        p = propensity[np.arange(n), t].prod()
        got = ipw_value(policy, observed(value, cost, t, propensity), estimator="ht")
        expected_value += p * got.value.estimate
        expected_spend += p * got.spend.estimate
        chance += p
    assert chance == pytest.approx(1)
    assert expected_value == pytest.approx((pi * value).sum() / n, rel=1e-12)
    assert expected_spend == pytest.approx((pi * cost).sum() / n, rel=1e-12)


def draw_table(n=400, m=3, seed=0) -> Table:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(m, 3.0), size=n)
    t = (p.cumsum(1) < rng.random((n, 1))).sum(1).clip(0, m - 1)
    value = (rng.random(n) < 0.3 + 0.2 * t).astype(float)
    return Table(rng.normal(size=(n, 2)), t, value, 0.7 * t * value + 0.05 * t, p)


@pytest.mark.parametrize("estimator", ["ht", "hajek"])
def test_estimates_are_those_of_a_plain_loop(estimator):
    table = draw_table()
    choice = np.random.default_rng(1).integers(3, size=len(table))
    total = norm = 0.0
    for i in range(len(table)):
        if table.treatment[i] == choice[i]:
            w = 1 / table.propensity[i, table.treatment[i]]
            total += w * table.value[i]
            norm += w
    got = ipw_value(choice, table, estimator=estimator)
    assert got.value.estimate == pytest.approx(total / (norm if estimator == "hajek" else len(table)), rel=1e-12)
    assert got.matched == (table.treatment == choice).sum()
    assert abs(got.value_influence.sum()) < 1e-8 * len(table)


def test_a_constant_policy_gets_the_mean_of_its_arm():
    table = draw_table()
    plain = Table(table.x, table.treatment, table.value, table.cost)
    for j in range(3):
        for estimator in ("ht", "hajek"):
            got = ipw_value(np.full(len(plain), j), plain, estimator=estimator)
            assert got.value.estimate == pytest.approx(plain.value[plain.treatment == j].mean(), rel=1e-12)


def test_standard_errors_agree_with_the_bootstrap():
    table = draw_table(600)
    rng = np.random.default_rng(5)
    plan = (table.x[:, 0] > 0).astype(int) + (table.x[:, 1] > 0.5)
    n = len(table)
    got = ipw_value(plan, table)
    arms = [ipw_value(np.full(n, j), table) for j in range(3)]
    gain, q = difference_at_equal_spend(got, arms[0], arms[2])
    assert 0 < q < 1
    values, spends, gains, plain = [], [], [], []
    for _ in range(600):
        rows = rng.integers(n, size=n)
        part = table[rows]
        again = ipw_value(plan[rows], part)
        ends = [ipw_value(np.full(n, j), part) for j in range(3)]
        values.append(again.value.estimate)
        spends.append(again.spend.estimate)
        gains.append(difference_at_equal_spend(again, ends[0], ends[2])[0].estimate)
        plain.append(difference(again, ends[1])[0].estimate)
    assert got.value.se == pytest.approx(np.std(values), rel=0.12)
    assert got.spend.se == pytest.approx(np.std(spends), rel=0.12)
    assert gain.se == pytest.approx(np.std(gains), rel=0.12)
    assert difference(got, arms[1])[0].se == pytest.approx(np.std(plain), rel=0.12)


def test_equal_spend_mixes_two_rules_to_the_plans_spend():
    table = draw_table()
    n = len(table)
    low, high = ipw_value(np.zeros(n, int), table), ipw_value(np.full(n, 2), table)
    gain, q = difference_at_equal_spend(low, low, high)
    assert (gain.estimate, gain.se, q) == pytest.approx((0, 0, 0), abs=1e-12)
    assert difference_at_equal_spend(high, low, high)[1] == pytest.approx(1)
    with pytest.raises(ValueError, match="must spend more"):
        difference_at_equal_spend(low, high, low)
    with pytest.raises(ValueError, match="not between"):
        difference_at_equal_spend(high, low, ipw_value(np.full(n, 1), table))


def test_a_policy_against_itself_differs_by_nothing():
    table = draw_table()
    plan = ipw_value(table.treatment, table)
    value, spend = difference(plan, plan)
    assert (value.estimate, value.se, spend.estimate, spend.se) == (0, 0, 0, 0)
    with pytest.raises(ValueError, match="same people"):
        difference(plan, ipw_value(table[:9].treatment, table[:9]))


def test_the_interval_of_an_estimate():
    e = Estimate(1.0, 0.5)
    assert (e.low, e.high) == pytest.approx((1 - 0.5 * 1.959964, 1 + 0.5 * 1.959964), rel=1e-6)
    assert e.clear
    assert not Estimate(0.5, 0.5).clear
    assert Estimate(1.0, 0.5, 0.5).half_width == pytest.approx(0.5 * 0.6744898, rel=1e-6)
    assert str(e) == "1 (95% interval 0.02002 to 1.98)"


def test_propensity_may_be_given_apart():
    table = draw_table()
    bare = Table(table.x, table.treatment, table.value, table.cost)
    plan = np.ones(len(table), int)
    assert ipw_value(plan, bare, table.propensity).value == ipw_value(plan, table).value


@pytest.mark.parametrize(
    ("policy", "options", "match"),
    [
        (np.full(400, 3), {}, "choose among 0 to 2"),
        (np.full(400, -1), {}, "choose among 0 to 2"),
        (np.zeros(399, int), {}, r"policy must be \[400\] integers"),
        (np.zeros(400), {}, r"policy must be \[400\] integers"),
        (np.full((400, 3), 0.5), {}, "summing to 1"),
        (np.array([1.5, -0.5, 0.0]), {}, "none negative"),
        (np.zeros(400, int), {"estimator": "dr"}, "'hajek' or 'ht'"),
        (np.zeros(400, int), {"confidence": 95}, "between 0 and 1"),
    ],
)
def test_misuse_is_named(policy, options, match):
    with pytest.raises(ValueError, match=match):
        ipw_value(policy, draw_table(), **options)


def test_nobody_matched():
    table = Table(np.zeros((2, 1)), np.array([0, 0]), np.ones(2), np.ones(2), treatments=2)
    with pytest.raises(ValueError, match="nobody in the table"):
        ipw_value(np.array([1, 1]), table)
    assert ipw_value(np.array([1, 1]), table, estimator="ht").value.estimate == 0


def test_ipw_weight():
    t = np.array([0, 1, 2, 1, 2])
    np.testing.assert_allclose(ipw_weight(t, 3), [1, 0.5, 0.5, 0.5, 0.5])
    np.testing.assert_allclose(ipw_weight(t, 3, [0.2, 0.4, 0.4]), 1 / (5 * np.array([0.2, 0.4, 0.4])[t]))
    for bad, match in [
        (lambda: ipw_weight(t, 2), "0 to 1"),
        (lambda: ipw_weight(t * 1.0, 3), "integers"),
        (lambda: ipw_weight(t, 3, [0.5, 0.5]), r"shares must be \[3\]"),
        (lambda: ipw_weight(t, 3, [1.0, 0, 0]), "positive"),
    ]:
        with pytest.raises(ValueError, match=match):
            bad()
