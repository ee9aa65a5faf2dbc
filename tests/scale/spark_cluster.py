"""What test_spark.py asks of a cluster of two executors: run as a program, since a JVM ends with its process."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["PYSPARK_PYTHON"] = sys.executable
os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
os.environ["BIDFCL_NUM_THREADS"] = "1"

from oracles.instances import budgets, diminishing
from oracles.same import assert_same_plan, part
from pyspark.sql import SparkSession

import bidfcl_fast as bf
from bidfcl_fast.scale.spark import allocate, plan_of

FOLDER = Path(sys.argv[1])


def start() -> SparkSession:
    return (
        SparkSession.builder.master("local-cluster[2,1,1024]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.executor.memory", "512m")
        .config("spark.driver.memory", "512m")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "3")
        .config("spark.default.parallelism", "3")
        .config("spark.python.worker.reuse", "true")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "1000")
        .config("spark.task.maxFailures", "4")
        .getOrCreate()
    )


def table(x, first: int = 0) -> pa.Table:
    """A mask becomes the columns open_j; in closed cells there is nothing."""
    n, m = x.value.shape
    columns = {"user": np.arange(first, first + n), "name": [f"u{i}" for i in range(first, first + n)]}
    for kind, a in (("value", x.value), ("cost", x.cost)):
        columns |= {f"{kind}_{j}": pa.array(a[:, j], mask=None if x.mask is None else ~x.mask[:, j]) for j in range(m)}
    if x.mask is not None:
        columns |= {f"open_{j}": x.mask[:, j] for j in range(m)}
    return pa.table(columns)


def save(x, name: str, parts: int = 2) -> str:
    folder = FOLDER / name
    folder.mkdir()
    edges = np.linspace(0, len(x.value), parts + 1).round().astype(int)
    for k, (a, b) in enumerate(zip(edges, edges[1:], strict=False)):
        some = type(x)(*(None if array is None else array[a:b] for array in x))
        pq.write_table(table(some, a), folder / f"part-{k}.parquet")
    return str(folder)


def numbers(rows, kind: str) -> np.ndarray:
    m = sum(name.startswith("value_") for name in rows.column_names)
    return np.stack([rows[f"{kind}_{j}"].to_numpy() for j in range(m)], axis=1)


def compare(df, budget, **more):
    """The plan of df against that of its own rows, in its own order; `budget` may be several."""
    keys, mask = more.get("keys", ["user", "name"]), more.get("mask")
    cells = [c for c in df.columns if c.startswith(("value_", "cost_", "open_"))]
    given = df.select(*keys, *cells).toArrow()
    value, cost = numbers(given, "value"), numbers(given, "cost")
    open_ = None if mask is None else numbers(given, mask)
    expected = bf.solve_mckp(value, cost, budget, mask=open_, fill=more.get("fill", True))
    out = allocate(df, budget, **more)
    plan, rows = plan_of(out), out.toArrow()
    several = np.ndim(budget) > 0
    for k, b in enumerate(np.atleast_1d(budget).tolist()):
        end = f"_at_{b:.15g}" if several else ""
        got = SimpleNamespace(choice=rows[f"choice{end}"].to_numpy())
        for n in ("multiplier", "value", "spend", "dual_bound", "gap", "status"):
            setattr(got, n, getattr(plan, n)[k] if several else getattr(plan, n))
        assert_same_plan(got, part(expected, k) if several else expected)
        at = np.arange(len(cost)), got.choice
        assert rows[f"value{end}"].to_numpy().tolist() == value[at].tolist()
        assert rows[f"cost{end}"].to_numpy().tolist() == cost[at].tolist()
    assert rows["user"].to_pylist() == given["user"].to_pylist()
    assert rows.schema.field(-1).type == given.schema.field("value_0").type
    ends = [f"_at_{b:.15g}" for b in budget] if several else [""]
    assert out.columns == [*keys, *(f"{name}{end}" for end in ends for name in ("choice", "value", "cost"))]
    return out


def say(name: str, what: str = "same") -> None:
    print(f"{name}: {what}", flush=True)


def message(work) -> str:
    try:
        work()
    except Exception as error:
        return str(error)
    return "nothing"


def executors() -> list[int]:
    """Processes of this user's own cluster: children of children of this one."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        parents[int(status.parent.name)] = int(re.search(r"^PPid:\s+(\d+)", text, re.MULTILINE)[1])

    def ours(pid: int) -> bool:
        while pid > 1:
            pid = parents.get(pid, 0)
            if pid == os.getpid():
                return True
        return False

    out = []
    for pid in parents:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            continue
        if "CoarseGrainedExecutorBackend" in command and "java" in command.split("\0")[0] and ours(pid):
            out.append(pid)
    return out


def main() -> None:
    os.chdir(FOLDER)  # where the JVM, which is started now, puts what is written under a relative name
    spark = start()
    spark.sparkContext.setLogLevel("OFF")
    rng = np.random.default_rng(3)
    x = diminishing(rng, 6000, 3, np.float32)
    budget = float(budgets(x)[2])
    df = spark.read.parquet(save(x, "float32"))

    out = compare(df, budget)
    say("files")
    assert plan_of(out).stats["bytes_to_driver"] < 300_000, plan_of(out).stats
    say("small traffic")
    some = rng.integers(0, 3, 6000)
    alike = type(x)(x.value[some].astype(np.float64), x.cost[some].astype(np.float64))
    alike = spark.read.parquet(save(alike, "alike")).where("user < 2500").repartition(3).sortWithinPartitions("user")
    compare(alike, 700.0, fill=False, keys=["user"])
    say("alike, shuffled, without fill")
    compare(df.where("user % 7 = 3 and user < 2900"), 60.0)
    say("an empty partition")

    several(spark, df, x, rng)
    documents(df)

    try:
        allocate(df, -1.0)
    except bf.InfeasibleBudget:
        say("infeasible", "InfeasibleBudget")
    bad = x.value.copy()
    bad[5123, 1] = np.nan
    odd = spark.read.parquet(save(type(x)(bad, x.cost), "nan"))
    text = message(lambda: allocate(odd, budget).collect())
    say("not finite", next(line for line in text.splitlines() if "got nan" in line).strip())
    say("missing", message(lambda: allocate(df.drop("cost_2"), budget)))
    text = message(lambda: allocate(df.mapInArrow(_restlessly, df.schema), budget).collect())
    say("other rows", next((line for line in text.splitlines() if "has other rows" in line), text[:500]).strip())

    # An executor dies while the choices are made: its tasks are run again, by the other and by a new one.
    before = executors()
    expected = sorted(out.select("user", "choice").collect())
    slow = out.mapInArrow(_slowly, out.schema)
    found: list = []
    thread = threading.Thread(target=lambda: found.extend(slow.select("user", "choice").collect()))
    thread.start()
    time.sleep(1.5)
    os.kill(before[0], signal.SIGKILL)
    thread.join(600)
    assert sorted(found) == expected
    say("executor killed")
    say("executors lost", str(len(set(before) - set(executors()))))
    spark.stop()


def several(spark, df, x, rng) -> None:
    """Several budgets at once, and treatments that are closed."""
    some = budgets(x, (0.02, 0.4, 0.9)).round(2)
    one = plan_of(compare(df, float(some[1]))).stats["jobs"]
    out = compare(df, some.tolist())
    say("several budgets")
    assert plan_of(out).stats["jobs"] <= one + 3, (one, plan_of(out).stats)
    say("shared jobs")
    mask = rng.random(x.value.shape) < 0.6
    mask[np.arange(len(mask)), rng.integers(0, 3, len(mask))] = True
    masked = type(x)(x.value, x.cost, mask)
    closed = spark.read.parquet(save(masked, "masked"))
    fewer = budgets(masked, (0.1, 0.6)).round(2).tolist()
    compare(closed, fewer[0], mask="open")
    compare(closed, fewer, mask="open", keys=["user"], fill=False)
    say("a mask")
    mask[4321] = False
    none = spark.read.parquet(save(type(x)(x.value, x.cost, mask), "none open"))
    text = message(lambda: allocate(none, 500.0, mask="open").collect())
    say("none open", next(line for line in text.splitlines() if "are all false" in line).strip())
    say("mask missing", message(lambda: allocate(closed.drop("open_1"), 500.0, mask="open")))
    numbered = closed.withColumn("open_0", closed["open_0"].cast("int"))
    say("mask of numbers", message(lambda: allocate(numbered, 500.0, mask="open")))
    say("twice", message(lambda: allocate(df, [500.0, 500.0])))
    try:
        allocate(df, [float(some[1]), -1.0])
    except bf.InfeasibleBudget as error:
        say("one infeasible", str(error))
    lazy = allocate(df, [float(some[1]), -1.0], throw=False)
    assert plan_of(lazy).status.tolist() == [bf.Status.SOLVED, bf.Status.INFEASIBLE_BUDGET]
    assert lazy.count() == 0 and "choice_at_-1" in lazy.columns
    say("without throwing")


def documents(df) -> None:
    """The block of docs/scale.md."""
    page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
    [code] = [c for c in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL) if "scale.spark" in c]
    from pyspark.sql import functions as f

    open_ = {f"open_{j}": (f.col("user") % 3 != j) | f.lit(j == 0) for j in range(3)}
    given = {"df": df.withColumns(open_)}
    exec(code, given)
    assert pq.read_table(FOLDER / "plan").num_rows == df.count()
    assert given["out"].columns[:2] == ["user", "choice_at_2000000"]
    say("documents")


def _restlessly(batches):
    """Other rows each time."""
    for batch in batches:
        noise = pa.array(np.random.default_rng().random(batch.num_rows, np.float32))
        yield batch.set_column(batch.schema.get_field_index("value_1"), "value_1", noise)


def _slowly(batches):
    for batch in batches:
        time.sleep(0.5)
        yield batch


if __name__ == "__main__":
    main()
