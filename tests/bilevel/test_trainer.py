"""The trainer: what it learns, that a seed fixes it, that a run goes on where it was killed, what it refuses and warns of."""

from __future__ import annotations

import copy
import gc
import warnings

import numpy as np
import pytest

import bidfcl_fast as bf
from bidfcl_fast import methods
from bidfcl_fast.data import Table
from bidfcl_fast.metrics import eom

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from bidfcl_fast.bilevel import BiDFCL  # noqa: E402
from bidfcl_fast.bilevel.correction import left_over  # noqa: E402
from bidfcl_fast.bilevel.residual import seen_again  # noqa: E402
from bidfcl_fast.methods import TrainingWarning, _fit  # noqa: E402
from bidfcl_fast.methods._trial import TrialLoss  # noqa: E402
from bidfcl_fast.methods._units import Units  # noqa: E402

from .small import PAPER_SHORT, SHORT, table  # noqa: E402

RCT, OBS = table(300, 0), table(600, 1, bias=1.0)
BUDGET = [0.4, 0.8]
RECOMMENDED = {"schedule": SHORT, "hidden": (8, 8), "finish": {"steps": 3}}
AVERAGED = {
    "preset": "distilled",
    "students": 2,
    "answer": "all",
    "correction": "network",
    "schedule": SHORT,
    "hidden": (8, 8),
    "finish": {"steps": 3},
}
LEARNED = {
    "schedule": SHORT, "gate": "network", "factual_gate": "per-arm", "correction": "learned", "upper_every": 2,
    "upper_rows": 200,
    "hidden": (8, 8), "finish": {"steps": 3},
}  # fmt: skip


def fit(method, **options):
    given = {"obs": OBS, "budget": BUDGET, "progress": False, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        return method.fit(given.pop("rct", RCT), **given)


# --- The trial's loss: METHOD.md §6.4 ---------------------------------------------------------------------------------


def trial_loss(rows=RCT, **options):
    return TrialLoss("ppl", rows, Units.of([rows], rows), np.array(BUDGET), **{"multiplier_grad": "stop", **options})


def test_without_temperature_it_is_minus_the_expected_outcome():
    loss = trial_loss(temperature=1e-7)
    outputs = torch.randn(len(RCT), 6, generator=torch.Generator().manual_seed(0))
    outputs[:, 3:] = 0.1 * outputs[:, 3:] + torch.tensor([-1.0, 0.0, 1.0])
    value, cost = loss.units.money(outputs)
    expected = -np.mean(eom(value, cost, RCT, BUDGET).value) / loss.units.sd[0]
    assert float(loss.of(outputs)) == pytest.approx(expected, rel=1e-5)


def test_one_arm_for_everybody_has_that_arms_mean():
    loss = trial_loss(temperature=1e-7)
    outputs = torch.zeros(len(RCT), 6)
    outputs[:, 1] = 5.0
    value, cost = outputs[:, :3], outputs[:, 3:] + torch.tensor([0.0, 1.0, 2.0])
    loss.budgets = np.array([1e9])
    found = float(loss.of(torch.cat([value, cost], 1)))
    assert found == pytest.approx(-RCT.value[RCT.treatment == 1].mean() / loss.units.sd[0], rel=1e-5)


def test_unbiased_over_the_assignment():
    """Every treatment for every person, each with its probability: the estimates' mean is the truth, exactly."""
    rng = np.random.default_rng(0)
    value, p = rng.random((1, 3)), np.array([0.5, 0.2, 0.3])
    outputs = torch.tensor(rng.normal(size=(1, 6)), dtype=torch.float32)
    total = 0.0
    for j in range(3):
        one = Table(np.zeros((1, 2)), [j], value[0, j : j + 1], np.zeros(1), propensity=p[None], treatments=3)
        loss = TrialLoss(
            "ppl", one, Units(np.zeros(2), np.ones(2), np.zeros(2), np.ones(2)), np.ones(1), multiplier_grad="stop"
        )
        total += p[j] * float(loss.of(outputs))
    assert total == pytest.approx(-float(value[0] @ torch.softmax(outputs[0, :3], 0).numpy()), rel=1e-6)


# --- What it learns ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in methods.names() if n != "tsm-cf"])
def test_every_name_fits_predicts_and_allocates(name, tmp_path):
    family = name.startswith("bidfcl") or name == "fixed-gate"
    short = {"schedule": SHORT if name != "fixed-gate" else {"teacher": 2, "student": 2}} if family else {}
    if name.startswith("dfcl"):
        short = {"steps": 3, "start": "both", "epochs": 2}
    elif not family:
        short = {"epochs": 2}
    method = fit(methods.create(name, hidden=(8,), **short), seed=3)
    value, cost = method.predict(RCT.x)
    assert value.shape == cost.shape == (300, 3)
    assert np.isfinite(value).all() and np.isfinite(cost).all()
    assert method.allocate(RCT.x, 100.0).spend <= 100.0
    method.save(tmp_path / "method")
    again = methods.load(tmp_path / "method")
    np.testing.assert_array_equal(again.predict(RCT.x), (value, cost))
    assert again.get_params().keys() == method.get_params().keys()


def test_the_correction_finds_the_bias_and_only_that():
    rct, obs = table(4000, 2), table(12_000, 3, bias=1.0)
    method = fit(BiDFCL(schedule={"obs": 15, "teacher": 3, "student": 3}, finish="none"), rct=rct, obs=obs)
    found = method.correction_
    assert found.biased.tolist() == [[False, True, False], [False] * 3]
    sd = rct.value.std()
    assert found.level[0, 1] == pytest.approx(1.0 / sd, abs=5 * found.level_error[0, 1])
    assert abs(found.coefficients[0, 0]).max() < 0.1 and abs(found.coefficients[1]).max() < 0.05
    assert "value of treatment 1: the log is off by +" in str(found)
    assert "cost: no bias of the log found" in str(found)
    x = np.random.default_rng(0).normal(size=(2000, 3))
    lift = np.diff(method.predict(x)[0][:, :2], axis=1)
    assert lift.mean() == pytest.approx(1.0, abs=0.2), "not the 2.0 of the log"


@pytest.mark.parametrize("size", [1.0, 0.0])
def test_networks_find_what_no_line_can_and_nothing_where_there_is_nothing(size):
    """The log's value of arm 1 is off by +0.3 ± size, up where x0·x1 > 0 and down elsewhere."""
    rng = np.random.default_rng(2)

    def rows(n, bias):
        x = rng.normal(size=(n, 3))
        t = rng.integers(2, size=n)
        off = bias * (t == 1) * (0.3 + size * np.sign(x[:, 0] * x[:, 1])) if bias else 0.0
        return Table(x, t, t + x[:, 2] + off + 0.5 * rng.normal(size=n), t + 0.3 * rng.normal(size=n), treatments=2)

    trial, log = rows(6000, 0), rows(12_000, 1)
    found = fit(
        BiDFCL(correction="network", schedule={"obs": 20, "teacher": 1, "student": 1}, finish="none"), rct=trial, obs=log
    ).correction_  # fmt: skip
    assert found.biased.tolist() == [[False, True], [False, False]]
    share = found.residual.share
    assert share[1] == 0, "costs are not biased"
    x = rng.normal(size=(4000, 3))
    sign = np.sign(x[:, 0] * x[:, 1])
    delta = found(x)[0, :, 1] * trial.value.std()
    if size:
        assert share[0] > 0.5 and "networks found more" in str(found)
        assert delta[sign > 0].mean() == pytest.approx(-1.3, abs=0.35)
        assert delta[sign < 0].mean() == pytest.approx(0.7, abs=0.35)
    else:
        assert share[0] < 0.5
        assert delta.mean() == pytest.approx(-0.3, abs=0.1) and delta.std() < 0.1
    left = found.left
    assert (np.abs(left.level) < 4 * left.error).all() and (left.at_most >= np.abs(left.level)).all()
    assert "are left after the correction" in str(found)


def test_what_was_seen_again():
    rng = np.random.default_rng(0)
    found = rng.normal(size=(5000, 2))
    share, gain = seen_again(
        found, np.column_stack([0.5 * found[:, 0], 0.0 * found[:, 1]]) + rng.normal(size=(5000, 2))
    )
    assert share[0] == pytest.approx(0.5, abs=0.06) and share[1] == 0
    assert gain[0] == pytest.approx(0.5 * np.sqrt(5000), rel=0.1) and abs(gain[1]) < 3.5
    assert seen_again(np.zeros((9, 2)), np.ones((9, 2)))[0].tolist() == [0, 0]


def test_what_is_left_of_a_bias():
    """A correction that does nothing leaves all of it, and the bound covers it."""
    rng = np.random.default_rng(1)
    t = rng.integers(2, size=4000)
    x = rng.normal(size=(4000, 2))
    noise = rng.normal(size=(4000, 2))
    left = left_over(noise - np.outer(t == 1, [0.5, 0.0]), x, t, 2, log=(noise[::-1], x, t), weight=np.ones(4000))
    assert left.level[0, 1] == pytest.approx(0.5, abs=4 * left.error[0, 1]) and left.p_value[0, 0] < 1e-6
    assert left.at_most[0, 1] > 0.5 and left.p_value[1].min() > 1e-3


def test_the_answer_is_the_mean_of_students_and_built_teachers(tmp_path):
    method = fit(BiDFCL(**{**AVERAGED, "finish": "none"}), seed=2)
    assert len(method.nets_) == 4
    x = method.units_.inputs(RCT.x)
    with torch.no_grad():
        each = [net(x) for net in method.nets_]
    assert all(not torch.equal(each[0], other) for other in each[1:])
    value, cost = method.units_.money(torch.stack(each).mean(0))
    np.testing.assert_allclose(method.predict(RCT.x), (value, cost), rtol=1e-5)
    method.save(tmp_path / "m")
    np.testing.assert_array_equal(methods.load(tmp_path / "m").predict(RCT.x), method.predict(RCT.x))
    alone = fit(BiDFCL(**{**AVERAGED, "finish": "none", "answer": "students", "students": 1}), seed=2)
    np.testing.assert_array_equal(alone.nets_[0](x).detach(), each[0])


def test_a_finish_of_the_last_layers_moves_nothing_else():
    plain, ended = (
        fit(BiDFCL(**{**AVERAGED, "finish": end}), seed=2)
        for end in ("none", {"steps": 40, "lr": 3e-3, "layers": "last"})
    )
    for before, after in zip(plain.nets_, ended.nets_, strict=True):
        assert torch.equal(before[0].weight, after[0].weight) and torch.equal(before[2].weight, after[2].weight)
        assert not torch.equal(before[-1].weight, after[-1].weight)

    def judged(method):
        loss = TrialLoss("ppl", RCT, method.units_, np.array(BUDGET), weight_error=3.0)
        return float(loss(method.fitted_.average).detach())

    assert judged(ended) < judged(plain) - 0.01


def test_students_of_any_module_start_apart():
    target = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 6))
    method = fit(BiDFCL(**{**AVERAGED, "target": target, "schedule": {**SHORT, "student": 1}, "finish": "none"}))
    one, two = method.nets_[:2]
    assert not torch.allclose(one[0].weight, two[0].weight, atol=0.05)


def test_the_gate_goes_to_the_teacher_where_the_log_is_biased_and_only_there():
    """Arm 1 is worth +1 to everybody. The log says −3 where x0 > 0, the teacher says −3 elsewhere."""
    rng = np.random.default_rng(0)
    n = 3000
    x = rng.normal(size=(n, 2))
    t = rng.integers(2, size=n)
    biased = x[:, 0] > 0
    value = t * np.where(biased, -3.0, 1.0) + 0.1 * rng.normal(size=n)
    cost = t + 0.01 * rng.normal(size=n)
    log = Table(x, t, value, cost, treatments=2)
    x, t = rng.normal(size=(n, 2)), rng.integers(2, size=n)
    trial = Table(x, t, t * 1.0 + 0.1 * rng.normal(size=n), t + 0.01 * rng.normal(size=n), treatments=2)
    units = Units.of([trial, log], trial)

    class Teacher(nn.Module):
        def forward(self, x):
            worth = torch.where(x[:, :1] > 0, 1.0, -3.0)
            raw = torch.cat([torch.zeros(len(x), 1), worth, torch.zeros(len(x), 1), torch.ones(len(x), 1)], 1)
            return (raw - torch.tensor(units.mean.repeat(2))).div(torch.tensor(units.sd.repeat(2))).float()

    method = fit(
        BiDFCL(
            preset="paper", teachers=Teacher(), gate=0.5, factual_gate="network", gate_start=(0.5, 0.5), hidden=(16, 16),
            multiplier_grad="implicit", temperature=0.3, curvature="gauss_newton", cg_steps=10, damping=0.01,
            assumed_steps=0, bridge_lr=2e-2, upper_every=2, schedule={"warm": 5, "student": 15, "batch": 256, "lr": 2e-3},
        ),
        rct=trial, obs=log, budget=[0.3, 0.6],
    )  # fmt: skip
    inputs = units.inputs(rng.normal(size=(1000, 2)))
    gate = torch.sigmoid(method.bridge_.factual_gate(inputs)).detach()[:, 1]
    there = inputs[:, 0] > 0.1
    assert float(gate[there].mean()) > 0.7
    assert float(gate[inputs[:, 0] < -0.1].mean()) < 0.3
    assert len(method.upper_) > 50 and method.upper_[-1]["upper"] < method.upper_[0]["upper"]


def test_any_modules():
    class Target(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk, self.drop, self.heads = nn.Linear(3, 8), nn.Dropout(0.1), nn.Linear(8, 6)

        def forward(self, x):
            return self.heads(self.drop(torch.nn.functional.gelu(self.trunk(x))))

    torch.manual_seed(0)
    target = Target()
    before = copy.deepcopy(target.state_dict())
    options = {
        "preset": "paper", "schedule": PAPER_SHORT, "cg_steps": 3, "target": target, "gate": nn.Linear(3, 6),
        "teachers": nn.Linear(3, 6),
    }  # fmt: skip
    one, two = (fit(BiDFCL(**options)) for _ in range(2))
    np.testing.assert_array_equal(one.predict(RCT.x), two.predict(RCT.x))
    assert all(torch.equal(before[k], v) for k, v in target.state_dict().items()), "it is copied"
    with pytest.raises(TypeError, match="cannot be saved"):
        one.save("nowhere")


def test_fitted_methods_as_teachers():
    teachers = [fit(methods.create("tsm-sl", epochs=2, hidden=(8,)), seed=s) for s in (1, 2)]
    method = fit(
        BiDFCL(
            teachers=teachers, schedule=SHORT, hidden=(8,), correction="none", finish="none", gate=1.0, factual_gate=1.0
        )
    )
    assert len(method.fitted_.modules) == 1


# --- Seeds, checkpoints -----------------------------------------------------------------------------------------------


def test_a_seed_fixes_everything():
    torch.rand(3)
    one = fit(BiDFCL(**LEARNED), seed=5).predict(RCT.x)
    torch.rand(5)
    np.testing.assert_array_equal(one, fit(BiDFCL(**LEARNED), seed=5).predict(RCT.x))
    assert not np.array_equal(one, fit(BiDFCL(**LEARNED), seed=6).predict(RCT.x))


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    "options",
    [
        LEARNED,
        RECOMMENDED,
        AVERAGED,
        {"preset": "paper", "students": 2, "schedule": PAPER_SHORT, "cg_steps": 3, "hidden": (8,)},
    ],
    ids=["learned", "recommended", "averaged", "paper"],
)
def test_killed_at_any_step_it_goes_on_with_the_same_bits(options, tmp_path, monkeypatch):
    batch, count = _fit._Loop._batch, 0

    def counted(self, *args):
        nonlocal count
        count += 1
        if count == kill:
            raise Killed
        batch(self, *args)

    decide = TrialLoss.__call__

    def judged(self, module):
        nonlocal count
        count += 1
        if count == kill:
            raise Killed
        return decide(self, module)

    monkeypatch.setattr(_fit._Loop, "_batch", counted)
    monkeypatch.setattr(TrialLoss, "__call__", judged)  # upper steps, and those of the finish
    kill = 0
    whole = fit(BiDFCL(**options), seed=1)
    steps = count
    for kill in np.linspace(1, steps, 7).astype(int):
        count, path = 0, tmp_path / f"{kill}"
        with pytest.raises(Killed):
            fit(BiDFCL(**options), seed=1, checkpoint=path)
        kill = 0
        again = fit(BiDFCL(**options), seed=1, checkpoint=path, resume=True)
        np.testing.assert_array_equal(again.predict(RCT.x), whole.predict(RCT.x))
        for a, b in zip(again.bridge_.parameters(), whole.bridge_.parameters(), strict=True):
            assert torch.equal(a, b)
        assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == [], "no half-written file stays"


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run"
    method = methods.create("tsm-sl", epochs=1, hidden=(4,))
    fit(method, checkpoint=path)
    with pytest.raises(ValueError, match="of another run: seed differ"):
        fit(method, checkpoint=path, resume=True, seed=1)
    with pytest.raises(ValueError, match="of another run: tables differ"):
        fit(method, checkpoint=path, resume=True, obs=OBS[:50])
    with pytest.raises(ValueError, match="needs checkpoint="):
        fit(method, resume=True)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="only a part of one"):
        fit(method, checkpoint=path, resume=True)


def test_memory_stays_flat_over_epochs(monkeypatch):
    method = BiDFCL(**{**LEARNED, "schedule": {**SHORT, "student": 8}, "finish": "none"})
    alive = []
    epoch = _fit._Loop.run_epoch

    def watched(self):
        epoch(self)
        gc.collect()
        alive.append(sum(o.numel() for o in gc.get_objects() if type(o) is torch.Tensor))

    monkeypatch.setattr(_fit._Loop, "run_epoch", watched)
    gc.collect()
    gc.freeze()  # what is there already need not be looked through after every epoch
    try:
        fit(method)
    finally:
        gc.unfreeze()
    assert len(set(alive[-6:])) == 1


# --- What it refuses and warns of -------------------------------------------------------------------------------------


def no_arm(rows: Table) -> Table:
    keep = rows.treatment != 1
    return rows[keep]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"rct": None}, "needs rct="),
        ({"obs": None}, "needs obs="),
        ({"rct": no_arm(RCT)}, "nobody in rct received treatment 1"),
        ({"obs": OBS[:0]}, "obs has no rows"),
        ({"obs": Table(np.zeros((5, 2)), [0, 1, 2, 0, 1], np.ones(5), np.ones(5))}, "same features"),
        ({"obs": Table(np.zeros((5, 3)), [0, 1, 1, 0, 1], np.ones(5), np.ones(5))}, "same treatments"),
        ({"obs": np.zeros((5, 3))}, "obs must be a Table"),
        ({"budget": None}, "needs budget="),
        ({"budget": [np.nan]}, "budget must be money per person"),
    ],
)
def test_wrong_tables_are_refused(given, match):
    with pytest.raises((ValueError, TypeError), match=match):
        fit(BiDFCL(**LEARNED), **given)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"preset": "best"}, "preset must be one of"),
        ({"upper": "dpl"}, "upper must be 'ppl' or 'pifd'"),
        ({"correction": "linear"}, "correction must be"),
        ({"students": 0}, "students must be at least 1"),
        ({"answer": "teachers"}, "answer must be"),
        ({"learn": ("teacher",)}, "learn takes"),
        ({"schedule": {"epochs": 3}}, "schedule knows obs"),
        ({"teachers": "two"}, "teachers must be"),
        ({"teachers": -1}, "teachers must not be negative"),
        ({"teachers": 0, "gate": 0.5}, "needs gates of 0"),
        ({"weights": "rows"}, "weights must be"),
        ({"gate": "net"}, "gate must be"),
        ({"finish": "ppl"}, "finish must be"),
        ({"finish": {"layers": "first"}}, "layers must be 'all' or 'last'"),
    ],
)
def test_wrong_settings_are_refused(options, match):
    with pytest.raises((ValueError, TypeError), match=match):
        fit(BiDFCL(**{"schedule": SHORT, "hidden": (4,), **options}))


def test_outcomes_in_other_units_are_noticed():
    cents = Table(OBS.x, OBS.treatment, OBS.value, OBS.cost * 1000, treatments=3)
    with pytest.warns(TrainingWarning, match="are they in the same units"):
        BiDFCL(schedule=SHORT, hidden=(4,)).fit(RCT, obs=cents, progress=False)


def test_warnings_where_training_goes_wrong():
    def warned(**options):
        base = {"preset": "distilled", "schedule": SHORT, "hidden": (4,), "finish": "none"}
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            BiDFCL(**{**base, **options}).fit(RCT, obs=OBS, budget=BUDGET, progress=False)
        return " ".join(str(w.message) for w in seen)

    assert "nearly hard" in warned(finish={"steps": 1, "temperature": 1e-4})
    assert "nearly uniform" in warned(finish={"steps": 1, "temperature": 1e4})
    assert "the gate is all 0 or 1" in warned(
        gate="per-arm", gate_start=(0.9999, 0.5), bridge_lr=5.0, prox=0.0, upper_every=2
    )
    assert "price of money" in warned(gate="per-arm", upper_every=1, price_bounds=(1e-9, 1e-8))
    biased = Table(RCT.x, RCT.treatment, RCT.value, RCT.cost * 0 + RCT.treatment, treatments=3)
    cheap = Table(OBS.x, OBS.treatment, OBS.value, OBS.treatment * 0.3, treatments=3)
    short = {"teacher": 2, "student": 40, "batch": 100}
    method = BiDFCL(preset="fixed-gate", gate=0.0, trial_rows=False, schedule=short)
    with pytest.warns(TrainingWarning, match="more than the budget"):
        method.fit(biased, obs=cheap, budget=BUDGET, progress=False)


# --- scikit-learn, curves ---------------------------------------------------------------------------------------------


def test_scikit_learn_clones_and_searches():
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV

    method = BiDFCL(schedule=SHORT, hidden=(4,), finish="none")
    same = clone(method)
    assert same is not method and same.get_params() == method.get_params()
    y = np.column_stack([RCT.treatment, RCT.value, RCT.cost])
    search = GridSearchCV(method, {"gate": [0.1, 0.9]}, cv=2, error_score="raise")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        search.fit(RCT.x, y, obs=OBS, progress=False)
    assert search.best_params_["gate"] in (0.1, 0.9)
    assert search.best_estimator_.predict(RCT.x)[0].shape == (300, 3)
    ensemble = clone(bf.methods.Ensemble([methods.create("tsm-sl", epochs=1), methods.create("dhcl", epochs=1)]))
    assert fit(ensemble).predict(RCT.x)[0].shape == (300, 3)


def test_curves_are_written():
    class Writer:
        def __init__(self):
            self.tags = set()

        def add_scalar(self, tag, value, step):
            assert np.isfinite(value) and step >= 0
            self.tags.add(tag)

    writer = Writer()
    fit(BiDFCL(**LEARNED), log=writer)
    assert {"upper/upper", "upper/gate", "finish/loss"} <= writer.tags


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    fit(BiDFCL(**LEARNED), log=tmp_path)
    assert list(tmp_path.glob("events*"))
