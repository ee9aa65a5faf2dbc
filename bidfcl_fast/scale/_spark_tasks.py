"""What Spark's executors run on the rows of a partition. A task is sent with each job, by value, and holds all it needs."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _cells, _check, backends
from .._problems import EDGE, Problems, Scales
from ._curve import CurvePart, sampled
from ._decide import Rule, choose
from ._facts import Facts
from ._ledger import Ledger, exact_sum, joined
from ._search import Stretch, Sweep, Swept
from ._shard import open_user

ANSWER = "partition int, search int, kind string, payload binary"
NO_SEARCH = -1  # where an answer is about none


class Job(NamedTuple):
    """What executors are told of a DataFrame's rows."""

    treatments: int
    single: bool
    mask: str | None
    backend: str | None


class Rows(NamedTuple):
    """What a partition holds, for later jobs to check: a number of rows and, as a fingerprint, sums over open cells."""

    users: int = 0
    cells: int = 0
    value: float = 0.0
    cost: float = 0.0

    def and_those(self, p: Problems) -> Rows:
        value, cost = p.value[0], p.cost[0]
        open_ = True if p.mask is None else p.mask[0]
        return Rows(
            self.users + p.users,
            self.cells + (value.size if p.mask is None else int(p.mask[0].sum())),
            self.value + float(value.sum(dtype=np.float64, where=open_)),
            self.cost + float(cost.sum(dtype=np.float64, where=open_)),
        )

    def check(self, partition: int, before: Rows) -> None:
        if self != before:
            raise RuntimeError(
                f"partition {partition} has other rows than when the plan was made ({self}, then {before}): the DataFrame "
                "gives different rows, or the same in another order, each time; persist() it, or write it, before allocating"
            )


def partition() -> int:
    """Which one this task is about."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return context.partitionId() if context is not None else 0


def blocks(job: Job, batches: Iterator[Any]) -> Iterator[tuple[int, Any, Problems]]:
    """(first row in the partition, batch, its numbers)."""
    first = 0
    for batch in batches:
        if batch.num_rows:
            try:
                mask = None if job.mask is None else _cells.open_cells(batch, job.mask, first=first)
                value, cost = _cells.value_and_cost(batch, mask=mask, first=first, single=job.single)
            except ValueError as error:
                raise ValueError(f"partition {partition()}: {error}") from error
            yield first, batch, _check.instance(value, cost, mask)
            first += batch.num_rows


def answers(*rows: tuple[int, str, Any]) -> Any:
    """(search, kind, payload) as a record batch of the schema ANSWER."""
    import pyarrow as pa

    return pa.RecordBatch.from_arrays(
        [
            pa.array([partition()] * len(rows), pa.int32()),
            pa.array([k for k, _, _ in rows], pa.int32()),
            pa.array([kind for _, kind, _ in rows], pa.string()),
            pa.array([pickle.dumps(x, protocol=5) for _, _, x in rows], pa.binary()),
        ],
        names=["partition", "search", "kind", "payload"],
    )


class Survey:
    """Facts, rows for a sample's curve, and a fingerprint."""

    def __init__(self, job: Job, most: int) -> None:
        self.job, self.most = job, most

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        module, m = backends.resolve(self.job.backend), self.job.treatments
        rows, largest, stride = Rows(), [0.0, 0.0], 1
        value = cost = np.empty((0, m), np.float32 if self.job.single else np.float64)
        mask = np.empty((0, m), bool)
        for first, _, p in blocks(self.job, batches):
            found = module.magnitudes(p)
            largest = [max(a, b) for a, b in zip(largest, found[:2], strict=True)]
            rows = rows.and_those(p)
            at = np.arange(-first % stride, p.users, stride)
            value, cost = np.concatenate([value, p.value[0][at]]), np.concatenate([cost, p.cost[0][at]])
            if p.mask is not None:
                mask = np.concatenate([mask, p.mask[0][at]])
            while len(value) > self.most:  # every other one
                value, cost, mask, stride = value[::2], cost[::2], mask[::2], 2 * stride
        if not rows.users:
            yield answers((NO_SEARCH, "survey", (rows, Facts(0, 0.0, 0.0, 0.0, 0.0), _no_curve())))
            return
        p = _check.instance(
            np.ascontiguousarray(value),
            np.ascontiguousarray(cost),
            None if self.job.mask is None else np.ascontiguousarray(mask),
        )
        facts = Facts.of(p, module.magnitudes(p), np.arange(len(value)))
        own = facts.scales
        curve = sampled(p, module.edges_between(p, own, 0.0, np.inf), own, rows.users)
        facts = facts._replace(users=rows.users, value=largest[0], cost=largest[1])
        yield answers((NO_SEARCH, "survey", (rows, facts, curve.between(0.0, np.inf, self.most // 8))))


def _no_curve() -> CurvePart:
    none = np.zeros(0)
    return CurvePart(0.0, 0.0, 0.0, 0.0, none, none, none, none)


class SweepTask:
    """For each search that asks: totals at the ends of its bracket, and the edges inside, sorted."""

    def __init__(self, job: Job, asks: Mapping[int, Sweep], scales: Scales) -> None:
        self.job, self.asks, self.scales = job, dict(asks), scales

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        module = backends.resolve(self.job.backend)
        rows, rounded = Rows(), False
        totals = dict.fromkeys(self.asks, (0, 0))
        pieces: dict[int, list[Any]] = {k: [] for k in self.asks}
        firsts: dict[int, list[Any]] = {k: [] for k in self.asks}
        for first, _, p in blocks(self.job, batches):
            rows = rows.and_those(p)
            rounded = rounded or module.costs_rounded(p, self.scales.cost)
            for k, ask in self.asks.items():
                found = module.edges_between(p, self.scales, *ask)
                open_user(found)
                totals[k] = totals[k][0] + found.value, totals[k][1] + found.cost
                pieces[k].append(found.edges)
                firsts[k].append(np.full(len(found.edges), first, np.int64))
        yield answers((NO_SEARCH, "rows", rows))
        for k, ask in self.asks.items():
            edges, first_users = joined(pieces.pop(k)), np.concatenate([np.zeros(0, np.int64), *firsts.pop(k)])
            swept = Swept((ask.low, ask.high), *totals[k], exact_sum(edges["cost"]), len(edges), rounded)
            yield answers((k, "swept", swept), (k, "edges", (edges.tobytes(), first_users.tobytes())))


class StretchTask:
    """Questions about the edges that a sweep has kept."""

    def __init__(self, asks: Mapping[int, Stretch], firsts: Mapping[int, int]) -> None:
        self.asks, self.firsts = dict(asks), dict(firsts)

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            for own, k, payload in zip(*(batch.column(c).to_pylist() for c in (0, 1, 3)), strict=True):
                edges, first = pickle.loads(payload)
                ledger = Ledger(np.frombuffer(edges, EDGE), np.frombuffer(first, np.int64) + self.firsts[own])
                # The task's own partition is another one; `own` is whose edges these are.
                yield answers((k, str(own), ledger.sketch(*self.asks[k])))


class Choose:
    """The choices of a partition's users; fails if they are not those that the plan was made for."""

    def __init__(
        self,
        job: Job,
        kept: Sequence[str],
        names: Sequence[tuple[str, str, str]],
        rules: Sequence[Rule],
        scales: Scales,
        firsts: Mapping[int, int],
        rows: Mapping[int, Rows],
    ) -> None:
        self.job, self.kept, self.names = job, list(kept), [name for triple in names for name in triple]
        self.rules, self.scales, self.firsts, self.rows = list(rules), scales, dict(firsts), dict(rows)

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow as pa

        module, own, rows = backends.resolve(self.job.backend), partition(), Rows()
        first = self.firsts.get(own, 0)
        for at, batch, p in blocks(self.job, batches):
            value, cost = p.value[0], p.cost[0]
            i = np.arange(p.users)
            rows = rows.and_those(p)
            columns = [batch.column(batch.schema.get_field_index(name)) for name in self.kept]
            for rule in self.rules:
                found = module.edges_between(p, self.scales, *rule.bracket)
                choice = choose(found, rule, first + at, value, cost, self.scales).choice
                columns += [pa.array(x) for x in (choice, value[i, choice], cost[i, choice])]
            yield pa.RecordBatch.from_arrays(columns, names=[*self.kept, *self.names])
        rows.check(own, self.rows.get(own, Rows()))
