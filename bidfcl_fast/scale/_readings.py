"""A Parquet dataset as the one shard of a search: what a question costs is a reading, and one reading answers several."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from .. import _fixed
from .._problems import EdgesBetween, Problems
from ._curve import CurvePart, sampled
from ._dataset import Block, Dataset
from ._facts import Facts, scales_of
from ._kept import Kept
from ._ledger import Ledger
from ._search import Ask, Curve, Stretch, Sweep
from ._shard import open_user


class Rescale(Exception):
    """The numbers are larger or smaller than was believed."""

    def __init__(self, value: float, cost: float) -> None:
        self.value, self.cost = value, cost


class Seen:
    """The largest numbers of a reading, against those that its scales were chosen for."""

    def __init__(self, facts: Facts, dataset: Dataset) -> None:
        self.scales, self.dataset, self.value, self.cost = facts.scales, dataset, 0.0, 0.0

    def look(self, p: Problems, module: ModuleType, block: Block) -> None:
        found = module.magnitudes(p)
        if not found.finite:
            self.dataset.refuse(block)
        self.value, self.cost = max(self.value, found.value), max(self.cost, found.cost)
        own = scales_of(self.value, self.cost)
        if own.value < self.scales.value or own.cost < self.scales.cost:
            raise Rescale(self.value, self.cost)

    def check(self) -> None:
        if scales_of(self.value, self.cost) != self.scales:
            raise Rescale(self.value, self.cost)


class Readings:
    """The whole dataset as one shard."""

    def __init__(self, job: Any, sample: Problems, facts: Facts) -> None:
        self.job, self.module, self.facts, self.scales = job, job.module, facts, facts.scales
        self.sample = sample
        self._curve: CurvePart | None = None
        self._ledgers: dict[int, Ledger] = {}
        self._rounded = False
        self._surveyed = False

    def exchange(self, asks: list[tuple[int, Ask]]) -> list[Sequence[Any]]:
        sweeps = {k: ask for k, ask in asks if isinstance(ask, Sweep)}
        swept = self._sweep(sweeps) if sweeps else {}
        answers: list[Sequence[Any]] = []
        for k, ask in asks:
            if isinstance(ask, Curve):
                answers.append([self.curve().between(ask.low, ask.high, 1 << 30)])
            elif isinstance(ask, Stretch):
                answers.append([self._ledgers[k].sketch(*ask)])
            else:
                answers.append([swept[k]])
        return answers

    def curve(self) -> CurvePart:
        if self._curve is None:
            found = self.module.edges_between(self.sample, self.scales, 0.0, np.inf)
            self._curve = sampled(self.sample, found, self.scales, self.facts.users)
        return self._curve

    def _sweep(self, asks: dict[int, Sweep]) -> dict[int, Any]:
        """One reading for all the searches that want one."""
        job, facts = self.job, self.facts
        budgets = job.amount.tolist()
        kept = {
            k: Kept(*ask, _fixed.floor(budgets[k], self.scales.cost), self.scales, facts.users)
            for k, ask in asks.items()
        }
        seen = Seen(facts, job.dataset)
        for block in job.blocks("reading", spread(len(job.dataset.units))):
            p = block.problems
            if not self._surveyed:
                seen.look(p, self.module, block)
                self._rounded = self._rounded or self.module.costs_rounded(p, self.scales.cost)
            for each in kept.values():
                each.take(self._found(p, each.bracket), block.first)
        if not self._surveyed:
            seen.check()
            self._surveyed = True
        job.sweeps += 1
        out = {}
        for k, each in kept.items():
            out[k], self._ledgers[k] = each.swept(self._rounded, lambda first, each=each: self._again(first, each))  # type: ignore[misc]
        return out

    def _found(self, p: Problems, bracket: tuple[float, float]) -> EdgesBetween:
        found = self.module.edges_between(p, self.scales, *bracket)
        open_user(found)
        return found

    def _again(self, first: int, kept: Kept) -> EdgesBetween:
        """The block whose first row is `first`, found once more."""
        units = self.job.dataset.units
        at = int(np.searchsorted([u.first for u in units], first, side="right")) - 1
        for block in self.job.dataset.blocks([at]):
            if block.first == first:
                self.job.rows_read += len(block.value)
                return self._found(block.problems, kept.bracket)
        raise RuntimeError(f"{self.job.dataset.root}: was changed while it was read")


def spread(count: int) -> list[int]:
    """All of so many units, such that the first few lie all over: by the golden ratio."""
    order = np.argsort((np.arange(count) * 0.6180339887498949) % 1.0, kind="stable")
    return order.tolist()
