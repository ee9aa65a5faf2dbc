"""A shard whose users are in memory: it answers what a search asks."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from .. import _check
from .._problems import EDGE, EdgesBetween, Problems, Scales
from ..errors import Status
from ._curve import CurvePart, sample_rows, sampled
from ._facts import Facts
from ._finish import Outcome
from ._ledger import Ledger, exact_sum
from ._search import Ask, Curve, Stretch, Sweep, Swept


def facts_of(problems: Problems, module: ModuleType, shards: int) -> Facts:
    """Problem 0's own facts.

    Raises
    ------
    ValueError
        If a number is not finite, or a user has no open treatment.
    """
    users = int(problems.stop[0] - problems.start[0])
    if not users:
        return Facts(0, 0.0, 0.0, 0.0, 0.0)
    if problems.mask is not None and not problems.cells(problems.mask, 0).any(axis=1).all():
        _check.raise_for(Status.NO_OPEN_TREATMENT, problems, 0, np.nan, True)
    magnitudes = module.magnitudes(problems)
    if not magnitudes.finite:
        _check.raise_for(Status.NOT_FINITE, problems, 0, np.nan, True)
    return Facts.of(problems, magnitudes, sample_rows(users, shards))


def rows_of(problems: Problems, rows: np.ndarray) -> Problems:
    """Some rows of problem 0, as a problem of their own."""
    own = problems.rows(0)

    def pick(x: np.ndarray) -> np.ndarray:
        return x[:1, own][:, rows]

    mask = None if problems.mask is None else pick(problems.mask)
    whole = np.array([len(rows)], np.int64)
    return Problems(pick(problems.value), pick(problems.cost), mask, np.zeros(1, np.int64), whole, problems.budget[:1])


class ArrayShard:
    """Users `first`, `first` + 1, … of all, whose numbers are those of problem 0."""

    def __init__(self, problems: Problems, module: ModuleType, scales: Scales, first: int, shards: int) -> None:
        self.problems, self.module, self.scales = replace(problems), module, scales
        self.first, self.shards = first, shards
        self.users = int(problems.stop[0] - problems.start[0])
        self.rows_read = 0
        self._curve: CurvePart | None = None
        self._rounded: bool | None = None
        self._ledgers: dict[int, Ledger] = {}
        self._choices: dict[int, np.ndarray] = {}

    def answer(self, k: int, ask: Ask) -> Any:
        """To question `ask` of search k."""
        if isinstance(ask, Curve):
            return self.curve().between(*ask)
        if isinstance(ask, Sweep):
            return self._sweep(k, ask)
        return self._stretch(k, ask)

    def curve(self) -> CurvePart:
        """All steps of the sample."""
        if self._curve is None:
            some = rows_of(self.problems, sample_rows(self.users, self.shards))
            n = int(some.stop[0])
            self.rows_read += n
            found = self.module.edges_between(some, self.scales, 0.0, np.inf) if n else _nothing(0)
            open_user(found)
            self._curve = sampled(some, found, self.scales, self.users)
        return self._curve

    def _sweep(self, k: int, ask: Sweep) -> Swept:
        self.rows_read += self.users
        found = self.module.edges_between(self.problems, self.scales, *ask) if self.users else _nothing(0)
        open_user(found)
        if self._rounded is None:
            self._rounded = bool(self.users) and self.module.costs_rounded(self.problems, self.scales.cost)
        self._ledgers[k], self._choices[k] = Ledger(found.edges, self.first), found.choice
        return Swept(
            (ask.low, ask.high),
            found.value,
            found.cost,
            exact_sum(found.edges["cost"]),
            len(found.edges),
            self._rounded,
        )

    def _stretch(self, k: int, ask: Stretch) -> Any:
        return self._ledgers[k].sketch(*ask)

    def choice(self, k: int, outcome: Outcome) -> np.ndarray:
        """[users] int32: what search k's outcome gives them; -1 where there is no plan."""
        if outcome.status is not Status.SOLVED:
            return np.full(self.users, -1, np.int32)
        ledger, choice = self._ledgers.pop(k), self._choices.pop(k)
        bought = ledger.find(outcome.split, len(ledger))
        # A user's edges stand in the order in which it takes them: the last one wins.
        choice[ledger.user[:bought] - self.first] = ledger.stop[:bought]
        for user, _, stop in outcome.picks:
            if 0 <= user - self.first < self.users:
                choice[user - self.first] = stop
        return choice


def open_user(found: EdgesBetween) -> None:
    if found.status is Status.NO_OPEN_TREATMENT:
        raise ValueError("mask leaves a user no open treatment; every user needs one")


def _nothing(users: int) -> EdgesBetween:
    return EdgesBetween(Status.SOLVED, np.zeros(users, np.int32), 0, 0, np.empty(0, EDGE))
