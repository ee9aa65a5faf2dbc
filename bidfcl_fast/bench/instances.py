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

    def per_user(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (n, 1)).astype(dtype)

    def noise(width: float) -> np.ndarray:
        return rng.uniform(1 - width, 1 + width, (n, m)).astype(dtype)

    cost = per_user(0.5, 2) * dose * noise(0.1)
    lift = rng.gamma(2, 0.5, (n, 1)).astype(dtype)
    value = per_user(0, 0.2) + lift * (1 - np.exp(-per_user(0.5, 4) * dose)) * noise(0.2)
    return value, cost, BUDGET_SHARE * float(cost.max(axis=1).sum(dtype=np.float64))


# Data that a sampling solver may dislike; all of them are made from an ordinary instance.
HARD = ("sorted", "clustered", "all users alike", "few kinds of users", "heavy tails", "one whale", "a strange half")


def hard(kind: str, value: np.ndarray, cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """value, cost [N, M] of the kind named."""
    rng = np.random.default_rng(3)
    n = len(value)
    if kind == "sorted":
        order = np.argsort(value.max(axis=1))
        return np.ascontiguousarray(value[order]), np.ascontiguousarray(cost[order])
    if kind == "clustered":  # 1,000 neighbours at a time are alike but for a little noise
        kinds = np.repeat(rng.integers(0, n, -(-n // 1000)), 1000)[:n]
        noise = rng.uniform(0.999, 1.001, value.shape).astype(value.dtype)
        return value[kinds] * noise, cost[kinds]
    if kind == "all users alike":
        return np.repeat(value[:1], n, axis=0), np.repeat(cost[:1], n, axis=0)
    if kind == "few kinds of users":
        kinds = rng.integers(0, 5, n)
        return value[kinds], cost[kinds]
    if kind == "heavy tails":
        tail = rng.pareto(1.2, (n, 1)).astype(value.dtype) + 1
        return value * tail, cost
    if kind == "one whale":
        value, cost = value.copy(), cost.copy()
        value[n // 3] *= 1e6
        cost[n // 3] *= 1e4
        return value, cost
    if kind == "a strange half":  # every other user, in strides that a regular sample might follow
        value = value.copy()
        value[::2] *= 100
        return value, cost
    raise ValueError(f"kind must be one of {', '.join(HARD)}, got {kind!r}")
