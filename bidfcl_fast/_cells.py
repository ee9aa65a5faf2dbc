"""Columns value_0, cost_0, … of a table as arrays [N, M], and columns that say which of these cells are open."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

CELL = re.compile(r"(value|cost)_(0|[1-9]\d*)")
_NEAR = 2048  # rows


def value_and_cost(
    table: Any,
    *,
    mask: Array | None = None,
    first: int = 0,
    single: bool | None = None,
    finite: bool = True,
    out: tuple[Array, Array] | None = None,
) -> tuple[Array, Array]:
    """The [N, M] arrays of the columns value_0 … and cost_0 … of a table or a record batch; float32 if all of them are, else
    float64. `mask` is bool [N, M]: what stands where it is False, or that nothing stands there, does not matter. Of a larger
    table's part, which rows come before it (`first`), whether all of that is float32 (`single`), and arrays of at least N rows
    to write to (`out`; fresh memory costs several times what writing to it does).

    Raises ValueError for columns that are missing, have a gap, are not numbers, or hold an empty or infinite cell
    (which `finite=False` leaves to the caller to find).
    """
    import pyarrow as pa

    m = treatments(table.schema.names)
    names = [[f"{kind}_{j}" for j in range(m)] for kind in ("value", "cost")]
    if single is None:
        single = all(table.schema.field(name).type == pa.float32() for both in names for name in both)
    if out is None:
        dtype = np.float32 if single else np.float64
        out = np.empty((table.num_rows, m), dtype), np.empty((table.num_rows, m), dtype)
    out = out[0][: table.num_rows], out[1][: table.num_rows]
    for array, columns in zip(out, names, strict=True):
        opened = [None if mask is None else mask[:, j] for j in range(m)]
        _side_by_side(
            [numbers(name, table[name], first, finite, o) for name, o in zip(columns, opened, strict=True)], array
        )
    return out


def open_cells(table: Any, mask: str, m: int | None = None, *, first: int = 0, out: Array | None = None) -> Array:
    """Bool [N, M] of the columns {mask}_0, {mask}_1, …; m: how many treatments, where the table has no value_j and cost_j.
    `first` and `out` as in `value_and_cost`.

    Raises ValueError for columns that are missing or do not hold true and false, an empty cell, and a row that is left
    no treatment.
    """
    import pyarrow.compute as pc

    names = mask_columns({f.name: str(f.type) for f in table.schema}, mask, m)
    out = np.empty((table.num_rows, len(names)), bool) if out is None else out[: table.num_rows]
    columns = []
    for name in names:
        column = table[name]
        if column.null_count:
            row = first + pc.index(pc.is_null(column), True).as_py() + 1
            raise ValueError(f"column {name}, row {row} (the first is 1): the cell holds no value")
        columns.append(_to_numpy(column))
    _side_by_side(columns, out)
    closed = np.flatnonzero(~out.any(axis=1))
    if closed.size:
        raise ValueError(
            f"row {first + int(closed[0]) + 1} (the first is 1): {names[0]} to {names[-1]} are all false; every row needs a "
            "treatment that is open"
        )
    return out


def mask_columns(kinds: Mapping[str, str], mask: str | None, m: int | None = None) -> list[str]:
    """The names of the columns of a mask, by a table's names and what each column holds; none without a mask.
    m: how many treatments, where the table has no value_j and cost_j.

    Raises ValueError unless there is one for each treatment, of booleans.
    """
    if mask is None:
        return []
    m = treatments(list(kinds)) if m is None else m
    names = [f"{mask}_{j}" for j in range(m)]
    for name in names:
        if name not in kinds:
            raise ValueError(
                f"column {name} is missing: the mask needs {names[0]} to {names[-1]}, one for each treatment"
            )
        if not kinds[name].startswith("bool"):
            raise ValueError(f"column {name} must hold true and false, got {kinds[name]}")
    if f"{mask}_{m}" in kinds:
        raise ValueError(f"column {mask}_{m} belongs to no treatment: there are {m}")
    return names


def key_columns(names: Sequence[str], mask: Sequence[str] = ()) -> list[str]:
    """Which names are neither value_j nor cost_j nor one of the mask's columns."""
    return [name for name in names if not CELL.fullmatch(name) and name not in mask]


def treatments(names: list[str]) -> int:
    """How many treatments there are columns for; ValueError unless value_j and cost_j go together, without a gap."""
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"column {sorted(twice)[0]} occurs more than once")
    found: dict[str, set[int]] = {"value": set(), "cost": set()}
    for name in names:
        if match := CELL.fullmatch(name):
            found[match[1]].add(int(match[2]))
    for kind, those in found.items():
        if not those:
            raise ValueError(f"no column {kind}_0; expected value_0, value_1, … and cost_0, cost_1, …")
        # Not up to the largest, which a name may make huge.
        missing = next((j for j in range(len(those)) if j not in those), None)
        if missing is not None:
            raise ValueError(f"column {kind}_{missing} is missing: there is {kind}_{max(those)}")
    odd = found["value"] ^ found["cost"]
    if odd:
        there, gone = ("value", "cost") if min(odd) in found["value"] else ("cost", "value")
        raise ValueError(f"column {gone}_{min(odd)} is missing: there is {there}_{min(odd)}")
    return len(found["value"])


def numbers(name: str, column: Any, first: int = 0, finite: bool = True, opened: Array | None = None) -> Array:
    """A column of numbers; ValueError for one of something else, and for the cells that `value_and_cost` names.

    opened: bool [N]; of the other cells nothing is asked, empty ones become NaN.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        for row, cell in enumerate(column.to_pylist(), first + 1):
            if not _is_number(cell):
                raise ValueError(f"column {name}, row {row} (the first is 1): expected a number, got {_shown(cell)}")
        raise ValueError(f"column {name} must hold numbers, got {kind}")
    if column.null_count:
        empty = _to_numpy(pc.is_null(column))
        empty = np.flatnonzero(empty if opened is None else empty & opened)
        if empty.size:
            raise ValueError(
                f"column {name}, row {first + int(empty[0]) + 1} (the first is 1): the cell holds no value"
            )
    if not pa.types.is_floating(kind):
        column = pc.cast(column, pa.float64())
    x = _to_numpy(column)
    if finite:
        bad = np.flatnonzero(~np.isfinite(x) if opened is None else ~np.isfinite(x) & opened)
        if bad.size:
            row = int(bad[0])
            raise ValueError(
                f"column {name}, row {first + row + 1} (the first is 1): expected a finite number, got {x[row]}"
            )
    return x


def _to_numpy(column: Any) -> Array:
    """Of an array or a chunked array; NaN where a number is null."""
    import pyarrow as pa

    return np.asarray(column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy())


def _side_by_side(columns: list[Array], out: Array) -> None:
    """M columns into [N, M]: a few thousand rows at a time, which stay in the nearest cache while all columns have their turn."""
    for k in range(0, len(out), _NEAR):
        rows = slice(k, k + _NEAR)
        for j, x in enumerate(columns):
            out[rows, j] = x[rows]


def _is_number(cell: object) -> bool:
    try:
        float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return not isinstance(cell, bool)


def _shown(cell: object) -> str:
    text = "an empty cell" if cell is None or cell == "" else repr(cell)
    return text if len(text) <= 40 else text[:37] + "…"
