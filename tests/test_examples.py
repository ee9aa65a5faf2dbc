"""The examples run, and do what they say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_boosted_trees_learn_to_decide():
    pytest.importorskip("lightgbm")
    before, after = load("lightgbm_objective").main(rounds=15, n=3000)
    assert after > before + 0.5
