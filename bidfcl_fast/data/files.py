"""Tables as .npz files, whole or not at all. NumPy only."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from .._whole import atomic
from .table import Table

_ARRAYS = ("x", "treatment", "value", "cost", "propensity", "row")


def save_table(path: Any, table: Table) -> None:
    """Write a table to `path`, which ends in .npz."""
    if Path(path).suffix != ".npz":
        raise ValueError(f"{path}: the name must end in .npz")
    arrays: dict[str, Any] = {name: getattr(table, name) for name in _ARRAYS if getattr(table, name) is not None}
    words: dict[str, Any] = {"labels": np.array(table.labels, str), "features": np.array(table.features, str)}
    with atomic(Path(path)) as temporary:
        np.savez(temporary, **arrays, **words, treatments=np.array(table.treatments))


def load_table(path: Any) -> Table:
    """The table that `save_table` wrote.

    Raises
    ------
    ValueError
        If the file is not one of ours, or only a part of one.
    """
    try:
        with np.load(path, allow_pickle=False) as kept:
            given: dict[str, Any] = {name: kept[name] for name in _ARRAYS if name in kept}
            given |= {name: tuple(map(str, kept[name])) for name in ("labels", "features")}
            return Table(**given, treatments=int(kept["treatments"]))
    except FileNotFoundError:
        raise
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        EOFError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(f"{path}: not a table that save_table wrote, or only a part of one: {error}") from error
