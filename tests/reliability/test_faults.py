"""What goes wrong outside: full disks, folders that cannot be written, broken files, no memory, kills. One line, nothing half."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from . import kills

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

ROOT = Path(__file__).parents[2]
ROWS = 4_000


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.parquet"
    parquet.write_table(table(), path, row_group_size=500)
    return path


def table(rows=ROWS, **changed):
    rng = np.random.default_rng(0)
    cells = {f"{kind}_{j}": rng.random(rows) for kind in ("value", "cost") for j in range(3)}
    cells["cost_0"][:] = 0
    return pa.table({"id": np.arange(rows), **cells, **changed})


def allocate(source, out, *more, limit=None):
    """In a process of its own, with a limit if there is one; (status, stderr)."""

    def limited():
        if limit is not None:
            resource.setrlimit(*limit)

    command = [sys.executable, "-m", "bidfcl_fast", "allocate", str(source), "--budget", "900", "--output", str(out)]
    done = subprocess.run([*command, *more], capture_output=True, text=True, cwd=ROOT, preexec_fn=limited)
    return done.returncode, done.stderr


def fails(source, out, *more, limit=None) -> str:
    status, said = allocate(source, out, *more, limit=limit)
    assert status == 1, (status, said)
    assert said.startswith("bidfcl: error: ") and said.count("\n") == 1, said
    left = sorted(
        p.name for p in Path(out).parent.iterdir() if p.suffix in {".parquet", ".csv"} and p.name != "in.parquet"
    )
    assert not left, left
    return said


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_that_may_grow_no_further(source, tmp_path, ending):
    """The limit of a quota, or of a disk that is full: nothing half is left, and an old output stays as it was."""
    out = tmp_path / f"out.{ending}"
    limit = (resource.RLIMIT_FSIZE, (20_000, 20_000))
    assert "File too large" in fails(source, out, limit=limit)
    assert not list(tmp_path.glob(".*"))
    out.write_bytes(b"old")
    status, said = allocate(source, out, limit=limit)
    assert status == 1 and said.count("\n") == 1 and out.read_bytes() == b"old"


def test_a_full_disk(source):
    """/dev/full takes nothing; a path there has no folder of its own, so a small file system is mounted where that is allowed."""
    folder = source.parent / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        said = fails(source, folder / "out.csv")
        assert "No space left" in said and not list(folder.iterdir())
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_folder_that_cannot_be_written(source, tmp_path):
    folder = tmp_path / "read only"
    folder.mkdir()
    if os.geteuid() == 0:  # whom permissions do not stop
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(folder)], capture_output=True)
        if mounted.returncode:
            pytest.skip("no file system can be mounted here")
    else:
        folder.chmod(0o500)
    try:
        said = fails(source, folder / "out.csv")
        assert "cannot be written" in said or "Read-only" in said
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", str(folder)], check=True)


def test_half_a_parquet_file(source, tmp_path):
    content = source.read_bytes()
    for length in (0, 100, len(content) // 2, len(content) - 1):
        source.write_bytes(content[:length])
        assert "cannot be read as parquet" in fails(source, tmp_path / "out.csv")
    for at in range(1000, len(content) - 2000, len(content) // 4):
        source.write_bytes(content[:at] + b"\xff" * 200 + content[at + 200 :])
        status, said = allocate(source, tmp_path / "out.csv")
        assert status in (0, 1) and said.count("\n") == status  # a flipped number is a number
        (tmp_path / "out.csv").unlink(missing_ok=True)


def test_another_type_in_the_last_row_group(source, tmp_path):
    """Parts of a table that differ in the type of a column, the last one above all."""
    folder = tmp_path / "parts"
    folder.mkdir()
    parquet.write_table(table(), folder / "a.parquet")
    wrong = table(value_1=pa.array(["many"] * ROWS))
    parquet.write_table(wrong, folder / "b.parquet")
    said = fails(folder / "b.parquet", tmp_path / "out.csv")
    assert "value_1" in said and "many" in said
    nothing = table(value_1=pa.array([1.0] * (ROWS - 1) + [None]))
    parquet.write_table(nothing, source, row_group_size=500)
    assert f"column value_1, row {ROWS}" in fails(source, tmp_path / "out.csv")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a limit on addresses")
def test_no_memory(tmp_path):
    """Not the system's killer but one line, whoever is refused memory first."""
    source = tmp_path / "in.parquet"
    rows = 600_000
    parquet.write_table(table(rows), source)
    code = (
        "import resource, sys; import pyarrow.parquet, bidfcl_fast as bf, numpy as np; from bidfcl_fast import cli\n"
        "bf.solve_mckp(np.ones((9, 2)), np.ones((9, 2)), 99.0)\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[1]),) * 2)\n"
        "sys.exit(cli.main(sys.argv[2:]))\n"
    )
    out = tmp_path / "out.csv"
    for room in (4, 24, 60):
        command = [str(room << 20), "allocate", str(source), "--budget", "900", "--output", str(out)]
        done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 1, (room, done.returncode, done.stderr)
        assert done.stderr.startswith("bidfcl: error: ") and done.stderr.count("\n") == 1, done.stderr
        assert [p.name for p in tmp_path.iterdir()] == ["in.parquet"]


def test_what_a_killed_writer_left_is_removed(source, tmp_path):
    left = tmp_path / ".writing-00000000-out.csv"
    left.write_text("half")
    assert allocate(source, tmp_path / "out.csv")[0] == 0
    assert not left.exists() and (tmp_path / "out.csv").exists()


def test_what_another_is_writing_stays(tmp_path):
    from bidfcl_fast._whole import atomic

    with atomic(tmp_path / "a.txt") as first:
        first.write_text("first")
        with atomic(tmp_path / "b.txt") as second:
            second.write_text("second")
        assert first.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "b.txt"]


def test_a_few_kills():
    """`make kills` kills two hundred times, over allocate, train, evaluate and report."""
    pytest.importorskip("torch")
    seen = kills.run(2, 1, ("allocate", "train"))
    assert sum(n for what, n in seen.items() if "went on" in what) == 2
