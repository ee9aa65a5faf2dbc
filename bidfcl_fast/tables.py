"""Reading and writing columns (Parquet, CSV through pyarrow), and files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._cells import CELL, numbers
from ._whole import atomic

Array = NDArray[Any]


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


def read(path: Path, mask: str | None = None) -> Any:
    """Read a Parquet or CSV file into a pyarrow table.

    In a CSV, value and cost columns are numbers, the columns {mask}_0, … are true or false (or 1 and 0); of the others, whole numbers stay whole numbers and everything else is
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
        return _read_csv(path, mask)
    except (lib.ArrowException, OSError) as error:
        raise ValueError(f"{path}: cannot be read as {kind}: {str(error).splitlines()[0]}") from error


def _read_csv(path: Path, mask: str | None) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    with csv.open_csv(path) as reader:
        names = reader.schema.names
    open_ = re.compile(re.escape(mask or "") + r"_(0|[1-9]\d*)")
    flags = {name: pa.bool_() for name in names if mask is not None and open_.fullmatch(name)}
    keys = {name: pa.string() for name in names if not CELL.fullmatch(name) and name not in flags}
    table = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=keys | flags, strings_can_be_null=False))
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
    return numbers(name, found).astype(np.float64, copy=False)
