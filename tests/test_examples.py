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


def test_bidfcl_in_a_lightning_module():
    pytest.importorskip("lightning")
    before, after = load("lightning_bidfcl").main()
    assert after < before - 0.03


def test_bidfcl_under_accelerate():
    pytest.importorskip("accelerate")
    before, after = load("accelerate_bidfcl").main()
    assert after < before - 0.03
