"""`python tests/fuzz/run.py TARGET [FOLDER …] [options of libFuzzer]`: Atheris over one harness; see `make fuzz`."""

from __future__ import annotations

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
        harness.one(path.read_bytes())  # loads what is loaded on first use

atheris.Setup(sys.argv, lambda data: harness.one(data))
atheris.Fuzz()
