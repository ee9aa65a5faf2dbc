"""Exact, certified budget allocation and decision-focused learning, fast to the machine's limits.

    import bidfcl_fast as bf
    plan = bf.solve_mckp(value, cost, budget)      # value, cost [N, M]: users × treatments

Importing this package imports neither torch nor numba; each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# public name -> module that defines it (or is it)
_EXPORTS = {
    "Allocator": "allocator",
    "BackendUnavailable": "errors",
    "BudgetExhausted": "errors",
    "Frontier": "frontier",
    "InfeasibleBudget": "errors",
    "InfeasibleMinSpend": "errors",
    "NotCertified": "errors",
    "Plan": "mckp",
    "Status": "errors",
    "Table": "data",
    "adapters": "",
    "backends": "",
    "bilevel": "",
    "budget_frontier": "frontier",
    "budget_frontier_ragged": "ragged",
    "data": "",
    "linalg": "",
    "loss_and_grad": "gradients",
    "losses": "",
    "methods": "",
    "metrics": "",
    "scale": "",
    "solve_mckp": "mckp",
    "solve_mckp_ragged": "ragged",
}

# Written out, since type checkers read it.
__all__ = [
    "Allocator",
    "BackendUnavailable",
    "BudgetExhausted",
    "Frontier",
    "InfeasibleBudget",
    "InfeasibleMinSpend",
    "NotCertified",
    "Plan",
    "Status",
    "Table",
    "adapters",
    "backends",
    "bilevel",
    "budget_frontier",
    "budget_frontier_ragged",
    "data",
    "linalg",
    "loss_and_grad",
    "losses",
    "methods",
    "metrics",
    "scale",
    "solve_mckp",
    "solve_mckp_ragged",
]

if TYPE_CHECKING:
    from . import adapters, backends, bilevel, data, linalg, losses, methods, metrics, scale
    from .allocator import Allocator
    from .data import Table
    from .errors import BackendUnavailable, BudgetExhausted, InfeasibleBudget, InfeasibleMinSpend, NotCertified, Status
    from .frontier import Frontier, budget_frontier
    from .gradients import loss_and_grad
    from .mckp import Plan, solve_mckp
    from .ragged import budget_frontier_ragged, solve_mckp_ragged


if not TYPE_CHECKING:  # for type checkers, a name that is not there is a mistake

    def __getattr__(name: str) -> Any:
        if name not in _EXPORTS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f".{_EXPORTS[name] or name}", __name__)
        found = getattr(module, name) if _EXPORTS[name] else module
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
