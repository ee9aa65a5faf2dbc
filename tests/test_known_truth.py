"""The demo's simulated world: its judge knows right from wrong, and its words say what the numbers do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import bidfcl_fast as bf
from bidfcl_fast import known_truth
from bidfcl_fast.data import simulate
from bidfcl_fast.known_truth import Bias, KnownTruth, Log, Trained
from bidfcl_fast.methods import Method
from bidfcl_fast.report.truth import known_truth as section
from bidfcl_fast.report.truth_words import diagnosis, ranking, spending

BACKEND = bf.backends.available()[0]
BUDGETS = known_truth.BUDGETS


class Told(Method):
    """A method that was told what to predict for the test users."""

    def __init__(self, value=None, cost=None):
        self.value, self.cost = value, cost

    def fit(self, **_):
        return self

    def predict(self, x):
        return self.value, self.cost


@pytest.fixture(scope="module")
def made():
    return simulate(200, 300, 1_500, regime="severe", seed=3)


def judged(value, cost, made) -> Trained:
    return known_truth._train("told", Told(value, cost), made, 0, BACKEND)


def test_who_knows_the_truth_misses_nothing(made):
    found = judged(made.true_value, made.true_cost, made)
    np.testing.assert_allclose(found.regret, 0, atol=1e-5)
    money = np.array(BUDGETS) * made.true_cost.mean(0).max()
    np.testing.assert_allclose(found.spend, money, rtol=0.01)
    assert (np.array(found.spend) <= money * (1 + 1e-6)).all()


def test_who_knows_only_the_means_is_the_uninformed_plan(made):
    value, cost = (np.broadcast_to(t.mean(0), t.shape).copy() for t in (made.true_value, made.true_cost))
    np.testing.assert_allclose(judged(value, cost, made).regret, made.describe(BUDGETS).uninformed_regret)


def test_plans_are_judged_by_the_truth_and_not_by_what_they_promise(made):
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.5, 9, made.true_value.shape).astype(np.float32)
    value, cost = made.true_value * noise, made.true_cost * np.float32(0.5)
    found = judged(value, cost, made)
    # Costs are promised at half of what they are.
    money = np.array(BUDGETS) * made.true_cost.mean(0).max()
    np.testing.assert_allclose(found.spend[:2], 2 * money[:2], rtol=0.02)
    # No plan that spends so much can bring more: a bound by duality, at any price.
    for spend, gain in zip(*found.curve, strict=True):
        prices = np.linspace(0, 3, 61)[:, None, None]
        best = (made.true_value - prices * made.true_cost).max(2).mean(1) + prices[:, 0, 0] * spend
        assert 0 < gain < best.min() - made.true_value[:, 0].mean()


def test_values_and_shares_of_choices(made):
    n = len(made.test)
    choice = np.stack([np.zeros(n, int), np.arange(n) % 5])
    spend, gain = known_truth._true(choice, made)
    worth = [float(made.true_value[i, i % 5]) - float(made.true_value[i, 0]) for i in range(n)]
    assert spend[0] == gain[0] == 0
    assert gain[1] == pytest.approx(sum(worth) / n, rel=1e-5)
    assert spend[1] == pytest.approx(sum(float(made.true_cost[i, i % 5]) for i in range(n)) / n, rel=1e-5)
    assert known_truth._shares(choice, made) == ((1.0, 0, 0, 0, 0), (0.2,) * 5)


def bias(value=(0.0, 0.0), cost=(0.0, 0.0), biased=((False, False), (False, False))) -> Bias:
    return Bias((value, cost), ((0.05, 0.05),) * 2, ((0.2, 0.3), (0.4, 0.1)), biased)


def log(name="hidden", found: Bias | None = None, regrets=(0.1, 0.2, 0.3)) -> Log:
    methods = tuple(
        Trained(m, (r, r), (0.9, 2.2), (0.1, 0.2), (0, 0), ((1, 0), (0.5, 0.5)), ((0.5, 2), (0.1, 0.2)), 1.0, ())
        for m, r in zip(known_truth.METHODS, regrets, strict=True)
    )
    return Log(name, (0.5, 0.5), (1, 2), methods, found or bias())


def truth(*logs: Log) -> KnownTruth:
    shares, curve = ((0.5, 0.5), (0.2, 0.8)), ((0.5, 2.0), (0.2, 0.3))
    return KnownTruth(1000, (10, 20, 30), (0.1, 0.2), (1.0, 2.0), (1, 2), (0, 1), (0.4, 0.5), shares, curve, logs)


def test_no_bias_is_said_to_be_none_found():
    first, value, cost = diagnosis(log())
    assert first == "The trial finds no bias in this log."
    assert value == "Value: nothing stands clear of the noise for any treatment (least p-value 0.2)."
    assert "least p-value 0.1" in cost


def test_bias_is_named_by_treatment_and_direction():
    found = bias((-0.3, 0.2), (-0.4, 0.01), ((True, True), (True, False)))
    first, value, cost = diagnosis(log(found=found))
    assert first == "The trial says that this log is biased."
    assert "treatment 0 looks too bad (−0.30 ± 0.10); treatment 1 looks too good (+0.20 ± 0.10)." in value
    assert "treatment 0 looks too cheap (−0.40 ± 0.10); nothing clear of treatment 1." in cost


def test_bias_that_cancels_out_on_average_is_said_to():
    found = bias((0.05, 0.0), biased=((True, False), (False, False)))
    assert "treatment 0 is off for some users, not on average (+0.05 ± 0.10)" in diagnosis(log(found=found))[1]


def test_the_ranking_is_that_of_the_numbers():
    said = ranking(truth(), log(regrets=(0.3, 0.1, 0.2)))
    assert said == (
        "Hidden confounding: of what the budgets could bring, DFCL (dfcl-ppl) misses 10.0%, Bi-DFCL (bidfcl-ppl) misses 20.0% and "
        "two-stage (tsm-sl) misses 30.0%; a plan that looks at nobody 45.0%."
    )
    assert ranking(truth(), log("open")).startswith("No hidden confounding: ")
    assert spending(log(), truth()) == "−10.0% to +10.0%"


def test_what_training_warned_of_is_shown():
    pytest.importorskip("matplotlib")
    one = log()
    warned = dataclasses.replace(
        one, methods=(dataclasses.replace(one.methods[0], warnings=("<saturated>",)), *one.methods[1:])
    )
    page = section(truth(warned, log("open")))
    assert "Training warned: tsm-sl: &lt;saturated&gt;" in page
    assert "Training warned" not in section(truth(one, log("open")))


def test_the_log_with_hidden_confounding_is_found_out():
    pytest.importorskip("torch")
    begun: list[str] = []
    found = known_truth.run(rows=(4_000, 8_000, 500), backend=BACKEND, step=begun.append)
    assert len(begun) == 6
    hidden, visible = found.logs
    assert not np.any(visible.bias.biased)
    assert np.any(hidden.bias.biased[0])
    # Whoever would have brought much anyhow was given the large doses: nothing looks too bad, the most too good.
    assert hidden.bias.level[0][0] < 0 < hidden.bias.level[0][4]
    two_stage = [log.methods[0] for log in found.logs]
    assert np.mean(two_stage[0].regret) > np.mean(two_stage[1].regret)
