"""`Table`: one row a person, the treatment they got, and what it brought and cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Table:
    """Observed outcomes of N people under one of M treatments each (a trial, or a log); it checks itself.

    Attributes
    ----------
    x
        [N, F] float32 or float64, finite: what is known of a person before the treatment is chosen.
    treatment
        int64 [N], 0 … M-1: the treatment received. By convention 0 is "nothing".
    value, cost
        [N] float, finite: observed value and observed cost (money) of the treatment received.
    propensity
        None; [N], the probability with which each person was given the treatment they got; or [N, M], that of every
        treatment. Between 0 and 1, positive for the treatment received. None means "unknown": `metrics.ipw_value`
        then uses the shares of the treatments in the table.
    treatments
        M. Left out, it is the number of `labels`, else the columns of `propensity`, else the largest treatment + 1.
    labels, features
        Names of the M treatments and of the F columns of x.
    row
        int64 [N]: who each row is, kept through indexing; the row number if left out.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.
    """

    x: Array
    treatment: Array
    value: Array
    cost: Array
    propensity: Array | None = None
    treatments: int = 0
    labels: Sequence[str] = ()
    features: Sequence[str] = ()
    row: Array | None = None

    def __post_init__(self) -> None:
        x = _floats("x", self.x, 2)
        n = len(x)
        treatment = _integers("treatment", self.treatment, n)
        put = object.__setattr__
        put(self, "x", x)
        put(self, "treatment", treatment)
        put(self, "value", _floats("value", self.value, 1, n))
        put(self, "cost", _floats("cost", self.cost, 1, n))
        put(self, "row", np.arange(n) if self.row is None else _integers("row", self.row, n))
        put(self, "labels", tuple(map(str, self.labels)))
        put(self, "features", tuple(map(str, self.features)))
        propensity = None if self.propensity is None else np.asarray(self.propensity)
        put(self, "treatments", self._count_treatments(propensity))
        if treatment.size and not 0 <= treatment.min() <= treatment.max() < self.treatments:
            bad = int(np.flatnonzero((treatment < 0) | (treatment >= self.treatments))[0])
            raise ValueError(f"treatment must be 0 to {self.treatments - 1}, got {treatment[bad]} in row {bad}")
        if self.labels and len(self.labels) != self.treatments:
            raise ValueError(f"labels must name {self.treatments} treatments, got {len(self.labels)}")
        if self.features and len(self.features) != x.shape[1]:
            raise ValueError(f"features must name the {x.shape[1]} columns of x, got {len(self.features)}")
        if propensity is not None:
            put(self, "propensity", self._checked(propensity))

    def _count_treatments(self, propensity: Array | None) -> int:
        if self.treatments:
            return int(self.treatments)
        if self.labels:
            return len(self.labels)
        if propensity is not None and propensity.ndim == 2:
            return int(propensity.shape[1])
        return int(self.treatment.max()) + 1 if self.treatment.size else 1

    def _checked(self, propensity: Array) -> Array:
        n, m = len(self.x), self.treatments
        if propensity.shape not in ((n,), (n, m)):
            raise ValueError(f"propensity must be [{n}] or [{n}, {m}], got shape {list(propensity.shape)}")
        propensity = _floats("propensity", propensity, propensity.ndim, n)
        if propensity.size and not 0 <= propensity.min() <= propensity.max() <= 1:
            raise ValueError("propensity must be between 0 and 1")
        received = propensity if propensity.ndim == 1 else propensity[np.arange(n), self.treatment]
        if not (received > 0).all():
            bad = int(np.flatnonzero(received <= 0)[0])
            raise ValueError(f"propensity of the treatment received must be positive, got 0 in row {bad}")
        return propensity

    @property
    def received_propensity(self) -> Array:
        """[N] probability of the treatment each person received; shares of the treatments where none is known."""
        if self.propensity is None:
            return np.asarray((np.bincount(self.treatment, minlength=self.treatments) / len(self))[self.treatment])
        if self.propensity.ndim == 1:
            return self.propensity
        return np.asarray(self.propensity[np.arange(len(self)), self.treatment])

    def check(self) -> tuple[str, ...]:
        """Sentences about what is known to make training on this table go wrong: see `data.checks`; none if all is well."""
        from .checks import check

        return check(self)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Any) -> Table:
        """The rows of a slice, an index array or a mask; treatments, names and row ids are kept.

        A table without propensities stays without: the shares are then those of the part.
        """
        if isinstance(rows, (int, np.integer)):
            rows = slice(int(rows), int(rows) + 1) if rows != -1 else slice(-1, None)
        if np.asarray(rows).dtype == bool and np.shape(rows) != (len(self),):
            raise ValueError(f"a mask of rows must be [{len(self)}], got shape {list(np.shape(rows))}")
        assert self.row is not None
        return replace(
            self,
            x=self.x[rows],
            treatment=self.treatment[rows],
            value=self.value[rows],
            cost=self.cost[rows],
            propensity=None if self.propensity is None else self.propensity[rows],
            row=self.row[rows],
        )

    def __repr__(self) -> str:
        return (
            f"Table({len(self)} rows, {self.x.shape[1]} features, {self.treatments} treatments, "
            f"mean value {_mean(self.value)}, mean cost {_mean(self.cost)})"
        )


def _mean(x: Array) -> str:
    return f"{x.mean():.4g}" if x.size else "-"


def _floats(name: str, given: Any, ndim: int, rows: int | None = None) -> Array:
    """`given` as a finite floating array of that many dimensions; float32 stays float32."""
    x = np.asarray(given)
    if x.dtype == bool or np.issubdtype(x.dtype, np.integer):
        x = x.astype(np.float64)
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} must be numbers, got dtype {x.dtype}")
    if x.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension{'s' * (ndim > 1)}, got shape {list(x.shape)}")
    if rows is not None and len(x) != rows:
        raise ValueError(f"{name} must have {rows} rows like x, got {len(x)}")
    if not np.isfinite(x).all():
        raise ValueError(
            f"{name} must be finite, got {x[~np.isfinite(x)][0]} in row {np.argwhere(~np.isfinite(x))[0][0]}"
        )
    return x


def _integers(name: str, given: Any, rows: int) -> Array:
    x = np.asarray(given)
    if x.dtype != bool and not np.issubdtype(x.dtype, np.integer):
        raise TypeError(f"{name} must be integers, got dtype {x.dtype}")
    if x.shape != (rows,):
        raise ValueError(f"{name} must be [{rows}] like the rows of x, got shape {list(x.shape)}")
    return x.astype(np.int64)
