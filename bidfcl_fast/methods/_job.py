"""What one call of `fit` is given, checked: tables, budgets, seed, and where progress goes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.table import Table
from ..progress import Progress
from ._ranks import Ranks, Shares
from ._store import Store

Array = NDArray[Any]

# Outcomes of the two tables whose spread differs by more than this are probably in different units.
_UNITS = 100.0


class TrainingWarning(UserWarning):
    """Something happened in training that is known to go wrong."""


@dataclass
class Job:
    """`budgets`: [K] money per person, or None. `store` keeps finished parts; `log(tag, value, step)` writes a curve. `ranks`: `obs` is this rank's part."""

    rct: Table | None
    obs: Table | None
    val: Table | None
    budgets: Array | None
    seed: int
    line: Progress
    store: Store
    log: Callable[[str, float, int], None] | None = None
    ranks: Ranks | None = None

    def need(self, name: str, why: str) -> Table:
        """The table called `name`, or ValueError."""
        table: Table | None = getattr(self, name)
        if table is None:
            raise ValueError(f"{why} needs {name}=")
        return table

    def need_budgets(self, why: str) -> Array:
        if self.budgets is None:
            raise ValueError(f"{why} needs budget=, money per person: one number or several")
        return self.budgets

    def shares(self, own: int, everywhere: int = 0) -> Shares | None:
        """`Ranks.shares`, where there are ranks."""
        return None if self.ranks is None else self.ranks.shares(own, everywhere)

    def expect(self, epochs: int) -> Callable[[], None]:
        """Tell the progress line of `epochs` more steps; the function that counts them."""
        self.line.total += epochs
        return self.line.step


def check_tables(rct: Any, obs: Any, val: Any) -> None:
    """Refuse what no method can learn from."""
    given = [(name, t) for name, t in (("rct", rct), ("obs", obs), ("val", val)) if t is not None]
    for name, table in given:
        if not isinstance(table, Table):
            raise TypeError(f"{name} must be a Table, got {type(table).__name__}")
        if len(table) == 0:
            raise ValueError(f"{name} has no rows")
    for name, table in given[1:]:
        first, other = given[0]
        if table.x.shape[1] != other.x.shape[1]:
            raise ValueError(
                f"{first} and {name} must have the same features, got {other.x.shape[1]} and {table.x.shape[1]} columns"
            )
        if table.treatments != other.treatments:
            raise ValueError(
                f"{first} and {name} must have the same treatments, got {other.treatments} and {table.treatments}; "
                "give Table(treatments=) where the largest one does not occur"
            )
        if table.features and other.features and table.features != other.features:
            raise ValueError(f"{first} and {name} must name the same features in the same order")
    if rct is not None and obs is not None:
        for what in ("value", "cost"):
            a, b = float(getattr(rct, what).std()), float(getattr(obs, what).std())
            if a and b and not 1 / _UNITS < a / b < _UNITS:
                warnings.warn(
                    f"the {what} of rct and obs differ in spread, {a:.3g} and {b:.3g}: are they in the same units?",
                    TrainingWarning,
                    stacklevel=4,
                )


def check_arms(table: Table, name: str = "the table") -> None:
    """Every treatment must have been received by somebody."""
    absent = np.flatnonzero(np.bincount(table.treatment, minlength=table.treatments) == 0)
    if absent.size:
        raise ValueError(f"nobody in {name} received treatment {absent[0]}: nothing can be learned about it")


def budgets_of(given: Any) -> Array | None:
    if given is None:
        return None
    found = np.atleast_1d(np.asarray(given, np.float64))
    if found.ndim != 1 or not found.size or not np.isfinite(found).all():
        raise ValueError(f"budget must be money per person, a finite number or [K], got {given!r}")
    return found


def pooled(rct: Table, obs: Table) -> Table:
    """The rows of both, the trial's first."""
    return Table(
        np.concatenate([rct.x, obs.x]),
        np.concatenate([rct.treatment, obs.treatment]),
        np.concatenate([rct.value, obs.value]),
        np.concatenate([rct.cost, obs.cost]),
        treatments=rct.treatments,
    )
