"""Numba keeps machine code on disk and looks only at the file a function stands in: that file must depend on no other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import bidfcl_fast as bf
from bidfcl_fast import _spec

KERNELS = Path(bf.__file__).parent / "backends" / "numba_kernels.py"


def test_kernels_import_nothing_of_the_package():
    """A constant from elsewhere would stay what it was when the machine code was made, after an upgrade too."""
    for node in ast.walk(ast.parse(KERNELS.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert not str(node.module).startswith("bidfcl_fast")
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("bidfcl_fast") for alias in node.names)


def test_constants_written_again_are_those_of_the_spec():
    kernels = pytest.importorskip("bidfcl_fast.backends.numba_kernels")
    assert (kernels.FIXED_POINT_BITS, kernels.FILL_WINDOW) == (_spec.FIXED_POINT_BITS, _spec.FILL_WINDOW)
    for status in ("SOLVED", "INFEASIBLE_BUDGET", "NOT_FINITE", "NO_OPEN_TREATMENT"):
        assert getattr(kernels, status) == bf.Status[status]
