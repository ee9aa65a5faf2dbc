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
value, cost = np.zeros((2, 33_000, 5), np.float32)
value[:, 1:], cost[:, 1:] = rng.uniform(0.98, 1, (2, 33_000, 4))
for budget in (1e6, np.array([1e6, 2e6]), np.linspace(1e6, 2e6, 5), np.linspace(2e4, 2e6, 9)[::-1]):  # enough for everybody
    plan = bf.solve_mckp(value, cost, budget, backend="cpp")
    choice = np.atleast_2d(plan.choice)[0]
    exact = value[np.arange(33_000), choice].sum(dtype=float)
    assert abs(np.atleast_1d(plan.value)[0] - exact) < 1e-6 * exact, (budget, plan.value, exact)
    few = bf.solve_mckp(value[:6_000], cost[:6_000], budget, backend="cpp")
    exact = value[np.arange(6_000), np.atleast_2d(few.choice)[0]].sum(dtype=float)
    assert abs(np.atleast_1d(few.value)[0] - exact) < 1e-6 * exact
"""

# Numbers of every size, and near ties: whoever rounding leaves in doubt differs from one target to the next.
MANY = """
import hashlib
import numpy as np
import bidfcl_fast as bf

rng = np.random.default_rng(0)
value, cost = rng.exponential(1, (2, 40_009, 6)).cumsum(axis=2).astype(np.float32)
value[::9] = np.round(value[::9], 2)
cost[:, 0], cost[::30] = 0, cost[::30] * np.float32(1e-10)
budgets = np.linspace(0.01, 0.9, 9) * cost.max(axis=1).sum(dtype=float)
plan = bf.solve_mckp(value, cost, budgets, backend="cpp")
text = b"".join(np.ascontiguousarray(x).tobytes() for x in (plan.choice, plan.value, plan.spend, plan.dual_bound, plan.gap))
print(hashlib.sha256(text).hexdigest())
few = np.array([bf.solve_mckp(value, cost, b, backend="cpp").value for b in budgets])
assert (few == plan.value).all()
batch = bf.solve_mckp(value[:40_000].reshape(80, 500, 6), cost[:40_000].reshape(80, 500, 6), np.full(80, 900.0), backend="cpp")
print(hashlib.sha256(batch.choice.tobytes() + batch.gap.tobytes()).hexdigest())
"""


def run(program, target):
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "BIDFCL_ARCH": target},
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.skipif("cpp" not in bf.backends.available(), reason="installed without _C")
def test_many_budgets_and_many_problems_have_one_plan_on_every_target():
    done = [run(MANY, target) for target in ("generic", "avx2", "avx512")]
    assert all(each.returncode == 0 for each in done), [each.stderr for each in done]
    assert len({each.stdout for each in done}) == 1, [each.stdout for each in done]


@pytest.mark.skipif("cpp" not in bf.backends.available(), reason="installed without _C")
@pytest.mark.parametrize("target", ["generic", "avx2", "avx512"])
def test_sums_of_the_largest_numbers_fit(target):
    done = run(ALIKE, target)
    assert done.returncode == 0, done.stderr
