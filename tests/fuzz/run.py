"""`python tests/fuzz/run.py TARGET [FOLDER …] [options of libFuzzer]`: Atheris over one harness; see `make fuzz`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import atheris

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

with atheris.instrument_imports(include=["bidfcl_fast"]):
    harness = importlib.import_module(f"fuzz.{sys.argv.pop(1)}")

atheris.Setup(sys.argv, lambda data: harness.one(data))
atheris.Fuzz()
