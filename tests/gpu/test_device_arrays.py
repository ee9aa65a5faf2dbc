"""torch's tensors stay where they are: in the caller's memory, on its stream, and the plan is that of `cpp`."""

from __future__ import annotations

import numpy as np
import pytest
from oracles.instances import budgets, head, instance

import bidfcl_fast as bf
from bidfcl_fast import _device

torch = pytest.importorskip("torch")


def _plan(gpu, x, budget, **options):
    mask = None if x.mask is None else gpu(x.mask)
    return bf.solve_mckp(gpu(x.value), gpu(x.cost), budget, mask=mask, backend=gpu.name, **options)


def _same(got, expected) -> None:
    for name in ("multiplier", "value", "spend", "dual_bound", "gap"):
        a, b = (np.asarray(torch.as_tensor(getattr(p, name)).cpu()) for p in (got, expected))
        np.testing.assert_array_equal(a, b, err_msg=name)
    np.testing.assert_array_equal(got.choice.cpu().numpy(), np.asarray(expected.choice))


@pytest.mark.parametrize("name", ["campaign", "masked", "negative", "one slope", "small integers"])
def test_plans_of_tensors_are_those_of_cpp(gpu, dtype, name):
    x = head(instance(name, dtype), 300)
    for b in (budgets(x), float(budgets(x)[1])):
        got = _plan(gpu, x, b)
        assert isinstance(got.choice, torch.Tensor) and got.choice.device == gpu.device
        _same(got, bf.solve_mckp(x.value, x.cost, b, mask=x.mask, backend="cpp"))


def test_strides_halves_batches_segments_and_prices(gpu):
    rng = np.random.default_rng(0)
    value, cost = rng.random((6, 50, 4)), rng.random((6, 50, 4))
    wide = gpu(np.repeat(value, 2, axis=2))[:, :, ::2]
    _same(
        bf.solve_mckp(wide, gpu(cost).transpose(1, 2).contiguous().transpose(1, 2), 16.0, backend=gpu.name),
        bf.solve_mckp(value, cost, 16.0, backend="cpp"),
    )
    for half in (torch.float16, torch.bfloat16):
        v, c = (torch.as_tensor(x[0]).to(half) for x in (value, cost))
        _same(
            bf.solve_mckp(v.to(gpu.device), c.to(gpu.device), 16.0, backend=gpu.name),
            bf.solve_mckp(v.float().numpy(), c.float().numpy(), 16.0, backend="cpp"),
        )
    flat = (value.reshape(300, 4), cost.reshape(300, 4))
    segments = np.array([0, 7, 7, 100, 300])
    _same(
        bf.solve_mckp(gpu(flat[0]), gpu(flat[1]), 90.0, segments=segments, backend=gpu.name),
        bf.solve_mckp(*flat, 90.0, segments=segments, backend="cpp"),
    )
    _same(
        bf.solve_mckp(gpu(flat[0]), gpu(flat[1]), multiplier=[0.0, 0.5, 2.0], backend=gpu.name),
        bf.solve_mckp(*flat, multiplier=[0.0, 0.5, 2.0], backend="cpp"),
    )


def test_the_frontier_stays_there(gpu):
    x = head(instance("campaign", np.float32), 200)
    got = bf.budget_frontier(gpu(x.value), gpu(x.cost), backend=gpu.name)
    expected = bf.budget_frontier(x.value, x.cost, backend="cpp")
    assert got.budget.device == gpu.device
    for name in ("budget", "value", "multiplier"):
        np.testing.assert_array_equal(getattr(got, name).cpu().numpy(), getattr(expected, name))
    b = float(budgets(x)[1])
    assert got.value_at(b) == expected.value_at(b)


def test_misuse_is_named(gpu):
    v, c = gpu(np.ones((3, 2))), gpu(np.ones((3, 2)))
    with pytest.raises(TypeError, match="takes arrays on the CPU"):
        bf.solve_mckp(v, c, 1.0, backend="cpp")
    with pytest.raises(ValueError, match="cost must be where value is"):
        bf.solve_mckp(v, np.ones((3, 2)), 9.0, backend=gpu.name)
    with pytest.raises(ValueError, match="max_treated goes with arrays on the CPU"):
        bf.solve_mckp(v, c, 9.0, max_treated=1, backend=gpu.name)
    v[2, 1] = float("nan")
    with pytest.raises(ValueError, match=r"value must be finite, got nan at value\[2, 1\]"):
        bf.solve_mckp(v, c, 9.0, backend=gpu.name)
    with pytest.raises(bf.InfeasibleBudget, match=r"3\.0"):
        bf.solve_mckp(c, c, 2.0, backend=gpu.name)


def test_a_large_plan_is_that_of_cpp(gpu):
    n = 1_000_000 if gpu.real else 3_000
    rng = np.random.default_rng(1)
    cost = np.sort(rng.random((n, 10), dtype=np.float32), axis=1)
    cost[:, 0] = 0
    value = np.sqrt(cost) * rng.random((n, 1), dtype=np.float32)
    for budget in (0.05 * n, 0.3 * n):
        got = bf.solve_mckp(gpu(value), gpu(cost), budget, backend=gpu.name)
        _same(got, bf.solve_mckp(value, cost, budget, backend="cpp"))


class Foreign:
    """An array of a library that nobody here knows; it speaks DLPack."""

    def __init__(self, tensor):
        self._tensor = tensor

    def __dlpack_device__(self):
        return self._tensor.__dlpack_device__()

    def __dlpack__(self, **options):
        return self._tensor.__dlpack__(**options)


def test_whatever_speaks_dlpack_is_read_where_it_is(gpu, dtype, monkeypatch):
    if not gpu.real:
        monkeypatch.setattr(_device, "_CUDA", {1})  # DLPack's name of the CPU
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    x = head(instance("masked", dtype), 200)
    b = float(budgets(x)[1])
    expected = bf.solve_mckp(x.value, x.cost, b, mask=x.mask, backend="cpp")
    value, cost, mask = (gpu(a) for a in (x.value, x.cost, x.mask))
    read = _device.view("value", Foreign(value))
    assert isinstance(read, _device.DeviceArray) and read.address == value.data_ptr()
    _same(bf.solve_mckp(Foreign(value), Foreign(cost), b, mask=Foreign(mask), backend=gpu.name), expected)
    with pytest.raises(TypeError, match="takes arrays on the CPU"):
        bf.solve_mckp(Foreign(value), Foreign(cost), b, backend="cpp")


def test_cupy_arrays_stay_cupy():
    cupy = pytest.importorskip("cupy")
    if "cuda" not in bf.backends.available():
        pytest.skip("no GPU")
    x = head(instance("campaign", np.float32), 200)
    b = float(budgets(x)[1])
    got = bf.solve_mckp(cupy.asarray(x.value), cupy.asarray(x.cost), b)
    assert isinstance(got.choice, cupy.ndarray) and got.stats["backend"] == "cuda"
    np.testing.assert_array_equal(got.choice.get(), bf.solve_mckp(x.value, x.cost, b, backend="cpp").choice)


def test_a_side_stream_is_waited_for(gpu):
    """The work is put behind what the caller's stream still has to do."""
    if not gpu.real:
        pytest.skip("no GPU")
    x = head(instance("campaign", np.float32), 300)
    v, c = gpu(x.value), gpu(x.cost)
    b = float(budgets(x)[1])
    expected = bf.solve_mckp(x.value, x.cost, b, backend="cpp")
    side = torch.cuda.Stream()
    for _ in range(10):
        with torch.cuda.stream(side):
            late = torch.zeros_like(v)
            torch.cuda._sleep(20_000_000)
            late.copy_(v)
            _same(bf.solve_mckp(late, c, b), expected)


def test_several_devices(gpu):
    if not gpu.real or torch.cuda.device_count() < 2:
        pytest.skip("fewer than two GPUs")
    x = head(instance("campaign", np.float32), 300)
    b = float(budgets(x)[1])
    expected = bf.solve_mckp(x.value, x.cost, b, backend="cpp")
    for k in (1, 0, 1):
        v, c = (torch.as_tensor(a, device=f"cuda:{k}") for a in (x.value, x.cost))
        got = bf.solve_mckp(v, c, b)
        assert got.choice.device.index == k and torch.cuda.current_device() == 0
        _same(got, expected)
