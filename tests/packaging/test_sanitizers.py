"""What the sanitizers run: all that runs C++, whether or not a test's name says so, and nothing of another backend."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bidfcl_fast as bf

ROOT = Path(__file__).parents[2]
SUITE = ("tests/contract", "tests/linalg", "tests/reliability/test_lifetimes.py")
FILES = [f"tests/contract/test_{name}.py" for name in ("threads", "many_budgets", "frontier", "losses", "dlpack")]
FILES += ["tests/linalg/test_mlp.py", "tests/linalg/test_cg.py", SUITE[-1]]
# One budget, many, many problems, the frontier, losses, products of a network, steps of conjugate gradient, lies of exporters.
MUST = (
    "test_threads.py::test_any_number_of_threads[",
    "test_threads.py::test_any_number_of_threads_for_many_budgets[",
    "test_threads.py::test_any_number_of_threads_for_many_small_problems[",
    "test_frontier.py::",
    "test_losses.py::test_any_strides_any_threads_same_bits",
    "test_mlp.py::test_products_from_several_threads_at_once",
    "test_cg.py::test_rows_stop_on_their_own",
    "test_dlpack.py::test_lies",
    "test_lifetimes.py::test_many_threads_many_problems[cpp]",
)


@pytest.mark.skipif("cpp" not in bf.backends.available(), reason="installed without _C")
def test_only_one_backend_and_all_that_names_none():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "--only-backend", "cpp", *FILES],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    chosen = [line for line in done.stdout.splitlines() if "::" in line]
    assert [name for name in MUST if not any(name in line for line in chosen)] == []
    others = (
        "[numba",
        "[reference",
        "[cuda_emulated",
        "-numba]",
        "-numba-",
        "-reference]",
        "-reference-",
        "-cuda_emulated",
    )
    assert [line for line in chosen if any(name in line for name in others)] == []


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_runs_it():
    for target, more in (("sanitize-thread", ()), ("sanitize-address", ("tests/fuzz", "tests/property"))):
        said = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        line = next(line for line in said.replace("\\\n", " ").splitlines() if "--only-backend cpp" in line)
        assert {*SUITE, *more} <= set(line.split())
