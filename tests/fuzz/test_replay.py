"""Every input that the corpus holds, and some fresh ones, through its harness: what was found once is not found again."""

from __future__ import annotations

import importlib
import random
from pathlib import Path

import pytest

CORPUS = Path(__file__).parent / "corpus"
HARNESSES = ("edge", "files", "models")
FRESH = {"edge": 400, "files": 40, "models": 60}
NEEDS = {"edge": (), "files": ("pyarrow",), "models": ("torch", "safetensors")}


def harness(name: str):
    for module in NEEDS[name]:
        pytest.importorskip(module)
    return importlib.import_module(f"fuzz.{name}")


@pytest.mark.parametrize("name", HARNESSES)
def test_corpus(name):
    kept = sorted((CORPUS / name).iterdir())
    assert kept
    for path in kept:
        try:
            harness(name).one(path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path.name} fails: {error!r}") from error


@pytest.mark.parametrize("name", HARNESSES)
def test_fresh_bytes(name):
    """The same in every run, so that a failure is the change's and not the day's."""
    rng = random.Random(f"{name} 1")
    for _ in range(FRESH[name]):
        data = rng.randbytes(rng.choice((20, 60, 150, 400)))
        try:
            harness(name).one(data)
        except Exception as error:
            raise AssertionError(f"bytes.fromhex({data.hex()!r}) fails: {error!r}") from error
