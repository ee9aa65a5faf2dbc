"""Rows too wide for a tile in shared memory: a warp shares one, or its scratch lies in the device's memory. Without a GPU, the
emulation also takes narrow rows that way, by giving a block next to no shared memory."""

from __future__ import annotations

import numpy as np
import pytest

import bidfcl_fast as bf
from gpu.test_device_arrays import _same
from gpu.test_device_losses import _batch, _derivatives, _within_ulps

torch = pytest.importorskip("torch")


@pytest.fixture(params=[5, 230])
def items(request, gpu, monkeypatch) -> int:
    if request.param == 5:
        if gpu.real:
            pytest.skip("a device has more shared memory than that")
        monkeypatch.setenv("BIDFCL_EMULATED_SHARED", "512")
    return request.param


@pytest.mark.parametrize("masked", [False, True], ids=["open", "masked"])
def test_plans(gpu, dtype, items, masked):
    rng = np.random.default_rng(items)
    n = 600 if items == 5 else 250
    cost = np.sort(rng.random((n, items)), axis=1).astype(dtype)
    value = (np.sqrt(cost) * rng.random((n, 1)) + 0.02 * rng.random((n, items))).astype(dtype)
    mask = rng.random((n, items)) < 0.8 if masked else None
    if masked:
        mask[:, 0] = True
    there = {"mask": None if mask is None else gpu(mask), "backend": gpu.name}
    here = {"mask": mask, "backend": "cpp"}
    for fill in (False, True):
        got = bf.solve_mckp(gpu(value), gpu(cost), 0.4 * n, fill=fill, **there)
        _same(got, bf.solve_mckp(value, cost, 0.4 * n, fill=fill, **here))
    _same(
        bf.solve_mckp(gpu(value), gpu(cost), multiplier=[0.2, 1.5], **there),
        bf.solve_mckp(value, cost, multiplier=[0.2, 1.5], **here),
    )


@pytest.mark.parametrize("name", ["ppl", "pifd", "dpl"])
def test_losses(gpu, dtype, items, name):
    arrays = _batch(n=70, m=items, dtype=dtype)
    multiplier = [0.3, 0.9] if name == "dpl" else 0.6
    got = _derivatives(name, [gpu(a) for a in arrays], multiplier, gpu.name)
    _within_ulps(gpu, got, _derivatives(name, [torch.as_tensor(a) for a in arrays], multiplier, "cpp"))
