"""Allocation on a PySpark DataFrame, through Arrow, without collecting users.

Three kinds of job over the data (`mapInArrow`): facts and a sample's spend; a sweep, whose edges near λ* are kept as a small
cached DataFrame, on which the rounds that follow run; and the choices, which are computed when the result is used. What
comes to the driver are totals and a few edges of each partition.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _check, backends, tables
from .._problems import EDGE, Problems, Scales
from ..errors import Status
from ..tables import need
from ._curve import CurvePart, sampled
from ._decide import Rule, choose
from ._facts import Facts
from ._finish import Outcome
from ._ledger import Ledger, exact_sum, joined
from ._search import Ask, Curve, Stretch, Sweep, Swept, run, search
from ._shard import open_user
from .parquet import WrittenPlan

_FIRST = 1 << 33  # users of one partition at most
_ANSWER = "partition int, kind string, payload binary"


class _Job(NamedTuple):
    """What executors are told of a DataFrame's rows; they get it by value with each task."""

    treatments: int
    single: bool
    backend: str | None


class _Rows(NamedTuple):
    """What a partition held in the first job, for later ones to check."""

    users: int
    value: float  # sums, as a fingerprint
    cost: float


def allocate(
    df: Any,
    budget: float,
    *,
    keys: Sequence[str] | None = None,
    fill: bool = True,
    backend: str | None = None,
    throw: bool = True,
) -> Any:
    """Choose a treatment for every row of a DataFrame: the most value within one budget for all.

    The plan is the one that `solve_mckp` finds for the same rows in one process, in the order of partitions and of the rows
    in them (that of ``toPandas()`` for the columns used), bit for bit. A task that is run again gives what it gave before, as long as its rows
    are the same and in the same order; where they are not (a DataFrame that is itself computed at random, or shuffled
    without an order), later jobs notice and fail: `persist()` or write it first.

    Parameters
    ----------
    df
        A `pyspark.sql.DataFrame` with the columns value_0, value_1, … and cost_0, cost_1, …: one treatment each.
    budget
        Total money for all rows.
    keys
        Which other columns to keep; None keeps all.
    fill, backend, throw
        As in `solve_mckp`; the backend is the executors'.

    Returns
    -------
    pyspark.sql.DataFrame
        The kept columns, and `choice` (int), `value` and `cost` (float or double, as the input's). It is lazy, like
        any other. `plan_of` gives its numbers.

    Raises
    ------
    InfeasibleBudget, ValueError
        As in `solve_mckp`, and for columns that are missing. Cells that are no finite numbers fail in the executors, with
        partition and row in Spark's own exception.
    """
    need("pyspark.sql", "spark", "allocation on Spark")
    need("pyarrow", "spark", "allocation on Spark")
    amount = float(_check.per_problem("budget", budget, 1)[0])
    if backend is not None:
        backends.resolve(backend)
    job, kept = _described(df, keys, backend)
    cells = [f"{kind}_{j}" for kind in ("value", "cost") for j in range(job.treatments)]
    # Every job asks for the same columns: where Spark deals rows out to partitions in turn, who goes where depends on them.
    rows = df.select(*kept, *cells)
    search_ = _SparkSearch(rows, job)
    try:
        facts, parts = search_.survey()
        [outcome] = run([search(amount, fill, facts, len(parts))], search_.exchange)
    finally:
        search_.close()
    if throw:
        outcome.raise_for()
    plan = _numbers(outcome, facts, job, search_)
    if outcome.status is not Status.SOLVED:
        empty = df.sparkSession.createDataFrame([], _schema(df, kept, job))
        return _with_plan(empty, plan)
    out = rows.mapInArrow(
        _Choose(job, kept, outcome, facts.scales, search_.firsts, search_.rows), _schema(df, kept, job)
    )
    return _with_plan(out, plan)


def plan_of(df: Any) -> WrittenPlan:
    """The numbers of the plan behind a DataFrame that `allocate` has returned."""
    plan = getattr(df, "_bidfcl_plan", None)
    if plan is None:
        raise ValueError("df must be what scale.spark.allocate returned, itself and not something made from it")
    return plan


def _with_plan(df: Any, plan: WrittenPlan) -> Any:
    df._bidfcl_plan = plan
    return df


def _described(df: Any, keys: Sequence[str] | None, backend: str | None) -> tuple[_Job, list[str]]:
    names = list(df.columns)
    m = tables.treatments(names)
    kinds = dict(df.dtypes)
    cells = [f"{kind}_{j}" for kind in ("value", "cost") for j in range(m)]
    others = [n for n in names if n not in cells]
    kept = others if keys is None else list(keys)
    for name in kept:
        if name not in others:
            raise ValueError(f"keys must be columns beside value_j and cost_j, got {name!r}; there are {others}")
        if name in ("choice", "value", "cost"):
            raise ValueError(
                f"the DataFrame already has a column {name}, which the output adds; rename it, or leave it out"
            )
    for cell in cells:
        if not kinds[cell].startswith(("float", "double", "int", "bigint", "smallint", "tinyint", "decimal")):
            raise ValueError(f"column {cell} must hold numbers, got {kinds[cell]}")
    return _Job(m, all(kinds[c] == "float" for c in cells), backend), kept


def _schema(df: Any, kept: Sequence[str], job: _Job) -> Any:
    from pyspark.sql import types as t

    number = t.FloatType() if job.single else t.DoubleType()
    fields = [df.schema[name] for name in kept]
    fields += [t.StructField("choice", t.IntegerType(), False)]
    fields += [t.StructField(name, number, False) for name in ("value", "cost")]
    return t.StructType(fields)


def _numbers(outcome: Outcome, facts: Facts, job: _Job, search_: _SparkSearch) -> WrittenPlan:
    fields = ("multiplier", "value", "spend", "dual_bound", "gap", "least_budget", "status", "budget")
    stats = {
        **outcome.stats,
        "jobs": search_.jobs,
        "bytes_to_driver": search_.bytes,
        "partitions": len(search_.rows),
        "rows_read": facts.users * (1 + outcome.stats["sweeps"]),
    }
    return WrittenPlan(None, facts.users, job.treatments, **{n: getattr(outcome, n) for n in fields}, stats=stats)


# --- What executors run -----------------------------------------------------------------------------------------------


def _partition() -> int:
    from pyspark import TaskContext

    context = TaskContext.get()
    return context.partitionId() if context is not None else 0


def _blocks(job: _Job, batches: Iterator[Any]) -> Iterator[tuple[int, Any, Problems]]:
    """(first row in the partition, batch, its numbers)."""
    first = 0
    for batch in batches:
        if batch.num_rows:
            try:
                value, cost = tables.value_and_cost(batch, first=first, single=job.single)
            except ValueError as error:
                raise ValueError(f"partition {_partition()}: {error}") from error
            yield first, batch, _check.instance(value, cost, None)
            first += batch.num_rows


def _answers(*rows: tuple[str, Any]) -> Any:
    import pyarrow as pa

    own = _partition()
    kinds, payloads = [k for k, _ in rows], [pickle.dumps(x, protocol=5) for _, x in rows]
    columns = [pa.array([own] * len(rows), pa.int32()), pa.array(kinds, pa.string()), pa.array(payloads, pa.binary())]
    return pa.RecordBatch.from_arrays(columns, names=["partition", "kind", "payload"])


class _Survey:
    """Facts, rows for a sample's curve, and a fingerprint."""

    def __init__(self, job: _Job, most: int) -> None:
        self.job, self.most = job, most

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        module = backends.resolve(self.job.backend)
        users, largest, sums, stride = 0, [0.0, 0.0], [0.0, 0.0], 1
        value = np.empty((0, self.job.treatments), np.float32 if self.job.single else np.float64)
        cost = value
        for first, _, p in _blocks(self.job, batches):
            found = module.magnitudes(p)
            largest = [max(a, b) for a, b in zip(largest, found[:2], strict=True)]
            for k, x in enumerate((p.value[0], p.cost[0])):
                sums[k] += float(x.sum(dtype=np.float64))
            users += p.users
            at = np.arange(-first % stride, p.users, stride)
            value, cost = np.concatenate([value, p.value[0][at]]), np.concatenate([cost, p.cost[0][at]])
            while len(value) > self.most:  # every other one
                value, cost, stride = value[::2], cost[::2], 2 * stride
        rows = _Rows(users, *sums)
        if not users:
            yield _answers(("survey", (rows, Facts(0, 0.0, 0.0, 0.0, 0.0), _nothing())))
            return
        p = _check.instance(np.ascontiguousarray(value), np.ascontiguousarray(cost), None)
        facts = Facts.of(p, module.magnitudes(p), np.arange(len(value)))
        own = facts.scales
        curve = sampled(p, module.edges_between(p, own, 0.0, np.inf), own, users)
        facts = facts._replace(users=users, value=largest[0], cost=largest[1])
        yield _answers(("survey", (rows, facts, curve.between(0.0, np.inf, self.most // 8))))


def _nothing() -> CurvePart:
    none = np.zeros(0)
    return CurvePart(0.0, 0.0, 0.0, 0.0, none, none, none, none)


class _SweepTask:
    """Totals at the ends of a bracket, and the edges inside, sorted."""

    def __init__(self, job: _Job, ask: Sweep, scales: Scales) -> None:
        self.job, self.ask, self.scales = job, ask, scales

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        module = backends.resolve(self.job.backend)
        value = cost = users = 0
        rounded, sums = False, [0.0, 0.0]
        pieces, firsts = [], []
        for first, _, p in _blocks(self.job, batches):
            found = module.edges_between(p, self.scales, *self.ask)
            open_user(found)
            rounded = rounded or module.costs_rounded(p, self.scales.cost)
            value, cost, users = value + found.value, cost + found.cost, users + p.users
            for k, x in enumerate((p.value[0], p.cost[0])):
                sums[k] += float(x.sum(dtype=np.float64))
            pieces.append(found.edges)
            firsts.append(np.full(len(found.edges), first, np.int64))
        edges = joined(pieces)
        all_firsts = np.concatenate([np.zeros(0, np.int64), *firsts])
        swept = Swept((self.ask.low, self.ask.high), value, cost, exact_sum(edges["cost"]), len(edges), rounded)
        yield _answers(
            ("rows", _Rows(users, *sums)), ("swept", swept), ("edges", (edges.tobytes(), all_firsts.tobytes()))
        )


class _StretchTask:
    """A question about the edges that a sweep has kept."""

    def __init__(self, ask: Stretch, firsts: dict[int, int]) -> None:
        self.ask, self.firsts = ask, firsts

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            for own, payload in zip(batch.column(0).to_pylist(), batch.column(2).to_pylist(), strict=True):
                edges, first = pickle.loads(payload)
                ledger = Ledger(np.frombuffer(edges, EDGE), np.frombuffer(first, np.int64) + self.firsts[own])
                yield _answers((str(own), ledger.sketch(*self.ask)))


class _Choose:
    """The choices of a partition's users; fails if they are not those that the plan was made for."""

    def __init__(
        self,
        job: _Job,
        kept: Sequence[str],
        outcome: Outcome,
        scales: Scales,
        firsts: dict[int, int],
        rows: dict[int, _Rows],
    ) -> None:
        self.job, self.kept, self.rule, self.scales = job, list(kept), Rule.of(outcome, scales), scales
        self.firsts, self.rows = firsts, rows

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow as pa

        module, own = backends.resolve(self.job.backend), _partition()
        users, sums = 0, [0.0, 0.0]
        first = self.firsts.get(own, 0)
        for at, batch, p in _blocks(self.job, batches):
            value, cost = p.value[0], p.cost[0]
            found = module.edges_between(p, self.scales, *self.rule.bracket)
            choice = choose(found, self.rule, first + at, value, cost, self.scales).choice
            i = np.arange(len(choice))
            users += len(choice)
            for k, x in enumerate((value, cost)):
                sums[k] += float(x.sum(dtype=np.float64))
            columns = [batch.column(batch.schema.get_field_index(name)) for name in self.kept]
            columns += [pa.array(x) for x in (choice, value[i, choice], cost[i, choice])]
            yield pa.RecordBatch.from_arrays(columns, names=[*self.kept, "choice", "value", "cost"])
        _check_rows(own, _Rows(users, *sums), self.rows.get(own, _Rows(0, 0.0, 0.0)))


def _check_rows(partition: int, rows: _Rows, before: _Rows) -> None:
    if rows != before:
        raise RuntimeError(
            f"partition {partition} has other rows than when the plan was made ({rows}, then {before}): the DataFrame gives "
            "different rows, or the same in another order, each time; persist() it, or write it, before allocating"
        )


# --- The driver -------------------------------------------------------------------------------------------------------


class _SparkSearch:
    """A search's questions as Spark jobs; partitions are the shards."""

    def __init__(self, df: Any, job: _Job) -> None:
        self.df, self.job = df, job
        self.jobs = self.bytes = 0
        self.rows: dict[int, _Rows] = {}
        self.firsts: dict[int, int] = {}
        self._curves: list[CurvePart] = []
        self._scales: Scales | None = None
        self._swept: Any = None  # the cached DataFrame of the last sweep

    def survey(self) -> tuple[Facts, list[int]]:
        partitions = max(1, self.df.rdd.getNumPartitions()) if _has_rdd(self.df) else 64
        found = self._run(self.df, _Survey(self.job, max(512, 65536 // partitions)))
        parts = sorted((own, *payload) for own, _, payload in found)
        first = 0
        for own, rows, _, _ in parts:
            self.rows[own], self.firsts[own] = rows, first
            first += rows.users
        self._curves = [curve for *_, curve in parts]
        facts = Facts.together([f for _, _, f, _ in parts])
        self._scales = facts.scales
        return facts, [own for own, *_ in parts]

    def exchange(self, asks: list[tuple[int, Ask]]) -> list[Sequence[Any]]:
        return [self._answer(ask) for _, ask in asks]

    def _answer(self, ask: Ask) -> Sequence[Any]:
        if isinstance(ask, Curve):
            return [c.between(ask.low, ask.high, 1 << 30) for c in self._curves]
        if isinstance(ask, Sweep):
            return self._sweep(ask)
        edges = self._swept.where("kind = 'edges'")
        found = self._run(edges, _StretchTask(ask, self.firsts))
        return [payload for _, payload in sorted((int(kind), p) for _, kind, p in found)]

    def _sweep(self, ask: Sweep) -> Sequence[Swept]:
        self.close()
        assert self._scales is not None
        self._swept = self.df.mapInArrow(_SweepTask(self.job, ask, self._scales), _ANSWER).persist()
        answers = self._collected(self._swept.where("kind <> 'edges'"))
        for own, kind, payload in answers:
            if kind == "rows":
                _check_rows(own, payload, self.rows.get(own, _Rows(0, 0.0, 0.0)))
        return [p for _, p in sorted((own, p) for own, kind, p in answers if kind == "swept")]

    def _run(self, df: Any, task: Callable[[Iterator[Any]], Iterator[Any]]) -> list[tuple[int, str, Any]]:
        return self._collected(df.mapInArrow(task, _ANSWER))

    def _collected(self, df: Any) -> list[tuple[int, str, Any]]:
        self.jobs += 1
        out = []
        for row in df.collect():
            self.bytes += len(row["payload"])
            out.append((row["partition"], row["kind"], pickle.loads(bytes(row["payload"]))))
        return out

    def close(self) -> None:
        if self._swept is not None:
            self._swept.unpersist()
            self._swept = None


def _has_rdd(df: Any) -> bool:
    """Spark Connect has none."""
    try:
        return df.rdd is not None
    except Exception:
        return False


__all__ = ["allocate", "plan_of"]
