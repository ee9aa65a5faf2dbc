"""`Table`s out of Parquet and CSV files (pyarrow), and the features of people to decide for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import tables
from .files import load_table
from .table import Table

Array = NDArray[Any]

_PROPENSITY = re.compile(r"propensity(?:_(\d+))?")


def read_table(path: Any, *, features: Sequence[str] = (), ignore: Sequence[str] = ()) -> Table:
    """A trial or a log from a file.

    Parameters
    ----------
    path
        Parquet or CSV, by its ending, with a row a person and these columns: `treatment` (0 … M−1), `value` and `cost` (observed),
        and, where it is known, `propensity` (of the treatment received) or `propensity_0` … `propensity_{M−1}`. Or .npz, as
        `save_table` writes it.
    features
        The columns of x, in this order; left out, all other columns, in the order of the file.
    ignore
        Columns that are no features, such as an id.

    Raises
    ------
    ValueError
        Naming file, column and row, and what was expected there.
    """
    path = Path(path)
    if path.suffix == ".npz":
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
        return load_table(path)
    found = tables.read(path)
    try:
        return _table(found, features, ignore)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _table(found: Any, features: Sequence[str], ignore: Sequence[str]) -> Table:
    names = found.column_names
    for name in (*features, *ignore):
        if name not in names:
            raise ValueError(f"no column {name}; there are {', '.join(names[:20])}")
    for name in ("treatment", "value", "cost"):
        if name not in names:
            raise ValueError(f"no column {name}; a row needs treatment, value and cost")
    treatment = tables.column(found, "treatment")
    if not np.array_equal(treatment, np.floor(treatment)):
        row = int(np.flatnonzero(treatment != np.floor(treatment))[0])
        raise ValueError(f"column treatment, row {row + 1} (the first is 1): expected 0, 1, …, got {treatment[row]}")
    odds = [name for name in names if _PROPENSITY.fullmatch(name)]
    if odds and odds != ["propensity"] and odds != [f"propensity_{j}" for j in range(len(odds))]:
        raise ValueError(f"expected propensity, or propensity_0, propensity_1, … in this order; got {', '.join(odds)}")
    propensity = np.column_stack([tables.column(found, name) for name in odds]) if odds else None
    own = {"treatment", "value", "cost", *odds, *ignore}
    kept = list(features) or [name for name in names if name not in own]
    return Table(
        features_of(found, kept),
        treatment.astype(np.int64),
        tables.column(found, "value"),
        tables.column(found, "cost"),
        propensity=propensity[:, 0] if odds == ["propensity"] and propensity is not None else propensity,
        features=kept,
    )


def features_of(found: Any, names: Sequence[str]) -> Array:
    """[N, F] float64: these columns of a pyarrow table, in this order; true and false are 1 and 0."""
    missing = [name for name in names if name not in found.column_names]
    if missing:
        raise ValueError(f"no column {missing[0]}, which is a feature")
    if not names:
        raise ValueError("there is no column left to be a feature")
    return np.column_stack([tables.column(found, name) for name in names])
