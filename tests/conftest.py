"""Fixtures that every folder of tests shares."""

from __future__ import annotations

import os
import random
from pathlib import Path

import emulated
import numpy as np
import pytest

import bidfcl_fast as bf

try:
    import torch
except ImportError:
    torch = None  # the contract runs without it

EMULATED = emulated.NAME
LARGE = {"contract.test_large", "contract.test_threads"}  # a lane at a time is too slow for these
EMULATE = os.environ.get("BIDFCL_TEST_EMULATED", "1") != "0"

BACKENDS = bf.backends.available()
FAST = [name for name in BACKENDS if name != "reference"]
THREADED = [name for name in FAST if name != "cuda"]


@pytest.fixture(autouse=True)
def seeded():
    """The global generators start alike in every test, whatever ran before it: a test fails always or never."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - what older code draws from
    if torch is not None:
        torch.manual_seed(0)


def pytest_addoption(parser) -> None:
    parser.addoption("--only-backend", metavar="NAME", help="leave out the tests of every other backend")


def pytest_report_header() -> str:
    return f"bidfcl_fast: {Path(bf.__file__).parent}"  # a sanitizer's build, or not


def pytest_collection_modifyitems(config, items) -> None:
    """What the sanitizers' builds run: other backends have none of their code, and whatever names no backend stays."""
    only = config.getoption("--only-backend")
    if only is None:
        return
    if only not in (*BACKENDS, EMULATED):
        raise pytest.UsageError(f"--only-backend: {only} cannot run here")
    others = {*bf.backends.ORDER, EMULATED} - {only}
    left_out = [item for item in items if others & _strings(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def _strings(item) -> set[str]:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return {each for each in parameters.values() if isinstance(each, str)}


def pytest_generate_tests(metafunc) -> None:
    """`backend`: every one there is; `fast`: those whose bits must be those of `reference`. The contract's tests also run on
    the CUDA sources as plain C++ (tests/emulated)."""
    file = metafunc.module.__name__
    emulated = [EMULATED] if file.startswith("contract.") and file not in LARGE and EMULATE else []
    for name, those in (("backend", BACKENDS + emulated), ("fast", FAST + emulated), ("threaded", THREADED)):
        if name in metafunc.fixturenames and not _parametrized(metafunc, name):
            metafunc.parametrize(name, those, indirect=True, scope="function")


def _parametrized(metafunc, name: str) -> bool:
    marks = metafunc.definition.iter_markers("parametrize")
    return any(name in str(mark.args[0]).replace(" ", "").split(",") for mark in marks)


def _ready(name: str) -> str:
    if name == EMULATED:
        why = emulated.register()
        if why is not None and ("error:" in why or os.environ.get("BIDFCL_TEST_EMULATED") == "required"):
            pytest.fail(f"{EMULATED} cannot be built: {why[-2000:]}", pytrace=False)
        if why is not None:
            pytest.skip(f"{EMULATED} cannot be built: {why[:400]}")
    return name


@pytest.fixture
def backend(request) -> str:
    return _ready(request.param)


@pytest.fixture
def fast(request) -> str:
    return _ready(request.param)


@pytest.fixture
def threaded(request) -> str:
    """A fast backend that runs on the processor's threads."""
    return request.param


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request) -> type:
    return request.param
