"""What several readers of one row agree on does not depend on who read what, nor on the order in which they are asked:
combines are associative and commutative, and what they find is what plain code finds."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")

ORDERS = st.permutations(range(4))
BRACKETS = st.integers(0, 2)
FEW = st.integers(-4, 4).map(float)  # ties are common
ANY = st.one_of(FEW, st.floats(-1e6, 1e6, width=32))
PARTS = st.integers(0, 3)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    made = tmp_path_factory.mktemp("combines") / "combines.so"
    include = ["-I", ROOT / "tests" / "emulated", "-I", ROOT / "csrc"]
    flags = ["-std=c++17", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"]
    command = [COMPILER, *flags, *include, ROOT / "tests" / "cpp" / "combines.cpp", "-o", made]
    built = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return ctypes.CDLL(str(made))


def pointer(x: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(x.ctypes.data)


def call(function, count, arrays, parts, order, brackets, out):
    held = [*arrays, np.array(parts, np.int32), np.array(order, np.int32)]
    function(count, *map(pointer, held), brackets, pointer(out))
    return out


def first_and_second(scores: list) -> tuple:
    best = max(range(len(scores)), key=lambda j: (scores[j], -j))
    return scores[best], max((s for j, s in enumerate(scores) if j != best), default=-np.inf), best


@given(rows=st.lists(st.tuples(ANY, PARTS), min_size=1, max_size=40), order=ORDERS, brackets=BRACKETS)
def test_best(library, dtype, rows, order, brackets):
    scores, parts = zip(*rows, strict=True)
    function = library.best32 if dtype is np.float32 else library.best64
    got = call(function, len(rows), [np.array(scores, dtype)], parts, order, brackets, np.empty(3))
    assert tuple(got) == first_and_second([float(x) for x in np.array(scores, dtype)])


@given(
    rows=st.lists(st.tuples(FEW, FEW, PARTS), min_size=1, max_size=40),
    low=st.integers(0, 4), width=st.integers(1, 3), order=ORDERS, brackets=BRACKETS,
)  # fmt: skip
def test_both_ends_of_a_bracket(library, dtype, rows, low, width, order, brackets):
    value, cost, parts = zip(*rows, strict=True)
    arrays = [np.array(x, dtype) for x in (value, cost, (low, low + width))]
    function = library.ends32 if dtype is np.float32 else library.ends64
    got = call(function, len(rows), arrays, parts, order, brackets, np.empty(6))
    at_high = [v - (low + width) * c for v, c in zip(value, cost, strict=True)]
    first, second, best = first_and_second(at_high)
    assert tuple(got) == (
        first, second, best, max(v - low * c for v, c in zip(value, cost, strict=True)), value[best], cost[best],
    )  # fmt: skip


@given(
    rows=st.lists(st.tuples(st.integers(-(2**62), 2**62), PARTS), min_size=1, max_size=60),
    order=ORDERS, brackets=BRACKETS,
)  # fmt: skip
def test_exact_sums(library, rows, order, brackets):
    numbers, parts = zip(*rows, strict=True)
    high, low = call(
        library.limbs, len(rows), [np.array(numbers, np.int64)], parts, order, brackets, np.empty(2, np.int64)
    )
    assert (int(high) << 64) + (int(low) & 0xFFFFFFFFFFFFFFFF) == sum(numbers)
