"""CausalML's effects to an allocation. It needs an environment of its own: `make test-frameworks`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("causalml")


def test_effects_to_an_allocation():
    file = Path(__file__).resolve().parents[2] / "examples" / "effects_to_allocation.py"
    spec = importlib.util.spec_from_file_location("effects_to_allocation", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lottery, plan = module.main("causalml", n=1500)
    assert plan > 1.1 * lottery
