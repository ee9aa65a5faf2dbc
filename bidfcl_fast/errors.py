"""What can go wrong, as data (`Status`) and as exceptions.

Misuse of the API raises `ValueError` or `TypeError`; an outcome of a correct call is a `Status`, which
`throw=True` turns into the exception of its row.
"""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """Outcome of one problem: 0 is success, every failure is negative (the codes of csrc/status.h)."""

    SOLVED = 0
    INFEASIBLE_BUDGET = -1
    NOT_FINITE = -2
    NO_OPEN_TREATMENT = -3
    TOO_WIDE = -4

    @property
    def sentence(self) -> str:
        """What happened and what to try."""
        return _SENTENCES[self]


_SENTENCES = {
    Status.SOLVED: "solved: the plan is within the budget and its gap is certified",
    Status.INFEASIBLE_BUDGET: "the budget is below the cost of the cheapest plan; raise it to least_budget or more",
    Status.NOT_FINITE: "value or cost holds NaN or infinity; remove those rows, or close those treatments with mask",
    Status.TOO_WIDE: "one number is so large that exact sums round the others away beside it; close that treatment with mask",
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


class BackendUnavailable(RuntimeError):
    """The backend asked for by name cannot run here; the message says why and names those that can."""
