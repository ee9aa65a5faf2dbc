"""The multiplier on labelled rows, against every breakpoint tried by brute force."""

from __future__ import annotations

import numpy as np
import pytest

import bidfcl_fast as bf
from bidfcl_fast.backends import reference
from bidfcl_fast.data import Table
from bidfcl_fast.metrics import eom, ipw_weight, labelled_multiplier

from .test_losses import COST, OUTCOME, RECEIVED, SPENT, VALUE


def table(t=RECEIVED, y=OUTCOME, c=SPENT, **kwargs):
    return Table(np.zeros((len(t), 1)), t, y, c, **kwargs)


def test_the_papers_instance(backend):
    """METHOD.md §6.2, EOM-A: [0, .667) spends .75, [.667, 1) .25, [1, …) nothing; the value is not monotone."""
    got = eom(VALUE, COST, table(), [0.8, 0.74, 0.25, 0.2, 0.0], backend=backend)
    np.testing.assert_allclose(got.spend, [0.75, 0.25, 0.25, 0, 0], atol=1e-15)
    np.testing.assert_allclose(got.value, [1.5, 0.5, 0.5, 0.0, 0.0], atol=1e-15)
    assert got.multiplier[0] == 0
    assert all(2 / 3 < m < 1 for m in got.multiplier[1:3]) and all(1 < m < 1.5 for m in got.multiplier[3:])


def spend_at(v, c, t, price, lam):
    a = v - lam * c
    k = np.array([min(range(v.shape[1]), key=lambda j: (-a[i, j], c[i, j], j)) for i in range(len(v))])
    return price[k == t].sum()


@pytest.mark.parametrize("seed", range(12))
def test_the_smallest_multiplier_within_the_budget(backend, seed):
    rng = np.random.default_rng(seed)
    n, m = 40, int(rng.integers(1, 5))
    v, c = rng.normal(size=(n, m)), rng.random((n, m))
    if seed % 2:
        v, c = np.round(v, 1), np.round(c, 1)  # ties
    t = rng.integers(m, size=n)
    price, worth = rng.random(n) * rng.integers(0, 2, n), rng.normal(size=n)
    ones = np.ones(n)
    # Between any two neighbouring breakpoints of any row, nothing changes: try the middle of each such interval.
    rise, run = (x[:, :, None] - x[:, None, :] for x in (v, c))
    with np.errstate(divide="ignore", invalid="ignore"):
        points = (rise / run)[(run != 0) & (rise / run > 1e-9)]
    points = np.unique(np.round(points, 12))
    tries = np.concatenate([[0.0], (points[1:] + points[:-1]) / 2, points[-1:] * 2]) if len(points) else np.zeros(1)
    tries = np.concatenate([tries[:1], points[:1] / 2, tries[1:]])
    spends = np.array([spend_at(v, c, t, price, lam) for lam in tries])
    assert (np.diff(spends) > 1e-9).any() or m < 3 or n < 10  # not monotone: what a bisection trips over
    for budget in np.quantile(spends, [0.0, 0.3, 0.6, 0.9]) + 1e-9:
        first = int(np.argmax(spends <= budget))
        got = labelled_multiplier(v, c, t, worth, price, ones, budget, backend=backend)
        assert got.spend <= budget
        assert got.spend == pytest.approx(spends[first], abs=1e-9)
        assert got.spend == pytest.approx(spend_at(v, c, t, price, got.multiplier), abs=1e-9)
        assert got.value == pytest.approx(spend_at(v, c, t, worth, got.multiplier), abs=1e-9)


def test_a_budget_a_hair_below_a_spend_is_kept():
    """Sums of tenths round: what is compared with the budget must be the sum that is reported."""
    rng = np.random.default_rng(2)
    n = 200
    v, c, t = rng.random((n, 3)), np.sort(rng.random((n, 3)), axis=1), rng.integers(3, size=n)
    args = (v, c, t, np.ones(n), rng.integers(1, 9, n) / 10, np.ones(n))
    for budget in np.linspace(35, 60, 40):
        spend = labelled_multiplier(*args, budget).spend
        assert labelled_multiplier(*args, np.nextafter(spend, 0)).spend < spend
        assert labelled_multiplier(*args, spend).spend == spend


def test_many_budgets_are_each_ones_answer(backend):
    rng = np.random.default_rng(1)
    n = 300 if backend == "reference" else 3000
    v, c, t = rng.random((n, 4), dtype=np.float32), rng.random((n, 4), dtype=np.float32), rng.integers(4, size=n)
    args = (v, c, t, rng.random(n), c[np.arange(n), t], ipw_weight(t, 4))
    budgets = [0.5, 0.3, 0.4, 0.28]
    together = labelled_multiplier(*args, budgets, backend=backend)
    for k, b in enumerate(budgets):
        alone = labelled_multiplier(*args, b, backend=backend)
        assert alone == tuple(x[k] for x in together)


def test_zero_arm_that_costs_money_needs_no_bracket():
    """METHOD.md §1.3: the paper's bracket ends at max value/cost = .4545, where everybody still chooses arm 1."""
    v, c = np.tile([0.01, 0.05], (100, 1)), np.tile([0.10, 0.11], (100, 1))
    t = np.arange(100) % 2
    cost = c[np.arange(100), t]
    weight = ipw_weight(t, 2)
    got = labelled_multiplier(v, c, t, np.ones(100), cost, weight, 0.105)
    assert got.multiplier > 4 and got.spend == pytest.approx(0.10)
    stuck = reference.bisection(v, c, t, cost, weight, 0.105)
    assert stuck < 0.4546  # and there the spend is 0.11


def test_what_no_multiplier_can_spend_is_infeasible(backend):
    with pytest.raises(bf.InfeasibleBudget) as caught:
        labelled_multiplier(
            np.ones((4, 1)),
            np.ones((4, 1)),
            np.zeros(4, int),
            np.ones(4),
            np.ones(4),
            np.full(4, 0.25),
            0.5,
            backend=backend,
        )
    assert caught.value.least_budget == 1


def test_misuse_is_named():
    with pytest.raises(ValueError, match="nobody received treatment 2"):
        eom(VALUE, COST, table(t=np.array([0, 1, 1, 1, 0])), 0.5)
    with pytest.raises(ValueError, match="nobody received treatment 1"):
        ipw_weight(np.array([0, 2, 2]), 3)
    with pytest.raises(ValueError, match=r"value_hat must be finite, got nan at value_hat\[0, 0\]"):
        eom(np.where(VALUE == 0.2, np.nan, VALUE), COST, table(), 0.5)
    with pytest.raises(ValueError, match="budget must be"):
        eom(VALUE, COST, table(), np.nan)
    with pytest.raises(ValueError, match="treatment must be 0 to 1"):
        labelled_multiplier(VALUE[:, :2], COST[:, :2], RECEIVED, OUTCOME, SPENT, np.ones(5), 0.5)


def test_torch_arrays_are_welcome():
    torch = pytest.importorskip("torch")
    arrays = (VALUE, COST, RECEIVED, OUTCOME, SPENT, np.ones(5))
    assert labelled_multiplier(*map(torch.tensor, arrays), 0.5) == labelled_multiplier(*arrays, 0.5)
