"""Ragged instances, and the same with rows of equal length: plain loops that share nothing with the library."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .instances import Instance


class Ragged(NamedTuple):
    value: np.ndarray  # [T]
    cost: np.ndarray  # [T]
    offsets: np.ndarray  # [N+1] int64
    mask: np.ndarray | None = None  # [T]


def padded(x: Ragged) -> Instance:
    """Rows as long as the longest. What is missing is closed, and not a number: a backend that reads it will show it."""
    lengths = [int(b - a) for a, b in zip(x.offsets[:-1], x.offsets[1:], strict=True)]
    shape = (len(lengths), max(lengths, default=1))
    value, cost = np.full(shape, np.nan, x.value.dtype), np.full(shape, np.nan, x.cost.dtype)
    mask = np.zeros(shape, bool)
    for i, length in enumerate(lengths):
        row = slice(int(x.offsets[i]), int(x.offsets[i]) + length)
        value[i, :length], cost[i, :length] = x.value[row], x.cost[row]
        mask[i, :length] = True if x.mask is None else x.mask[row]
    return Instance(value, cost, mask)


def ragged(rng: np.random.Generator, lengths, dtype, *, masked: bool = False) -> Ragged:
    """Every treatment is worth its money to somebody, and treatment 0 costs little: a row that borrowed its neighbour's would
    show it. If masked, each user keeps one open treatment or more."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    cost = rng.uniform(0.5, 10, offsets[-1]).astype(dtype)
    cost[offsets[:-1]] = rng.uniform(0, 0.3, len(lengths))
    value = (np.sqrt(cost) * rng.uniform(0.2, 2, len(cost))).astype(dtype)
    mask = None
    if masked:
        mask = rng.random(len(cost)) < 0.6
        mask[offsets[:-1] + rng.integers(0, lengths)] = True
    return Ragged(value, cost, offsets, mask)


def budgets(x: Ragged, shares=(0.0, 0.02, 0.4, 1.2)) -> np.ndarray:
    """Shares of the way from the least that works (and a little) to everybody's dearest treatment."""
    dense = padded(x)
    least = np.where(dense.mask, dense.cost, np.inf).min(axis=1).astype(float).sum()
    most = np.where(dense.mask, dense.cost, -np.inf).max(axis=1).astype(float).sum()
    return least * (1 + 1e-9) + 1e-6 + np.array(shares) * (most - least)
