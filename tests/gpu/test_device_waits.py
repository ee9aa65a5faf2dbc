"""How often the host waits for a device: not in losses, twice in a solve whose first bracket holds."""

from __future__ import annotations

import numpy as np
import pytest
from oracles.instances import budgets, instance

import bidfcl_fast as bf
from bidfcl_fast._arrays import to_numpy
from bidfcl_fast.linalg import MLPCurvature, _cuda
from bidfcl_fast.metrics import labelled_multiplier
from gpu.test_device_losses import _batch, _derivatives, _Solve

torch = pytest.importorskip("torch")


class Waits:
    """The module's own count of them, while a block runs."""

    def __init__(self, gpu) -> None:
        self._module = gpu.ops.module

    def __enter__(self):
        self._before = self._module.waits()
        return self

    def __exit__(self, *_) -> None:
        self.count = self._module.waits() - self._before


@pytest.mark.parametrize("name", ["campaign", "masked", "negative", "many treatments", "one slope"])
@pytest.mark.parametrize("fill", [False, True])
def test_a_cold_solve_waits_three_times_at_most(gpu, dtype, name, fill):
    x = instance(name, dtype)
    mask = None if x.mask is None else gpu(x.mask)
    with Waits(gpu) as waits:
        plan = bf.solve_mckp(gpu(x.value), gpu(x.cost), float(budgets(x)[1]), mask=mask, fill=fill, backend=gpu.name)
    # Each bracket that missed adds one; lists that were too short, at most one.
    assert waits.count <= 3 + plan.stats["sweeps"] - 1
    if name == "campaign":
        assert waits.count == 2


def test_several_budgets_and_a_batch_wait_twice(gpu):
    rng = np.random.default_rng(0)
    value, cost = gpu(rng.random((40, 30, 4))), gpu(rng.random((40, 30, 4)))
    for arguments in ((value[0], cost[0], [12.0, 14.0, 20.0]), (value, cost, np.full(40, 14.0))):
        with Waits(gpu) as waits:
            bf.solve_mckp(*arguments, backend=gpu.name)
        assert waits.count == 2
    with Waits(gpu) as waits:
        bf.solve_mckp(value, cost, multiplier=np.full(40, 0.3), backend=gpu.name)
    assert waits.count == 1


@pytest.mark.parametrize("name", ["ppl", "pifd", "dpl", "implicit", "drp"])
def test_losses_never_wait(gpu, name):
    arrays = [gpu(a) for a in _batch(dtype=np.float32)]
    multiplier = gpu(np.array([0.3, 0.9])) if name == "dpl" else 0.6
    with Waits(gpu) as waits:
        _derivatives(name, arrays, multiplier, gpu.name)
    assert waits.count == 0


def test_curvature_and_conjugate_gradient_never_wait(gpu):
    matrix = gpu(np.diag([1.0, 2.0, 3.0]))
    b = gpu(np.eye(3)[:2])
    x, r = torch.zeros_like(b), b.clone()
    with Waits(gpu) as waits:
        _cuda.advance(_Solve(matrix, None), x, r, gpu(np.full(2, 1e-9)), np.array([9, 9]), ops=gpu.ops)
        if gpu.real:
            net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).to(gpu.device)
            MLPCurvature(net, gpu(np.ones((5, 3), np.float32)))
    assert waits.count == 0


def test_the_multiplier_of_labelled_rows_is_that_of_cpp(gpu, dtype):
    v, c, t, y, x, w = _batch(dtype=dtype)
    c, x = np.abs(c), np.abs(x)
    spend = [5.0, 10.0]
    got = labelled_multiplier(*map(gpu, (v, c, t, y, x, w)), spend, backend=gpu.name)
    expected = labelled_multiplier(v, c, t, y, x, w, spend, backend="cpp")
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    v[3, 1] = np.inf
    with pytest.raises(ValueError, match=r"value_hat must be finite, got inf at value_hat\[3, 1\]"):
        labelled_multiplier(*map(gpu, (v, c, t, y, x, w)), spend, backend=gpu.name)
    t[5] = 77
    with pytest.raises(ValueError, match="77"):
        labelled_multiplier(*map(gpu, (np.abs(c), c, t, y, x, w)), spend, backend=gpu.name)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_labelled_rows_in_halves_are_those_of_their_float32_copies(gpu, half):
    v, c, t, y, x, w = _batch(dtype=np.float32)
    v, c = (torch.as_tensor(a).to(half) for a in (v, np.abs(c)))
    labels = (t, y, np.abs(x), w)
    expected = labelled_multiplier(v.float().numpy(), c.float().numpy(), *labels, 6.0, backend="reference")
    for backend in ("cpp", "numba"):
        halves = (to_numpy("half", a) for a in (v, c))
        assert labelled_multiplier(*halves, *labels, 6.0, backend=backend) == expected
    there = (a.to(gpu.device) for a in (v, c))
    assert labelled_multiplier(*there, *map(gpu, labels), 6.0, backend=gpu.name) == expected
