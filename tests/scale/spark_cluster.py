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
from oracles.same import assert_same_plan
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
    n, m = x.value.shape
    columns = {"user": np.arange(first, first + n), "name": [f"u{i}" for i in range(first, first + n)]}
    columns |= {f"{kind}_{j}": a[:, j] for kind, a in (("value", x.value), ("cost", x.cost)) for j in range(m)}
    return pa.table(columns)


def save(x, name: str, parts: int = 2) -> str:
    folder = FOLDER / name
    folder.mkdir()
    edges = np.linspace(0, len(x.value), parts + 1).round().astype(int)
    for k, (a, b) in enumerate(zip(edges, edges[1:], strict=False)):
        pq.write_table(table(type(x)(x.value[a:b], x.cost[a:b]), a), folder / f"part-{k}.parquet")
    return str(folder)


def numbers(rows) -> tuple[np.ndarray, np.ndarray]:
    m = sum(name.startswith("value_") for name in rows.column_names)
    return tuple(  # type: ignore[return-value]
        np.stack([rows[f"{kind}_{j}"].to_numpy() for j in range(m)], axis=1) for kind in ("value", "cost")
    )


def compare(df, budget: float, **more):
    """The plan of df against that of its own rows, in its own order."""
    keys = more.get("keys", ["user", "name"])
    given = df.select(*keys, *[c for c in df.columns if c.startswith(("value_", "cost_"))]).toArrow()
    value, cost = numbers(given)
    expected = bf.solve_mckp(value, cost, budget, fill=more.get("fill", True))
    out = allocate(df, budget, **more)
    plan, rows = plan_of(out), out.toArrow()
    got = SimpleNamespace(
        **{n: getattr(plan, n) for n in ("multiplier", "value", "spend", "dual_bound", "gap", "status")}
    )
    got.choice = rows["choice"].to_numpy()
    assert_same_plan(got, expected)
    assert rows["user"].to_pylist() == given["user"].to_pylist()
    assert rows["cost"].to_numpy().tolist() == cost[np.arange(len(cost)), got.choice].tolist()
    assert out.columns == [*keys, "choice", "value", "cost"]
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
