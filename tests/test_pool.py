"""Memory of large outputs is used again, never while somebody can see it, and not kept without end."""

from __future__ import annotations

import numpy as np
import pytest

import bidfcl_fast as bf
from bidfcl_fast import _pool

FLOAT32 = np.dtype(np.float32)


@pytest.fixture(autouse=True)
def nothing_kept():
    _pool.release()
    yield
    _pool.release()


def test_a_block_is_used_again_when_its_last_view_is_gone():
    first = _pool.empty((2, 1 << 20), FLOAT32)
    view, at = first[1, 5:], first.ctypes.data
    del first
    assert _pool.empty((2, 1 << 20), FLOAT32).ctypes.data != at
    del view
    assert at in {_pool.empty((2, 1 << 20), FLOAT32).ctypes.data for _ in range(2)}


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(_pool, "MOST", 3 << 21)
    for _ in range(5):
        blocks = [_pool.empty((1 << 19,), FLOAT32) for _ in range(5)]
        del blocks
    assert sum(map(len, _pool._free)) <= 3 << 21
    large = _pool.empty((1 << 22,), FLOAT32)
    del large
    assert _pool._free == []


def test_a_plan_keeps_its_choices_while_others_are_made():
    rng = np.random.default_rng(0)
    value, cost = rng.random((2, 300_000, 4), dtype=np.float32)
    cost[:, 0] = 0
    first = bf.solve_mckp(value, cost, 30_000)
    kept, copy = first.choice[7:], first.choice[7:].copy()
    del first
    for budget in (1_000, 90_000):
        bf.solve_mckp(value, cost, budget)
    np.testing.assert_array_equal(kept, copy)
