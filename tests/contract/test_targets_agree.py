"""Every instruction set gives the same bits where sums are at their widest: all numbers as large as the largest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bidfcl_fast as bf

ALIKE = """
import numpy as np
import bidfcl_fast as bf

rng = np.random.default_rng(0)
value, cost = np.zeros((2, 20_000, 5), np.float32)
value[:, 1:], cost[:, 1:] = rng.uniform(0.98, 1, (2, 20_000, 4))
for budget in (1e6, np.array([1e6, 2e6]), np.linspace(1e6, 2e6, 5)):  # enough for everybody
    plan = bf.solve_mckp(value, cost, budget, backend="cpp")
    choice = np.atleast_2d(plan.choice)[0]
    exact = value[np.arange(20_000), choice].sum(dtype=float)
    assert abs(np.atleast_1d(plan.value)[0] - exact) < 1e-6 * exact, (budget, plan.value, exact)
    few = bf.solve_mckp(value[:6_000], cost[:6_000], budget, backend="cpp")
    exact = value[np.arange(6_000), np.atleast_2d(few.choice)[0]].sum(dtype=float)
    assert abs(np.atleast_1d(few.value)[0] - exact) < 1e-6 * exact
"""


@pytest.mark.skipif("cpp" not in bf.backends.available(), reason="installed without _C")
@pytest.mark.parametrize("target", ["generic", "avx2", "avx512"])
def test_sums_of_the_largest_numbers_fit(target):
    done = subprocess.run(
        [sys.executable, "-c", ALIKE],
        env={**os.environ, "BIDFCL_ARCH": target},
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
