"""The command line: what it writes, what it says, and that bad input gets one line and leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import bidfcl_fast as bf
from bidfcl_fast import cli, tables

pa = pytest.importorskip("pyarrow")
csv = pytest.importorskip("pyarrow.csv")
parquet = pytest.importorskip("pyarrow.parquet")

# Four users, three treatments; optimum 12 at budget 4.
VALUE = np.array([[0, 4, 6], [0, 3, 7], [0, 5, 6], [0, 2, 5]], float)
COST = np.array([[0, 1, 3], [0, 1, 4], [0, 2, 3], [0, 1, 2]], float)


def instance(dtype=np.float64, **keys):
    cells = {f"value_{j}": VALUE[:, j].astype(dtype) for j in range(3)}
    cells |= {f"cost_{j}": COST[:, j].astype(dtype) for j in range(3)}
    return pa.table({"user": ["007", "b", 'c "d"', "ü,x"], **cells, "weight": [1.5, 2.5, None, 4.5], **keys})


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.parquet"
    parquet.write_table(instance(), path)
    return path


def bidfcl(*args) -> int:
    return cli.main([str(a) for a in args])


def fails(capsys, *args, code=1) -> str:
    """Run it, expect one line on stderr and nothing on stdout; returns the line without its prefix."""
    try:
        got = bidfcl(*args)
    except SystemExit as stop:
        got = stop.code
    said = capsys.readouterr()
    assert got == code, said.err
    assert said.out == ""
    assert said.err.startswith("bidfcl: error: ")
    assert said.err.count("\n") == 1
    return said.err.removeprefix("bidfcl: error: ").strip()


def leftovers(folder) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_allocate_writes_the_plan_beside_the_keys(source, tmp_path, capsys):
    out = tmp_path / "out.parquet"
    assert bidfcl("allocate", source, "--budget", 4, "--output", out, "--backend", "reference") == 0
    table = parquet.read_table(out)
    assert table.column_names == ["user", "weight", "choice", "value", "cost"]
    plan = bf.solve_mckp(VALUE, COST, 4.0, backend="reference")
    np.testing.assert_array_equal(table["choice"], plan.choice)
    assert table.schema.field("choice").type == pa.int32()
    assert (sum(table["value"].to_pylist()), sum(table["cost"].to_pylist())) == (plan.value, plan.spend) == (12, 4)
    assert table["user"].to_pylist() == ["007", "b", 'c "d"', "ü,x"]
    assert table["weight"].to_pylist() == [1.5, 2.5, None, 4.5]
    assert leftovers(tmp_path) == ["in.parquet", "out.parquet"]
    said = capsys.readouterr()
    assert said.err == ""
    first, second, third = said.out.splitlines()
    assert first.startswith("4 rows, 3 treatments, backend reference, ")
    assert second == "  budget 4: value 12, spend 4, at most 0 below the optimum, multiplier 2.5"
    assert third == f"written: {out}"


def test_several_budgets_give_several_choices(source, tmp_path, capsys):
    out = tmp_path / "out.csv"
    args = ["--budget", 4, 6.5, "--budget", 0, "--output", out, "--json", "--backend", "reference"]
    assert bidfcl("allocate", source, *args) == 0
    done = json.loads(capsys.readouterr().out)
    assert [p["budget"] for p in done["plans"]] == [4, 6.5, 0]
    assert [p["value"] for p in done["plans"]] == [12, 17, 0]
    assert (done["rows"], done["treatments"], done["output"]) == (4, 3, str(out))
    ends = ["4", "6.5", "0"]
    expected = ["user", "weight", *(f"{n}_at_{e}" for e in ends for n in ("choice", "value", "cost"))]
    assert csv.read_csv(out).column_names == expected


def test_no_fill(tmp_path, capsys):
    path, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    parquet.write_table(instance(), path)
    spent = []
    for extra in ([], ["--no-fill"]):
        bidfcl("allocate", path, "--budget", 5, "--output", out, "--json", "--backend", "reference", *extra)
        spent.append(json.loads(capsys.readouterr().out)["plans"][0]["spend"])
    assert spent[0] >= spent[1]
    assert spent[1] == bf.solve_mckp(VALUE, COST, 5.0, fill=False, backend="reference").spend


def _plan(capsys, source, out, *args):
    assert bidfcl("allocate", source, "--output", out, "--json", "--backend", "reference", *args) == 0
    return json.loads(capsys.readouterr().out)["plans"]


def test_a_multiplier_instead_of_a_budget(source, tmp_path, capsys):
    out = tmp_path / "out.parquet"
    (plan,) = _plan(capsys, source, out, "--multiplier", 1)
    assert (plan["value"], plan["spend"], plan["budget"], plan["gap"]) == (21, 9, 9, 0)
    assert parquet.read_table(out)["choice"].to_pylist() == [1, 2, 1, 2]
    plans = _plan(capsys, source, out, "--multiplier", 0, 1)
    assert [p["multiplier"] for p in plans] == [0, 1]
    assert "choice_at_1" in parquet.read_table(out).column_names
    assert bidfcl("allocate", source, "--multiplier", 1, "--output", out) == 0
    assert "  multiplier 1: value 21, spend 9, at most 0 below the optimum\n" in capsys.readouterr().out


def test_limits_beside_the_budget(source, tmp_path, capsys):
    out = tmp_path / "out.parquet"
    (plan,) = _plan(capsys, source, out, "--budget", 100, "--max-treated", 2)
    assert (plan["value"], plan["treated"]) == (13, 2)
    (plan,) = _plan(capsys, source, out, "--budget", 4, "--max-treated", 3, "--control", 1)
    assert plan["treated"] <= 3
    (plan,) = _plan(capsys, source, out, "--budget", 12, "--min-spend", 12)
    assert (plan["value"], plan["spend"]) == (24, 12)
    (plan,) = _plan(capsys, source, out, "--budget", 9, "--proven", "--time-limit", 60)
    assert (plan["value"], plan["dual_bound"], plan["status"]) == (21, 21, 0)


def test_a_proof_out_of_time_says_so(source, tmp_path, capsys):
    out = tmp_path / "out.parquet"
    args = ["allocate", source, "--budget", 5, "--output", out, "--no-fill", "--proven", "--time-limit", 0]
    assert bidfcl(*args) == 0
    assert "the time limit came before the proof" in capsys.readouterr().out


def test_limits_that_cannot_be_met(source, tmp_path, capsys):
    out = tmp_path / "out.parquet"
    args = ["allocate", source, "--output", out]
    assert "most that can be spent" in fails(capsys, *args, "--budget", 100, "--min-spend", 99)
    assert "bind at once" in fails(capsys, *args, "--budget", 4, "--max-treated", 2)
    assert "not allowed with" in fails(capsys, *args, "--budget", 4, "--multiplier", 2, code=2)
    assert "--budget --multiplier is required" in fails(capsys, *args, code=2)
    assert "must not be negative" in fails(capsys, *args, "--budget", 4, "--max-treated", -1, code=2)
    assert "exclude each other" in fails(capsys, *args, "--multiplier", 4, "--min-spend", 1)
    assert leftovers(tmp_path) == ["in.parquet"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float32_stays(tmp_path, dtype):
    path, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    parquet.write_table(instance(dtype), path)
    assert bidfcl("allocate", path, "--budget", 4, "--output", out, "--backend", "reference") == 0
    assert parquet.read_table(out).schema.field("value").type == pa.from_numpy_dtype(dtype)


def test_csv_keys_are_kept_letter_for_letter(tmp_path):
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("id,code,n,empty,value_0,value_1,cost_0,cost_1\n007,1.50,12,,0,1.5,0,2\n010,NA,-3,x,0,1,0,1\n")
    assert bidfcl("allocate", path, "--budget", 3, "--output", out, "--backend", "reference") == 0
    keys = csv.ConvertOptions(column_types={"id": pa.string(), "code": pa.string()}, strings_can_be_null=False)
    table = csv.read_csv(out, convert_options=keys)
    assert table["id"].to_pylist() == ["007", "010"]
    assert table["code"].to_pylist() == ["1.50", "NA"]
    assert table["n"].to_pylist() == [12, -3]
    assert out.read_text().splitlines()[1] == '"007","1.50",12,"",1,1.5,2'


def test_frontier(source, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out, figure = tmp_path / "f.csv", tmp_path / "f.svg"
    assert bidfcl("frontier", source, "--output", out, "--plot", figure, "--backend", "reference") == 0
    table = csv.read_csv(out)
    assert table.column_names == ["budget", "value", "multiplier"]
    found = bf.budget_frontier(VALUE, COST, backend="reference")
    for name in table.column_names:
        np.testing.assert_array_equal(table[name], getattr(found, name))
    assert figure.read_text().lstrip().startswith("<?xml")
    assert capsys.readouterr().out.splitlines() == [
        f"4 rows, 3 treatments, {len(found.budget)} breakpoints",
        "  least budget 0: value 0",
        "  from budget  12: value 24, and no more money helps",
        f"written: {out}, {figure}",
    ]
    bidfcl("frontier", source, "--output", out, "--json", "--backend", "reference")
    assert json.loads(capsys.readouterr().out)["full_budget"] == 12


def test_info(capsys):
    assert bidfcl("info") == 0
    text = capsys.readouterr().out
    assert text.startswith(f"bidfcl_fast {bf.__version__}, Python ")
    for name in ("cpp", "numba", "reference", "numpy", "torch", "pyarrow", "default: "):
        assert name in text
    assert bidfcl("info", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["backends"] == bf.backends.describe()
    assert facts["packages"]["numpy"] == np.__version__
    assert facts["threads"] == bf.backends.threads()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.drop_columns(["value_0", "value_1", "value_2"]), "no column value_0; expected value_0, value_1, "),
        (lambda t: t.drop_columns(["cost_1"]), "column cost_1 is missing: there is cost_2"),
        (lambda t: t.drop_columns(["cost_2"]), "column cost_2 is missing: there is value_2"),
        (lambda t: t.set_column(1, "value_0", [["1", "2", "x", "3"]]), "column value_0, row 3 (the first is 1): expected a number, got 'x'"),
        (lambda t: t.set_column(1, "value_0", [[1.0, None, 1, 1]]), "column value_0, row 2 (the first is 1): the cell holds no value"),
        (lambda t: t.set_column(1, "value_0", [[1.0, 1, 1, np.nan]]), "column value_0, row 4 (the first is 1): expected a finite number, got nan"),
        (lambda t: t.set_column(1, "value_0", [[True, True, True, False]]), "row 1 (the first is 1): expected a number, got True"),
        (lambda t: t.append_column("choice", [[1, 2, 3, 4]]), "already has a column choice"),
        (lambda t: pa.Table.from_arrays([*t.columns, t["user"]], names=[*t.column_names, "user"]), "column user occurs more than once"),
    ],
)  # fmt: skip
def test_bad_columns(source, tmp_path, capsys, change, match):
    parquet.write_table(change(instance()), source)
    assert match in fails(capsys, "allocate", source, "--budget", 4, "--output", tmp_path / "out.csv")
    assert leftovers(tmp_path) == ["in.parquet"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "cannot be read as csv"),
        ("value_0,cost_0\n1,2,3\n", "cannot be read as csv"),
        ("value_0,cost_0\n1,2\nabc,2\n", "column value_0, row 2 (the first is 1): expected a number, got 'abc'"),
        ("value_0,cost_0\n1,2\n,2\n", "column value_0, row 2 (the first is 1)"),
        ("a,b\n1,2\n", "no column value_0"),
        ("a,a,value_0,cost_0\n1,2,3,4\n", "column a occurs more than once"),
    ],
)
def test_bad_csv(tmp_path, capsys, text, match):
    path = tmp_path / "in.csv"
    path.write_text(text)
    assert match in fails(capsys, "allocate", path, "--budget", 4, "--output", tmp_path / "out.csv")
    assert leftovers(tmp_path) == ["in.csv"]


def test_bad_files(source, tmp_path, capsys):
    out = tmp_path / "out.csv"
    assert "no such file" in fails(capsys, "allocate", tmp_path / "no.csv", "--budget", 4, "--output", out)
    assert "must end in .parquet or .csv" in fails(
        capsys, "allocate", source, "--budget", 4, "--output", tmp_path / "o.txt"
    )
    assert "must end in .png or .svg" in fails(
        capsys, "frontier", source, "--output", out, "--plot", tmp_path / "f.gif"
    )
    missing = fails(capsys, "allocate", source, "--budget", 4, "--output", tmp_path / "no" / "out.csv")
    assert missing.endswith(f"the folder {tmp_path / 'no'} does not exist")
    assert "is also the input" in fails(capsys, "allocate", source, "--budget", 4, "--output", source)
    link = tmp_path / "link.parquet"
    os.link(source, link)
    assert "is also the input" in fails(capsys, "frontier", source, "--output", link)
    link.unlink()
    (tmp_path / "folder.csv").mkdir()
    assert "is not a file" in fails(capsys, "frontier", source, "--output", tmp_path / "folder.csv")
    assert "is a folder" in fails(capsys, "frontier", tmp_path / "folder.csv", "--output", out)
    source.write_bytes(b"PAR1 but not really")
    assert "cannot be read as parquet" in fails(capsys, "allocate", source, "--budget", 4, "--output", out)
    assert leftovers(tmp_path) == ["folder.csv", "in.parquet"]


def test_bad_budgets_and_backends(source, tmp_path, capsys):
    out = tmp_path / "out.csv"
    shifted = instance().set_column(4, "cost_0", [[0.5] * 4])
    parquet.write_table(shifted, source)
    args = ["allocate", source, "--output", out]
    infeasible = fails(capsys, *args, "--budget", 1, "--backend", "reference")
    assert "2" in infeasible  # the least budget that works
    assert "budget" in fails(capsys, *args, "--budget", "nan", "--backend", "reference")
    assert "unknown backend 'gpu'; expected one of" in fails(capsys, *args, "--budget", 4, "--backend", "gpu")
    assert "invalid float value: 'lots'" in fails(capsys, *args, "--budget", "lots", code=2)
    assert "--budget" in fails(capsys, *args, code=2)
    assert "invalid choice" in fails(capsys, "alocate", code=2)
    assert leftovers(tmp_path) == ["in.parquet"]


def test_a_write_that_fails_leaves_the_old_file(source, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out.parquet"
    out.write_bytes(b"old")

    def half(table, path):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(parquet, "write_table", half)
    assert fails(capsys, "allocate", source, "--budget", 4, "--output", out, "--backend", "reference") == "disk full"
    assert out.read_bytes() == b"old"
    assert leftovers(tmp_path) == ["in.parquet", "out.parquet"]


def test_an_interrupt_is_no_traceback(source, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tables, "read", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    assert fails(capsys, "allocate", source, "--budget", 4, "--output", tmp_path / "o.csv", code=130) == "interrupted"


def test_a_missing_package_names_its_extra(source, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    said = fails(capsys, "allocate", source, "--budget", 4, "--output", tmp_path / "out.csv")
    assert said == "reading Parquet and CSV needs pyarrow: pip install 'bidfcl_fast[io]'"


def test_atomic_follows_a_link_and_keeps_what_it_points_to(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    tables.write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "real.txt").read_text() == "new"
    assert (tmp_path / "link.txt").is_symlink()


def test_as_a_module():
    run = [sys.executable, "-m", "bidfcl_fast"]
    done = subprocess.run([*run, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"bidfcl {bf.__version__}\n"
    narrow = {**os.environ, "PYTHONIOENCODING": "ascii"}
    help_ = subprocess.run([*run, "allocate", "--help"], capture_output=True, text=True, check=True, env=narrow)
    assert "value_1, ?" in help_.stdout
    bad = subprocess.run([*run, "allocate"], capture_output=True, text=True)
    assert bad.returncode == 2
    assert bad.stderr.startswith("bidfcl: error: the following arguments are required")
