"""Allocation on Parquet files of any size, in bounded memory.

A sample, one reading of the numbers (a second one only where its bracket misses), one more reading that writes. What is in
memory at a time: a few blocks of 65,536 rows, the sample, and up to a million hull edges near λ*.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .. import _check, _fixed, backends
from .._problems import Problems, Scales
from ..errors import Status
from ..progress import Progress
from . import _dataset, _output
from ._curve import SAMPLE
from ._dataset import Block
from ._decide import Rule, choose
from ._facts import Facts, scales_of
from ._finish import Outcome
from ._pipeline import Behind
from ._readings import Readings, Rescale, Seen
from ._search import run, search

_PLACES = 64  # row groups that a sample is taken from


@dataclass(frozen=True)
class WrittenPlan:
    """A plan whose choices stand in `output`.

    The numbers are those of `Plan`: floats for one budget or multiplier, else float64 arrays [K].

    Attributes
    ----------
    output
        The file or folder written; None if there was no plan to write.
    rows, treatments
        N and M.
    stats
        `rows_read`: rows visited in all readings; `sweeps`: readings before the one that writes; `active`: edges kept;
        `backend`; `seconds`: of the whole call; `rows_per_second`: rows ÷ seconds.
    """

    output: Path | None
    rows: int
    treatments: int
    multiplier: Any
    value: Any
    spend: Any
    dual_bound: Any
    gap: Any
    least_budget: Any
    status: Any
    budget: Any
    stats: dict[str, Any]


def allocate(
    source: str | Path,
    target: str | Path,
    budget: Any = None,
    *,
    multiplier: Any = None,
    mask: str | None = None,
    fill: bool = True,
    backend: str | None = None,
    progress: bool = True,
    throw: bool = True,
) -> WrittenPlan:
    """Choose a treatment for every row of a Parquet file or folder, and write the choices to Parquet.

    The plan is the one that `solve_mckp` finds for the same rows in memory, bit for bit. Rows are users, in the order of
    the files' paths and of the rows in them; the output has the same order.

    Parameters
    ----------
    source
        A Parquet file, or a folder of them, hive partitions (`day=2026-01-01/…`) included. Columns value_0, value_1, … and
        cost_0, cost_1, … hold one treatment each; every other column is kept.
    target
        A name that ends in .parquet: one file; for a folder also a name without an ending: a folder with a file for each
        of the input's. Columns `choice`, `value` and `cost` are added; of several budgets, `choice_at_B`, ….
        It appears under that name when it is whole.
    budget, multiplier
        One of them, as in `solve_mckp`: a number, or [K], for K plans in the same readings.
    mask
        What the columns of booleans begin with that say which treatments are open to a row: with mask="open", open_0,
        open_1, …, one for each treatment. What stands in a closed cell does not matter; it may be null or NaN. These columns are not kept.
    fill, backend, throw
        As in `solve_mckp`.
    progress
        A line with rows a second and the time left, on a terminal.

    Raises
    ------
    InfeasibleBudget
        As in `solve_mckp`; nothing is written.
    ValueError
        For files that cannot be read, columns that are missing or hold something else, cells that are no finite numbers, a row
        without an open treatment, an output that cannot be written.
    RuntimeError
        If the files change between two readings.
    """
    _check.budget_or_multiplier(budget, multiplier)
    amounts, name = (budget, "budget") if multiplier is None else (multiplier, "multiplier")
    amount = np.atleast_1d(_check.per_problem(name, amounts, np.asarray(amounts).size))
    if multiplier is not None:
        _check.not_negative("multiplier", amount)
    several = np.ndim(amounts) > 0
    job = _Job(Path(source), mask, Path(target), amount, name, several, fill, backends.resolve(backend), progress)
    return job.run(throw)


def column_names(amounts: Sequence[float], several: bool) -> list[tuple[str, str, str]]:
    """What the output's new columns are called, for each budget or multiplier.

    Raises
    ------
    ValueError
        If two amounts are the same to 15 digits, which the names have.
    """
    ends = [f"_at_{a:.15g}" if several else "" for a in amounts]
    twice = [end for end in ends if ends.count(end) > 1]
    if twice:
        raise ValueError(
            f"several budgets must differ, as must the columns named after them: choice{twice[0]} comes twice"
        )
    return [(f"choice{end}", f"value{end}", f"cost{end}") for end in ends]


class _NoPlan(Exception):
    """What was written adds up to no plan."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        self.outcomes = outcomes


class _Job:
    def __init__(
        self,
        source: Path,
        mask: str | None,
        target: Path,
        amount: np.ndarray,
        name: str,
        several: bool,
        fill: bool,
        module: ModuleType,
        progress: bool,
    ) -> None:
        self.began = time.perf_counter()
        self.dataset = _dataset.open_dataset(source, mask)
        self.target, self.amount, self.name, self.several = target, amount, name, several
        self.fill, self.module, self.progress = fill, module, progress
        self.names = column_names(amount.tolist(), several)
        _output.check(self.dataset, target, [n for triple in self.names for n in triple])
        self.rows_read = self.sweeps = 0

    def run(self, throw: bool) -> WrittenPlan:
        sample = self._sample()
        facts = self._guess(sample)
        for _ in range(4):
            try:
                outcomes = self._outcomes(sample, facts)
                self._raise_for(outcomes, throw)
                outcomes = self._write(outcomes, facts)
                return self._plan(outcomes, all(o.status is Status.SOLVED for o in outcomes))
            except _NoPlan as found:
                self._raise_for(found.outcomes, throw)
                return self._plan(found.outcomes, False)
            except Rescale as true:
                facts = facts._replace(value=true.value, cost=true.cost)
        raise RuntimeError(f"{self.dataset.root}: changes while it is read")

    def _raise_for(self, outcomes: list[Outcome], throw: bool) -> None:
        for k, outcome in enumerate(outcomes if throw else []):
            outcome.raise_for(k if self.several else None)

    # --- Before the first reading -------------------------------------------------------------------------------------

    def _sample(self) -> Problems:
        """Rows from the beginnings of row groups all over the files."""
        units = len(self.dataset.units)
        if not units:
            raise ValueError(f"{self.dataset.root}: has no rows")
        places = np.unique(np.linspace(0, units - 1, min(units, _PLACES)).round().astype(int)).tolist()
        each = -(-min(SAMPLE, self.dataset.rows) // len(places))
        parts = []
        for block in self.dataset.blocks(places, most=each):
            if not self.module.magnitudes(block.problems).finite:
                self.dataset.refuse(block)
            parts.append([None if x is None else x.copy() for x in (block.value, block.cost, block.mask)])
        value, cost, mask = (None if x[0] is None else np.concatenate(x) for x in zip(*parts, strict=True))
        sample = _check.instance(value, cost, mask)
        self.rows_read += sample.users
        return sample

    def _guess(self, sample: Problems) -> Facts:
        """Facts whose largest numbers the first reading will check."""
        facts = Facts.of(sample, self.module.magnitudes(sample), np.arange(sample.users))
        known = self.dataset.largest
        if known is None or _closed_are_larger(sample, facts):
            known = (0.0, 0.0)
        value, cost = (max(x) for x in zip(known, (facts.value, facts.cost), strict=True))
        return facts._replace(users=self.dataset.rows, value=value, cost=cost)

    # --- The readings of the search ---------------------------------------------------------------------------------------

    def _outcomes(self, sample: Problems, facts: Facts) -> list[Outcome]:
        if self.name == "multiplier":
            return [Outcome(Status.SOLVED, float(a), float(a)) for a in self.amount]
        budgets = self.amount.tolist()
        return run([search(b, self.fill, facts, 1) for b in budgets], Readings(self, sample, facts).exchange)

    def blocks(self, what: str, units: Sequence[int], keys: Sequence[str] = ()) -> Iterator[Block]:
        """A whole reading, with a progress line."""
        line = Progress(f"{what} {self.dataset.root.name}", self.dataset.rows, show=self.progress, unit="rows")
        with line:
            for block in self.dataset.blocks(units, keys):
                yield block
                self.rows_read += len(block.value)
                line.step(by=len(block.value))

    # --- The reading that writes ------------------------------------------------------------------------------------------

    def _write(self, outcomes: list[Outcome], facts: Facts) -> list[Outcome]:
        if not all(o.status is Status.SOLVED for o in outcomes):
            return outcomes
        scales, module = facts.scales, self.module
        by_price = self.name == "multiplier"
        rules = [Rule.at(o.multiplier, scales) if by_price else Rule.of(o, scales) for o in outcomes]
        totals = [[0, 0] for _ in outcomes]
        seen = Seen(facts, self.dataset)
        names = [n for triple in self.names for n in triple]
        with _output.opened(self.dataset, self.target, names) as output:
            with Behind[tuple[Any, ...]](lambda item: output.write(*item)) as writer:
                for block in self.blocks("writing", range(len(self.dataset.units)), self.dataset.keys):
                    p = block.problems
                    if by_price:
                        seen.look(p, module, block)
                    columns: list[np.ndarray] = []
                    rows = np.arange(len(block.value))
                    for k, rule in enumerate(rules):
                        found = module.edges_between(p, scales, *rule.bracket)
                        chosen = choose(found, rule, block.first, block.value, block.cost, scales)
                        totals[k][0] += chosen.value
                        totals[k][1] += chosen.cost
                        columns += [chosen.choice, block.value[rows, chosen.choice], block.cost[rows, chosen.choice]]
                    writer.give((block.file, block.batch, columns))
            if by_price:
                seen.check()
                outcomes = [_priced(o, t, facts) for o, t in zip(outcomes, totals, strict=True)]
                if not all(o.status is Status.SOLVED for o in outcomes):
                    raise _NoPlan(outcomes)
            elif any(tuple(t) != o.totals for t, o in zip(totals, outcomes, strict=True)):
                raise RuntimeError(f"{self.dataset.root}: was changed between two readings; nothing was written")
        return outcomes

    def _plan(self, outcomes: list[Outcome], written: bool) -> WrittenPlan:
        def shown(name: str) -> Any:
            numbers = [getattr(o, name) for o in outcomes]
            return np.array(numbers) if self.several else numbers[0]

        seconds = time.perf_counter() - self.began
        fields = ("multiplier", "value", "spend", "dual_bound", "gap", "least_budget", "status", "budget")
        stats = {
            "rows_read": self.rows_read,
            "sweeps": self.sweeps,
            "active": max((o.stats.get("active", 0) for o in outcomes), default=0),
            "backend": self.module.__name__.rpartition(".")[2],
            "seconds": seconds,
            "rows_per_second": self.dataset.rows / seconds,
        }
        numbers = {name: shown(name) for name in fields}
        output = self.target if written else None
        return WrittenPlan(output, self.dataset.rows, self.dataset.treatments, **numbers, stats=stats)


def _closed_are_larger(sample: Problems, facts: Facts) -> bool:
    """Whether cells that are closed spoil the files' statistics, which know of no mask."""
    if sample.mask is None:
        return False
    closed = ~sample.mask & np.isfinite(sample.value) & np.isfinite(sample.cost)
    value, cost = (float(np.abs(x).max(initial=0, where=closed)) for x in (sample.value, sample.cost))
    return scales_of(max(value, facts.value), max(cost, facts.cost)) != facts.scales


def _priced(outcome: Outcome, totals: list[int], facts: Facts) -> Outcome:
    """A plan at a given multiplier: optimal for a budget equal to its spend."""
    scales: Scales = facts.scales
    value, spend = _fixed.nearest(totals[0], scales.value), _fixed.nearest(totals[1], scales.cost)
    bound = _fixed.above(totals[0], scales.value)
    if not np.isfinite((value, spend, bound)).all():
        return Outcome(Status.OUT_OF_RANGE, outcome.budget)
    return Outcome(Status.SOLVED, spend, outcome.multiplier, value, spend, bound, 0.0)


__all__ = ["WrittenPlan", "allocate", "column_names"]
