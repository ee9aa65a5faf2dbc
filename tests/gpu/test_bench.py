"""What `make gpu-bench` runs, at toy sizes without a GPU: so that an hour on one is not lost to a mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import emulated
import pytest

pytest.importorskip("torch")

BENCH = Path(__file__).resolve().parents[2] / "bench"


def test_every_kernel_is_run_and_has_its_bytes():
    if (why := emulated.register()) is not None:
        pytest.skip(why[:400])
    done = subprocess.run([sys.executable, BENCH / "gpu.py", "--dry"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    last = json.loads(done.stdout[done.stdout.rindex("\n{\n") :])  # printed after each part
    sys.path.insert(0, str(BENCH))
    try:
        from gpu_kernels import KERNELS
    finally:
        sys.path.remove(str(BENCH))
    assert [row["kernel"] for row in last["kernels"]] == [*KERNELS] and all(r["floor"] > 0 for r in last["kernels"])
    assert {"losses", "solves"} <= last.keys()


def test_the_documents_table_is_the_benchs():
    made = subprocess.run([sys.executable, BENCH / "gpu_kernels.py"], capture_output=True, text=True, check=True).stdout
    assert made.strip() in (BENCH.parent / "docs" / "cuda.md").read_text()
