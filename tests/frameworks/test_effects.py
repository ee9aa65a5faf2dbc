"""`from_effects`: every shape that the libraries return, and what it refuses."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import bidfcl_fast as bf

GAIN = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.25]])


@pytest.mark.parametrize("effect", [GAIN, GAIN[:, None, :], GAIN.tolist(), GAIN.astype("float32")])
@pytest.mark.parametrize("cost", [2.0, [2.0, 2.0], np.full((3, 2), 2.0)])
def test_the_control_comes_first_and_is_free(effect, cost):
    value, paid = bf.adapters.from_effects(effect, cost)
    np.testing.assert_array_equal(value, np.hstack([np.zeros((3, 1)), GAIN]))
    np.testing.assert_array_equal(paid, [[0, 2, 2]] * 3)
    assert bf.solve_mckp(value, paid, 4.0).value == 5  # 3 and 2, at 2 each


@pytest.mark.parametrize("effect", [GAIN[:, 0], GAIN[:, :1]])
def test_one_treatment(effect):
    value, paid = bf.adapters.from_effects(effect, [1.0])
    assert value.shape == paid.shape == (3, 2)


@pytest.mark.parametrize(
    ("effect", "cost", "match"),
    [
        (GAIN[None, None], 1.0, "effect must be"),
        (GAIN, [1.0, 2.0, 3.0], "cost must be a number"),
        (GAIN * np.nan, 1.0, "effect must be finite"),
        (GAIN, np.inf, "cost must be finite"),
    ],
)
def test_what_it_refuses(effect, cost, match):
    with pytest.raises(ValueError, match=match):
        bf.adapters.from_effects(effect, cost)


def test_an_array_on_a_gpu_is_refused_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)

    class Array:  # what CuPy's looks like: DLPack, of a device that NumPy cannot see
        __module__ = "cupy"

        def __dlpack_device__(self):
            return (2, 0)

        def __dlpack__(self, **_):
            raise BufferError("on a GPU")

    with pytest.raises(TypeError, match=r"value \(Array\) is on a CUDA device; reading it there needs CuPy"):
        bf.solve_mckp(Array(), Array(), 1.0)
