"""Loaders on tiny files written here, and on the real ones where they are; biased samples of real rows; table checks."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from bidfcl_fast.data import (
    Table,
    hybrid,
    load_criteo,
    load_hillstrom,
    load_open_bandit,
    load_starbucks,
    observational_sample,
)

DATA = Path(__file__).parents[2] / "shared" / "data"


def real(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not in shared/data")
    return path


def written(path: Path, *lines: str) -> Path:
    text = "\n".join(lines) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


STARBUCKS = ("ID,Promotion,purchase,V1,V2,V3,V4,V5,V6,V7", "1,No,0,2,30.5,-1.25,1,1,3,2", "3,Yes,1,3,32.0,0.5,2,3,2,1")


@pytest.mark.parametrize("name", ["starbucks.csv", "starbucks_training.csv.gz"])
def test_starbucks(tmp_path, name):
    file = written(tmp_path / name, *STARBUCKS)
    for path in (file, str(file), tmp_path):
        t = load_starbucks(path)
        np.testing.assert_array_equal(t.treatment, [0, 1])
        np.testing.assert_array_equal(t.value, [0, 10])
        np.testing.assert_array_equal(t.cost, [0, 0.15])
        assert t.x.shape == (2, 2 + 4 + 2 + 4 + 4 + 2) and t.labels == ("nothing", "promotion")
        assert dict(zip(t.features, t.x[1], strict=True))["V1 3"] == 1
        np.testing.assert_array_equal(t.x.sum(1), [30.5 - 1.25 + 5, 32.0 + 0.5 + 5])
    assert load_starbucks(file, sale=2.0, promotion=1.0).cost[1] == 1


def test_starbucks_refuses(tmp_path):
    with pytest.raises(FileNotFoundError, match="neither a file nor a folder"):
        load_starbucks(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="holds 0 files"):
        load_starbucks(tmp_path)
    with pytest.raises(ValueError, match="no column 'purchase'"):
        load_starbucks(written(tmp_path / "a.csv", STARBUCKS[0].replace("purchase", "bought"), *STARBUCKS[1:]))
    with pytest.raises(ValueError, match="Promotion must be Yes or No"):
        load_starbucks(written(tmp_path / "b.csv", STARBUCKS[0], STARBUCKS[1].replace("No", "Maybe")))
    with pytest.raises(ValueError, match="has no rows"):
        load_starbucks(written(tmp_path / "c.csv", STARBUCKS[0]))


def test_starbucks_itself():
    t = load_starbucks(real("starbucks"))
    assert len(t) == 84_534 and (t.treatment == 1).sum() == 42_364 and not t.check()
    rate = [100 * t.value[t.treatment == j].mean() / 10 for j in (0, 1)]
    np.testing.assert_allclose(rate, [0.76, 1.70], atol=0.005)


HILLSTROM = (
    "recency,history_segment,history,mens,womens,zip_code,newbie,channel,segment,visit,conversion,spend",
    "10,2) $100 - $200,142.44,1,0,Surburban,0,Phone,Womens E-Mail,0,0,0.0",
    "6,3) $200 - $350,329.08,1,1,Rural,1,Web,No E-Mail,1,0,0.0",
    "7,2) $100 - $200,180.65,0,1,Urban,1,Web,Mens E-Mail,1,1,29.99",
)


def test_hillstrom(tmp_path):
    t = load_hillstrom(written(tmp_path / "hillstrom.csv", *HILLSTROM))
    np.testing.assert_array_equal(t.treatment, [2, 0, 1])
    np.testing.assert_array_equal(t.value, [0, 0, 29.99])
    np.testing.assert_allclose(t.cost, [0.1, 0, 0.1])
    assert t.x.shape == (3, 11) and t.treatments == 3
    np.testing.assert_allclose(t.x[0], [10, np.log1p(142.44), 1, 0, 0, 0, 1, 0, 0, 1, 0])
    visits = load_hillstrom(tmp_path, value="visit", email=2.0)
    np.testing.assert_array_equal(visits.value, [0, 1, 1])
    np.testing.assert_array_equal(visits.cost, [2, 0, 2])
    with pytest.raises(ValueError, match="value must be"):
        load_hillstrom(tmp_path, value="clicks")
    with pytest.raises(ValueError, match="segment must be one of"):
        load_hillstrom(written(tmp_path / "b.csv", HILLSTROM[0], HILLSTROM[1].replace("Womens E", "Kids E")))


def test_hillstrom_itself():
    t = load_hillstrom(real("hillstrom"))
    assert len(t) == 48_000 and not t.check()
    spend = [t.value[t.treatment == j].mean() for j in range(3)]
    assert spend[1] > spend[2] > spend[0] > 0.5


CRITEO = ",".join([*(f"f{j}" for j in range(12)), "treatment", "conversion", "visit", "exposure"])


def test_criteo(tmp_path):
    rows = [",".join([*(f"{i + j / 4}" for j in range(12)), str(i % 2), str(int(i == 3)), str(int(i > 1)), "0"]) for i in range(5)]  # fmt: skip
    file = written(tmp_path / "criteo-uplift-v2.1.csv.gz", CRITEO, *rows)
    t = load_criteo(file)
    assert t.x.dtype == np.float32 and t.x.shape == (5, 12) and t.features[11] == "f11"
    np.testing.assert_array_equal(t.x[2], 2 + np.arange(12) / 4)
    np.testing.assert_array_equal(t.treatment, [0, 1, 0, 1, 0])
    np.testing.assert_array_equal(t.value, [0, 0, 0, 1, 0])
    np.testing.assert_array_equal(t.cost, [0, 0, 1, 1, 1])
    assert len(load_criteo(file, rows=2)) == 2
    with pytest.raises(ValueError, match="could not convert"):
        load_criteo(written(tmp_path / "b.csv", CRITEO, rows[0].replace("0.25", "much")))
    with pytest.raises(ValueError, match="must be 0 or 1"):
        load_criteo(written(tmp_path / "c.csv", CRITEO, rows[0][:-7] + "2,0,0,0"))


def test_criteo_itself():
    t = load_criteo(real("criteo"))
    assert len(t) == 1000 and (t.treatment == 1).sum() == 863
    assert t.value.sum() == 2 and t.cost.sum() == 35


OPEN = "i,timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,user_feature_2,user_feature_3"


def test_open_bandit(tmp_path):
    trial = load_open_bandit(
        written(tmp_path / "random_men.csv", OPEN, "0,t,14,3,0,0.029,a,b,c,d", "1,t,0,1,1,0.029,a,e,c,d")
    )
    assert trial.treatments == 34 and trial.x.shape == (2, 3 + 1 + 2 + 1 + 1)
    np.testing.assert_array_equal(trial.treatment, [14, 0])
    np.testing.assert_array_equal(trial.value, [0, 1])
    np.testing.assert_array_equal(trial.propensity, [0.029, 0.029])
    np.testing.assert_array_equal(trial.x[0], [0, 0, 1, 1, 1, 0, 1, 1])
    log = written(tmp_path / "bts_men.csv", OPEN, "0,t,33,2,0,0.5,a,unseen,c,d")
    like = load_open_bandit(log, like=trial, item_cost=np.arange(34.0))
    assert like.features == trial.features and like.cost[0] == 33
    np.testing.assert_array_equal(like.x[0], [0, 1, 0, 1, 0, 0, 1, 1])
    with pytest.raises(ValueError, match="item_id must be 0 to 4"):
        load_open_bandit(log, treatments=5)
    with pytest.raises(ValueError, match="give treatments="):
        load_open_bandit(written(tmp_path / "log.csv", OPEN, "0,t,33,2,0,0.5,a,b,c,d"))


def test_open_bandit_itself():
    trial = load_open_bandit(real("open_bandit") / "random_all.csv.gz")
    log = load_open_bandit(real("open_bandit") / "bts_all.csv.gz", like=trial)
    assert len(trial) == len(log) == 10_000 and trial.treatments == log.treatments == 80
    np.testing.assert_allclose(trial.propensity, 1 / 80)
    assert log.propensity.min() < 1e-4 and any("clip" in s for s in log.check()) and not trial.check()[1:]


def trial(n=20_000, m=3, seed=0):
    rng = np.random.default_rng(seed)
    shares = np.array([0.5, 0.3, 0.2]) if m == 3 else np.full(m, 1 / m)
    x, t = rng.normal(size=(n, 2)), rng.choice(m, n, p=shares)
    return Table(x, t, x[:, 0] + t + rng.normal(size=n), t * 1.0, treatments=m)


def policy(x):
    e = np.exp(np.outer(x[:, 0], [-1.0, 0.0, 1.0]))
    return e / e.sum(1, keepdims=True)


def test_observational_sample_has_the_policy_s_odds_and_the_trial_s_users():
    table = trial()
    log = observational_sample(table, policy, seed=1)
    assert np.isin(log.row, table.row).all() and (np.diff(log.row) > 0).all()
    np.testing.assert_array_equal(log.value, table.value[log.row])
    np.testing.assert_allclose(log.propensity, policy(log.x))
    n = len(log)
    # one in C, the largest ratio of the policy's odds to the trial's
    c = (policy(table.x) / (np.bincount(table.treatment) / len(table))).max()
    assert abs(n - len(table) / c) < 5 * np.sqrt(len(table) / c)
    # kept users are the trial's
    assert abs(log.x[:, 0].mean()) < 4.5 / np.sqrt(n) and abs(log.x[:, 0].std() - 1) < 0.05
    for low, high in ((-9, -0.7), (-0.7, 0.7), (0.7, 9)):
        inside = (log.x[:, 0] > low) & (log.x[:, 0] <= high)
        expected = policy(log.x[inside]).mean(0)
        seen = np.bincount(log.treatment[inside], minlength=3) / inside.sum()
        np.testing.assert_allclose(seen, expected, atol=4.5 * 0.5 / np.sqrt(inside.sum()))
    again = observational_sample(table, policy(table.x) * 7, seed=1)
    np.testing.assert_array_equal(again.row, log.row)
    assert len(observational_sample(table, policy, seed=2)) != n


def test_observational_sample_refuses():
    table = trial(100)
    with pytest.raises(ValueError, match=r"must give \[100, 3\]"):
        observational_sample(table, lambda x: x)
    with pytest.raises(ValueError, match="finite odds"):
        observational_sample(table, np.zeros((100, 3)))
    nothing = table[table.treatment == 0]
    always = np.tile([0.0, 1.0, 0.0], (len(nothing), 1))
    with pytest.raises(ValueError, match="a treatment that the trial could not"):
        observational_sample(nothing, always)
    uniform = np.full((len(nothing), 3), 1 / 3)
    with pytest.raises(ValueError, match="hardly meet"):
        observational_sample(Table(nothing.x, nothing.treatment, nothing.value, nothing.cost, uniform), always)


class Knows:
    """A model that knows the gain and the price."""

    def fit(self, **tables):
        self.rows = len(tables["rct"])
        return self

    def predict(self, x):
        return np.stack([0 * x[:, 0], x[:, 0]], 1), np.stack([0 * x[:, 0], np.exp(x[:, 1])], 1)


def test_hybrid_is_the_paper_s_construction():
    rng = np.random.default_rng(0)
    n = 40_000
    table = Table(rng.normal(size=(n, 2)), (rng.random(n) < 0.85).astype(int), rng.random(n), rng.random(n))
    model = Knows()
    parts = hybrid(table, model, seed=3)
    assert (model.rows, len(parts.rct), len(parts.val)) == (2000, 2000, 4000)
    assert abs(len(parts.test) - 12_000) <= 2
    # matched share 0.15 + 0.70 q, and so an OBS : RCT ratio of about 5 : 1
    assert abs(parts.matched - 0.5005) < 0.01 and abs(len(parts.obs) - 0.25 * n) < 300
    rows = np.concatenate([t.row for t in (parts.obs, parts.rct, parts.val, parts.test)])
    assert len(np.unique(rows)) == len(rows)
    rank = parts.obs.x[:, 0] / np.exp(parts.obs.x[:, 1])
    assert rank[parts.obs.treatment == 1].min() > rank[parts.obs.treatment == 0].max()
    with pytest.raises(ValueError, match="two arms"):
        hybrid(trial(50), model)


def test_checks_say_what_is_wrong():
    good = trial(5000)
    assert good.check() == ()

    def changed(**kw):
        given = {"x": good.x, "treatment": good.treatment, "value": good.value, "cost": good.cost, "treatments": 3}
        return "; ".join(Table(**{**given, **kw}).check())

    assert "treatment 2: no rows" in changed(treatment=np.minimum(good.treatment, 1))
    few = np.where(np.arange(5000) < 5, 2, np.minimum(good.treatment, 1))
    assert "treatment 2: 5 rows only" in changed(treatment=few) and "very unequal" in changed(treatment=few)
    assert "its propensities say 1667" in changed(propensity=np.full((5000, 3), 1 / 3))
    assert "contradict" not in changed(propensity=np.tile([0.5, 0.3, 0.2], (5000, 1)))
    assert "weights up to 1e+04" in changed(propensity=np.full(5000, 1e-4))
    assert "of the sum of squares" in changed(value=np.where(np.arange(5000) == 7, 1e4, good.value))
    assert "value is the same in every row" in changed(value=np.ones(5000))
    assert "cost is negative in 5000 rows" in changed(cost=-np.ones(5000))
    assert "give one of them another unit" in changed(value=good.value * 1e6)
    assert "is the same in every row" in changed(x=good.x * [1, 0])
    assert "standardise them" in changed(x=good.x * [1, 1e5])
