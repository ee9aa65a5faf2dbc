"""A minute's worth, on a good machine, of what `make nightly` runs a million of."""

from __future__ import annotations

import pytest

from . import differential

pytest.importorskip("scipy")

COUNT, PARTS = 400, 4


@pytest.mark.parametrize("part", range(PARTS))
def test_everything_agrees_with_everything(part):
    seen = differential.run(COUNT // PARTS, 1_000_000 * (part + 1))
    assert seen["SOLVED"] > COUNT // PARTS // 2
    assert seen["INFEASIBLE_BUDGET"] > 0
