"""The exact multiple-choice knapsack: `solve_mckp` and its `Plan`, framework-neutral."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import numpy as np

from . import _check, _precision, _proven, _treated, _window, backends
from ._arrays import like
from ._device import back_to
from ._problems import MckpResult, Problems
from .errors import InfeasibleMinSpend, Status


@dataclass(frozen=True)
class Plan:
    """One treatment a user within the budget, and the proof of how good it is.

    Attributes
    ----------
    choice
        int32 [N], [K, N] or [B, N]: the treatment of each user; -1 where a problem was not solved.
    multiplier
        The Lagrangian multiplier λ*, value per unit of money: each user gets argmax of value − λ*·cost, ties aside. Below 0
        where `min_spend` forces money out.
    value, spend
        Totals of the plan, each the exact sum, rounded once. `spend` never exceeds the budget.
    dual_bound
        No plan within the limits is worth more: the LP optimum, or less where an integer optimum is proven.
    gap
        `dual_bound` − `value`, subtracted before rounding: at least 0 and at most the value of one hull edge.
    least_budget
        The least budget that works, where the budget given is infeasible; else NaN.
    status
        `Status.SOLVED`; above 0, a certified plan that is not what was asked for in full; below 0, why there is no plan.
        `Status(...).sentence` says it in words.
    stats
        `rows_read`: user rows visited in all; `sweeps`: passes over (part of) the data; `active`: users
        left to the final sort; `backend`: who solved it.

    The numbers are floats for one problem, else float64 arrays [K] or [B].
    """

    choice: Any
    multiplier: Any
    value: Any
    spend: Any
    dual_bound: Any
    gap: Any
    least_budget: Any
    status: Any
    budget: Any = field(repr=False)
    stats: dict[str, Any] = field(repr=False)

    def __repr__(self) -> str:
        if not isinstance(self.status, Status):
            return f"Plan({len(self.status)} problems, {int((self.status == 0).sum())} solved)"
        if self.status < Status.SOLVED:
            return f"Plan({self.status.sentence})"
        return (
            f"Plan(value={self.value:.10g}, spend={self.spend:.10g} of {self.budget:.10g}, "
            f"gap={self.gap:.3g}, multiplier={self.multiplier:.6g}, users={len(self.choice)})"
        )


def solve_mckp(
    value: Any,
    cost: Any,
    budget: Any = None,
    *,
    multiplier: Any = None,
    min_spend: Any = None,
    max_treated: Any = None,
    control: int = 0,
    mask: Any = None,
    segments: Any = None,
    fill: bool = True,
    integrality: str = "gap",
    time_limit: float | None = None,
    warm_start: Any = None,
    backend: str | None = None,
    throw: bool = True,
) -> Plan:
    """Choose one treatment for every user: the most value within the budget, with a certificate.

    max Σ value[i, choice[i]]  subject to  Σ cost[i, choice[i]] ≤ budget   (the multiple-choice knapsack; Bi-DFCL §3)

    The plan is the LP optimum rounded down at its single fractional user, found exactly: all sums are integers
    in fixed point and all comparisons rational, so the same bits come from any number of threads and any backend.
    docs/constraints.md says more about every limit, with an example.

    Parameters
    ----------
    value, cost
        [N, M] or [B, N, M], float32 or float64, or float16 or bfloat16 (torch's, or that of ml_dtypes), finite; users ×
        treatments. Costs may be zero or negative. Halves give the plan of their float32 copies.
        NumPy, torch or anything with ``__dlpack__`` on the CPU; strides are read as they are. torch's CUDA tensors, CuPy's
        arrays and others with ``__dlpack__`` on a CUDA device stay there: backend "cuda", on the current stream (docs/backends.md).
    budget
        Total money for the N users: a number; [K] with [N, M], for K plans of one instance; [B] with [B, N, M].
    multiplier
        A price for money instead of a budget, at least 0, in the shapes of `budget`: every user takes all steps up its hull
        that bring more than `multiplier` value per unit of money; in other words the largest value − multiplier·cost, ties to the
        cheaper treatment, then the smaller index. Such a plan is optimal for a budget equal to its spend: hence `dual_bound` =
        `value` and `gap` = 0. There is no search, so `fill`, `warm_start` have nothing to do.
    min_spend
        Spend at least this, and at most the budget: a number, or one for each problem. Where the best plan spends less, money is
        forced out at a `multiplier` below 0. `dual_bound` is the LP optimum over the window [min_spend, budget].
    max_treated
        At most so many users get another treatment than `control`: a number, or one for each problem. Exact where only one
        of the two limits binds, else refused. `stats` holds `treated`, and `treated_multiplier`: the value of one more
        treated user where this cap binds (and `multiplier`, the budget's, is 0).
    control
        The treatment that means "not treated", for `max_treated`.
    mask
        Bool, the shape of value; False closes a treatment to a user. What stands in a closed cell is ignored.
    segments
        int64 [B+1] with [N, M]: users ``segments[b]:segments[b+1]`` form problem b with ``budget[b]``.
    fill
        After the first step that does not fit, go on down the list (64 steps) and take what still fits.
    integrality
        "gap": the certified plan. "proven": an integer optimum, with `dual_bound` = `value`; where the proof is out of reach, the
        best plan found, with its gap and `Status.NOT_PROVEN`.
    time_limit
        Seconds for the proof; after them the best plan so far, with its gap and `Status.TIME_LIMIT`.
    warm_start
        A `Plan` or a multiplier near the answer; it changes how fast the plan is found, never the plan.
    backend
        "cuda", "cpp", "numba" or "reference"; None takes the default of `bidfcl_fast.backends`, and "cuda" for arrays on a
        CUDA device.
    throw
        True raises for the first problem that has no plan; False returns all, with `status`.

    Returns
    -------
    Plan
        With arrays of the kind that came in.

    Raises
    ------
    InfeasibleBudget
        If the cheapest plan costs more than the budget; it carries `least_budget`.
    InfeasibleMinSpend
        If the dearest plan costs less than `min_spend`; it carries `most_spend`.
    NotCertified
        If the window or the two limits are beyond what one multiplier solves exactly; it says which, and what to try.
    ValueError, TypeError
        For misuse: shapes, dtypes, NaN or infinity, a user with no open treatment, an unknown backend, arguments that
        exclude each other.
    """
    asked = Asked(multiplier, min_spend, max_treated, control, fill, integrality, time_limit, warm_start, throw)
    amount, name = asked.amount(budget)
    problems, form = _check.problems(value, cost, amount, mask, segments, name)
    module = backends.resolve(backend, on_device=problems.on_device)
    return asked.plan(problems, form, back_to(value) if problems.on_device else like(value), module)


@dataclass(frozen=True)
class Asked:
    """What a caller wants of a plan, besides the numbers; checked when it is made."""

    multiplier: Any
    min_spend: Any
    max_treated: Any
    control: Any
    fill: bool
    integrality: str
    time_limit: float | None
    warm_start: Any
    throw: bool
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        _check.together(self.multiplier, self.min_spend, self.max_treated, self.integrality, self.time_limit)

    def amount(self, budget: Any) -> tuple[Any, str]:
        """The budget or the multiplier, whichever is given, and its name."""
        _check.budget_or_multiplier(budget, self.multiplier)
        return (budget, "budget") if self.multiplier is None else (self.multiplier, "multiplier")

    @property
    def plain(self) -> bool:
        """Whether the search alone answers it, which reads every storage as it is."""
        limits = (self.multiplier, self.min_spend, self.max_treated)
        return all(x is None for x in limits) and self.integrality != "proven"

    def _for_device(self) -> None:
        given = {"min_spend": self.min_spend, "max_treated": self.max_treated}
        for name, x in given.items() if self.integrality == "gap" else [("integrality='proven'", True)]:
            if x is not None:
                raise ValueError(
                    f"{name} goes with arrays on the CPU: call value.cpu(), or cupy.asnumpy(value), and the same for cost and mask"
                )

    def plan(self, problems: Problems, form: str, back: Callable[[np.ndarray], Any], module: ModuleType) -> Plan:
        """`module`'s answer in the caller's `form`; `back` makes arrays the caller's kind."""
        if problems.on_device:
            self._for_device()
        elif not self.plain:
            problems = problems.widened()
        fill = bool(self.fill)
        least = _check.least_spends(self.min_spend, problems)
        most, control = _check.treated(self.max_treated, self.control, problems)
        extra: dict[str, np.ndarray] = {}
        if self.multiplier is None:
            raw = module.mckp(problems, fill=fill, warm_start=warm_multiplier(self.warm_start, problems.count))
        else:
            _check.not_negative("multiplier", problems.budget)
            raw = module.decide(problems, problems.budget + 0.0)
            problems = replace(problems, budget=raw.spend)
        _precision.refuse_too_wide(problems, raw)
        further = most is not None or self.integrality == "proven"
        solved = np.flatnonzero(raw.status == Status.SOLVED).tolist() if further else []
        if least is not None:
            extra["most_spend"] = _window.spend_at_least(problems, raw, least, module, fill=fill)
        if most is not None:
            extra["treated"] = np.full(problems.count, -1)
            extra["treated_multiplier"] = np.full(problems.count, np.nan)
            for b in solved:
                limits = _treated.cap(problems, raw, b, int(most[b]), control, module, fill=fill)
                if limits is not None:
                    extra["treated"][b], extra["treated_multiplier"][b] = limits
        if self.integrality == "proven":
            deadline = math.inf if self.time_limit is None else self.began + self.time_limit
            extra["contested"] = np.zeros(problems.count, np.int64)
            for b in solved:
                extra["contested"][b] = _proven.prove(problems, raw, b, module, deadline)
        if self.throw and (raw.status < 0).any():
            for b in np.flatnonzero(raw.status < 0).tolist():
                where = None if problems.count == 1 else b
                if least is not None and raw.status[b] == Status.INFEASIBLE_MIN_SPEND:
                    raise InfeasibleMinSpend(float(least[b]), float(extra["most_spend"][b]), where)
                _check.raise_for(int(raw.status[b]), problems, b, float(raw.least_budget[b]), problems.count == 1)
        return plan_of(problems, form, raw, back, module, extra)


def plan_of(
    problems: Problems,
    form: str,
    raw: MckpResult,
    back: Callable[[np.ndarray], Any],
    module: ModuleType,
    extra: dict[str, np.ndarray],
) -> Plan:
    """What `module` found, in the caller's `form`; `back` makes arrays the caller's kind; `extra`: [B] each, for `stats`."""
    stats: dict[str, Any] = {name: getattr(raw, name) for name in ("rows_read", "sweeps", "active")} | extra
    numbers = {
        name: getattr(raw, name) for name in ("multiplier", "value", "spend", "dual_bound", "gap", "least_budget")
    }
    if form == "one":
        stats = {name: x[0].item() for name, x in stats.items()}
        stats["backend"] = module.__name__.rpartition(".")[2]
        scalars = {name: float(x[0]) for name, x in numbers.items()}
        status = Status(int(raw.status[0]))
        return Plan(back(raw.choice[0]), **scalars, status=status, budget=float(problems.budget[0]), stats=stats)
    stats["backend"] = module.__name__.rpartition(".")[2]
    choice = raw.choice[0] if form == "segments" else raw.choice
    arrays = {name: back(x) for name, x in numbers.items()}
    return Plan(back(choice), **arrays, status=raw.status, budget=back(problems.budget.copy()), stats=stats)


def warm_multiplier(warm_start: Any, count: int) -> np.ndarray | None:
    """[B] multipliers to start from; NaN where there is none to use."""
    if warm_start is None:
        return None
    source = warm_start.multiplier if isinstance(warm_start, Plan) else warm_start
    try:
        multiplier = np.asarray(source, np.float64)
    except (TypeError, ValueError) as error:
        got = type(source).__name__
        raise TypeError(f"warm_start must be a Plan, a multiplier or [{count}] of them, got {got}") from error
    if multiplier.ndim > 1 or (multiplier.ndim == 1 and multiplier.size not in (1, count)):
        raise ValueError(
            f"warm_start must be a Plan, a multiplier or [{count}] of them, got shape {list(multiplier.shape)}"
        )
    return np.array(np.broadcast_to(multiplier, count))
