"""Reading and writing columns (Parquet, CSV through pyarrow), and files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._whole import atomic

Array = NDArray[Any]

_NEAR = 2048  # rows

_CELL = re.compile(r"(value|cost)_(0|[1-9]\d*)")


def need(module: str, extra: str, what: str) -> Any:
    """Import `module`, or say in one sentence which extra of the package brings it."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise RuntimeError(f"{what} needs {name}: pip install 'bidfcl_fast[{extra}]'") from error


def missing(module: str) -> bool:
    """Whether a package is not installed; it is not imported."""
    import importlib.util

    return importlib.util.find_spec(module) is None


def format_of(path: Path, allowed: tuple[str, ...] = ("parquet", "csv")) -> str:
    """What the ending of `path` says it is."""
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in allowed:
        raise ValueError(f"{path}: the name must end in {' or '.join('.' + a for a in allowed)}")
    return suffix


def check_output(path: Path, *inputs: Path) -> None:
    """Refuse, before any work is done, an output that cannot be written or would replace an input."""
    if not path.parent.is_dir():
        raise ValueError(f"{path}: the folder {path.parent} does not exist")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: exists and is not a file")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{path}: the folder {path.parent} cannot be written to")
    for source in inputs:
        if path.resolve() == source.resolve() or (path.exists() and source.exists() and path.samefile(source)):
            raise ValueError(f"{path}: is also the input; choose another name for the output")


def output_folder(path: Any, *, parents: bool = False) -> Path:
    """The folder to write into, not yet made; refused, before any work is done, if it cannot be one."""
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: exists and is not a folder")
    if not parents and not folder.parent.is_dir():
        raise ValueError(f"{folder}: the folder {folder.parent} does not exist")
    return folder


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write(path: Path, table: Any) -> None:
    """Write a pyarrow table as the ending of `path` says, atomically."""
    kind = format_of(path)
    with atomic(path) as temporary:
        if kind == "parquet":
            need("pyarrow.parquet", "io", "writing Parquet").write_table(table, temporary)
        else:
            need("pyarrow.csv", "io", "writing CSV").write_csv(table, temporary)


def parquet_bytes(path: Path) -> int:
    """What the columns of a Parquet file take in memory, by its footer."""
    lib = need("pyarrow", "io", "reading Parquet")
    try:
        with need("pyarrow.parquet", "io", "reading Parquet").ParquetFile(path) as file:
            footer = file.metadata
            return sum(footer.row_group(g).total_byte_size for g in range(footer.num_row_groups))
    except (lib.ArrowException, OSError) as error:
        raise ValueError(f"{path}: cannot be read as parquet: {str(error).splitlines()[0]}") from error


def read(path: Path) -> Any:
    """Read a Parquet or CSV file into a pyarrow table.

    In a CSV, value and cost columns are numbers; of the others, whole numbers stay whole numbers and everything else is
    kept as text, letter for letter (an id 007 does not become 7).
    """
    kind = format_of(path)
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; give one file")
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    lib = need("pyarrow", "io", "reading Parquet and CSV")
    try:
        if kind == "parquet":
            with need("pyarrow.parquet", "io", "reading Parquet").ParquetFile(path) as file:
                return file.read()
        return _read_csv(path)
    except (lib.ArrowException, OSError) as error:
        raise ValueError(f"{path}: cannot be read as {kind}: {str(error).splitlines()[0]}") from error


def _read_csv(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    with csv.open_csv(path) as reader:
        names = reader.schema.names
    keys = {name: pa.string() for name in names if not _CELL.fullmatch(name)}
    table = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=keys, strings_can_be_null=False))
    for i, name in enumerate(table.column_names):
        if name in keys:
            table = table.set_column(i, name, _whole_numbers(table.column(i)))
    return table


def _whole_numbers(column: Any) -> Any:
    """The column as int64 where that loses nothing, else as it is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        number = pc.cast(column, pa.int64())
    except pa.ArrowInvalid:
        return column
    return number if pc.all(pc.equal(pc.cast(number, pa.string()), column)).as_py() else column


def value_and_cost(
    table: Any,
    *,
    first: int = 0,
    single: bool | None = None,
    finite: bool = True,
    out: tuple[Array, Array] | None = None,
) -> tuple[Array, Array]:
    """The [N, M] arrays of the columns value_0 … and cost_0 … of a table or a record batch; float32 if all of them are, else
    float64. Of a larger table's part, which rows come before it (`first`), whether all of that is float32 (`single`), and
    arrays of at least N rows to write to (`out`; fresh memory costs several times what writing to it does).

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
        _side_by_side([_numbers(name, table[name], first, finite) for name in columns], array)
    return out


def _side_by_side(columns: list[Array], out: Array) -> None:
    """M columns into [N, M]: a few thousand rows at a time, which stay in the nearest cache while all columns have their turn."""
    for k in range(0, len(out), _NEAR):
        rows = slice(k, k + _NEAR)
        for j, x in enumerate(columns):
            out[rows, j] = x[rows]


def key_columns(table: Any) -> list[str]:
    """The names of the columns that are neither value_j nor cost_j."""
    return [name for name in table.schema.names if not _CELL.fullmatch(name)]


def column(table: Any, name: str) -> Array:
    """One column as float64; text that holds numbers and true or false are read as numbers.

    Raises ValueError for cells that are not finite numbers, naming column and row.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found = table[name]
    if pa.types.is_boolean(found.type):
        found = pc.cast(found, pa.int8())
    if pa.types.is_string(found.type) or pa.types.is_large_string(found.type):
        with contextlib.suppress(pa.ArrowInvalid):
            found = pc.cast(found, pa.float64())
    return _numbers(name, found).astype(np.float64, copy=False)


def treatments(names: list[str]) -> int:
    """How many treatments there are columns for; ValueError unless value_j and cost_j go together, without a gap."""
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"column {sorted(twice)[0]} occurs more than once")
    found: dict[str, set[int]] = {"value": set(), "cost": set()}
    for name in names:
        if match := _CELL.fullmatch(name):
            found[match[1]].add(int(match[2]))
    for kind, numbers in found.items():
        if not numbers:
            raise ValueError(f"no column {kind}_0; expected value_0, value_1, … and cost_0, cost_1, …")
        # Not up to the largest, which a name may make huge.
        missing = next((j for j in range(len(numbers)) if j not in numbers), None)
        if missing is not None:
            raise ValueError(f"column {kind}_{missing} is missing: there is {kind}_{max(numbers)}")
    odd = found["value"] ^ found["cost"]
    if odd:
        there, gone = ("value", "cost") if min(odd) in found["value"] else ("cost", "value")
        raise ValueError(f"column {gone}_{min(odd)} is missing: there is {there}_{min(odd)}")
    return len(found["value"])


def _numbers(name: str, column: Any, first: int = 0, finite: bool = True) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        for row, cell in enumerate(column.to_pylist(), first + 1):
            if not _is_number(cell):
                raise ValueError(f"column {name}, row {row} (the first is 1): expected a number, got {_shown(cell)}")
        raise ValueError(f"column {name} must hold numbers, got {kind}")
    if column.null_count:
        row = first + pc.index(pc.is_null(column), True).as_py() + 1
        raise ValueError(f"column {name}, row {row} (the first is 1): the cell holds no value")
    if not pa.types.is_floating(kind):
        column = pc.cast(column, pa.float64())
    x = np.asarray(column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy())
    if finite and not np.isfinite(x).all():
        row = int(np.flatnonzero(~np.isfinite(x))[0])
        raise ValueError(
            f"column {name}, row {first + row + 1} (the first is 1): expected a finite number, got {x[row]}"
        )
    return x


def _is_number(cell: object) -> bool:
    try:
        float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return not isinstance(cell, bool)


def _shown(cell: object) -> str:
    text = "an empty cell" if cell is None or cell == "" else repr(cell)
    return text if len(text) <= 40 else text[:37] + "…"
