"""The Parquet that an allocation writes: kept columns and choices, whole or not at all."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .. import tables
from .._whole import atomic
from ._dataset import Dataset

_GROUP = 1 << 20  # rows of a row group


class Output:
    """One Parquet file; or a folder of them, a file for each of the input's, under its own path."""

    def __init__(self, dataset: Dataset, folder: Path | None, file: Path | None, names: Sequence[str]) -> None:
        self._dataset, self._folder, self._file, self._names = dataset, folder, file, list(names)
        self._writer: Any = None
        self._at = -1
        self._waiting: list[Any] = []

    def write(self, file: int, batch: Any, columns: Sequence[Any]) -> None:
        """Rows of the input's file number `file`: their kept columns as a record batch, and the new ones as arrays."""
        import pyarrow as pa

        if self._writer is None or (self._folder is not None and file != self._at):
            self._open(file, batch, columns)
        self._at = file
        arrays = [batch.column(batch.schema.get_field_index(name)) for name in self._dataset.keys]
        if self._folder is None:
            for kind, value in self._dataset.partitions[file].values():
                arrays.append(pa.repeat(pa.scalar(value, kind), batch.num_rows))
        arrays += [pa.array(x) for x in columns]
        arrays = [a.cast(f.type) if a.type != f.type else a for a, f in zip(arrays, self._schema, strict=True)]
        self._waiting.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        if sum(len(b) for b in self._waiting) >= _GROUP:
            self._flush()

    def close(self) -> None:
        if self._writer is not None:
            self._flush()
            self._writer.close()
            self._writer = None

    def abandon(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(Exception):
                self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting, schema=self._schema))
            self._waiting = []

    def _open(self, file: int, batch: Any, columns: Sequence[Any]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.close()
        fields = [self._dataset.schema.field(name) for name in self._dataset.keys]
        if self._folder is None:
            fields += [pa.field(name, kind) for name, (kind, _) in self._dataset.partitions[file].items()]
            assert self._file is not None
            path = self._file
        else:
            path = self._folder / self._dataset.files[file].relative_to(self._dataset.root)
            path.parent.mkdir(parents=True, exist_ok=True)
        fields += [pa.field(name, pa.array(x[:0]).type) for name, x in zip(self._names, columns, strict=True)]
        self._schema = pa.schema(fields)
        # Numbers of which no two are alike make no dictionary.
        others = [f.name for f in fields if not pa.types.is_floating(f.type)]
        self._writer = pq.ParquetWriter(path, self._schema, use_dictionary=others)


def check(dataset: Dataset, target: Path, names: Sequence[str]) -> None:
    """Refuse, before any work is done, an output that cannot be written, or new columns that the input already has."""
    if is_folder(target):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ValueError(f"{target}: exists; choose a new name, or one that ends in .parquet for a single file")
        if not dataset.root.is_dir():
            raise ValueError(f"{target}: the name must end in .parquet, since the input is one file")
        if target.resolve().is_relative_to(dataset.root.resolve()):
            raise ValueError(f"{target}: lies inside the input")
        if not target.resolve().parent.is_dir():
            raise ValueError(f"{target}: the folder {target.parent} does not exist")
    else:
        tables.check_output(target, *dataset.files[:1])
        if dataset.root.is_dir() and target.resolve().is_relative_to(dataset.root.resolve()):
            raise ValueError(f"{target}: lies inside the input")
    taken = (set(dataset.keys) | {name for p in dataset.partitions for name in p}) & set(names)
    if taken:
        raise ValueError(f"{dataset.root}: already has a column {sorted(taken)[0]}, which the output adds; rename it")


def is_folder(target: Path) -> bool:
    return not target.suffix


@contextlib.contextmanager
def opened(dataset: Dataset, target: Path, names: Sequence[str]) -> Iterator[Output]:
    """Under a temporary name beside `target`; renamed to it when the block ends well, removed when not."""
    if is_folder(target):
        target = target.resolve()
        temporary = target.with_name(f".writing-{secrets.token_hex(4)}-{target.name}")
        temporary.mkdir()
        output = Output(dataset, temporary, None, names)
        try:
            yield output
            output.close()
            temporary.replace(target)
        finally:
            output.abandon()
            shutil.rmtree(temporary, ignore_errors=True)
        return
    with atomic(target) as temporary:
        output = Output(dataset, None, temporary, names)
        try:
            yield output
            output.close()
        finally:
            output.abandon()
