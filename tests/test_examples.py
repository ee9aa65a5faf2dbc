"""The examples run, and do what they say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from torch_threads import one_torch_thread  # noqa: F401

pytestmark = pytest.mark.usefixtures("one_torch_thread")

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "package", "options"),
    [
        ("lightgbm_objective", "lightgbm", {"rounds": 15, "n": 3000}),
        ("xgboost_objective", "xgboost", {"rounds": 15, "n": 3000}),
        ("jax_loss", "jax", {"steps": 30, "n": 3000}),
    ],
)
def test_the_example_learns_to_decide(name, package, options):
    pytest.importorskip(package)
    before, after = load(name).main(**options)
    assert after > before + 0.5


@pytest.mark.parametrize("library", ["econml", "sklift"])
def test_effects_to_an_allocation(library):
    pytest.importorskip(library)
    lottery, plan = load("effects_to_allocation").main(library, n=1500)
    assert plan > 1.1 * lottery


def test_pyepo_on_our_solver():
    pytest.importorskip("pyepo")
    before, after = load("pyepo_losses").main()
    assert after < 0.6 * before


def test_a_scikit_learn_pipeline():
    pytest.importorskip("sklearn")
    pytest.importorskip("torch")
    before, after = load("sklearn_pipeline").main()
    assert after < before


def test_bidfcl_in_a_lightning_module():
    pytest.importorskip("lightning")
    before, after = load("lightning_bidfcl").main()
    assert after < before - 0.03


def test_bidfcl_under_accelerate():
    pytest.importorskip("accelerate")
    before, after = load("accelerate_bidfcl").main()
    assert after < before - 0.03
