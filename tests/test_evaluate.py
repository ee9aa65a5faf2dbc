"""The experiments' runner resumes after a kill and its statistics and report say what the results hold."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import browser
import numpy as np
import pytest

from bidfcl_fast import cli, evaluate
from bidfcl_fast.evaluate import claims, jobs, recipes, repeatability, simulated, store, worker
from bidfcl_fast.evaluate.statistics import Cells, paired, t_quantile
from bidfcl_fast.report import log_bias

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[1]
TINY = {
    "worlds": 1,
    "regimes": ["none", "severe"],
    "n_rct": 150,
    "n_obs": 200,
    "n_test": 200,
    "only": ["tsm-sl, both", "tsm-sl, trial"],
    "real": [],
    "options": {"epochs": 2, "hidden": [4]},
}


def tiny(path: Path, **changed) -> evaluate.Size:
    path.mkdir(exist_ok=True)
    file = path / "config.json"
    file.write_text(json.dumps({**TINY, **changed}))
    return evaluate.size("quick", file)


def made_up(study, recipe, regime, seed, regret, seconds=1.0, n_rct=100):
    data = {"regime": regime, "seed": seed, "n_rct": n_rct, "n_obs": 10, "n_test": 10, "features": 2, "treatments": 3}
    measured = {
        "regret": [regret] * 4, "regret_predicted_spend": [regret] * 4, "overspend": [0.0] * 4, "eom": [1.0] * 4,
        "eom_se": [0.1] * 4, "seconds": seconds, "uninformed": [20.0] * 4, "least_propensity": 0.1,
    }  # fmt: skip
    job = {
        "study": study,
        "recipe": recipe,
        "spec": {},
        "data": {**data, "response": "hill", "bias": "sharp"},
        "seed": seed,
    }
    return {"job": job, "measured": measured}


def test_jobs_are_whole_worlds_first_and_all_families_come():
    everything = jobs.jobs(evaluate.size("default"))
    assert len({job.key for job in everything}) == len(everything)
    order = [job.data["seed"] for job in everything if job.study == "worlds"]
    assert order == sorted(order) and order[0] == jobs.FIRST_WORLD
    assert len({(job.data["response"], job.data["bias"]) for job in everything if job.study == "worlds"}) == 20
    headline = {job.recipe for job in everything if job.study == "worlds" and job.data["seed"] == jobs.FIRST_WORLD + 19}
    assert headline == set(recipes.HEADLINE)
    assert set(recipes.SIMPLE) | {recipes.BASELINE, recipes.EQUAL_COST, recipes.RECOMMENDED} <= headline
    again = jobs.jobs(evaluate.size("default"))[5]
    assert again.key == everything[5].key


def test_means_of_several_fits_share_their_members():
    """What the members give, fitted one by one, is what `Ensemble` gives; and a mean of three fits two again no more."""
    data = {"n_rct": 150, "n_obs": 200, "n_test": 100, "seed": 3}
    member = {"name": "tsm-sl", "options": {"epochs": 1, "hidden": [4]}}
    simulated._fitted.cache_clear()
    two, three = (simulated._fitted(json.dumps({"ensemble": [member] * k}), json.dumps(data), 5) for k in (2, 3))
    made = simulated.simulate(**data)
    whole = recipes.build({"ensemble": [member] * 3}).fit(rct=made.rct, obs=made.obs, seed=5, progress=False)
    np.testing.assert_array_equal(whole.predict(made.test.x), (three.value, three.cost))
    assert three.seconds > two.seconds > 0
    assert simulated._fitted.cache_info().misses == 5  # two means and three members


def test_every_recipe_is_one_that_methods_can_make():
    for group in (recipes.HEADLINE, recipes.LEARNED, recipes.OTHERS, recipes.ABLATION, recipes.SENSITIVITY):
        for spec in group.values():
            method = recipes.build(spec)
            assert hasattr(method, "fit")
            if hasattr(method, "resolved"):
                method.resolved()
    both = recipes.with_options({"ensemble": [recipes.HEADLINE[recipes.BASELINE]] * 2}, {"epochs": 7, "unknown": 1})
    assert [m.epochs for m in recipes.build(both).methods] == [7, 7]
    assert recipes.on_gpu(recipes.with_options({}, {"device": "cuda"})) and not recipes.on_gpu(both)
    with pytest.raises(recipes.NotHere, match="nowhere"):
        raise_from_missing()


def raise_from_missing():
    class Methods:
        @staticmethod
        def create(name, **options):
            raise ModuleNotFoundError("no", name="nowhere")

    import bidfcl_fast

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bidfcl_fast, "methods", Methods)
        recipes.build({"name": "x", "options": {}})


def test_sizes_refuse(tmp_path):
    with pytest.raises(ValueError, match="size must be one of quick, default, full"):
        evaluate.size("huge")
    (tmp_path / "c.json").write_text('{"planets": 3}')
    with pytest.raises(ValueError, match="must be an object with fields among"):
        evaluate.size("quick", tmp_path / "c.json")
    (tmp_path / "c.json").write_text('{"size": "full", "worlds": 3}')
    assert (made := evaluate.size("quick", tmp_path / "c.json")).worlds == 3 and made.treatments == 8


def test_configuration_for_a_gpu_is_one():
    size = evaluate.size("default", ROOT / "examples" / "experiments_gpu.json")
    everything = jobs.jobs(size)
    assert size.n_obs == 2_000_000 and all(
        recipes.on_gpu(job.spec) for job in everything if job.study != "repeatability"
    )


def test_goes_on_after_a_kill_and_reports(tmp_path, capsys):
    tiny(tmp_path)
    command = [
        "evaluate", "--quick", "--config", str(tmp_path / "config.json"), "--output", str(tmp_path / "out"), "--processes", "1",
    ]  # fmt: skip
    results = tmp_path / "out" / "results"
    code = (
        "from bidfcl_fast import evaluate; from bidfcl_fast.evaluate import jobs; "
        f"evaluate.run(jobs.jobs(evaluate.size('quick', {str(tmp_path / 'config.json')!r})), {str(results)!r}, processes=1)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen([sys.executable, "-c", code], env=environment, start_new_session=True)
    until = time.monotonic() + 120
    while not list(results.glob("[!.]*.json")) and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    before = {path: path.read_bytes() for path in results.glob("[!.]*.json")}
    assert before and len(before) < 4, "killed too early or too late to tell"

    assert cli.main(command) == 0
    said = capsys.readouterr()
    assert f"{4 - len(before)} jobs done, {len(before)} were done before" in said.err
    after = {path: path.read_bytes() for path in results.glob("[!.]*.json")}
    assert len(after) == 4 and all(after[path] == kept for path, kept in before.items())
    assert "does not hold" in said.out or "holds" in said.out or "not run" in said.out

    page = (tmp_path / "out" / "report.html").read_text()
    assert (
        "http://" not in re.sub(r'"http://www\.w3\.org[^"]*"', "", page)
        and "<script" not in page
        and "src=" not in page
    )
    if browser.CHROMIUM:
        browser.check(tmp_path / "out" / "report.html", tmp_path, figures=page.count("<svg"))
    markdown = (tmp_path / "out" / "README.md").read_text()
    for name in re.findall(r"\]\(([^)]+)\)", markdown):
        assert "var(--" not in (tmp_path / "out" / name).read_text()
    numbers = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(numbers["fits"]) == 4 and numbers["fits"][0]["regret"]
    # the same again: nothing to do, and the same fit gives the same bits
    assert cli.main([*command, "--quiet"]) == 0
    job = jobs.Job(**json.loads(next(iter(after.values())))["job"])
    assert worker.measure(job)["regret"] == json.loads(next(iter(after.values())))["measured"]["regret"]


def test_failures_are_kept_and_tried_again(tmp_path):
    size = tiny(tmp_path)
    job = jobs.jobs(size)[0]
    wrong = jobs.Job(job.study, job.recipe, {"name": "tsm-sl", "options": {"data": "none"}}, job.data, 0)
    assert "data must be" in worker.perform(wrong, tmp_path, None)["failed"]
    assert store.failures(tmp_path)[0]["job"]["spec"] == wrong.spec and not store.done(tmp_path, wrong)
    store.save(tmp_path, wrong, {"regret": [1.0]})
    assert store.done(tmp_path, wrong) and not store.failures(tmp_path)
    absent = jobs.Job("real", "x", recipes.HEADLINE[recipes.BASELINE], {"real": "starbucks", "fold": 0, "folds": 3}, 0)
    assert "--data" in worker.perform(absent, tmp_path, None)["skipped"]


def test_real_rows_pair_their_resamples(tmp_path):
    spec = {"name": "tsm-sl", "options": {"epochs": 2, "patience": 2}}
    a, b = (
        worker.measure(jobs.Job("real", n, spec, {"real": "thornton", "fold": 1, "folds": 3}, s))
        for n, s in (("a", 0), ("b", 1))
    )
    assert a["policies"].keys() == {"recipe", "random", *(f"all {j}" for j in range(5))}
    assert a["policies"]["all 2"] == b["policies"]["all 2"]
    assert sum(a["shares"]) == pytest.approx(1) and a["rows"]["test"] > 900 > a["rows"]["log"]
    net = 1000 * np.divide(*a["policies"]["all 0"])
    assert len(net) == 401 and net[1:].std() > 0
    # nobody is paid who is offered nothing: two dollars a person who comes
    assert 500 < net[0] < 900


def test_paired_differences_and_best_recipe():
    p = paired([1, 2, 4], [0, 0, 1])
    assert (p.n, p.mean, p.sd) == (3, 2.0, 1.0) and p.t == pytest.approx(2 * np.sqrt(3))
    assert p.half_width == pytest.approx(4.303 / np.sqrt(3)) and t_quantile(1) == 12.71 and t_quantile(500) == 2.0
    assert paired([1], [2]).t is None and paired([1, 2], [0, 1]).t is None and paired([], []).n == 0
    results = [made_up("worlds", "a", "mild", s, 5 + s) for s in range(3)]
    results += [made_up("worlds", "b", "mild", s, 4 + s, seconds=2.0) for s in range(2)]
    results += [made_up("other", "b", "mild", 9, 0)]
    cells = Cells(results, "worlds")
    assert cells.difference("b", "a", "mild").mean == -1 and cells.difference("b", "a").n == 2
    assert cells.best(["a", "b", "c"], "mild") == "b" and cells.best(["c"], "mild") is None
    assert cells.cost_ratio("b", "a") == 2 and cells.cost_ratio("c", "a") is None


def test_only_worlds_that_all_have_stand_side_by_side():
    results = [made_up("worlds", "a", "mild", s, 5 + s) for s in range(4)]
    results += [made_up("worlds", "b", "mild", s, 4) for s in range(1, 4)]
    results += [made_up("worlds", "dear", "mild", 0, 9), made_up("worlds", "a", "none", 7, 1)]
    cells = Cells(results, "worlds").balanced()
    assert [len(cells.of(name, "mild")) for name in ("a", "b", "dear")] == [3, 3, 1]
    assert cells.recipes == ["a", "b", "dear"] and len(cells.of("a", "none")) == 1


def test_claims_read_off_what_is_there():
    base, ours = recipes.BASELINE, recipes.RECOMMENDED
    rng = np.random.default_rng(0)

    def results(gain):
        out = []
        for s in range(5):
            for regime in ("mild", "severe"):
                level = 10 + rng.normal()
                out.append(made_up("worlds", base, regime, s, level))
                out.append(made_up("worlds", ours, regime, s, level - gain + 0.1 * rng.normal(), seconds=2.0))
        return out

    found = {c.text: c for c in claims.claims(Cells(results(5.0), "worlds"), Cells([], "small trial"))}
    said = [c.holds for c in found.values()]
    assert said[0] is True and said[1] is True and said[-1] is True and None in said
    assert "mild -5.0" in found["below tsm-sl, both in every regime, t < −3"].numbers.replace("-4.9", "-5.0")
    assert next(iter(found.values())).verdict == "holds (on 5 of 20 worlds)"
    few = [r for r in results(5.0) if r["job"]["data"]["seed"] < 2]
    assert claims.claims(Cells(few, "worlds"), Cells([], "small trial"))[0].verdict == "too few worlds to tell"
    half = [r for r in results(5.0) if r["job"]["data"]["regime"] == "mild" or r["job"]["data"]["seed"] < 2]
    first = claims.claims(Cells(half, "worlds"), Cells([], "small trial"))[0]
    assert first.verdict == "too few worlds to tell", "one of two regimes does not bear out a claim about both"
    assert [c.holds for c in claims.claims(Cells(results(-1.0), "worlds"), Cells([], "small trial"))][:2] == [
        False,
        False,
    ]


def test_what_is_left_of_the_bias_is_told():
    told = [made_up("worlds", recipes.RECOMMENDED, "severe", 1000 + k, 5.0) for k in range(2)]
    for k, result in enumerate(told):
        result["measured"]["notes"] = {
            "level": 0.3,
            "p": 1e-9,
            "network": 0.5 * k,
            "left": 0.1,
            "left_p": 0.001 * 99**k,
        }
    (_, (kind, text), (_, header, rows)) = log_bias.blocks(Cells(told, "worlds"))
    assert kind == "p" and "held out" in text
    assert rows == [["severe", "2", "2 of 2", "0.30", "25%", "0.10", "1 of 2"]] and len(header) == 7
    assert log_bias.blocks(Cells([made_up("worlds", recipes.RECOMMENDED, "mild", 1000, 5.0)], "worlds")) == []


def test_repeatability_of_the_hypergradient(monkeypatch):
    monkeypatch.setattr(repeatability, "TRIALS", 2)
    data = {"n_rct": 600, "n_obs": 600, "n_test": 100, "features": 3, "treatments": 3, "regime": "severe", "seed": 1}
    found = repeatability.run(data, 0)["cosines"]
    assert set(found) == {"constant|600", "its own gradient|600"} and all(-1 <= c < 0.999 for c in found.values())
    assert repeatability._cosine([1.0, 0.0], [2.0, 0.0]) == 1 and repeatability._cosine([0.0], [1.0]) == 0


def test_hybrid_command_writes_four_tables(tmp_path, capsys):
    from bidfcl_fast.data import load_table

    rng = np.random.default_rng(0)
    rows = [
        ",".join(
            [*(f"{v:.3f}" for v in rng.normal(size=12)), str(int(rng.random() < 0.85)), str(rng.integers(2)), "1", "0"]
        )
        for _ in range(2000)
    ]
    names = [*(f"f{j}" for j in range(12)), "treatment", "conversion", "visit", "exposure"]
    (tmp_path / "criteo.csv").write_text("\n".join([",".join(names), *rows]))
    out = tmp_path / "hybrid"
    assert cli.main(["hybrid", str(tmp_path), "--output", str(out), "--epochs", "1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    kept = {name: load_table(out / f"{name}.npz") for name in said["rows"]}
    assert {name: len(t) for name, t in kept.items()} == said["rows"] and said["rows"]["test"] == 600
    assert kept["obs"].labels == ("nothing", "advertised to") and kept["obs"].x.dtype == np.float32
    assert cli.main(["hybrid", str(tmp_path / "absent"), "--output", str(out)]) == 1
