"""Published multiple-choice knapsack files, read as the one-budget problems whose optima were proven beforehand."""

from __future__ import annotations

import csv
import functools
import gzip
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

SHARED = Path(os.environ.get("BIDFCL_SHARED", Path(__file__).resolve().parents[3] / "shared"))
FOLDER = SHARED / "data" / "mmkp"
TABLE = FOLDER / "mckp_derived_optimum.csv"


class Row(NamedTuple):
    """One line of the table; `resource` is "1" (the first alone) or "sum" (all added into one cost)."""

    set: str
    file: str
    resource: str
    n_groups: int
    capacity: float
    optimum: float
    lp_value: float


def rows() -> list[Row]:
    if not TABLE.exists():
        return []
    with TABLE.open(newline="") as lines:
        return [
            Row(r["set"], r["file"], r["resource"], int(r["n_groups"]), *(float(r[k]) for k in Row._fields[4:]))
            for r in csv.DictReader(lines)
        ]


@functools.cache
def _file(folder: str, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Values [N, M], weights [N, M, R], which cells exist [N, M], capacities [R]; short groups end in closed cells."""
    with gzip.open(FOLDER / folder / f"{name}.gz", "rt") as text:
        numbers = iter([float(word) for word in text.read().split()])
    groups, resources = int(next(numbers)), int(next(numbers))
    capacities = np.array([next(numbers) for _ in range(resources)])
    items = []
    for _ in range(groups):
        count = int(next(numbers))
        items.append(np.array([next(numbers) for _ in range(count * (1 + resources))]).reshape(count, -1))
    assert next(numbers, None) is None, f"{name}: more numbers than the header announces"
    widest = max(map(len, items))
    cells = np.full((groups, widest, 1 + resources), np.nan)
    for i, group in enumerate(items):
        cells[i, : len(group)] = group
    return cells[..., 0], cells[..., 1:], ~np.isnan(cells[..., 0]), capacities


def load(row: Row) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, float]:
    """value, cost, mask (None where all groups are of one size) and budget."""
    value, weights, mask, capacities = _file(row.set, row.file)
    first = row.resource == "1"
    cost = weights[..., 0] if first else weights.sum(axis=2)
    budget = float(capacities[0] if first else capacities.sum())
    return value, cost, None if mask.all() else mask, budget
