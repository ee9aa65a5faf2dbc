"""The same allocation for many more people than the trial had: what it takes on this machine."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import backends
from .frontier import budget_frontier
from .mckp import solve_mckp

Array = NDArray[Any]

# Spread of the noise that tells the copies of a person apart, on the logit of the value and the log of the amount.
JITTER = 0.1


@dataclass(frozen=True)
class ScaleUp:
    """What allocating to `users` people took, and how good the plans are.

    Times are seconds: of the allocations the median of `repeats` calls after one that is not counted, of the frontier
    one call. `rows_read`, `sweeps`, `active`, `value`, `spend`, `gap` and `dual_bound` are those of the one-budget plan.
    """

    users: int
    treatments: int
    budget: float  # per person, of the one-budget call
    one: float
    all_budgets: float
    frontier: float
    breakpoints: int
    repeats: int
    rows_read: int
    sweeps: int
    active: int
    value: float  # per person
    spend: float  # per person
    gap: float  # certified, in value, all people together
    dual_bound: float  # likewise
    input_bytes: int
    peak_bytes: int | None  # of the whole process so far
    threads: int

    @property
    def users_per_second(self) -> float:
        return self.users / self.one


def enlarge(value: Array, cost: Array, users: int, seed: int) -> tuple[Array, Array]:
    """`users` people drawn with replacement from the rows of value and cost [N, M], a little noise on each; float32.

    Values are probabilities: noise goes on their logits. A cost is value × amount, so it follows its value, and the
    amount gets noise of its own; what costs nothing still costs nothing.
    """
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(value), size=users)
    shape = (users, value.shape[1])
    p = value.clip(1e-6, 1 - 1e-6).astype(np.float32)
    logit = np.log(p / (1 - p))[rows]
    big_value = 1 / (1 + np.exp(-(logit + np.float32(JITTER) * rng.standard_normal(shape, np.float32))))
    amount = (cost / value.clip(1e-6)).astype(np.float32)[rows]
    big_cost = big_value * amount * np.exp(np.float32(JITTER) * rng.standard_normal(shape, np.float32))
    return big_value, big_cost


def scale_up(
    value: Array, cost: Array, budget: Array, users: int, *, seed: int = 0, backend: str | None = None, repeats: int = 3
) -> ScaleUp:
    """Enlarge the predictions to `users` people and time one budget, all budgets, and the frontier."""
    big_value, big_cost = enlarge(value, cost, users, seed)
    middle = float(budget[len(budget) // 2])
    plan, one = _timed(lambda: solve_mckp(big_value, big_cost, middle * users, backend=backend), repeats)
    _, every = _timed(lambda: solve_mckp(big_value, big_cost, budget * users, backend=backend), repeats)
    frontier, whole = _timed(lambda: budget_frontier(big_value, big_cost, backend=backend), 1)
    return ScaleUp(
        users=users,
        treatments=value.shape[1],
        budget=middle,
        one=one,
        all_budgets=every,
        frontier=whole,
        breakpoints=len(frontier.budget),
        repeats=repeats,
        rows_read=int(plan.stats["rows_read"]),
        sweeps=int(plan.stats["sweeps"]),
        active=int(plan.stats["active"]),
        value=plan.value / users,
        spend=plan.spend / users,
        gap=plan.gap,
        dual_bound=plan.dual_bound,
        input_bytes=big_value.nbytes + big_cost.nbytes,
        peak_bytes=_peak(),
        threads=backends.threads(),
    )


def _timed(call: Callable[[], Any], repeats: int) -> tuple[Any, float]:
    """The result and the median time; the first call, which may compile or page in, is not counted if repeated."""
    times = []
    for _ in range(repeats + (repeats > 1)):
        start = time.perf_counter()
        out = call()
        times.append(time.perf_counter() - start)
    return out, statistics.median(times[1:] or times)


def _peak() -> int | None:
    """Peak resident memory of the process in bytes; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024
