"""The instances to time: users with a free treatment and dearer ones of falling returns, a budget that binds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Size(NamedTuple):
    users: int
    treatments: int
    dtype: str

    def __str__(self) -> str:
        return f"{self.users}x{self.treatments}-{self.dtype}"


SIZES = [Size(n, m, "float32") for n in (10_000, 100_000, 1_000_000) for m in (5, 10)]
SIZES.append(Size(1_000_000, 10, "float64"))
QUICK = [size for size in SIZES if size.users == 10_000]

BUDGET_SHARE = 0.3  # of what everyone's dearest treatment would cost


def campaign(size: Size, seed: int = 7) -> tuple[np.ndarray, np.ndarray, float]:
    """value, cost [N, M] and the budget. Noise keeps some treatments off their user's hull."""
    rng = np.random.default_rng(seed)
    n, m, dtype = size
    dose = np.linspace(0, 1, m, dtype=dtype)

    def per_user(low, high):
        return rng.uniform(low, high, (n, 1)).astype(dtype)

    def noise(width):
        return rng.uniform(1 - width, 1 + width, (n, m)).astype(dtype)

    cost = per_user(0.5, 2) * dose * noise(0.1)
    lift = rng.gamma(2, 0.5, (n, 1)).astype(dtype)
    value = per_user(0, 0.2) + lift * (1 - np.exp(-per_user(0.5, 4) * dose)) * noise(0.2)
    return value, cost, BUDGET_SHARE * float(cost.max(axis=1).sum(dtype=np.float64))
