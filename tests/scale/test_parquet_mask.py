"""Columns of booleans that close treatments: the plan is that of `solve_mckp` with the same mask, bit for bit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from oracles.instances import Instance, budgets, diminishing
from oracles.same import assert_same_plan, part

import bidfcl_fast as bf

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from bidfcl_fast.cli import main  # noqa: E402
from bidfcl_fast.scale import _dataset, _kept, parquet  # noqa: E402

from .test_parquet import table, written  # noqa: E402


def masked(rng, n: int, m: int, dtype) -> Instance:
    """Every user has treatments that are closed, which ones differs; what stands there would win if it were looked at."""
    x = diminishing(rng, n, m, dtype)
    mask = rng.random((n, m)) < 0.6
    mask[np.arange(n), rng.integers(0, m, n)] = True
    return Instance(np.where(mask, x.value, 1e6).astype(dtype), np.where(mask, x.cost, -1e6).astype(dtype), mask)


def rows(x: Instance, name: str = "open", closed=None) -> pa.Table:
    """With the mask in columns; `closed`: what stands in closed cells, None for nothing."""
    out = table(x)
    for j in range(x.value.shape[1]):
        for kind, cells in (("value", x.value), ("cost", x.cost)):
            if closed != "as it is":
                full = np.where(x.mask[:, j], cells[:, j], np.nan if closed is None else closed).astype(cells.dtype)
                empty = ~x.mask[:, j] if closed is None else None
                at = out.column_names.index(f"{kind}_{j}")
                out = out.set_column(at, f"{kind}_{j}", pa.array(full, mask=empty))
        out = out.append_column(f"{name}_{j}", pa.array(x.mask[:, j]))
    return out


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(_dataset, "BLOCK", 256)


@pytest.mark.parametrize("closed", ["as it is", None, np.nan, -np.inf, 0.0])
def test_a_file_with_a_mask_is_allocated_as_in_memory(tmp_path, dtype, fast, closed, small_blocks):
    x = masked(np.random.default_rng(1), 3000, 4, dtype)
    pq.write_table(rows(x, closed=closed), tmp_path / "in.parquet", row_group_size=700)
    budget = float(budgets(x)[2])
    plan = parquet.allocate(
        tmp_path / "in.parquet", tmp_path / "out.parquet", budget, mask="open", backend=fast, progress=False
    )
    assert_same_plan(written(plan, tmp_path / "out.parquet"), bf.solve_mckp(x.value, x.cost, budget, mask=x.mask))
    out = pq.read_table(tmp_path / "out.parquet")
    assert out.column_names == ["user", "name", "choice", "value", "cost"]
    i, choice = np.arange(3000), out["choice"].to_numpy()
    np.testing.assert_array_equal(out["cost"].to_numpy(), x.cost[i, choice])
    assert x.mask[i, choice].all()


@pytest.mark.parametrize("given", ["budget", "multiplier"])
def test_several_at_once(tmp_path, given, small_blocks):
    x = masked(np.random.default_rng(2), 5000, 4, np.float32)
    pq.write_table(rows(x), tmp_path / "in.parquet", row_group_size=700)
    some = budgets(x, (0.1, 0.5, 0.9)).round(2) if given == "budget" else np.array([0.2, 0.7])
    plan = parquet.allocate(tmp_path / "in.parquet", tmp_path / "out.parquet", **{given: some}, mask="open")
    expected = bf.solve_mckp(x.value, x.cost, mask=x.mask, **{given: some})
    for k, amount in enumerate(some.tolist()):
        one = written(plan, tmp_path / "out.parquet", f"_at_{amount:.15g}")
        for name in ("multiplier", "value", "spend", "dual_bound", "gap", "status"):
            setattr(one, name, getattr(plan, name)[k])
        assert_same_plan(one, part(expected, k))
    with pytest.raises(ValueError, match="choice_at_7 comes twice"):
        parquet.allocate(tmp_path / "in.parquet", tmp_path / "out2.parquet", [7.0, 8.0, 7.0])


def test_few_edges_are_kept_of_a_masked_file(tmp_path, monkeypatch, small_blocks):
    monkeypatch.setattr(_kept, "MOST", 300)
    rng = np.random.default_rng(3)
    some, x = rng.integers(0, 5, 6000), masked(rng, 6000, 4, np.float32)
    for y in (x, Instance(*(a[some] for a in x))):
        pq.write_table(rows(y), tmp_path / "in.parquet", row_group_size=700)
        budget = float(budgets(y)[2])
        plan = parquet.allocate(tmp_path / "in.parquet", tmp_path / "out.parquet", budget, mask="open")
        assert_same_plan(written(plan, tmp_path / "out.parquet"), bf.solve_mckp(y.value, y.cost, budget, mask=y.mask))


def spoiled(kind: str) -> tuple[pa.Table, str]:
    """A table that cannot be used with mask="open", and what is said of it."""
    x = masked(np.random.default_rng(4), 900, 3, np.float32)
    x.mask[614] = kind != "all closed"
    x.mask[700] = True
    t = rows(x)
    at = t.column_names.index("open_1")
    flags = t["open_1"].to_pylist()
    if kind == "missing":
        return t.drop_columns(
            "open_1"
        ), "column open_1 is missing: the mask needs open_0 to open_2, one for each treatment"
    if kind == "too many":
        return t.append_column("open_3", [flags]), "column open_3 belongs to no treatment: there are 3"
    if kind == "numbers":
        other = pa.array(flags).cast(pa.int8())
        return t.set_column(at, "open_1", other), "column open_1 must hold true and false, got int8"
    if kind == "null":
        flags[614] = None
        return t.set_column(
            at, "open_1", pa.array(flags)
        ), "column open_1, row 615 (the first is 1): the cell holds no value"
    if kind == "all closed":
        return t, "row 615 (the first is 1): open_0 to open_2 are all false; every row needs a treatment that is open"
    cells = t["cost_2"].to_numpy().copy()
    cells[700] = np.nan
    if kind == "open and nothing":
        cells = pa.array(cells, mask=np.arange(900) == 700)
        said = "column cost_2, row 701 (the first is 1): the cell holds no value"
    else:
        said = "column cost_2, row 701 (the first is 1): expected a finite number, got nan"
    return t.set_column(
        t.column_names.index("cost_2"), "cost_2", cells if isinstance(cells, pa.Array) else pa.array(cells)
    ), said


FAULTS = ["missing", "too many", "numbers", "null", "all closed", "open and nothing", "open and not finite"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", FAULTS)
def test_what_is_wrong_is_said_in_a_line_and_nothing_is_left(tmp_path, capsys, kind, stream):
    t, said = spoiled(kind)
    pq.write_table(t, tmp_path / "in.parquet", row_group_size=400)
    args = ["allocate", str(tmp_path / "in.parquet"), "--mask", "open", "--budget", "100"]
    assert main([*args, "--output", str(tmp_path / "out.parquet"), *["--stream"] * stream]) == 1
    out, err = capsys.readouterr()
    assert out == "" and said in err and err.count("\n") == 1
    assert [f.name for f in tmp_path.iterdir()] == ["in.parquet"]


@pytest.mark.parametrize("ending", ["parquet", "csv", "stream"])
def test_the_command_takes_a_mask(tmp_path, capsys, ending):
    csv = pytest.importorskip("pyarrow.csv")
    x = masked(np.random.default_rng(5), 400, 3, np.float64)
    source = tmp_path / f"in.{'csv' if ending == 'csv' else 'parquet'}"
    if ending == "csv":
        csv.write_csv(rows(x, closed=0.0), source)
    else:
        pq.write_table(rows(x), source)
    budget = float(budgets(x)[2])
    args = ["allocate", str(source), "--mask", "open", "--budget", repr(budget), "--json", "--output"]
    assert main([*args, str(tmp_path / "out.parquet"), *["--stream"] * (ending == "stream")]) == 0
    [plan] = json.loads(capsys.readouterr().out)["plans"]
    expected = bf.solve_mckp(x.value, x.cost, budget, mask=x.mask)
    out = pq.read_table(tmp_path / "out.parquet")
    assert out.column_names == ["user", "name", "choice", "value", "cost"]
    np.testing.assert_array_equal(out["choice"].to_numpy(), expected.choice)
    assert plan["value"] == expected.value and plan["gap"] == expected.gap


def test_the_frontier_takes_a_mask(tmp_path, capsys):
    x = masked(np.random.default_rng(8), 300, 4, np.float64)
    pq.write_table(rows(x), tmp_path / "in.parquet")
    args = ["frontier", str(tmp_path / "in.parquet"), "--mask", "open", "--output", str(tmp_path / "out.parquet")]
    assert main(args) == 0
    capsys.readouterr()
    out, expected = pq.read_table(tmp_path / "out.parquet"), bf.budget_frontier(x.value, x.cost, mask=x.mask)
    for name in ("budget", "value", "multiplier"):
        np.testing.assert_array_equal(out[name].to_numpy(), getattr(expected, name))


def test_statistics_that_speak_of_closed_cells_cost_no_reading(tmp_path, small_blocks):
    """The files' own statistics know of no mask; where the sample shows that, they are not believed."""
    x = masked(np.random.default_rng(6), 3000, 4, np.float32)
    pq.write_table(rows(x, closed="as it is"), tmp_path / "in.parquet", row_group_size=700)
    plan = parquet.allocate(tmp_path / "in.parquet", tmp_path / "out.parquet", float(budgets(x)[2]), mask="open")
    assert plan.stats["sweeps"] == 1
