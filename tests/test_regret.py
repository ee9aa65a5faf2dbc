"""AUCC, regret and the bootstrap against hand-worked values, a plain loop, brute force and formulas."""

from __future__ import annotations

import numpy as np
import pytest

import bidfcl_fast as bf
from bidfcl_fast.data import Table
from bidfcl_fast.metrics import Overspent, aucc, ipw_value, paired_bootstrap, regret

# METHOD.md §6.4: scores 8 … 1
TREATED = np.array([1, 0, 1, 0, 1, 0, 1, 0])
VALUE = np.array([1.0, 0, 1, 0, 0, 0, 1, 1])
COST = np.array([1.0, 0, 1, 0, 1, 0, 1, 1])


def trial(t=TREATED, y=VALUE, c=COST) -> Table:
    return Table(np.zeros((len(t), 1)), t, y, c)


def scored(scores):
    """Predictions whose returns are `scores`."""
    zero = np.zeros(len(scores))
    return np.column_stack([zero, scores]), np.column_stack([zero, zero + 1])


@pytest.mark.parametrize(
    ("scores", "quantiles", "area"),
    [(range(8, 0, -1), 2, 2 / 3), (range(8, 0, -1), 4, 0.7), (range(1, 9), 2, 0.5), (range(1, 9), 4, 0.3)],
)
def test_aucc_has_the_hand_worked_values(scores, quantiles, area):
    assert aucc(*scored(np.array(scores, float)), trial(), quantiles) == pytest.approx(area, rel=1e-12)


def by_the_book(value_hat, cost_hat, table, quantiles):
    """§4.2, one row after the other."""
    lift_hat = value_hat[:, 1] - value_hat[:, 0]
    cost_lift = cost_hat[:, 1] - cost_hat[:, 0]
    roi = [a / (b if abs(b) >= 1e-6 else 1e-6) for a, b in zip(lift_hat, cost_lift, strict=True)]
    order = sorted(range(len(roi)), key=lambda i: (-roi[i], i))
    ones = [i for i in order if table.treatment[i] == 1]
    zeros = [i for i in order if table.treatment[i] == 0]
    delta = {
        name: sum(y[i] for i in ones) / len(ones) - sum(y[i] for i in zeros) / len(zeros)
        for name, y in (("r", table.value), ("c", table.cost))
    }
    readings, j, r, c = [0.0], 1, 0.0, 0.0
    for place, i in enumerate(order):
        step = 1 / len(ones) if table.treatment[i] == 1 else -1 / len(zeros)
        r, c = r + step * table.value[i], c + step * table.cost[i]
        if place + 1 < len(order) and j < quantiles and c >= j * delta["c"] / quantiles:
            readings.append(r)
            j += 1
    return (sum(readings) + r) / (delta["r"] * (quantiles + 1))


@pytest.mark.parametrize("seed", range(6))
def test_aucc_is_that_of_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    n = 300
    t = (rng.random(n) < 0.7).astype(int)
    cost = (rng.random(n) < 0.2 + 0.3 * t).astype(float)
    table = trial(t, cost * (rng.random(n) < 0.5), cost)
    v, c = rng.normal(size=(n, 2)), rng.normal(size=(n, 2))
    c[:5, 1] = c[:5, 0]  # no lift in cost
    v[5:20], c[5:20] = v[5], c[5]  # equal returns
    for quantiles in (1, 7, 200):
        assert aucc(v, c, table, quantiles) == pytest.approx(by_the_book(v, c, table, quantiles), rel=1e-9)


def test_a_random_ranking_has_half():
    """A curve as straight as rows allow: blocks alike, whatever their order."""
    blocks = 400
    t = np.tile([1, 0], blocks)
    table = trial(t, t.astype(float), t.astype(float))
    assert aucc(*scored(np.arange(2.0 * blocks)), table) == pytest.approx(0.5, abs=0.005)


def test_aucc_misuse_is_named():
    v, c = scored(np.arange(8.0))
    for bad, match in [
        (lambda: aucc(v[:7], c[:7], trial()), r"\[8, 2\]"),
        (lambda: aucc(v, c, trial(t=TREATED * 0)), "with and without"),
        (lambda: aucc(v, c, trial(t=TREATED + (np.arange(8) == 0))), r"\[4, 3, 1\]"),
        (lambda: aucc(v, c, trial(y=np.ones(8))), "no lift"),
        (lambda: aucc(v, c, trial(), 0), "quantiles"),
        (lambda: aucc(v * np.nan, c, trial()), "finite"),
    ]:
        with pytest.raises(ValueError, match=match):
            bad()


def world(seed, n=40, m=4):
    rng = np.random.default_rng(seed)
    value, cost = rng.random((n, m)), np.sort(rng.random((n, m)), axis=1)
    return value + 0.3 * rng.normal(size=(n, m)), cost + 0.1 * rng.random((n, m)), value, cost


def brute(value_hat, cost_hat, value, cost, budget, paid):
    """Decide at the middle of every interval between breakpoints, from λ = 0 up, until `paid` is within the budget."""
    i = np.arange(len(value))
    rise, run = (x[:, :, None] - x[:, None, :] for x in (value_hat, cost_hat))
    with np.errstate(divide="ignore", invalid="ignore"):
        points = np.unique((rise / run)[(run > 0) & (rise / run > 0)])
    edges = np.concatenate([[0.0], points, [2 * points[-1]]])
    before = None
    for lam in (edges[1:] + edges[:-1]) / 2:
        k = (value_hat - lam * cost_hat).argmax(1)
        after = np.array([value[i, k].sum(), cost[i, k].sum(), paid[i, k].sum()])
        if after[2] <= budget:
            if before is None:
                return after
            part = (budget - after[2]) / (before[2] - after[2])  # one user steps at a breakpoint
            return after + part * (before - after)
        before = after
    raise AssertionError("no multiplier within the budget")


@pytest.mark.parametrize("spend", ["true", "predicted"])
@pytest.mark.parametrize("seed", range(8))
def test_regret_is_that_of_trying_every_multiplier(seed, spend):
    given = _, cost_hat, value, cost = world(seed)
    idle, least = value[:, 0].sum(), max(cost[:, 0].sum(), cost_hat.min(1).sum())
    budgets = least + np.array([0.3, 2.0, 6.0, 100.0])
    got = regret(*given, budgets, spend=spend)
    for k, b in enumerate(budgets):
        v, c, _ = brute(*given, b, cost if spend == "true" else cost_hat)
        best = bf.solve_mckp(value, cost, b).dual_bound
        want = 1 - (v - idle) / (best - idle)
        if spend == "true":
            assert got[k] == pytest.approx(want, abs=1e-9)
            assert regret(*given, float(b)) == got[k]
        else:
            assert (got.regret[k], got.overspend[k]) == pytest.approx((want, c - b), abs=1e-9)
    assert isinstance(regret(*given, 50.0, spend="predicted"), Overspent)


def test_the_truth_has_no_regret_and_the_budget_counts():
    _, _, value, cost = world(1, n=500)
    least = cost[:, 0].sum()
    budgets = least + np.linspace(5, 100, 4)
    np.testing.assert_allclose(regret(value, cost, value, cost, budgets), 0, atol=1e-12)
    # Scaling or shifting what is predicted changes no decision, and no regret at the true spend.
    np.testing.assert_allclose(regret(3 * value + 1, cost + 2, value, cost, budgets), 0, atol=1e-12)
    assert (regret(-value, cost, value, cost, budgets) > 0.5).all()
    float32 = [x.astype(np.float32) for x in (value, cost)]
    assert regret(*float32, value, cost, budgets[0]) == pytest.approx(0, abs=1e-5)


def test_regret_misuse_is_named():
    given = world(2)
    with pytest.raises(bf.InfeasibleBudget):
        regret(*given, 0.0)
    with pytest.raises(ValueError, match="nothing to miss"):
        regret(given[0], given[1], np.ones((40, 4)), given[3], 50.0)
    with pytest.raises(ValueError, match="spend must be"):
        regret(*given, 50.0, spend="real")
    with pytest.raises(ValueError, match="like value_hat"):
        regret(*given[:2], given[2][:9], given[3][:9], 50.0)
    with pytest.raises(ValueError, match="finite"):
        regret(given[0] * np.nan, *given[1:], 50.0)


def test_bootstrap_has_the_standard_error_of_a_mean():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 2)) @ np.array([[1.0, 0.9], [0.0, 0.3]])
    got = paired_bootstrap(lambda i: x[i].mean(0), 500, replicates=2000)
    assert len(got) == 2
    for k in range(2):
        assert got[k].estimate == pytest.approx(x[:, k].mean(), rel=1e-12)
        assert got[k].se == pytest.approx(x[:, k].std() / 500**0.5, rel=0.06)
        low, high = got.percentiles(k)
        assert (low, high) == pytest.approx((got[k].low, got[k].high), abs=0.01)
    # Paired: the difference of two columns that move together is known far better than either.
    gap = got.difference(0, 1)
    assert gap.se == pytest.approx((x[:, 0] - x[:, 1]).std() / 500**0.5, rel=0.06)
    assert gap.se < 0.6 * got[0].se
    again = paired_bootstrap(lambda i: x[i].mean(0), 500, replicates=2000)
    np.testing.assert_array_equal(again.draws, got.draws)


def test_bootstrap_of_policy_values_agrees_with_their_own_standard_errors():
    rng = np.random.default_rng(1)
    t = rng.integers(2, size=400)
    table = Table(np.zeros((400, 1)), t, rng.random(400) + t, t * 1.0, np.full(400, 0.5))
    plans = [np.zeros(400, int), (rng.random(400) < 0.5).astype(int)]

    def values(i):
        return [ipw_value(p[i], table[i]).value.estimate for p in plans]

    got = paired_bootstrap(values, 400, replicates=400)
    for k, plan in enumerate(plans):
        assert got[k].se == pytest.approx(ipw_value(plan, table).value.se, rel=0.15)


def test_strata_keep_their_sizes():
    strata = np.array([0] * 3 + [1] * 50)
    seen = []
    paired_bootstrap(lambda i: seen.append(np.bincount(strata[i])) or 0.0, 53, replicates=20, strata=strata)
    assert all((s == [3, 50]).all() for s in seen)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"rows": 0}, "at least 1"),
        ({"replicates": 1}, "at least 2"),
        ({"confidence": 1.0}, "between 0 and 1"),
        ({"strata": np.zeros(3)}, r"strata must be \[5\]"),
        ({"statistic": lambda i: np.ones((2, 2))}, "a number or"),
    ],
)
def test_bootstrap_misuse_is_named(change, match):
    given = {"statistic": lambda i: float(i.sum()), "rows": 5} | change
    with pytest.raises(ValueError, match=match):
        paired_bootstrap(given.pop("statistic"), given.pop("rows"), **given)
