"""The simulator keeps its promises: bits by seed, chunks equal to the whole, truths that rise and bend as promised."""

from __future__ import annotations

import numpy as np
import pytest

import bidfcl_fast as bf
from bidfcl_fast.data import BIASES, REGIMES, RESPONSES, SIZES, Source, simulate
from bidfcl_fast.data.simulation import BLOCK


def small(**changed):
    return simulate(**{"n_rct": 300, "n_obs": 500, "n_test": 200, **changed})


def same(a, b):
    for name in ("x", "treatment", "value", "cost", "row"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_shapes_and_kinds():
    s = small(features=7, treatments=4)
    assert s.rct.x.shape == (300, 7) and s.obs.x.shape == (500, 7) and s.test.x.shape == (200, 7)
    assert s.true_value.shape == s.true_cost.shape == (200, 4)
    assert s.rct.treatments == s.obs.treatments == 4
    assert {a.dtype for a in (s.rct.x, s.rct.value, s.obs.cost, s.true_value)} == {np.dtype(np.float32)}
    assert s.obs.propensity is None and np.all(s.rct.propensity == 0.25)
    assert small(dtype=np.float64).true_cost.dtype == np.float64


def test_same_seed_same_bits_another_seed_another_world():
    a, b, c, d = small(seed=3), small(seed=3), small(seed=4), small(seed=3, sample=1)
    for part in ("rct", "obs", "test"):
        same(getattr(a, part), getattr(b, part))
    np.testing.assert_array_equal(a.true_value, b.true_value)
    x = a.test.x.astype(float)
    assert not np.array_equal(a.rct.x, c.rct.x) and not np.array_equal(a.rct.x, d.rct.x)
    np.testing.assert_array_equal(a.source.world.truth(x)[0], d.source.world.truth(x)[0])
    assert np.abs(a.source.world.truth(x)[0] - c.source.world.truth(x)[0]).max() > 0.1


def test_chunks_are_the_whole_and_longer_begins_with_shorter():
    rows = 2 * BLOCK + 100
    source = Source(features=5, treatments=3, seed=1)
    whole = source.chunk("obs", 0, rows)
    chunks = list(source.chunks("obs", rows, 1500))
    for name in ("x", "treatment", "value", "cost", "row"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(c.table, name) for c in chunks]), getattr(whole.table, name)
        )
    np.testing.assert_array_equal(np.concatenate([c.true_value for c in chunks]), whole.true_value)
    assert min(c.least_propensity for c in chunks) == whole.least_propensity
    same(source.chunk("obs", 0, 1234).table, whole.table[:1234])


def test_regimes_share_their_users():
    a, b = small(regime="none"), small(regime="severe")
    same(a.rct, b.rct)
    np.testing.assert_array_equal(a.obs.x, b.obs.x)
    assert (a.obs.treatment != b.obs.treatment).any()


@pytest.mark.parametrize("response", [r for r in RESPONSES if r != "unordered"])
def test_lift_rises_with_dose_and_is_concave_in_it(response):
    s = small(response=response, treatments=6, dtype=np.float64, n_test=2000)
    step = np.diff(s.true_value, axis=1)
    assert (step > 0).all() and (np.diff(step, axis=1) < 0).all()
    assert (s.true_cost[:, 0] == 0).all() and (np.diff(s.true_cost, axis=1) > 0).all()


def test_unordered_treatments_are_different_things():
    s = small(response="unordered", n_test=2000)
    assert (s.true_value > 0).all() and (s.true_cost[:, 0] == 0).all() and (s.true_cost[:, 1:] > 0).all()
    assert (s.true_value[:, 1:] < s.true_value[:, :1]).mean() > 0.02
    assert np.bincount(s.true_value.argmax(1)).max() < 1600


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("response", ["saturating", "unordered"])
def test_outcomes_average_to_the_truth(response, bias):
    source = Source(treatments=3, response=response, bias=bias, seed=5, dtype=np.float64)
    trial = source.chunk("rct", 0, 10 * BLOCK)
    at = np.arange(len(trial.table)), trial.table.treatment
    for seen, truth in ((trial.table.value, trial.true_value), (trial.table.cost, trial.true_cost)):
        error = seen - truth[at]
        for j in range(3):
            e = error[trial.table.treatment == j]
            assert abs(e.mean()) <= 4.5 * e.std() / np.sqrt(len(e)) + 1e-12
    assert 0.25 < (trial.table.value == 0).mean() < 0.35


def test_without_noise_outcomes_are_means():
    source = Source(treatments=3, noise=0.0, seed=2, dtype=np.float64)
    trial = source.chunk("rct", 0, 1000)
    at = np.arange(1000), trial.table.treatment
    np.testing.assert_array_equal(trial.table.cost, trial.true_cost[at])
    # only the hidden factor is left in the value
    users = source.world.users(np.random.default_rng([2, 1, 0, 0]), BLOCK)
    base = source.world.base(users.x)[:1000]
    factor = source.world.factor(users.x, users.hidden)[:1000]
    np.testing.assert_allclose(trial.table.value, trial.true_value[at] + base * (factor - 1))


def test_regimes_bias_the_log_as_they_say():
    """Within fine cells of the features nothing differs between log and truth but by the hidden variable."""

    def bias(regime, family):
        source = Source(**REGIMES[regime], bias=family, seed=1, noise=0.0, dtype=np.float64)
        log = source.chunk("obs", 0, 10 * BLOCK)
        residual = log.table.value - log.true_value[np.arange(len(log.table)), log.table.treatment]
        region = source.world._region
        out = []
        for j in range(5):
            got = log.table.treatment == j
            side = np.sign(region[j if family == "interacting" else 0](log.table.x[got]))
            out.append([residual[got][side == s].mean() for s in (-1, 1)])
        return np.abs(out).max()

    for family in BIASES:
        assert bias("none", family) < 0.05 > bias("strong", family) - 0.05
        assert 0.1 < bias("moderate", family) < bias("severe", family)


def test_description():
    s = simulate(2000, 4000, 2000, regime="strong")
    d = s.describe()
    assert d.rows == (2000, 4000, 2000) and len(d.uninformed_regret) == 4
    assert all(0.03 < r < 0.7 for r in d.uninformed_regret)
    np.testing.assert_allclose(d.rct_shares, np.bincount(s.rct.treatment) / 2000)
    assert d.least_propensity == s.least_propensity < 1e-3
    assert "least propensity" in str(d) and len(str(d).splitlines()) == 7
    np.testing.assert_allclose(s.budget([0.5, 1.0])[1], s.true_cost.mean(0)[-1], rtol=1e-6)


def test_sizes_of_the_paper():
    for size in SIZES.values():
        assert size["n_obs"] > 9 * size["n_rct"]
        source = Source(features=size["features"], treatments=size["treatments"])
        last = source.chunk("obs", size["n_obs"] - 10, size["n_obs"])
        assert last.table.x.shape == (10, size["features"]) and last.table.row[-1] == size["n_obs"] - 1


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"n_rct": 0}, "n_rct must be a whole number, at least 1"),
        ({"n_obs": 2.5}, "n_obs must be a whole number"),
        ({"treatments": 1}, "treatments must be a whole number, at least 2"),
        ({"confounding": -1.0}, "confounding must be a finite number, not negative"),
        ({"noise": float("nan")}, "noise must be a finite number"),
        ({"regime": "awful"}, "regime must be one of none, mild"),
        ({"response": "linear"}, "response must be one of saturating"),
        ({"bias": "rough"}, "bias must be one of smooth"),
        ({"seed": -1}, "seed must be a whole number, at least 0"),
    ],
)
def test_refuses_clearly(changed, match):
    with pytest.raises(ValueError, match=match):
        small(**changed)
    assert bf.data.simulate is simulate
