"""A small trial and a small log of the same people; the log's outcomes of arm 1 are too good."""

from __future__ import annotations

import numpy as np

from bidfcl_fast.data import Table

SHORT = {"obs": 2, "teacher": 2, "student": 2, "batch": 100}
PAPER_SHORT = {"teacher": 3, "warm": 2, "student": 2, "batch": 100}


def table(n: int, seed: int, bias: float = 0.0) -> Table:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    t = rng.integers(3, size=n)
    value = 2 + x[:, 1] + (t == 1) * (1 + x[:, 0] + bias) + 1.5 * (t == 2) + 0.5 * rng.normal(size=n)
    cost = t * np.exp(0.2 * x[:, 2]) + 0.1 * rng.random(n)
    return Table(x, t, value, cost, treatments=3)
