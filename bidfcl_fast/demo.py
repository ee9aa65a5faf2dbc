"""The main job from end to end: learn from a trial, allocate money, value the plans on people the models never saw."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import backends, known_truth
from .data import Table, load_thornton
from .frontier import Frontier, budget_frontier
from .known_truth import KnownTruth
from .mckp import solve_mckp
from .methods import create, crossfit
from .metrics import Estimate, PolicyValue, difference, difference_at_equal_spend, ipw_value
from .progress import Progress
from .scale_up import ScaleUp, scale_up

Array = NDArray[Any]

BUDGETS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
USERS = 1_000_000
# The reference backend is thousands of times slower, on purpose.
USERS_REFERENCE = 2_000
TESTED_REFERENCE = 500  # of the simulated world, where every method allocates
FOLDS = 5
MEMBERS = 4
# The trial has 2,830 people: narrow networks, small batches, much decay.
NETWORK: dict[str, Any] = {"hidden": (32, 32), "batch": 256, "decay": 0.1}


@dataclass(frozen=True)
class Against:
    """A plan against a rule that looks at nobody, at the same estimated spend."""

    rule: tuple[tuple[str, float], ...]  # (what, share of the people)
    value: float  # per person
    gain: Estimate  # of the plan over the rule, per person


@dataclass(frozen=True)
class PlanResult:
    """One budget: the plan, what its own models promised, what held-out people say. All per person but `gap`."""

    budget: float
    choice: Array = field(repr=False)  # int32 [N]
    promised_value: float
    promised_spend: float
    held_out: PolicyValue
    alike: Against
    lottery: Against
    gap: float  # certified, in value, the plans of the folds together


@dataclass(frozen=True)
class Demo:
    """Everything the report, the terminal and the JSON show."""

    table: Table = field(repr=False)
    value_hat: Array = field(repr=False)  # [N, M], cross-fitted
    cost_hat: Array = field(repr=False)
    fold: Array = field(repr=False)
    arms: tuple[PolicyValue, ...]  # each arm for everybody
    lottery_ends: tuple[PolicyValue, ...]  # the cheapest arm, an equal draw among all, the dearest arm
    plans: tuple[PlanResult, ...]
    frontier: Frontier = field(repr=False)  # on the predictions, totals
    scale: ScaleUp
    truth: KnownTruth = field(repr=False)  # the simulated world
    backend: str
    seed: int
    seconds: dict[str, float]


def run(
    *,
    users: int | None = None,
    budgets: Sequence[float] = BUDGETS,
    seed: int = 0,
    backend: str | None = None,
    progress: bool = True,
) -> Demo:
    """Do the whole job.

    Parameters
    ----------
    users
        How many people the scaled-up allocation has; left out, a million (2,000 on the backend "reference").
    budgets
        US$ per person, one plan each.
    seed
        Of the folds, the fits, the resampling and the simulated world.
    backend
        As in `solve_mckp`.
    progress
        Show a progress line where stderr is a terminal.

    Raises
    ------
    ValueError
        If a budget is negative or not finite, or `users` is not positive.
    """
    budget = np.unique(np.asarray(budgets, np.float64))
    if budget.ndim != 1 or not budget.size or not np.isfinite(budget).all() or budget[0] < 0:
        raise ValueError(f"budgets must be numbers of US$ per person, none negative; got {list(budgets)}")
    name = backends.resolve(backend).__name__.rpartition(".")[2]
    if users is None:
        users = USERS_REFERENCE if name == "reference" else USERS
    if users < 1:
        raise ValueError(f"users must be at least 1, got {users}")
    clock = _Clock()
    fits = len(known_truth.LOGS) * len(known_truth.METHODS)
    with Progress("reading the trial", FOLDS + 3 + fits, show=progress) as line:
        table = load_thornton()
        clock.lap("load")
        line.step("fitting, one fold held out at a time")
        fit = crossfit(lambda: create("tsm-sl", members=MEMBERS, **NETWORK), table, k=FOLDS, seed=seed, step=line.step)
        clock.lap("fit")
        line.step("allocating")
        choice, gap = plan_by_fold(fit.value, fit.cost, fit.fold, budget, name)
        frontier = budget_frontier(fit.value, fit.cost, backend=name)
        clock.lap("allocate")
        arms = tuple(ipw_value(np.full(len(table), j), table) for j in range(table.treatments))
        blind = [(table.labels[j], arms[j]) for j in hull(arms)]
        lots = _lottery(table, arms)
        plans = tuple(
            PlanResult(
                budget=float(budget[k]),
                choice=choice[k],
                promised_value=float(np.take_along_axis(fit.value, choice[k, :, None], 1).mean()),
                promised_spend=float(np.take_along_axis(fit.cost, choice[k, :, None], 1).mean()),
                held_out=(held_out := ipw_value(choice[k], table)),
                alike=_against(held_out, blind),
                lottery=_against(held_out, lots),
                gap=float(gap[k]),
            )
            for k in range(len(budget))
        )
        clock.lap("value")
        line.step(f"allocating to {users:,} people")
        scale = scale_up(fit.value, fit.cost, budget, users, seed=seed, backend=name)
        clock.lap("scale")
        rows = known_truth.ROWS
        if name == "reference":
            rows = (*rows[:2], min(rows[2], TESTED_REFERENCE))
        truth = known_truth.run(seed=seed, rows=rows, backend=name, step=line.step)
        clock.lap("world")
    return Demo(
        table=table,
        value_hat=fit.value,
        cost_hat=fit.cost,
        fold=fit.fold,
        arms=arms,
        lottery_ends=tuple(rule for _, rule in lots),
        plans=plans,
        frontier=frontier,
        scale=scale,
        truth=truth,
        backend=name,
        seed=seed,
        seconds=clock.laps,
    )


def plan_by_fold(value: Array, cost: Array, fold: Array, budget: Array, backend: str | None) -> tuple[Array, Array]:
    """Choices int32 [K, N] and certified gaps [K], each fold allocated by itself with its share of each budget.

    The multiplier of a fold then comes from predictions of models that never saw the fold: for the people in it the
    plan is a rule fixed beforehand, which is what makes its inverse-propensity value honest.
    """
    choice = np.empty((len(budget), len(fold)), np.int32)
    gap = np.zeros(len(budget))
    for f in np.unique(fold):
        inside = np.flatnonzero(fold == f)
        plan = solve_mckp(value[inside], cost[inside], budget * len(inside), backend=backend)
        choice[:, inside] = plan.choice
        gap += plan.gap
    return choice, gap


def _lottery(table: Table, arms: Sequence[PolicyValue]) -> list[tuple[str, PolicyValue]]:
    """The cheapest arm, an equal draw among all, the dearest arm: offers by lot at any spend are mixes of these."""
    order = sorted(range(len(arms)), key=lambda j: arms[j].spend.estimate)
    draw = ipw_value(np.full(len(arms), 1 / len(arms)), table)
    return [
        (table.labels[order[0]], arms[order[0]]),
        ("a draw among all offers", draw),
        (table.labels[order[-1]], arms[order[-1]]),
    ]


def hull(arms: Sequence[PolicyValue]) -> list[int]:
    """Arms on the upper concave hull of (spend, value), the cheapest first: the best mixes that look at nobody."""
    at = min(range(len(arms)), key=lambda j: (arms[j].spend.estimate, -arms[j].value.estimate))
    out = [at]
    while True:
        s, v = arms[at].spend.estimate, arms[at].value.estimate
        ahead = [j for j, a in enumerate(arms) if a.spend.estimate > s and a.value.estimate > v]
        if not ahead:
            return out
        at = max(ahead, key=lambda j: ((arms[j].value.estimate - v) / (arms[j].spend.estimate - s), -j))
        out.append(at)


def _against(plan: PolicyValue, rules: Sequence[tuple[str, PolicyValue]]) -> Against:
    """`plan` against the mix of two neighbouring `rules` (rising spend) that spends the same.

    Outside their range the nearest rule stands alone: then the spends differ, and `difference` says by how much.
    """
    spend = plan.spend.estimate
    for (low_name, low), (high_name, high) in pairwise(rules):
        if low.spend.estimate <= spend <= high.spend.estimate:
            gain, q = difference_at_equal_spend(plan, low, high)
            return Against(((low_name, 1 - q), (high_name, q)), plan.value.estimate - gain.estimate, gain)
    name, rule = rules[0] if spend < rules[0][1].spend.estimate else rules[-1]
    gain = difference(plan, rule)[0]
    return Against(((name, 1.0),), rule.value.estimate, gain)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now
