"""The two-stage method: manners, determinism, coherence of its predictions, cross-fitting."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import bidfcl_fast as bf
from bidfcl_fast import methods
from bidfcl_fast.data import Table
from bidfcl_fast.methods import crossfit, folds
from bidfcl_fast.methods.base import part

torch = pytest.importorskip("torch")

QUICK = {"epochs": 30, "hidden": (8, 8), "batch": 128}


def trial(n=600, seed=0, binary=True) -> Table:
    """Three arms; the second works where x0 > 0, the third for everybody."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    t = rng.integers(3, size=n)
    chance = 0.2 + 0.5 * (t == 1) * (x[:, 0] > 0) + 0.4 * (t == 2)
    value = (rng.random(n) < chance).astype(float) if binary else 10 * chance + rng.normal(size=n)
    cost = value * np.array([0, 1.0, 2.0])[t] if binary else 3.0 * t + rng.random(n)
    return Table(x, t, value, cost)


@pytest.fixture(scope="module")
def fitted():
    return methods.create("tsm-sl", **QUICK, lr=0.01).fit(rct=trial(3000), progress=False)


def test_names_and_create():
    assert "tsm-sl" in methods.names()
    assert bf.methods is methods
    with pytest.raises(ValueError, match=r"unknown method 'tsm'; expected one of .*tsm-sl"):
        methods.create("tsm")


def test_parameters_as_in_scikit_learn():
    method = methods.create("tsm-sl", hidden=(8,))
    assert method.get_params()["hidden"] == (8,)
    assert methods.create("tsm-sl", **method.get_params()).get_params() == method.get_params()
    assert method.set_params(lr=0.5) is method
    assert repr(method) == "TwoStage(hidden=(8,), lr=0.5)"
    with pytest.raises(ValueError, match="unknown parameter 'depth' of TwoStage"):
        method.set_params(depth=3)


def test_it_learns_who_differs(fitted):
    x = np.array([[1.5, 0.0], [-1.5, 0.0]])
    value, cost = fitted.predict(x)
    assert value.shape == cost.shape == (2, 3)
    assert value[0, 1] - value[1, 1] > 0.3
    np.testing.assert_allclose(value[:, 2], 0.6, atol=0.12)


def test_cost_paid_on_success_follows_the_value(fitted):
    """No cost without an offer that pays, never below zero, never more than the value can explain."""
    value, cost = fitted.predict(trial(500, seed=9).x)
    assert not cost[:, 0].any()
    assert (cost >= 0).all()
    np.testing.assert_allclose(cost / value, np.broadcast_to([0, 1.0, 2.0], cost.shape), rtol=0.1, atol=1e-9)


def test_costs_and_values_that_are_not_binary_have_heads_of_their_own():
    table = trial(2000, binary=False)
    value, cost = methods.create("tsm-sl", **QUICK).fit(rct=table, progress=False).predict(table.x)
    np.testing.assert_allclose(cost.mean(0), [0.5, 3.5, 6.5], atol=0.3)
    np.testing.assert_allclose(value.mean(0), [2, 4.5, 6], atol=0.4)


def test_without_a_step_it_predicts_the_means_of_the_arms():
    table = trial()
    value, cost = methods.create("tsm-sl", epochs=0).fit(rct=table, val=table, progress=False).predict(table.x)
    for j in range(3):
        mine = table.treatment == j
        np.testing.assert_allclose(value[:, j], table.value[mine].mean(), rtol=1e-5)
        np.testing.assert_allclose(cost[:, j], table.cost[mine].mean(), rtol=1e-5, atol=1e-7)


def test_the_same_seed_gives_the_same_bits_whatever_the_threads():
    table, before = trial(), torch.get_num_threads()
    outs = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            torch.rand(3)  # the state of the global generator must not matter
            outs.append(methods.create("tsm-sl", **QUICK).fit(rct=table, seed=4, progress=False).predict(table.x))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(outs[0], outs[1])
    other = methods.create("tsm-sl", **QUICK).fit(rct=table, seed=5, progress=False).predict(table.x)
    assert not np.array_equal(outs[0], other)


def test_fitting_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    methods.create("tsm-sl", epochs=1).fit(rct=trial(), progress=False)
    assert torch.rand(1) == expected


def test_early_stopping_keeps_the_best_epoch(fitted):
    history = fitted.history_[0]
    assert history.loss[history.best_epoch] == min(history.loss)


def test_members_are_averaged():
    table = trial()
    two = methods.create("tsm-sl", **QUICK, members=2).fit(rct=table, progress=False)
    assert len(two.nets_) == 2
    one = methods.create("tsm-sl", **QUICK).fit(rct=table, progress=False)
    assert not np.array_equal(one.predict(table.x)[0], two.predict(table.x)[0])


def test_which_tables_are_used():
    a, b = trial(seed=1), trial(seed=2)
    quick = {**QUICK, "epochs": 2}
    both = methods.create("tsm-sl", **quick).fit(rct=a, obs=b, progress=False).predict(a.x)
    only = methods.create("tsm-sl", **quick, data="rct").fit(rct=a, obs=b, progress=False).predict(a.x)
    alone = methods.create("tsm-sl", **quick).fit(rct=a, progress=False).predict(a.x)
    np.testing.assert_array_equal(only, alone)
    assert not np.array_equal(both, alone)


@pytest.mark.parametrize(
    ("options", "given", "match"),
    [
        ({}, {}, "fit needs rct= or obs="),
        ({"data": "obs"}, {"rct": trial()}, "fit needs obs="),
        ({"data": "all"}, {"rct": trial()}, "data must be"),
        ({"holdout": 0.0}, {"rct": trial()}, "holdout must be between 0 and 1"),
        ({"cost": "fixed"}, {"rct": trial()}, "cost must be"),
        ({"cost": "on-value"}, {"rct": trial(binary=False)}, "needs values of 0 and 1"),
        ({}, {"rct": trial()[trial().treatment != 1]}, "nobody in the table received treatment 1"),
    ],
)
def test_misuse_is_named(options, given, match):
    with pytest.raises(ValueError, match=match):
        methods.create("tsm-sl", **options).fit(**given, progress=False)


def test_predict_checks_itself(fitted):
    with pytest.raises(ValueError, match=r"x must be \[N, 2\]"):
        fitted.predict(np.zeros((3, 3)))
    with pytest.raises(RuntimeError, match="call fit first"):
        methods.create("tsm-sl").predict(np.zeros((3, 2)))


def test_allocate_predicts_then_solves(fitted):
    x = trial(40, seed=3).x
    plan = fitted.allocate(x, 20.0, backend="reference")
    value, cost = fitted.predict(x)
    assert plan.spend <= 20
    assert plan.value == pytest.approx(value[np.arange(40), plan.choice].sum())
    assert plan.spend == pytest.approx(cost[np.arange(40), plan.choice].sum())


def test_folds_spread_every_treatment_evenly():
    t = np.random.default_rng(0).integers(3, size=101)
    fold = folds(t, 4, seed=1)
    count = np.array([np.bincount(fold[t == j], minlength=4) for j in range(3)])
    assert (count.max(1) - count.min(1) <= 1).all()
    np.testing.assert_array_equal(fold, folds(t, 4, seed=1))
    assert not np.array_equal(fold, folds(t, 4, seed=2))
    with pytest.raises(ValueError, match="folds must be 2 to"):
        folds(t, 1)


def test_nobody_is_predicted_by_a_model_that_saw_them():
    table = trial(60)

    class Memory(methods.Method):
        """Says who it has seen."""

        def __init__(self) -> None:
            self.seen = None

        def fit(self, *, rct, seed=0, progress=True, **_):
            self.seen = {tuple(row) for row in rct.x}
            return self

        def predict(self, x):
            known = np.array([[tuple(row) in self.seen] * 3 for row in x], float)
            return known, known

    steps = []
    fit = crossfit(Memory, table, k=4, step=lambda: steps.append(1))
    assert not fit.value.any()
    assert (len(fit.models), len(steps)) == (4, 4)
    assert {len(model.seen) for model in fit.models} == {45}


def test_a_part_for_early_stopping_takes_of_every_treatment():
    first, second = part(trial(90), 0.2, np.random.default_rng(0))
    assert len(first) + len(second) == 90
    assert set(second.treatment) == set(first.treatment) == {0, 1, 2}
    lone = Table(np.zeros((3, 1)), np.array([0, 0, 1]), np.zeros(3), np.zeros(3))
    assert 1 in part(lone, 0.9, np.random.default_rng(0))[0].treatment


def test_torch_is_imported_by_nothing_but_a_method():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np, bidfcl_fast as bf\n"
        "bf.solve_mckp(np.eye(2), np.eye(2), 1.0, backend='reference')\n"
        "bf.data.load_thornton(); bf.methods.names(); bf.metrics.ipw_weight(np.array([0, 1]), 2)\n"
        "import bidfcl_fast.cli, bidfcl_fast.tables\n"
        "try: bf.methods.create('tsm-sl')\n"
        "except RuntimeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "method 'tsm-sl' needs torch: pip install 'bidfcl_fast[torch]'\n"


def test_the_causal_forest_finds_the_effects():
    pytest.importorskip("econml")
    table = trial(1500, binary=False)
    method = methods.create("tsm-cf", trees=24, min_leaf=20).fit(rct=table, progress=False)
    value, cost = method.predict(np.array([[1.5, 0.0], [-1.5, 0.0]]))
    assert value[0, 1] - value[0, 0] > value[1, 1] - value[1, 0] + 2
    np.testing.assert_allclose(np.diff(cost, axis=1), 3.0, atol=0.3)
    with pytest.raises(TypeError, match="cannot be saved"):
        method.save("nowhere")


def test_without_econml_the_causal_forest_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "econml.dml", None)
    with pytest.raises(RuntimeError, match=r"pip install 'bidfcl_fast\[forest\]'"):
        methods.create("tsm-cf").fit(rct=trial(), progress=False)


def test_dhcl_learns_the_return_on_investment():
    """One cell with lifts of 0.03 and 0.10: a return of 0.3 (METHOD.md §6.4)."""
    rng = np.random.default_rng(0)
    n = 20_000
    t = rng.integers(2, size=n)
    value, cost = 0.01 + 0.03 * t, 0.02 + 0.10 * t
    table = Table(np.zeros((n, 1)) + rng.normal(size=(n, 1)), t, value, cost)
    method = methods.create("dhcl", epochs=5, hidden=(4,)).fit(rct=table, progress=False)
    value_hat, cost_hat = method.predict(table.x[:50])
    np.testing.assert_allclose(np.diff(value_hat) / np.diff(cost_hat), 0.3, rtol=0.02)
    np.testing.assert_allclose(cost_hat[0], [0.02, 0.12], rtol=1e-6)


@pytest.mark.parametrize("start", ["rct", "both", "ft"])
def test_dfcl_lowers_its_loss_and_keeps_its_costs(start):
    rct, obs = trial(900, seed=1, binary=False), trial(1500, seed=2, binary=False)

    class Writer:
        def __init__(self):
            self.losses = []

        def add_scalar(self, tag, value, step):
            if tag == "decision/loss":
                self.losses.append(value)

    writer = Writer()
    method = methods.create("dfcl-ppl", start=start, epochs=5, hidden=(8,), steps=30, lr=1e-3)
    _, cost = method.fit(rct=rct, obs=obs, budget=2.0, progress=False, log=writer).predict(rct.x)
    assert len(writer.losses) == 30
    assert np.mean(writer.losses[-5:]) < writer.losses[0]
    np.testing.assert_allclose(cost.mean(0), [0.5, 3.5, 6.5], atol=0.6)


def test_a_method_without_networks_can_be_finished():
    method = methods.create("dhcl", epochs=3, hidden=(4,), finish={"steps": 2})
    method.fit(rct=trial(400, binary=False), budget=2.0, progress=False)
    assert method.finished_.predict(trial(5).x)[0].shape == (5, 3)
    with pytest.raises(ValueError, match="needs budget="):
        methods.create("dfcl-ppl").fit(rct=trial(), progress=False)
