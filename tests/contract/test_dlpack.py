"""What an exporter says of its memory is believed only as far as it can be so."""

from __future__ import annotations

import numpy as np
import pytest
from fuzz.arrays import LIES, Exporter
from oracles.same import assert_same_plan

import bidfcl_fast as bf

VALUE = np.array([[0.0, 4.0, 6.0], [0.0, 3.0, 7.0], [0.0, 5.0, 6.0], [0.0, 2.0, 5.0]])
COST = np.array([[0.0, 1.0, 3.0], [0.0, 1.0, 4.0], [0.0, 2.0, 3.0], [0.0, 1.0, 2.0]])
HARMLESS = {"none", "no strides"}  # without strides it is contiguous


@pytest.mark.parametrize("lie", LIES)
def test_lies(lie, dtype):
    value, cost = VALUE.astype(dtype), COST.astype(dtype)
    if lie in HARMLESS:
        expected = bf.solve_mckp(value, cost, 4.0)
        assert_same_plan(bf.solve_mckp(Exporter(value, lie), Exporter(cost, lie), 4.0), expected)
        return
    with pytest.raises((TypeError, ValueError), match=r"^(value|cost)\b"):
        bf.solve_mckp(Exporter(value, lie), cost, 4.0)
    with pytest.raises((TypeError, ValueError), match=r"^(value|cost)\b"):
        bf.solve_mckp(value, Exporter(cost, lie), 4.0)


def test_no_array_is_as_long_as_that():
    """Halves, three rows 2^61 bytes apart: the end is an address by its size, and none that memory has."""
    value = np.ones((3, 5), np.float16)
    with pytest.raises(TypeError, match="value says that it lies at"):
        bf.solve_mckp(Exporter(value, "strides that wrap"), value, 4.0)


def test_nothing_may_lie_nowhere():
    plan = bf.solve_mckp(Exporter(np.zeros((0, 3)), "null"), Exporter(np.zeros((0, 3)), "null"), 4.0)
    assert plan.value == 0
