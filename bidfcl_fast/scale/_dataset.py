"""Parquet files as one long table of users: what is where, and its rows a block at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import _cells, _check
from .._problems import Problems
from ..tables import need
from ._pipeline import ahead

BLOCK = 1 << 16  # rows that are read, decided and written at a time
_BUFFER = 1 << 18  # bytes of each column that are read ahead of the decoder


class Unit(NamedTuple):
    """One row group."""

    file: int
    group: int
    first: int  # its first row, counted over all files
    rows: int


class Block(NamedTuple):
    """Consecutive rows of one row group; whether all numbers are finite, nobody has looked."""

    unit: int
    file: int
    first: int
    value: np.ndarray  # [n, M]
    cost: np.ndarray
    mask: np.ndarray | None  # [n, M] bool
    batch: Any  # pyarrow.RecordBatch, with the columns that were asked for

    @property
    def problems(self) -> Problems:
        """One problem without a budget."""
        return _check.instance(self.value, self.cost, self.mask)


class _Raw(NamedTuple):
    """A block before its numbers are taken out of it."""

    unit: int
    first: int
    batch: Any


@dataclass(frozen=True)
class Dataset:
    """A Parquet file; or a folder of them, in the order of their paths, hive partitions as columns."""

    root: Path
    files: list[Path]
    partitions: list[dict[str, Any]]  # of each file
    units: list[Unit]
    schema: Any  # pyarrow.Schema of the files
    single: bool  # all numbers are float32
    treatments: int
    largest: tuple[float, float] | None  # magnitudes of value and cost, by the files' own statistics
    uncompressed: int  # bytes
    mask: str | None = None  # the columns {mask}_0, … say which treatments are open

    @property
    def rows(self) -> int:
        return self.units[-1].first + self.units[-1].rows if self.units else 0

    @property
    def cells(self) -> list[str]:
        return [f"{kind}_{j}" for kind in ("value", "cost") for j in range(self.treatments)]

    @property
    def mask_columns(self) -> list[str]:
        return [] if self.mask is None else [f"{self.mask}_{j}" for j in range(self.treatments)]

    @property
    def keys(self) -> list[str]:
        """Columns of the files that are neither value_j nor cost_j nor the mask's."""
        return _cells.key_columns(self.schema.names, self.mask_columns)

    def blocks(self, units: Sequence[int], keys: Sequence[str] = (), most: int | None = None) -> Iterator[Block]:
        """The rows of these units, block by block; of each unit at most `most`. A thread decodes them, a few ahead.

        A block's arrays are written over by the next.
        """
        shape, dtype = (BLOCK, self.treatments), np.float32 if self.single else np.float64
        out = np.empty(shape, dtype), np.empty(shape, dtype), np.empty(shape if self.mask is not None else 0, bool)
        for raw in ahead(self._raw(units, keys, most)):
            cells = self._numbers(raw, out)
            yield Block(raw.unit, self.units[raw.unit].file, raw.first, *cells, raw.batch)

    def _raw(self, units: Sequence[int], keys: Sequence[str], most: int | None) -> Iterator[_Raw]:
        parquet = need("pyarrow.parquet", "io", "reading Parquet")
        names = [*self.cells, *self.mask_columns, *keys]
        opened, at = None, -1
        try:
            for u in units:
                unit = self.units[u]
                if unit.file != at:
                    if opened is not None:
                        opened.close()
                    opened = parquet.ParquetFile(self.files[unit.file], pre_buffer=False, buffer_size=_BUFFER)
                    at = unit.file
                assert opened is not None
                first = unit.first
                size = BLOCK if most is None else min(BLOCK, most)
                # One thread: two would take twice the time of processors for columns as short as these.
                batches = opened.iter_batches(
                    batch_size=size, row_groups=[unit.group], columns=names, use_threads=False
                )
                for batch in batches:
                    yield _Raw(u, first, batch)
                    first += batch.num_rows
                    if most is not None and first - unit.first >= most:
                        break
        finally:
            if opened is not None:
                opened.close()

    def refuse(self, block: Block) -> None:
        """Raise for the cell of a block that is no finite number."""
        self._numbers(_Raw(block.unit, block.first, block.batch), None)

    def _numbers(
        self, raw: _Raw, out: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        first, both, opened = raw.first, None if out is None else out[:2], None if out is None else out[2]
        try:
            mask = None if self.mask is None else _cells.open_cells(raw.batch, self.mask, first=first, out=opened)
            value, cost = _cells.value_and_cost(
                raw.batch, mask=mask, first=first, single=self.single, finite=out is None, out=both
            )
            return value, cost, mask
        except ValueError as error:
            file = self.files[self.units[raw.unit].file]
            name = file.relative_to(self.root) if len(self.files) > 1 else self.root.name
            raise ValueError(f"{name}: {error}; rows are counted over all files") from error


def open_dataset(path: Path, mask: str | None = None) -> Dataset:
    """What a Parquet file or folder holds, by the footers alone; `mask`: what the columns of the mask begin with.

    Raises
    ------
    ValueError
        If there is nothing to read, or columns are missing or do not hold numbers.
    """
    lib = need("pyarrow", "io", "reading Parquet")
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    try:
        files, partitions = _files(path)
        if not files:
            raise ValueError(f"{path}: holds no Parquet files")
        return _described(path, files, partitions, mask)
    except (lib.ArrowException, OSError) as error:
        raise ValueError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error


def _files(path: Path) -> tuple[list[Path], list[dict[str, Any]]]:
    if path.is_file():
        return [path], [{}]
    dataset = need("pyarrow.dataset", "io", "reading Parquet folders")
    found = dataset.dataset(path, format="parquet", partitioning="hive", exclude_invalid_files=False)
    pairs = sorted((f.path, dataset.get_partition_keys(f.partition_expression)) for f in found.get_fragments())
    types = {f.name: f.type for f in found.schema}
    return [Path(p) for p, _ in pairs], [{name: (types[name], x) for name, x in keys.items()} for _, keys in pairs]


def _described(root: Path, files: list[Path], partitions: list[dict[str, Any]], mask: str | None) -> Dataset:
    import pyarrow as pa
    import pyarrow.parquet as pq

    units: list[Unit] = []
    schema, single, first, treatments, uncompressed = None, True, 0, 0, 0
    largest: dict[str, float] | None = {"value": 0.0, "cost": 0.0}
    for k, name in enumerate(files):
        with pq.ParquetFile(name) as file:
            own, footer = file.schema_arrow, file.metadata
        where = "" if len(files) == 1 else f"{name.relative_to(root)}: "
        try:
            m = _cells.treatments(own.names)
            closed = _cells.mask_columns({f.name: str(f.type) for f in own}, mask)
        except ValueError as error:
            raise ValueError(f"{where}{error}") from error
        cells = [f"{kind}_{j}" for kind in ("value", "cost") for j in range(m)]
        for cell in cells:
            if not _holds_numbers(own.field(cell).type):
                raise ValueError(f"{where}column {cell} must hold numbers, got {own.field(cell).type}")
        single &= all(own.field(cell).type == pa.float32() for cell in cells)
        if schema is None:
            schema, treatments = own, m
        elif m != treatments:
            raise ValueError(f"{where}has {m} treatments, the files before it {treatments}")
        elif missing := set(_cells.key_columns(schema.names, closed)) - set(own.names):
            raise ValueError(f"{where}column {sorted(missing)[0]} is missing, which the files before it have")
        clash = set(partitions[k]) & set(own.names)
        if clash:
            raise ValueError(f"{where}column {sorted(clash)[0]} is a partition folder as well; rename one of them")
        for g in range(footer.num_row_groups):
            group = footer.row_group(g)
            if group.num_rows:
                units.append(Unit(k, g, first, group.num_rows))
            first += group.num_rows
            uncompressed += group.total_byte_size
            largest = _larger(largest, group) if largest is not None and group.num_rows else largest
    assert schema is not None
    known = None if largest is None else (largest["value"], largest["cost"])
    return Dataset(root, files, partitions, units, schema, single, treatments, known, uncompressed, mask)


def _holds_numbers(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _larger(largest: dict[str, float], group: Any) -> dict[str, float] | None:
    """The largest magnitudes with those of one more row group; None where its statistics do not say."""
    out = dict(largest)
    for c in range(group.num_columns):
        column = group.column(c)
        kind, _, number = column.path_in_schema.partition("_")
        if kind not in out or not number.isdigit():
            continue
        found = column.statistics
        if found is None or not found.has_min_max:
            return None
        try:
            size = max(abs(float(found.min)), abs(float(found.max)))
        except (TypeError, ValueError):
            return None
        if not math.isfinite(size):
            return None
        out[kind] = max(out[kind], size)
    return out
