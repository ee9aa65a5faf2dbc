"""Users with unlike numbers of treatments: `solve_mckp_ragged` and `budget_frontier_ragged`."""

from __future__ import annotations

from typing import Any

from . import _check, backends
from ._arrays import like
from ._ragged import padded
from .frontier import Frontier, frontier_of
from .mckp import Asked, Plan


def solve_mckp_ragged(
    value: Any,
    cost: Any,
    offsets: Any,
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
    """`solve_mckp` for users who have unlike numbers of treatments: the same plan as with padded rows and a mask.

    All users' treatments stand one after the other (the CSR layout of sparse matrices), so memory and time go with the
    treatments there are: one user with 100,000 of them does not make everybody's row as long.

    Parameters
    ----------
    value, cost
        [T] float32 or float64 (or halves, as in `solve_mckp`), finite; user i's treatments are ``value[offsets[i]:offsets[i+1]]``.
    offsets
        int64 [N+1], rising from 0 to T; every user has at least one treatment.
    budget
        Total money for the N users: a number, or [K] for K plans of one instance.
    mask
        [T] bool; False closes a treatment.
    segments
        int64 [B+1]: users ``segments[b]:segments[b+1]`` form problem b with ``budget[b]``.
    multiplier, min_spend, max_treated, control, fill, integrality, time_limit, warm_start, backend, throw
        As in `solve_mckp`. Only the search for a budget on "cpp" reads ragged rows as they are. The other backends, and a
        multiplier given, other limits and proofs on any backend, pad them, and refuse where that takes more than four times the cells
        (and more than a million).

    Returns
    -------
    Plan
        ``choice[i]`` counts from user i's own first treatment.

    Raises
    ------
    InfeasibleBudget, InfeasibleMinSpend, NotCertified
        As in `solve_mckp`.
    ValueError, TypeError
        For misuse, as in `solve_mckp`; and for offsets that do not rise, or leave a user without a treatment.
    """
    asked = Asked(multiplier, min_spend, max_treated, control, fill, integrality, time_limit, warm_start, throw)
    amount, name = asked.amount(budget)
    ragged, form = _check.ragged(value, cost, offsets, amount, mask, segments, name)
    module = backends.resolve(backend)
    problems = ragged if asked.plain else padded(ragged, module.__name__.rpartition(".")[2])
    return asked.plan(problems, form, like(value), module)


def budget_frontier_ragged(
    value: Any, cost: Any, offsets: Any, *, mask: Any = None, backend: str | None = None
) -> Frontier:
    """`budget_frontier` for users who have unlike numbers of treatments; arguments as in `solve_mckp_ragged`.

    Raises
    ------
    ValueError, TypeError
        As in `solve_mckp_ragged`.
    """
    problems, _ = _check.ragged(value, cost, offsets, 0.0, mask, None)
    return frontier_of(problems, like(value), backend)
