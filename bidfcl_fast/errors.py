"""What can go wrong, as data (`Status`) and as exceptions.

Misuse of the API raises `ValueError` or `TypeError`; an outcome of a correct call is a `Status`, which
`throw=True` turns into the exception of its row.
"""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """Outcome of one problem: 0 is success; above it, a certified plan that fell short of what was asked; every failure is
    negative (the codes of csrc/status.h)."""

    SOLVED = 0
    TIME_LIMIT = 1
    NOT_PROVEN = 2
    INFEASIBLE_BUDGET = -1
    NOT_FINITE = -2
    NO_OPEN_TREATMENT = -3
    TOO_WIDE = -4
    INFEASIBLE_MIN_SPEND = -5
    NARROW_WINDOW = -6
    INFEASIBLE_MAX_TREATED = -7
    TWO_LIMITS = -8
    OUT_OF_RANGE = -9

    @property
    def sentence(self) -> str:
        """What happened and what to try."""
        return _SENTENCES[self]


_SENTENCES = {
    Status.TIME_LIMIT: "the time limit came before the proof: the best plan so far, and its gap is certified; allow more time",
    Status.NOT_PROVEN: "the contested core is too large, or its numbers too small, to prove: the best plan so far, and its gap is "
    "certified; use that gap",
    Status.INFEASIBLE_MIN_SPEND: "min_spend is above the cost of the dearest plan; lower it to most_spend (in stats) or less",
    Status.NARROW_WINDOW: "the window from min_spend to budget is narrower than one step of the plan, and no plan was found "
    "inside; lower min_spend or raise the budget by the cost of a step",
    Status.INFEASIBLE_MAX_TREATED: "more users than max_treated have the control treatment closed; open it to them in mask, "
    "or raise max_treated",
    Status.TWO_LIMITS: "budget and max_treated bind at once, where one multiplier is not exact; raise max_treated to what the "
    "budget alone treats, or the budget to what max_treated alone spends",
    Status.SOLVED: "solved: the plan is within the budget and its gap is certified",
    Status.INFEASIBLE_BUDGET: "the budget is below the cost of the cheapest plan; raise it to least_budget or more",
    Status.NOT_FINITE: "value or cost holds NaN or infinity; remove those rows, or close those treatments with mask",
    Status.TOO_WIDE: "one number is so large that exact sums round the others away beside it; close that treatment with mask",
    Status.OUT_OF_RANGE: "a total or a multiplier is beyond what float64 holds; multiply value or cost (and the budget) by a "
    "power of two, which rounds nothing",
    Status.NO_OPEN_TREATMENT: "a user has no open treatment in mask; open one, for instance a free one",
}


class InfeasibleBudget(ValueError):
    """No plan is within the budget. `least_budget` is the smallest one that works, `problem` the index (0 for one)."""

    def __init__(self, budget: float, least_budget: float, problem: int | None = None) -> None:
        self.budget = budget
        self.least_budget = least_budget
        self.problem = problem
        where = "" if problem is None else f"[{problem}]"
        super().__init__(
            f"budget{where} = {budget!r} is infeasible: the cheapest plan costs {least_budget!r}, "
            "the least budget that works"
        )


class InfeasibleMinSpend(ValueError):
    """No plan spends so much. `most_spend` is the cost of the dearest plan, `problem` the index (0 for one)."""

    def __init__(self, min_spend: float, most_spend: float, problem: int | None = None) -> None:
        self.min_spend = min_spend
        self.most_spend = most_spend
        self.problem = problem
        where = "" if problem is None else f"[{problem}]"
        super().__init__(
            f"min_spend{where} = {min_spend!r} is infeasible: the dearest plan costs {most_spend!r}, the most that can be spent"
        )


class NotCertified(ValueError):
    """The limits asked for are outside what one multiplier solves exactly; `status` says which way."""

    def __init__(self, status: Status, detail: str, problem: int | None = None) -> None:
        self.status = status
        self.problem = problem
        super().__init__(f"{detail}{'' if problem is None else f' (problem {problem})'}: {status.sentence}")


class BudgetExhausted(RuntimeError):
    """An `Allocator`'s budget is spent: not even the cheapest treatment of the user fits into what is left."""


class BackendUnavailable(RuntimeError):
    """The backend asked for by name cannot run here; the message says why and names those that can."""
