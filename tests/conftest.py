"""Fixtures that every folder of tests shares."""

from __future__ import annotations

import random

import numpy as np
import pytest

import bidfcl_fast as bf

try:
    import torch
except ImportError:
    torch = None  # the contract runs without it

BACKENDS = bf.backends.available()
FAST = [name for name in BACKENDS if name != "reference"]


@pytest.fixture(autouse=True)
def seeded():
    """The global generators start alike in every test, whatever ran before it: a test fails always or never."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - what older code draws from
    if torch is not None:
        torch.manual_seed(0)


@pytest.fixture(params=BACKENDS)
def backend(request) -> str:
    return request.param


@pytest.fixture(params=FAST)
def fast(request) -> str:
    """A backend whose bits must be those of `reference`."""
    return request.param


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request) -> type:
    return request.param
