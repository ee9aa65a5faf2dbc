"""A minute's worth, on a good machine, of what `make nightly` runs a million of."""

from __future__ import annotations

import emulated
import pytest

from . import differential

pytest.importorskip("scipy")

COUNT, PARTS = 400, 4


@pytest.mark.parametrize("part", range(PARTS))
def test_everything_agrees_with_everything(part):
    seen = differential.run(COUNT // PARTS, 1_000_000 * (part + 1))
    assert seen["SOLVED"] > COUNT // PARTS // 2
    assert seen["INFEASIBLE_BUDGET"] > 0
    if differential.EMULATE and emulated.register() is None:
        assert seen["CUDA sources"] > 0


@pytest.mark.parametrize("seed", [5_000_420, 20_262_253, 20_302_173])
def test_what_once_disagreed(seed):
    """5,000,420: a budget of 5e-324, less than the unit of money; the bound is that of no money at all. 20,262,253: a
    multiplier beyond the largest float, which the search over parts did not refuse but raise for; 20,302,173: one of a frontier, which all refuse."""
    differential.run(1, seed)
