"""Options of the benchmarks, and the order of their sizes."""

from __future__ import annotations

import instances
import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="the smallest size alone, few rounds")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "size" in metafunc.fixturenames:
        sizes = instances.QUICK if metafunc.config.getoption("--quick") else instances.SIZES
        metafunc.parametrize("size", sizes, ids=str, scope="module", indirect=True)
