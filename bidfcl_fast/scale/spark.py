"""Allocation on a PySpark DataFrame, through Arrow, without collecting users.

Three kinds of job over the data (`mapInArrow`): facts and a sample's spend; a sweep, whose edges near λ* are kept as a small
cached DataFrame, on which the rounds that follow run; and the choices, which are computed when the result is used. Several
budgets share the jobs. What comes to the driver are totals and a few edges of each partition.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import _cells, _check, backends
from .._problems import Scales
from ..errors import Status
from ..tables import need
from ._curve import CurvePart
from ._decide import Rule
from ._facts import Facts
from ._finish import Outcome
from ._search import Ask, Curve, Stretch, Sweep, Swept, run, search
from ._spark_tasks import ANSWER, Choose, Job, Rows, StretchTask, Survey, SweepTask
from .parquet import WrittenPlan, column_names


def allocate(
    df: Any,
    budget: Any,
    *,
    keys: Sequence[str] | None = None,
    mask: str | None = None,
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
        Total money for all rows: a number, or [K] for K plans, by the same jobs.
    keys
        Which other columns to keep; None keeps all.
    mask
        What the columns of booleans begin with that say which treatments are open to a row: with mask="open", open_0,
        open_1, …, one for each treatment. What stands in a closed cell does not matter; it may be null or NaN. These columns are not kept.
    fill, backend, throw
        As in `solve_mckp`; the backend is the executors'.

    Returns
    -------
    pyspark.sql.DataFrame
        The kept columns, and `choice` (int), `value` and `cost` (float or double, as the input's); of several budgets,
        `choice_at_B`, …. It is lazy, like any other. `plan_of` gives its numbers.

    Raises
    ------
    InfeasibleBudget, ValueError
        As in `solve_mckp`, and for columns that are missing or hold something else. Cells that are no finite numbers, and rows
        without an open treatment, fail in the executors, with partition and row in Spark's own exception.
    """
    need("pyspark.sql", "spark", "allocation on Spark")
    need("pyarrow", "spark", "allocation on Spark")
    amounts, form = _check._several(budget)
    several = form == "budgets"
    names = column_names(amounts.tolist(), several)
    if backend is not None:
        backends.resolve(backend)
    job, kept, cells = _described(df, keys, mask, backend, [n for triple in names for n in triple])
    # Every job asks for the same columns: where Spark deals rows out to partitions in turn, who goes where depends on them.
    rows = df.select(*kept, *cells)
    search_ = _SparkSearch(rows, job)
    try:
        facts, parts = search_.survey()
        outcomes = run([search(b, fill, facts, len(parts)) for b in amounts.tolist()], search_.exchange)
    finally:
        search_.close()
    if throw:
        for k, o in enumerate(outcomes):
            o.raise_for(k if several else None)
    plan = _numbers(outcomes, several, facts, job, search_)
    schema = _schema(df, kept, names, job)
    if any(o.status is not Status.SOLVED for o in outcomes):
        return _with_plan(df.sparkSession.createDataFrame([], schema), plan)
    rules = [Rule.of(o, facts.scales) for o in outcomes]
    choose = Choose(job, kept, names, rules, facts.scales, search_.firsts, search_.rows)
    return _with_plan(rows.mapInArrow(choose, schema), plan)


def plan_of(df: Any) -> WrittenPlan:
    """The numbers of the plan behind a DataFrame that `allocate` has returned; of several budgets, arrays [K]."""
    plan = getattr(df, "_bidfcl_plan", None)
    if plan is None:
        raise ValueError("df must be what scale.spark.allocate returned, itself and not something made from it")
    return plan


def _with_plan(df: Any, plan: WrittenPlan) -> Any:
    df._bidfcl_plan = plan
    return df


def _described(
    df: Any, keys: Sequence[str] | None, mask: str | None, backend: str | None, added: Sequence[str]
) -> tuple[Job, list[str], list[str]]:
    """What executors are told; the columns that are kept, and those that hold numbers and the mask."""
    names = list(df.columns)
    m = _cells.treatments(names)
    kinds = dict(df.dtypes)
    cells = [f"{kind}_{j}" for kind in ("value", "cost") for j in range(m)]
    closed = _cells.mask_columns(kinds, mask)
    others = _cells.key_columns(names, closed)
    kept = others if keys is None else list(keys)
    for name in kept:
        if name not in others:
            raise ValueError(f"keys must be columns beside value_j and cost_j, got {name!r}; there are {others}")
        if name in added:
            raise ValueError(
                f"the DataFrame already has a column {name}, which the output adds; rename it, or leave it out"
            )
    for cell in cells:
        if not kinds[cell].startswith(("float", "double", "int", "bigint", "smallint", "tinyint", "decimal")):
            raise ValueError(f"column {cell} must hold numbers, got {kinds[cell]}")
    return Job(m, all(kinds[c] == "float" for c in cells), mask, backend), kept, [*cells, *closed]


def _schema(df: Any, kept: Sequence[str], names: Sequence[tuple[str, str, str]], job: Job) -> Any:
    from pyspark.sql import types as t

    number = t.FloatType() if job.single else t.DoubleType()
    fields = [df.schema[name] for name in kept]
    for choice, *amounts in names:
        fields += [t.StructField(choice, t.IntegerType(), False)]
        fields += [t.StructField(name, number, False) for name in amounts]
    return t.StructType(fields)


def _numbers(outcomes: Sequence[Outcome], several: bool, facts: Facts, job: Job, search_: _SparkSearch) -> WrittenPlan:
    def shown(name: str) -> Any:
        numbers = [getattr(o, name) for o in outcomes]
        return np.array(numbers) if several else numbers[0]

    fields = ("multiplier", "value", "spend", "dual_bound", "gap", "least_budget", "status", "budget")
    stats = {
        "sweeps": search_.sweeps,
        "active": max(o.stats["active"] for o in outcomes),
        "jobs": search_.jobs,
        "bytes_to_driver": search_.bytes,
        "partitions": len(search_.rows),
        "rows_read": facts.users * (1 + search_.sweeps),
    }
    return WrittenPlan(None, facts.users, job.treatments, **{n: shown(n) for n in fields}, stats=stats)


class _SparkSearch:
    """The questions of searches as Spark jobs; partitions are the shards."""

    def __init__(self, df: Any, job: Job) -> None:
        self.df, self.job = df, job
        self.jobs = self.bytes = self.sweeps = 0
        self.rows: dict[int, Rows] = {}
        self.firsts: dict[int, int] = {}
        self._curves: list[CurvePart] = []
        self._scales: Scales | None = None
        self._swept: dict[int, Any] = {}  # search → the cached DataFrame of its last sweep, which others may share

    def survey(self) -> tuple[Facts, list[int]]:
        partitions = max(1, self.df.rdd.getNumPartitions()) if _has_rdd(self.df) else 64
        found = self._run(self.df, Survey(self.job, max(512, 65536 // partitions)))
        parts = sorted(((own, *payload) for own, _, _, payload in found), key=lambda part: part[0])
        first = 0
        for own, rows, _, _ in parts:
            self.rows[own], self.firsts[own] = rows, first
            first += rows.users
        self._curves = [curve for *_, curve in parts]
        facts = Facts.together([f for _, _, f, _ in parts])
        self._scales = facts.scales
        return facts, [own for own, *_ in parts]

    def exchange(self, asks: list[tuple[int, Ask]]) -> list[Sequence[Any]]:
        answers: dict[int, Sequence[Any]] = dict(self._sweep({k: ask for k, ask in asks if isinstance(ask, Sweep)}))
        answers |= self._stretch({k: ask for k, ask in asks if isinstance(ask, Stretch)})
        for k, ask in asks:
            if isinstance(ask, Curve):
                answers[k] = [c.between(ask.low, ask.high, 1 << 30) for c in self._curves]
        return [answers[k] for k, _ in asks]

    def _sweep(self, asks: dict[int, Sweep]) -> dict[int, Sequence[Swept]]:
        """One job over the data for all searches that want one."""
        if not asks:
            return {}
        assert self._scales is not None
        swept = self.df.mapInArrow(SweepTask(self.job, asks, self._scales), ANSWER).persist()
        self._keep(dict.fromkeys(asks, swept))
        self.sweeps += 1
        found = self._collected(swept.where("kind <> 'edges'"))
        for own, _, kind, payload in found:
            if kind == "rows":
                payload.check(own, self.rows.get(own, Rows()))
        return {k: _in_order((own, x) for own, s, kind, x in found if (s, kind) == (k, "swept")) for k in asks}

    def _stretch(self, asks: dict[int, Stretch]) -> dict[int, Sequence[Any]]:
        """One job for each sweep that searches ask about, over the edges that it has kept."""
        out: dict[int, Sequence[Any]] = {}
        for swept in {id(self._swept[k]): self._swept[k] for k in asks}.values():
            those = {k: ask for k, ask in asks.items() if self._swept[k] is swept}
            which = ", ".join(map(str, those))
            edges = swept.where(f"kind = 'edges' and search in ({which})")
            found = self._run(edges, StretchTask(those, self.firsts))
            out |= {k: _in_order((int(own), x) for _, s, own, x in found if s == k) for k in those}
        return out

    def _keep(self, swept: dict[int, Any]) -> None:
        """Sweeps in the place of earlier ones, of which those are let go that no search asks about any more."""
        before = list(self._swept.values())
        self._swept |= swept
        for df in before:
            if all(df is not other for other in self._swept.values()):
                df.unpersist()

    def _run(self, df: Any, task: Callable[[Iterator[Any]], Iterator[Any]]) -> list[tuple[int, int, str, Any]]:
        return self._collected(df.mapInArrow(task, ANSWER))

    def _collected(self, df: Any) -> list[tuple[int, int, str, Any]]:
        self.jobs += 1
        out = []
        for row in df.collect():
            self.bytes += len(row["payload"])
            out.append((row["partition"], row["search"], row["kind"], pickle.loads(bytes(row["payload"]))))
        return out

    def close(self) -> None:
        for df in self._swept.values():
            df.unpersist()
        self._swept = {}


def _in_order(answers: Iterator[tuple[int, Any]]) -> list[Any]:
    return [x for _, x in sorted(answers, key=lambda answer: answer[0])]


def _has_rdd(df: Any) -> bool:
    """Spark Connect has none."""
    try:
        return df.rdd is not None
    except Exception:
        return False


__all__ = ["allocate", "plan_of"]
