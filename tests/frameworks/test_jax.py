"""The JAX adapter: gradients as torch has them, under jit and vmap; the solver inside jit; arrays in both directions."""

from __future__ import annotations

import numpy as np
import pytest

import bidfcl_fast as bf

jax = pytest.importorskip("jax")
adapter = pytest.importorskip("bidfcl_fast.adapters.jax")

N, M = 200, 3
RNG = np.random.default_rng(0)
VALUE, COST = RNG.normal(size=(N, M)).astype(np.float32), RNG.random((N, M), dtype=np.float32)
TREATMENT = RNG.integers(M, size=N)
OUTCOME, SPENT = RNG.random(N), RNG.random(N)
WEIGHT = bf.metrics.ipw_weight(TREATMENT, M)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ppl", {"temperature": 0.5}),
        ("ppl", {"temperature": 0.5, "multiplier_grad": "implicit", "cost_outcome": SPENT}),
        ("pifd", {"temperature": 0.5, "variant": "exact"}),
        ("dpl", {"temperature": 0.5, "cost_outcome": SPENT}),
    ],
)
def test_gradient_is_that_of_torch(name, options):
    torch = pytest.importorskip("torch")
    loss = adapter.decision_loss(name, TREATMENT, OUTCOME, WEIGHT, **options)
    got = jax.jit(jax.value_and_grad(lambda v, c, m: 3 * loss(v, c, m), (0, 1)))(VALUE, COST, 0.4)
    a, b = (torch.tensor(x, requires_grad=True) for x in (VALUE, COST))
    t, y, w, x = torch.tensor(TREATMENT), *(torch.tensor(z, dtype=torch.float32) for z in (OUTCOME, WEIGHT, SPENT))
    given = dict(options)
    if name == "dpl":
        given.pop("cost_outcome")
        want = 3 * bf.losses.dpl_loss(a, b, t, y, x, w, torch.tensor([0.4]), **given)
    else:
        given = given | ({"cost_outcome": x} if "cost_outcome" in given else {})
        want = 3 * getattr(bf.losses, f"{name}_loss")(a, b, t, y, w, 0.4, **given)
    want.backward()
    assert float(got[0]) == pytest.approx(want.item(), rel=1e-5)
    for ours, theirs in zip(got[1], (a.grad, b.grad), strict=True):
        np.testing.assert_allclose(np.asarray(ours), theirs.numpy(), rtol=1e-5, atol=1e-8)


def test_halves_beside_float32_labels():
    loss = adapter.decision_loss("ppl", TREATMENT, OUTCOME, WEIGHT)
    value, cost = VALUE.astype(np.float16), COST.astype(np.float16)
    got = jax.grad(loss)(value, cost, 0.4)
    want = jax.grad(loss)(value.astype(np.float32), cost.astype(np.float32), 0.4)
    assert got.dtype == np.float16
    np.testing.assert_allclose(np.asarray(got, np.float32), want, rtol=1e-3, atol=1e-6)


def test_many_multipliers_by_vmap_and_no_second_derivative():
    loss = adapter.decision_loss("ppl", TREATMENT, OUTCOME, WEIGHT)
    each = jax.vmap(loss, (None, None, 0))(VALUE, COST, np.array([0.1, 0.5]))
    assert [float(x) for x in each] == [float(loss(VALUE, COST, m)) for m in (0.1, 0.5)]
    assert float(jax.grad(loss, 2)(VALUE, COST, 0.5)) == 0
    with pytest.raises(ValueError, match=r"[Cc]allback"):
        jax.hessian(lambda m: loss(VALUE * m, COST, 0.5))(1.0)


def test_the_solver_inside_jit():
    plan = bf.solve_mckp(VALUE, COST, 60.0)
    found = jax.jit(adapter.solve_mckp)(VALUE, COST, 60.0)
    np.testing.assert_array_equal(np.asarray(found.choice), plan.choice)
    assert int(found.status) == 0 and float(found.multiplier) == pytest.approx(plan.multiplier, rel=1e-6)
    assert float(found.dual_bound) == pytest.approx(plan.dual_bound, rel=1e-6)
    several = jax.vmap(lambda b: adapter.solve_mckp(VALUE, COST, b))(np.array([60.0, 80.0]))
    np.testing.assert_array_equal(np.asarray(several.choice), bf.solve_mckp(VALUE, COST, [60.0, 80.0]).choice)
    refused = jax.jit(adapter.solve_mckp)(VALUE, COST + 1, 1.0)
    assert int(refused.status) < 0 and set(np.asarray(refused.choice).tolist()) == {-1}


def test_arrays_come_back_in_kind():
    plan = bf.solve_mckp(jax.numpy.asarray(VALUE), jax.numpy.asarray(COST), 60.0)
    assert isinstance(plan.choice, jax.Array)
    np.testing.assert_array_equal(np.asarray(plan.choice), bf.solve_mckp(VALUE, COST, 60.0).choice)
