"""`bidfcl train` and `allocate --model`: the same model and plan as from Python, and bad input is one line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from torch_threads import one_torch_thread  # noqa: F401

import bidfcl_fast as bf
from bidfcl_fast import cli
from bidfcl_fast.data import read_table, save_table, simulate

pytest.importorskip("torch")
pytest.importorskip("safetensors")
pa = pytest.importorskip("pyarrow")
csv = pytest.importorskip("pyarrow.csv")
parquet = pytest.importorskip("pyarrow.parquet")

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SIM = simulate(400, 600, 50, features=4, treatments=3, seed=0)
NAMES = ("age", "is new", "x3", "x4")


def arrow(table, *, propensity="vector"):
    columns = {"id": [f"{i:04d}" for i in range(len(table))]}
    columns |= {name: table.x[:, j] for j, name in enumerate(NAMES)}
    columns |= {"treatment": table.treatment, "value": table.value, "cost": table.cost}
    if propensity == "vector":
        columns["propensity"] = table.received_propensity
    return pa.table(columns)


@pytest.fixture
def files(tmp_path):
    parquet.write_table(arrow(SIM.rct), tmp_path / "rct.parquet")
    csv.write_csv(arrow(SIM.obs), tmp_path / "obs.csv")
    people = arrow(SIM.test).select(["x4", "id", "is new", "x3", "age"])  # in another order
    parquet.write_table(people, tmp_path / "people.parquet")
    csv.write_csv(people, tmp_path / "people.csv")
    return tmp_path


def bidfcl(*args) -> int:
    return cli.main([str(a) for a in args])


def fails(capsys, *args, code=1) -> str:
    try:
        got = bidfcl(*args)
    except SystemExit as stop:
        got = stop.code
    said = capsys.readouterr()
    assert got == code, said
    assert said.out == "" and said.err.count("\n") == 1
    return said.err.removeprefix("bidfcl: error: ").strip()


def test_tables_come_back_from_files(files):
    for name, table in (("rct.parquet", SIM.rct), ("obs.csv", SIM.obs)):
        found = read_table(files / name, ignore=["id"])
        assert found.features == NAMES
        np.testing.assert_allclose(found.x, table.x, rtol=1e-6)
        np.testing.assert_array_equal(found.treatment, table.treatment)
        np.testing.assert_allclose(found.value, table.value)
        np.testing.assert_allclose(found.propensity, table.received_propensity)
    assert read_table(files / "rct.parquet", features=["x3", "age"]).features == ("x3", "age")
    save_table(files / "rct.npz", SIM.rct)
    np.testing.assert_array_equal(read_table(files / "rct.npz").x, SIM.rct.x)
    wide = arrow(SIM.rct, propensity=None)
    for j in range(3):
        wide = wide.append_column(f"propensity_{j}", [np.full(400, 1 / 3)])
    parquet.write_table(wide, files / "wide.parquet")
    found = read_table(files / "wide.parquet", ignore=["id"])
    assert found.propensity.shape == (400, 3) and found.features == NAMES


def test_the_model_and_the_plan_are_those_of_python(files, capsys):
    model, out = files / "model.safetensors", files / "plan.parquet"
    options = ["--option", "epochs=2", "--option", "members=1", "--option", "data=both"]
    tables = ["--rct", files / "rct.parquet", "--obs", files / "obs.csv", "--val", files / "rct.parquet"]
    assert (
        bidfcl(
            "train",
            "tsm-sl",
            *tables,
            "--ignore",
            "id",
            *options,
            "--seed",
            3,
            "--budget",
            0.1,
            0.2,
            "--output",
            model,
            "--json",
        )
        == 0
    )
    said = capsys.readouterr()
    done = json.loads(said.out)
    assert said.err == "" and done["rows"] == {"rct": 400, "obs": 600, "val": 400} and done["features"] == list(NAMES)
    assert [v["budget"] for v in done["val"]] == [0.1, 0.2]

    rct, obs = (read_table(files / name, ignore=["id"]) for name in ("rct.parquet", "obs.csv"))
    twin = bf.methods.create("tsm-sl", epochs=2, members=1, data="both").fit(
        rct=rct, obs=obs, val=rct, seed=3, progress=False
    )
    assert bf.methods.load(model).feature_names_in_ == NAMES == twin.feature_names_in_
    x = arrow(SIM.test)
    value, cost = twin.predict(np.column_stack([x[name] for name in NAMES]))
    budget = 0.3 * float(cost.max(axis=1).sum())
    plan = bf.solve_mckp(value, cost, budget)
    for people in ("people.parquet", "people.csv"):
        args = ["allocate", files / people, "--model", model, "--budget", budget, "--output", out]
        assert bidfcl(*args) == 0
        table = parquet.read_table(out)
        np.testing.assert_array_equal(table["choice"], plan.choice)
        assert table.column_names == ["x4", "id", "is new", "x3", "age", "choice", "value", "cost"]
    assert sorted(p.name for p in files.iterdir() if p.name.startswith(".")) == []

    # Not every treatment for everybody.
    mask = np.random.default_rng(0).random(value.shape) < 0.7
    mask[:, 0] = True
    people = parquet.read_table(files / "people.parquet")
    for j in range(value.shape[1]):
        people = people.append_column(f"may_{j}", [mask[:, j]])
    parquet.write_table(people, files / "masked.parquet")
    args = ["allocate", files / "masked.parquet", "--model", model, "--mask", "may", "--budget", budget / 2]
    assert bidfcl(*args, "--output", out) == 0
    table = parquet.read_table(out)
    np.testing.assert_array_equal(table["choice"], bf.solve_mckp(value, cost, budget / 2, mask=mask).choice)
    assert not [name for name in table.column_names if name.startswith("may_")]


def test_it_goes_on_where_it_stopped(files, capsys):
    common = ["train", "tsm-sl", "--rct", files / "rct.parquet", "--ignore", "id", "--option", "data=rct", "--quiet"]
    whole, first, second = (files / f"{n}.safetensors" for n in ("whole", "first", "second"))
    keep = ["--checkpoint", files / "state"]
    assert bidfcl(*common, "--output", whole) == 0
    assert bidfcl(*common, "--output", first, *keep) == 0
    assert bidfcl(*common, "--output", second, *keep, "--resume") == 0
    assert whole.read_bytes() == first.read_bytes() == second.read_bytes()
    assert capsys.readouterr().out == ""
    assert "differ" in fails(capsys, *common, "--output", second, *keep, "--resume", "--seed", 1)


def test_bad_input(files, capsys):
    rct, model = files / "rct.parquet", files / "m.safetensors"
    common = ["train", "tsm-sl", "--output", model]
    assert "nothing to learn from" in fails(capsys, *common)
    assert "unknown method 'tsm'; expected one of tsm-sl" in fails(
        capsys, "train", "tsm", "--rct", rct, "--output", model
    )
    assert "must end in .safetensors" in fails(capsys, "train", "tsm-sl", "--rct", rct, "--output", files / "m.pt")
    assert fails(capsys, *common, "--rct", rct, "--option", "width=3").startswith(
        "--option width: tsm-sl has no such option; it has "
    )
    assert "expected NAME=VALUE" in fails(capsys, *common, "--rct", rct, "--option", "width")
    assert "no column idd" in fails(capsys, *common, "--rct", rct, "--ignore", "idd")
    assert "no such file" in fails(capsys, *common, "--rct", files / "no.parquet")
    assert "cannot be saved" in fails(capsys, "train", "tsm-cf", "--rct", rct, "--output", model)
    names = arrow(SIM.rct).set_column(0, "city", [["Bonn"] * 400])
    parquet.write_table(names, files / "bad.parquet")
    said = fails(capsys, *common, "--rct", files / "bad.parquet")
    assert "column city, row 1 (the first is 1): expected a number, got 'Bonn'" in said
    half = names.drop_columns(["city"]).set_column(4, "treatment", [[0.5] * 400])
    parquet.write_table(half, files / "bad.parquet")
    assert "column treatment, row 1" in fails(capsys, *common, "--rct", files / "bad.parquet")
    parquet.write_table(half.drop_columns(["cost"]), files / "bad.parquet")
    assert "no column cost" in fails(capsys, *common, "--rct", files / "bad.parquet")
    assert not model.exists()

    allocate = ["allocate", files / "people.csv", "--budget", 1, "--output", files / "o.csv", "--model"]
    assert "no such file" in fails(capsys, *allocate, files / "no.safetensors")
    assert "not a file that bidfcl_fast wrote" in fails(capsys, *allocate, rct)
    nameless = bf.methods.create("tsm-sl", epochs=1, data="rct").fit(
        rct=bf.Table(SIM.rct.x, SIM.rct.treatment, SIM.rct.value, SIM.rct.cost), progress=False
    )
    nameless.save(model)
    assert "which columns its features are" in fails(capsys, *allocate, model)
