"""Parquet files larger than memory: the plan is that of the same rows in memory, and the output is whole or absent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from oracles.instances import Instance, budgets, diminishing
from oracles.same import assert_same_plan, part

import bidfcl_fast as bf

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from bidfcl_fast.scale import _dataset, _kept, parquet  # noqa: E402


def table(x: Instance, first: int = 0) -> pa.Table:
    n, m = x.value.shape
    columns = {"user": np.arange(first, first + n), "name": [f"u{i}" for i in range(first, first + n)]}
    columns |= {f"{kind}_{j}": a[:, j] for kind, a in (("value", x.value), ("cost", x.cost)) for j in range(m)}
    return pa.table(columns)


def write(x: Instance, path: Path, group: int = 700, **more) -> Path:
    pq.write_table(table(x), path, row_group_size=group, **more)
    return path


def written(plan, path: Path, end: str = "") -> SimpleNamespace:
    out = SimpleNamespace(
        **{n: getattr(plan, n) for n in ("multiplier", "value", "spend", "dual_bound", "gap", "status")}
    )
    out.choice = pq.read_table(path, partitioning=None)[f"choice{end}"].to_numpy()
    return out


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(_dataset, "BLOCK", 256)


@pytest.mark.parametrize("compression", ["snappy", "none"])
def test_a_file_is_allocated_as_in_memory(tmp_path, dtype, fast, compression, small_blocks):
    x = diminishing(np.random.default_rng(1), 5000, 4, dtype)
    source = write(x, tmp_path / "in.parquet", compression=compression)
    for budget in budgets(x, (0.01, 0.4, 1.1)):
        plan = parquet.allocate(source, tmp_path / "out.parquet", budget, backend=fast)
        assert_same_plan(written(plan, tmp_path / "out.parquet"), bf.solve_mckp(x.value, x.cost, budget))
    out = pq.read_table(tmp_path / "out.parquet")
    assert out.column_names == ["user", "name", "choice", "value", "cost"]
    assert out["user"].to_pylist() == list(range(5000))
    rows, choice = np.arange(5000), out["choice"].to_numpy()
    np.testing.assert_array_equal(out["cost"].to_numpy(), x.cost[rows, choice])
    assert out["value"].type == pa.float32() if dtype is np.float32 else pa.float64()


def test_several_budgets_share_the_readings(tmp_path, small_blocks):
    x = diminishing(np.random.default_rng(2), 6000, 4, np.float32)
    source = write(x, tmp_path / "in.parquet")
    some = budgets(x, (0.1, 0.5, 0.9)).round(2)
    plan = parquet.allocate(source, tmp_path / "out.parquet", some, fill=False)
    expected = bf.solve_mckp(x.value, x.cost, some, fill=False)
    for k, b in enumerate(some.tolist()):
        one = SimpleNamespace(**{n: getattr(plan, n)[k] for n in ("multiplier", "value", "spend", "dual_bound", "gap")})
        one.status, one.choice = (
            plan.status[k],
            pq.read_table(tmp_path / "out.parquet")[f"choice_at_{b:.15g}"].to_numpy(),
        )
        assert_same_plan(one, part(expected, k))
    assert plan.stats["sweeps"] <= 2


@pytest.mark.parametrize("multiplier", [0.0, 0.37, 5.0])
def test_a_price_needs_one_reading(tmp_path, multiplier, dtype, small_blocks):
    x = diminishing(np.random.default_rng(3), 3000, 4, dtype)
    plan = parquet.allocate(write(x, tmp_path / "in.parquet"), tmp_path / "out.parquet", multiplier=multiplier)
    assert_same_plan(written(plan, tmp_path / "out.parquet"), bf.solve_mckp(x.value, x.cost, multiplier=multiplier))
    assert plan.stats["sweeps"] == 0


def folder(x: Instance, root: Path) -> list[slice]:
    """Three hive partitions of two files each; the slices of x in the order of their paths."""
    pieces, at = [], 0
    for day in ("2026-01-01", "2026-01-02", "2026-01-03"):
        for k, rows in enumerate((900, 1100)):
            place = root / f"day={day}" / f"part-{k}.parquet"
            place.parent.mkdir(parents=True, exist_ok=True)
            rows = slice(at, at + rows)
            pq.write_table(table(Instance(x.value[rows], x.cost[rows]), at), place, row_group_size=400)
            pieces.append(rows)
            at = rows.stop
    (root / "_SUCCESS").touch()
    return pieces


def test_a_partitioned_folder_becomes_one_file_or_a_folder(tmp_path, small_blocks):
    x = diminishing(np.random.default_rng(4), 6000, 4, np.float32)
    pieces = folder(x, tmp_path / "in")
    budget = float(budgets(x)[2])
    expected = bf.solve_mckp(x.value, x.cost, budget)

    plan = parquet.allocate(tmp_path / "in", tmp_path / "out.parquet", budget)
    assert_same_plan(written(plan, tmp_path / "out.parquet"), expected)
    out = pq.read_table(tmp_path / "out.parquet")
    assert out["user"].to_pylist() == list(range(6000))
    assert out["day"].to_pylist()[1999:2001] == ["2026-01-01", "2026-01-02"]

    parquet.allocate(tmp_path / "in", tmp_path / "out", budget)
    files = sorted((tmp_path / "out").rglob("*.parquet"))
    assert [f.relative_to(tmp_path / "out") for f in files] == [
        f.relative_to(tmp_path / "in") for f in sorted((tmp_path / "in").rglob("*.parquet"))
    ]
    for file, rows in zip(files, pieces, strict=True):
        got = pq.ParquetFile(file).read()
        assert "day" not in got.column_names
        np.testing.assert_array_equal(got["choice"].to_numpy(), expected.choice[rows])
    assert {f.name for f in tmp_path.iterdir()} == {"in", "out", "out.parquet"}


@pytest.mark.parametrize("kind", ["plain", "alike", "five kinds", "sorted", "lattice"])
@pytest.mark.parametrize("fill", [True, False])
def test_few_edges_are_kept_however_many_there_are(tmp_path, monkeypatch, small_blocks, kind, fill):
    """With room for a few hundred edges: the bracket becomes narrower on the way, and ties are bought by the block."""
    monkeypatch.setattr(_kept, "MOST", 300)
    rng = np.random.default_rng(6)
    x = diminishing(rng, 9000, 4, np.float32)
    if kind == "alike":
        x = Instance(*(np.tile(a[:1], (9000, 1)) for a in x[:2]))
    if kind == "five kinds":
        some = rng.integers(0, 5, 9000)
        x = Instance(x.value[some], x.cost[some])
    if kind == "sorted":
        order = np.argsort(x.cost.sum(axis=1))
        x = Instance(x.value[order], x.cost[order])
    if kind == "lattice":
        x = Instance(*(rng.integers(0, 9, (9000, 4)).astype(np.float32) for _ in range(2)))
    source = write(x, tmp_path / "in.parquet")
    for budget in budgets(x, (0.02, 0.35, 0.8, 0.9999)):
        plan = parquet.allocate(source, tmp_path / "out.parquet", budget, fill=fill)
        expected = bf.solve_mckp(x.value, x.cost, budget, fill=fill)
        assert_same_plan(written(plan, tmp_path / "out.parquet"), expected)


@pytest.mark.parametrize("statistics", [True, False])
def test_numbers_larger_than_the_sample_showed(tmp_path, monkeypatch, small_blocks, statistics):
    """The scales are guessed from statistics or a sample, and every reading checks them."""
    monkeypatch.setattr(parquet, "SAMPLE", 64)
    x = diminishing(np.random.default_rng(7), 5000, 3, np.float64)
    x.value[4321, 2], x.cost[3210, 2] = 900.0, 5000.0
    source = write(x, tmp_path / "in.parquet", write_statistics=statistics)
    for money in ({"budget": float(budgets(x)[2])}, {"multiplier": 0.4}):
        plan = parquet.allocate(source, tmp_path / "out.parquet", **money)
        assert_same_plan(written(plan, tmp_path / "out.parquet"), bf.solve_mckp(x.value, x.cost, **money))


def test_misuse_says_where_and_leaves_nothing(tmp_path, small_blocks):
    x = diminishing(np.random.default_rng(8), 3000, 3, np.float32)
    source = write(x, tmp_path / "in.parquet")
    with pytest.raises(bf.InfeasibleBudget) as error:
        parquet.allocate(source, tmp_path / "out.parquet", -5.0)
    assert error.value.least_budget == bf.solve_mckp(x.value, x.cost, -5.0, throw=False).least_budget
    plan = parquet.allocate(source, tmp_path / "out.parquet", -5.0, throw=False)
    assert plan.status is bf.Status.INFEASIBLE_BUDGET and plan.output is None

    x.cost[1234, 2] = np.nan
    write(x, source)
    with pytest.raises(ValueError, match=r"in\.parquet: column cost_2, row 1235 .*finite number, got nan"):
        parquet.allocate(source, tmp_path / "out.parquet", 100.0)
    for path in ("none.parquet", "out.parquet"):
        with pytest.raises(ValueError, match="no such file or folder"):
            parquet.allocate(tmp_path / path, tmp_path / "out2.parquet", 1.0)
    with pytest.raises(ValueError, match="also the input"):
        parquet.allocate(source, source, 1.0)
    with pytest.raises(ValueError, match="lies inside the input"):
        parquet.allocate(tmp_path, tmp_path / "out.parquet", 1.0)
    pq.write_table(pa.table({"choice": [1], "value_0": [1.0], "cost_0": [1.0]}), tmp_path / "taken.parquet")
    with pytest.raises(ValueError, match="already has a column choice"):
        parquet.allocate(tmp_path / "taken.parquet", tmp_path / "out.parquet", 1.0)
    assert {f.name for f in tmp_path.iterdir()} == {"in.parquet", "taken.parquet"}


def test_a_failure_while_writing_leaves_nothing(tmp_path, monkeypatch, small_blocks):
    x = diminishing(np.random.default_rng(9), 3000, 3, np.float32)
    source = write(x, tmp_path / "in.parquet")
    folder(diminishing(np.random.default_rng(9), 6000, 3, np.float32), tmp_path / "many")
    seen = []

    def break_down(self, *args):
        seen.append(args)
        if len(seen) % 5 == 0:
            raise OSError("disk full")
        return write_row(self, *args)

    write_row = parquet._output.Output.write
    monkeypatch.setattr(parquet._output.Output, "write", break_down)
    for where, to in ((source, "out.parquet"), (tmp_path / "many", "out")):
        with pytest.raises(OSError, match="disk full"):
            parquet.allocate(where, tmp_path / to, 500.0)
    assert {f.name for f in tmp_path.iterdir()} == {"in.parquet", "many"}


def test_files_that_change_between_the_readings_are_noticed(tmp_path, monkeypatch, small_blocks):
    x = diminishing(np.random.default_rng(9), 3000, 3, np.float32)
    source = write(x, tmp_path / "in.parquet")
    real = parquet._Job._write

    def swapped(self, *args):
        other = Instance(x.value[::-1].copy(), np.roll(x.cost, 1, axis=0))
        write(other, source)
        return real(self, *args)

    monkeypatch.setattr(parquet._Job, "_write", swapped)
    with pytest.raises(RuntimeError, match="was changed between two readings"):
        parquet.allocate(source, tmp_path / "out.parquet", float(budgets(x)[2]))
    assert not (tmp_path / "out.parquet").exists()


MEMORY = """
import sys
from bidfcl_fast.scale import parquet
def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) // 1024
plan = parquet.allocate(sys.argv[1], sys.argv[2], float(sys.argv[3]))
print(peak(), plan.stats["active"])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_peak_memory_is_bounded(tmp_path):
    """The numbers alone are 128 MB; read into a table and into arrays they would be that three times."""
    x = diminishing(np.random.default_rng(0), 200_000, 8, np.float32)
    rows = table(x).drop_columns("name")
    source = tmp_path / "in.parquet"
    with pq.ParquetWriter(source, rows.schema, compression="none") as writer:
        for _ in range(10):
            writer.write_table(rows)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, source, tmp_path / "out.parquet", "1200000"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    peak, active = map(int, done.stdout.split())
    assert active > 0
    assert peak < 450


def cli(capsys, *args) -> tuple[int, str, str]:
    from bidfcl_fast.cli import main

    status = main(["allocate", *map(str, args)])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_command_streams_folders_and_large_files(tmp_path, capsys, monkeypatch):
    x = diminishing(np.random.default_rng(4), 6000, 4, np.float32)
    folder(x, tmp_path / "in")
    source, budget = write(x, tmp_path / "in.parquet"), round(float(budgets(x)[2]), 3)
    expected = bf.solve_mckp(x.value, x.cost, budget)
    for k, (args, copies) in enumerate((([], 3), (["--stream"], 3), ([], 100), (["--max-memory", "100"], 100))):
        monkeypatch.setattr("bidfcl_fast.commands.allocate._COPIES", copies)
        output = tmp_path / f"out{k}.parquet"
        args = [*args, "--max-memory", "1"] if copies == 100 and not args else args
        status, out, err = cli(capsys, source, *args, "--budget", budget, "--output", output, "--json")
        assert status == 0 and err == ""
        np.testing.assert_array_equal(pq.read_table(output)["choice"].to_numpy(), expected.choice)
        assert ('"sweeps"' in out) == (k in (1, 2))
    status, out, _ = cli(capsys, tmp_path / "in", "--budget", budget, "--output", tmp_path / "out")
    assert status == 0 and "rows a second" in out
    assert len(list((tmp_path / "out").rglob("*.parquet"))) == 6
    status, _, err = cli(capsys, tmp_path / "in", "--budget", budget, "--proven", "--output", tmp_path / "no.parquet")
    assert status == 1 and "--proven needs all rows in memory" in err
    assert not (tmp_path / "no.parquet").exists()


def test_the_progress_line_has_a_rate_and_is_for_terminals_only():
    import io

    from bidfcl_fast.progress import Progress

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream in (Terminal(), io.StringIO()):
        with Progress("reading", 100, stream=stream, unit="rows") as line:
            line.step("reading", by=50)
        text = stream.getvalue()
        assert (text == "") != stream.isatty()
        if text:
            assert "50 of 100 rows" in text and "a second" in text and "s left" in text


def test_drivers_are_found_by_name():
    assert bf.scale.parquet is parquet
    assert {"parquet", "spark", "torch_distributed"} <= set(dir(bf.scale))
    with pytest.raises(AttributeError):
        _ = bf.scale.nothing
