"""Tests skip themselves where a package is absent; where one develops, and in CI, none may be."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
# What `make build` does not install, and the command that runs those tests.
ELSEWHERE = {"causalml": "test-frameworks", "pyspark": "test-spark", "cupy": "gpu-test"}


def absent(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is None
    except ModuleNotFoundError:  # the package it is in
        return True


def missing(extra: str) -> set[str]:
    """Requirements of one of this package's extras, and of the extras that it names, that are not installed."""
    out = set()
    for wanted in map(Requirement, importlib.metadata.requires("bidfcl_fast") or ()):
        if wanted.marker is None or not wanted.marker.evaluate({"extra": extra}):
            continue
        try:
            importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            out.add(wanted.name)
        for more in wanted.extras if wanted.name == "bidfcl_fast" else ():
            out |= missing(more)
    return out


needs_development = pytest.mark.skipif(absent("ruff"), reason="not a development install (make build)")


@needs_development
def test_no_test_is_skipped_for_want_of_a_package():
    files = [f for f in (ROOT / "tests").rglob("*.py") if f != Path(__file__)]
    named = {name for f in files for name in re.findall(r'importorskip\(\s*"([\w.]+)"', f.read_text(encoding="utf-8"))}
    assert {"torch", "pyarrow", "jax", *ELSEWHERE} <= named
    assert {name for name in named if absent(name)} <= set(ELSEWHERE)
    commands = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(f"\n{target}:" in commands for target in ELSEWHERE.values())


@needs_development
@pytest.mark.parametrize("extra", ["all", "dev"])
def test_what_development_asks_for_is_there(extra):
    assert missing(extra) == set()
