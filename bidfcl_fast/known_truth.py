"""The demo's second part: where the truth is known, what a confounded log does to plans, and what Bi-DFCL makes of it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import REGIMES, Simulation, simulate
from .data.simulation import BUDGETS
from .mckp import solve_mckp
from .methods import Method, create
from .metrics import regret

Array = NDArray[Any]

ROWS = (20_000, 60_000, 20_000)  # trial, log, test users: the default of `bidfcl evaluate`
FIRST_SEED = 1000  # worlds below it were used to choose defaults

# One world twice: the same people and the same trial; in the first log something that nobody sees took part in the choice.
LOGS = {"hidden": "severe", "open": "mild"}

METHODS: dict[str, dict[str, Any]] = {
    "tsm-sl": {"data": "both"},
    "dfcl-ppl": {"start": "ft"},
    "bidfcl-ppl": {},
}

CURVE = tuple(round(0.1 + 0.05 * k, 2) for k in range(13))  # shares of the dearest treatment, as `BUDGETS`


@dataclass(frozen=True)
class Trained:
    """A method on one log. Money and value are true means per test user; one number for each budget."""

    name: str
    regret: tuple[float, ...]  # at the same true spend
    spend: tuple[float, ...]  # of the plan that predicted costs sized
    gain: tuple[float, ...]  # of that plan, over giving everybody nothing
    gap: tuple[float, ...]  # certified, per user, on the predictions
    shares: tuple[tuple[float, ...], ...] = field(repr=False)  # who gets what: [K][M]
    curve: tuple[tuple[float, ...], tuple[float, ...]] = field(repr=False)  # spend and gain at `CURVE`
    seconds: float
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Bias:
    """What Bi-DFCL says of a log, from the trial: [2][M] of value and cost, in standard deviations of the outcome."""

    level: tuple[tuple[float, ...], ...]  # log less trial, for a user with average features
    error: tuple[tuple[float, ...], ...]
    p_value: tuple[tuple[float, ...], ...]  # of "not biased for anybody"
    biased: tuple[tuple[bool, ...], ...]


@dataclass(frozen=True)
class Log:
    """One log of the world, and the methods trained on it and the trial."""

    name: str
    shares: tuple[float, ...]  # of its rows, by treatment
    mean: tuple[float, ...]  # value of those who got a treatment
    methods: tuple[Trained, ...]
    bias: Bias


@dataclass(frozen=True)
class KnownTruth:
    """The world and its logs."""

    seed: int
    rows: tuple[int, int, int]
    budgets: tuple[float, ...]  # shares of what the dearest treatment for everybody costs
    money: tuple[float, ...]  # the same per user
    true_mean: tuple[float, ...]  # value of each treatment
    mean_cost: tuple[float, ...]
    uninformed: tuple[float, ...]  # regret of the true means for everybody
    best_shares: tuple[tuple[float, ...], ...] = field(repr=False)
    best_curve: tuple[tuple[float, ...], tuple[float, ...]] = field(repr=False)
    logs: tuple[Log, ...]


def run(
    *, seed: int = 0, rows: tuple[int, int, int] | None = None, backend: str | None = None, step: Callable[[str], None]
) -> KnownTruth:
    """Train every method on every log, allocate to the test users, and hold the plans against the truth.

    `step` is called with what begins, once for each fit; `rows` of trial, log and test users, left out: `ROWS`.
    """
    rows = ROWS if rows is None else rows
    made = {name: simulate(*rows, regime=regime, seed=FIRST_SEED + seed) for name, regime in LOGS.items()}
    world = next(iter(made.values()))
    best = solve_mckp(world.true_value, world.true_cost, _money(world, BUDGETS) * rows[2], backend=backend)
    along = solve_mckp(world.true_value, world.true_cost, _money(world, CURVE) * rows[2], backend=backend)
    told = world.describe(BUDGETS)
    return KnownTruth(
        seed=FIRST_SEED + seed,
        rows=rows,
        budgets=BUDGETS,
        money=_numbers(_money(world, BUDGETS)),
        true_mean=told.true_mean,
        mean_cost=told.mean_cost,
        uninformed=told.uninformed_regret,
        best_shares=_shares(best.choice, world),
        best_curve=_true(along.choice, world),
        logs=tuple(_log(name, simulation, seed, backend, step) for name, simulation in made.items()),
    )


def confounding(log: str) -> float:
    """Strength of what nobody sees in the choices of the log of that name."""
    return REGIMES[LOGS[log]]["confounding"]


def _log(name: str, made: Simulation, seed: int, backend: str | None, step: Callable[[str], None]) -> Log:
    trained = []
    for method, options in METHODS.items():
        step(f"a simulated world: {method}")
        fitted = create(method, **options)
        trained.append(_train(method, fitted, made, seed, backend))
    found: Any = fitted
    told = made.describe(BUDGETS)
    bias = Bias(*(_nested(getattr(found.correction_, what)) for what in ("level", "level_error", "p_value", "biased")))
    return Log(name, told.obs_shares, told.obs_mean, tuple(trained), bias)


def _train(name: str, method: Method, made: Simulation, seed: int, backend: str | None) -> Trained:
    users, money = len(made.test), _money(made, BUDGETS)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        start = time.perf_counter()
        method.fit(rct=made.rct, obs=made.obs, budget=list(_numbers(money)), seed=seed, progress=False)
        seconds = time.perf_counter() - start
    value, cost = method.predict(made.test.x)
    missed = regret(value, cost, made.true_value, made.true_cost, money * users, backend=backend)
    plan = method.allocate(made.test.x, money * users, backend=backend)
    along = method.allocate(made.test.x, _money(made, CURVE) * users, backend=backend)
    spend, gain = _true(plan.choice, made)
    return Trained(
        name=name,
        regret=_numbers(missed),
        spend=spend,
        gain=gain,
        gap=_numbers(np.asarray(plan.gap) / users),
        shares=_shares(plan.choice, made),
        curve=_true(along.choice, made),
        seconds=seconds,
        warnings=tuple(sorted({str(w.message) for w in said if issubclass(w.category, UserWarning)})),
    )


def _money(made: Simulation, shares: tuple[float, ...]) -> Array:
    """Per test user [K]."""
    return np.asarray(made.budget(shares))


def _true(choice: Any, made: Simulation) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """True spend, and true value over giving everybody nothing, per user, of choices [K, N]."""
    at = np.arange(len(made.test))
    spend = [made.true_cost[at, c].mean(dtype=np.float64) for c in np.asarray(choice)]
    gain = [(made.true_value[at, c] - made.true_value[:, 0]).mean(dtype=np.float64) for c in np.asarray(choice)]
    return _numbers(spend), _numbers(gain)


def _shares(choice: Any, made: Simulation) -> tuple[tuple[float, ...], ...]:
    arms = made.test.treatments
    return tuple(_numbers(np.bincount(c, minlength=arms) / len(c)) for c in np.asarray(choice))


def _numbers(x: Any) -> tuple[float, ...]:
    return tuple(float(v) for v in np.atleast_1d(x))


def _nested(x: Array) -> tuple[tuple[Any, ...], ...]:
    return tuple(tuple(row) for row in x.tolist())
