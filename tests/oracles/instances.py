"""Instances of every shape that may trip a solver; each a function of a seed, so that a failure can be met again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# METHOD.md §6.1: everything about it is known by hand.
GOLDEN_VALUE = [[0, 4, 6], [0, 3, 7], [0, 5, 6], [0, 2, 5]]
GOLDEN_COST = [[0, 1, 3], [0, 1, 4], [0, 2, 3], [0, 1, 2]]


class Instance(NamedTuple):
    value: np.ndarray
    cost: np.ndarray
    mask: np.ndarray | None = None


def budgets(instance: Instance, shares=(0.0, 0.03, 0.4, 0.97, 1.1)) -> np.ndarray:
    """Budgets from just enough for the cheapest plan to more than all hulls can take."""
    value, cost, mask = instance
    if not len(value):
        return np.array([0.0, 1.0])
    c = np.where(True if mask is None else mask, cost, np.nan).astype(np.float64)
    low, high = np.nansum(np.nanmin(c, axis=1)), np.nansum(np.nanmax(c, axis=1))
    slack = 1e-9 * np.nansum(np.abs(c))  # these sums are rounded, and the first budget must be feasible
    return low + slack + np.array(shares) * (high - low)


def diminishing(rng, n: int, m: int, dtype) -> Instance:
    """A free treatment, then dearer ones with falling returns and noise: what campaigns look like."""
    dose = np.arange(m) / max(m - 1, 1)
    cost = rng.uniform(0.5, 2, (n, 1)) * dose * rng.uniform(0.9, 1.1, (n, m))
    lift = rng.gamma(2, 0.5, (n, 1)) * (1 - np.exp(-rng.uniform(0.5, 4, (n, 1)) * dose))
    value = lift * rng.uniform(0.8, 1.2, (n, m))
    return Instance((value + rng.uniform(0, 0.2, (n, 1))).astype(dtype), cost.astype(dtype))


def _both(make):
    return lambda rng, dtype: Instance(*(x.astype(dtype) for x in make(rng)))


def _negative(rng):
    return rng.normal(size=(400, 5)), rng.normal(size=(400, 5))


def _zero_costs(rng):
    return rng.random((300, 4)), rng.random((300, 4)) * (rng.random((300, 4)) < 0.5)


def _all_free(rng):
    return rng.normal(size=(50, 4)), np.zeros((50, 4))


def _no_value(rng):
    return np.zeros((50, 4)), rng.random((50, 4))


def _small_integers(rng):
    return rng.integers(0, 7, (500, 6)), rng.integers(0, 7, (500, 6))


def _negative_integers(rng):
    return rng.integers(-5, 6, (400, 5)), rng.integers(-5, 6, (400, 5))


def _duplicate_treatments(rng):
    v, c = rng.random((200, 3)), rng.random((200, 3))
    return np.hstack([v, v, v]), np.hstack([c, c, c])


def _duplicate_users(rng):
    return np.tile(rng.random((7, 4)), (60, 1)), np.tile(rng.random((7, 4)), (1, 1)).repeat(60, axis=0)


def _all_alike(rng):
    return np.tile([0.0, 1.0, 1.5], (333, 1)), np.tile([0.0, 1.0, 3.0], (333, 1))


def _one_slope(rng):
    """Every point of every user on one line: nothing but ties."""
    c = rng.integers(0, 50, (300, 5))
    return 3 * c, c


def _twelve_orders(rng):
    return 10 ** rng.uniform(-6, 6, (300, 5)), 10 ** rng.uniform(-6, 6, (300, 5))


def _whale(rng):
    v, c = rng.random((300, 4)), rng.random((300, 4))
    v[123] *= 1e7
    c[123] *= 1e7
    return v, c


def _dear_dud(rng):
    """One user's treatment costs more than everything else and is worth next to nothing."""
    v, c = rng.random((300, 4)), rng.random((300, 4))
    v[7, 3], c[7, 3] = 1e-5, 1e9
    return v, c


def _tiny_numbers(rng):
    return rng.random((100, 4)) * 1e-30, rng.random((100, 4)) * 1e-25


def _large_numbers(rng):
    return rng.random((100, 4)) * 1e30, rng.random((100, 4)) * 1e25


def _one_user(rng):
    return rng.random((1, 6)), rng.random((1, 6))


def _one_treatment(rng):
    return rng.random((40, 1)), rng.random((40, 1)) - 0.5


def _one_cell(rng):
    return np.ones((1, 1)), np.ones((1, 1))


def _no_users(rng):
    return np.zeros((0, 3)), np.zeros((0, 3))


def _many_treatments(rng):
    dose = np.sort(rng.random((25, 70)), axis=1)
    return np.sqrt(dose), dose


def _rising_returns(rng):
    """Convex: only the first and the last treatment are on the hull."""
    dose = np.sort(rng.random((200, 6)), axis=1)
    return dose**2, dose


def _masked(rng, dtype):
    value, cost, _ = diminishing(rng, 400, 5, dtype)
    mask = rng.random(value.shape) < 0.6
    mask[np.arange(400), rng.integers(0, 5, 400)] = True
    return Instance(value, cost, mask)


def _masked_rubbish(rng, dtype):
    """What stands in a closed cell means nothing, be it NaN, infinite or huge."""
    value, cost, mask = _masked(rng, dtype)
    closed = np.flatnonzero(~mask)
    value.flat[closed] = rng.choice([np.nan, np.inf, -np.inf, 1e30], closed.size)
    cost.flat[closed] = rng.choice([np.nan, np.inf, -np.inf, -1e30], closed.size)
    return Instance(value, cost, mask)


def _hardly_open(rng, dtype):
    """One open treatment each, nothing to decide."""
    value, cost, _ = diminishing(rng, 100, 5, dtype)
    mask = np.zeros(value.shape, bool)
    mask[np.arange(100), rng.integers(0, 5, 100)] = True
    return Instance(value, cost, mask)


CORPUS = {
    "campaign": lambda rng, dtype: diminishing(rng, 700, 5, dtype),
    "campaign of ten": lambda rng, dtype: diminishing(rng, 300, 10, dtype),
    "negative": _both(_negative),
    "zero costs": _both(_zero_costs),
    "all free": _both(_all_free),
    "no value": _both(_no_value),
    "small integers": _both(_small_integers),
    "negative integers": _both(_negative_integers),
    "duplicate treatments": _both(_duplicate_treatments),
    "duplicate users": _both(_duplicate_users),
    "all alike": _both(_all_alike),
    "one slope": _both(_one_slope),
    "twelve orders": _both(_twelve_orders),
    "whale": _both(_whale),
    "dear dud": _both(_dear_dud),
    "tiny numbers": _both(_tiny_numbers),
    "large numbers": _both(_large_numbers),
    "one user": _both(_one_user),
    "one treatment": _both(_one_treatment),
    "one cell": _both(_one_cell),
    "no users": _both(_no_users),
    "many treatments": _both(_many_treatments),
    "rising returns": _both(_rising_returns),
    "masked": _masked,
    "masked rubbish": _masked_rubbish,
    "hardly open": _hardly_open,
}


def instance(name: str, dtype) -> Instance:
    return CORPUS[name](np.random.default_rng(sorted(CORPUS).index(name)), dtype)


def head(x: Instance, n: int) -> Instance:
    """The first n users, for oracles that look at everything."""
    return Instance(*(None if a is None else a[:n] for a in x))


def golden(dtype) -> Instance:
    return Instance(np.array(GOLDEN_VALUE, dtype), np.array(GOLDEN_COST, dtype))
