"""AUCC: golden values, what a random order gives, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from bidfcl_fast.data import Table
from bidfcl_fast.metrics import aucc

GOLDEN = Table(
    np.zeros((8, 1)), np.array([1, 0] * 4), np.array([1.0, 0, 1, 0, 0, 0, 1, 1]), np.array([1.0, 0, 1, 0, 1, 0, 1, 1])
)


def ranked(score):
    score = np.asarray(score, float)
    return np.stack([0 * score, score], 1), np.tile([0.0, 1.0], (len(score), 1))


@pytest.mark.parametrize(("order", "quantiles", "expected"), [(1, 2, 2 / 3), (1, 4, 0.7), (-1, 2, 0.5), (-1, 4, 0.3)])
def test_golden_values(order, quantiles, expected):
    assert aucc(*ranked(np.arange(8, 0, -1)[::order]), GOLDEN, quantiles) == pytest.approx(expected)


def test_random_order_is_a_half_and_a_good_one_is_above():
    rng = np.random.default_rng(0)
    n = 100_000
    gain, t = rng.random(n), rng.integers(0, 2, n)
    table = Table(np.zeros((n, 1)), t, t * gain + rng.normal(size=n), t * 1.0)
    assert aucc(*ranked(rng.random(n)), table) == pytest.approx(0.5, abs=0.03)
    # value found by the first share s: s(2 − s)/1, whose area is 2/3
    assert aucc(*ranked(gain), table) == pytest.approx(2 / 3, abs=0.03)
    assert aucc(*ranked(-gain), table) == pytest.approx(1 / 3, abs=0.03)


def test_refuses():
    value, cost = ranked(np.arange(8))
    with pytest.raises(ValueError, match="two treatments"):
        aucc(value[:, :1], cost, GOLDEN)
    with pytest.raises(ValueError, match="both treatments"):
        aucc(value[:4], cost[:4], Table(np.zeros((4, 1)), np.ones(4, int), np.ones(4), np.ones(4)))
    with pytest.raises(ValueError, match="quantiles"):
        aucc(value, cost, GOLDEN, 0)
    with pytest.raises(ValueError, match="finite"):
        aucc(value * np.nan, cost, GOLDEN)
