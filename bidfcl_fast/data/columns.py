"""Columns of a CSV file (plain or gzip) and what becomes of them: numbers, or 0/1 columns of categories. NumPy only."""

from __future__ import annotations

import contextlib
import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def opened(path: Path) -> TextIO:
    """The text of a file; gzip by its ending."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[TextIO]:
    """The text of a file; what is wrong with it becomes a ValueError that names it."""
    with opened(path) as file:
        try:
            yield file
        except (csv.Error, EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: cannot be read: {error}") from error


def located(path: Any, pattern: str) -> Path:
    """`path` itself if it is a file; in a folder the one file that matches."""
    given = Path(path)
    if given.is_file():
        return given
    found = sorted(given.glob(pattern)) if given.is_dir() else []
    if len(found) != 1:
        what = "is neither a file nor a folder" if not given.is_dir() else f"holds {len(found)} files like {pattern}"
        raise FileNotFoundError(f"{given}: {what}")
    return found[0]


def text(path: Path, names: Sequence[str]) -> dict[str, Array]:
    """The columns of these names, as strings; refuses a file that lacks one."""
    with _reading(path) as file:
        rows = csv.reader(file)
        at = _places(path, next(rows, []), names)
        cells = []
        for k, row in enumerate(rows, 1):
            if len(row) <= max(at):
                raise ValueError(
                    f"{path}: row {k} (the first is 1) has {len(row)} cells, and column {max(at) + 1} is wanted"
                )
            cells.append([row[j] for j in at])
    if not cells:
        raise ValueError(f"{path}: has no rows")
    return dict(zip(names, np.array(cells).T, strict=True))


def numbers(path: Path, names: Sequence[str], rows: int | None = None, dtype: Any = np.float32) -> Array:
    """[N, len(names)] of a file of numbers; `rows` of them, else all. A million at a time, so memory is that of the result."""
    parts = []
    with _reading(path) as file:
        at = _places(path, next(csv.reader(file), []), names)
        left = rows
        while left is None or left > 0:
            lines = list(islice(file, 1_000_000 if left is None else min(left, 1_000_000)))
            if not lines:
                break
            left = None if left is None else left - len(lines)
            try:
                parts.append(np.loadtxt(lines, dtype, delimiter=",", usecols=at, ndmin=2))
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
    if not parts:
        raise ValueError(f"{path}: has no rows")
    return np.concatenate(parts)


def one_hot(name: str, column: Array, levels: Sequence[str]) -> tuple[Array, list[str]]:
    """[N, L] 0/1 and the names of its columns; a category that is not among the levels is all zeros."""
    return (column[:, None] == np.array(levels)).astype(np.float64), [f"{name} {level}" for level in levels]


def _places(path: Path, header: Sequence[str], names: Sequence[str]) -> list[int]:
    missing = [name for name in names if name not in header]
    if missing:
        raise ValueError(f"{path}: has no column {', '.join(map(repr, missing))}; it has {', '.join(header[:20])}")
    return [header.index(name) for name in names]
