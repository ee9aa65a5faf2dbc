"""Parquet and CSV of strangers: `bidfcl allocate` writes a whole plan, or says one line and leaves nothing behind."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

from bidfcl_fast import cli
from bidfcl_fast.data import columns

from .source import Source

CSV = b"id,value_0,value_1,cost_0,cost_1\n7,0,1.5,0,2\n8,0,1,0,1\n"
CELLS = (
    b"0", b"1", b"-1", b"1e308", b"1e-320", b"nan", b"inf", b"", b" ", b"x", b'"', b'""', b"1,2", b"\x00", b"\xff", b"0x1",
    b"value_0", b"cost_0", b"value_1", b"cost_1", b"value_01", b"value_99999999999999999999", b"id", b"\n", b"\r\n", b",",
)  # fmt: skip


def one(data: bytes) -> None:
    """One file out of `data`, read by everything that reads files."""
    source = Source(data)
    kind = source.pick(("csv", "csv of cells", "csv.gz", "parquet", "parquet"))
    if kind == "csv of cells":
        width = 1 + source.below(5)
        rows = [b",".join(source.pick(CELLS) for _ in range(width)) for _ in range(1 + source.below(5))]
        content = b"\n".join(rows) + b"\n"
    elif kind == "parquet":
        content = _mutated(source, _parquet())
    else:
        content = _mutated(source, CSV) if source.below(2) else source.rest()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / ("in.parquet" if kind == "parquet" else "in.csv.gz" if kind == "csv.gz" else "in.csv")
        path.write_bytes(content)
        with contextlib.suppress(ValueError, OSError):
            columns.text(path, ["id"])
        with contextlib.suppress(ValueError, OSError):
            columns.numbers(path, ["value_0", "cost_0"])
        if kind != "csv.gz":
            _allocated(path, folder / source.pick(("out.csv", "out.parquet")))


def _allocated(path: Path, out: Path) -> None:
    said, wrong = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(wrong):
        status = cli.main(["allocate", str(path), "--budget", "3", "--output", str(out)])
    left = sorted(p.name for p in path.parent.iterdir())
    if status == 0:
        assert left == sorted([path.name, out.name]) and not wrong.getvalue()
    else:
        assert status == 1 and left == [path.name], (status, left)
        assert wrong.getvalue().count("\n") == 1 and wrong.getvalue().startswith("bidfcl: error: ")


_made: list[bytes] = []


def _parquet() -> bytes:
    """A small table of two row groups, to be damaged."""
    if not _made:
        import pyarrow as pa
        import pyarrow.parquet as parquet

        names = ("value_0", "value_1", "cost_0", "cost_1")
        table = pa.table({"id": ["a", "b", "c"], **{name: [0.0, 1.0, 2.0] for name in names}})
        out = io.BytesIO()
        parquet.write_table(table, out, row_group_size=2, compression="none")
        _made.append(out.getvalue())
    return _made[0]


def _mutated(source: Source, content: bytes) -> bytes:
    """A few bytes changed, a piece taken out or the end cut off."""
    out = bytearray(content)
    for _ in range(source.below(6)):
        at = source.below(min(len(out), 65_536)) if out else 0
        how = source.below(4)
        if how == 0:
            out[at : at + 1] = source.take(1)
        elif how == 1:
            del out[at : at + 1 + source.below(9)]
        elif how == 2:
            out[at:at] = source.take(1 + source.below(9))
        else:
            out[at : at + 4] = source.pick((b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff\xff\xff\xff"))
    return bytes(out[: source.below(len(out))] if out and source.chance(8) else out)
