"""`python tests/fuzz/run.py TARGET [FOLDER …] [options of libFuzzer]`: Atheris over one harness; see `make fuzz`."""

from __future__ import annotations

import contextlib
import importlib
import sys
from pathlib import Path

import atheris

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

with atheris.instrument_imports(include=["bidfcl_fast"]):
    name = sys.argv.pop(1)
    harness = importlib.import_module(f"fuzz.{name}")
    for path in sorted((TESTS / "fuzz" / "corpus" / name).iterdir()):
        # Loads what is loaded on first use; Atheris says so on the very stderr that the harness judges.
        with contextlib.suppress(AssertionError):
            harness.one(path.read_bytes())

atheris.Setup(sys.argv, lambda data: harness.one(data))
atheris.Fuzz()
