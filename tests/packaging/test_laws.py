"""The laws of the project that no compiler checks: what the sources may name, and what importing may load."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bidfcl_fast as bf

ROOT = Path(__file__).parents[2]
SOURCES = sorted(p for p in (ROOT / "csrc").rglob("*") if p.is_file())


def python(code: str, **env: str) -> str:
    """Run `code` in a fresh interpreter at the root of the project; what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env={**os.environ, **env}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_native_code_names_no_framework(source):
    found = re.search(r"\b(torch|ATen|c10)\b|libtorch", source.read_text())
    assert found is None, f"{source.name} says {found.group()!r}"


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_only_the_bindings_know_python(source):
    if source.name not in {"bindings.cpp", "arguments.h", "CMakeLists.txt"}:
        assert not re.search(r"pybind11|Python\.h|\bPy[A-Z]\w+", source.read_text())


def test_launch_alone_launches():
    """Launches, thread indices, barriers, atomics and the CUDA runtime stand in two headers, which the tests replace."""
    own = {"launch.cuh", "warp_group.cuh"}
    words = r"<<<|\b(threadIdx|blockIdx|blockDim|gridDim|__shfl\w*|__sync\w*|__shared__|__global__|atomic[A-Z]\w*|cuda[A-Z]\w*)\b"
    for source in (ROOT / "csrc" / "cuda").rglob("*"):
        if source.suffix in {".cu", ".cuh", ".h", ".cpp"} and source.name not in own:
            found = re.search(words, source.read_text())
            assert found is None, f"{source.name} says {found.group()}"


def test_importing_loads_neither_torch_nor_numba():
    heavy = {"torch", "numba", "matplotlib", "pyarrow", "pyspark", "pandas"}
    loaded = python(f"import sys, bidfcl_fast, bidfcl_fast.scale; print(*sorted({heavy} & sys.modules.keys()))")
    assert loaded == ""


BLOCK = """
import importlib.abc, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} is blocked")

sys.meta_path.insert(0, Blocked())
"""

SOLVE = """
import numpy as np
import bidfcl_fast as bf

rng = np.random.default_rng(0)
value, cost = rng.random((50, 4)), rng.random((50, 4))
plan = bf.solve_mckp(value, cost, 25.0)
assert type(plan.choice) is np.ndarray and plan.spend <= 25.0
assert len(bf.budget_frontier(value, cost).budget) > 1
assert "torch" not in sys.modules
print(plan.stats["backend"])
"""


@pytest.mark.parametrize("name", bf.backends.available())
def test_numpy_arrays_need_no_torch(name):
    assert python(BLOCK.format(blocked=["torch"]) + SOLVE, BIDFCL_BACKEND=name) == name


@pytest.mark.skipif("cpp" not in bf.backends.available(), reason="installed without _C")
def test_cpp_needs_no_numba():
    assert python(BLOCK.format(blocked=["torch", "numba"]) + SOLVE, BIDFCL_BACKEND="") == "cpp"
