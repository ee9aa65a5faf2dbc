"""The examples run, and do what they say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

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


def test_jax_gradient_is_that_of_torch():
    jax = pytest.importorskip("jax")
    torch = pytest.importorskip("torch")
    from bidfcl_fast import losses

    example = load("jax_loss")
    table = example.trial(200, 0)
    loss = example.DecisionLoss(table)
    rng = np.random.default_rng(0)
    v, c = rng.normal(size=(200, 3)).astype(np.float32), rng.random((200, 3), dtype=np.float32)
    got = jax.jit(jax.grad(lambda v, c: 3 * loss(v, c, jax.numpy.float32(0.5)), (0, 1)))(v, c)
    a, b = (torch.tensor(x, requires_grad=True) for x in (v, c))
    t, y, x, w = map(torch.tensor, (table.treatment, table.value, table.cost, loss.weight))
    want = 3 * losses.ppl_loss(
        a, b, t, y, w, 0.5, temperature=example.TEMPERATURE, multiplier_grad="implicit", cost_outcome=x
    )
    want.backward()
    for ours, theirs in zip(got, (a.grad, b.grad), strict=True):
        np.testing.assert_allclose(np.asarray(ours), theirs.numpy(), rtol=1e-5, atol=1e-8)


def test_bidfcl_in_a_lightning_module():
    pytest.importorskip("lightning")
    before, after = load("lightning_bidfcl").main()
    assert after < before - 0.03


def test_bidfcl_under_accelerate():
    pytest.importorskip("accelerate")
    before, after = load("accelerate_bidfcl").main()
    assert after < before - 0.03
