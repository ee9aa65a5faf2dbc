"""`solve_mckp` where every rank of a torch process group holds some of the users.

A rank's arrays never leave it. What crosses the wire are totals, steps of a sample's spend and a few edges: some kilobytes a
rank and round, counted in `plan.stats`. Every rank runs the same search over the same answers, so none is in charge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _check, backends
from .._arrays import like
from .._problems import Problems
from .._wire import Wire, average
from ..errors import Status
from ..mckp import Plan, warm_multiplier
from ._facts import Facts
from ._search import Ask, run, search
from ._shard import ArrayShard, facts_of


def solve_mckp(
    value: Any,
    cost: Any,
    budget: Any,
    group: Any = None,
    *,
    mask: Any = None,
    fill: bool = True,
    warm_start: Any = None,
    backend: str | None = None,
    throw: bool = True,
) -> Plan:
    """Choose one treatment for every user of all ranks: the most value within one budget for all.

    The plan is the one that `bidfcl_fast.solve_mckp` finds for the users of all ranks in one array, rank after rank: the
    same bits for any number of ranks and any sizes of their shards. Every rank of the group calls it, with the same
    arguments but for its own arrays.

    Parameters
    ----------
    value, cost
        [n, M] of this rank's users, n may be 0; dtypes and libraries as in `bidfcl_fast.solve_mckp`, on the CPU.
    budget
        Total money for the users of all ranks: a number, or [K] for K plans.
    group
        A process group with gloo or NCCL; None takes the default one. With NCCL, messages go through the current CUDA device.
    mask
        Bool [n, M], on all ranks that have users or on none.
    fill, warm_start, backend, throw
        As in `bidfcl_fast.solve_mckp`.

    Returns
    -------
    Plan
        `choice` int32 [n] or [K, n]: this rank's users. All numbers are totals over all ranks. `stats` holds `users` (of
        all ranks), `rounds`, and `bytes_sent`, `bytes_received`, `most_bytes` (of this rank; the most it sent in one round).

    Raises
    ------
    InfeasibleBudget, ValueError, TypeError
        As in `bidfcl_fast.solve_mckp`, on every rank: what one rank cannot do is said by all, with the rank's number. A rank
        that no longer answers is the process group's to notice, by its timeout.
    """
    wire = Wire(group)
    module = backends.resolve(backend)
    amounts, several, warm = np.zeros(0), False, None
    problems: Problems | None = None
    try:
        amounts, form = _check._several(budget)
        several = form == "budgets"
        warm = warm_multiplier(warm_start, len(amounts))
        problems = _check.instance(value, cost, mask)
        own = _Own(
            facts_of(problems, module, wire.size),
            problems.value.shape[2],
            str(problems.value.dtype),
            amounts.tobytes(),
            bool(fill),
            None if warm is None else warm.tobytes(),
        )
    except Exception as error:
        wire.refuse(error)
    parts: list[_Own] = wire.exchange(own)
    _agree(parts)
    assert problems is not None
    facts = Facts.together([p.facts for p in parts])
    first = sum(p.facts.users for p in parts[: wire.rank])
    shard = ArrayShard(problems, module, facts.scales, first, wire.size)
    searches = [
        search(b, bool(fill), facts, wire.size, None if warm is None else float(warm[k]))
        for k, b in enumerate(amounts.tolist())
    ]

    def exchange(asks: list[tuple[int, Ask]]) -> list[Sequence[Any]]:
        try:
            mine = [shard.answer(k, ask) for k, ask in asks]
        except Exception as error:
            wire.refuse(error)
        return [list(answers) for answers in zip(*wire.exchange(mine), strict=True)]

    outcomes = run(searches, exchange)
    if throw:
        for k, o in enumerate(outcomes):
            o.raise_for(k if several else None)
    choices = np.stack([shard.choice(k, o) for k, o in enumerate(outcomes)])
    back = like(value)

    def shown(name: str) -> Any:
        numbers = [getattr(o, name) for o in outcomes]
        return back(np.array(numbers, np.float64)) if several else numbers[0]

    stats: dict[str, Any] = {
        name: np.array([o.stats[name] for o in outcomes]) if several else outcomes[0].stats[name]
        for name in ("sweeps", "active")
    }
    stats |= {"rows_read": shard.rows_read, "users": facts.users, "backend": module.__name__.rpartition(".")[2]}
    stats |= wire.counted()
    fields = ("multiplier", "value", "spend", "dual_bound", "gap", "least_budget", "budget")
    statuses = np.array([o.status for o in outcomes], np.int32)
    status = statuses if several else Status(int(statuses[0]))
    choice = back(choices if several else choices[0])
    return Plan(choice, **{name: shown(name) for name in fields}, status=status, stats=stats)


class _Own(NamedTuple):
    """What a rank tells all others first: its facts, and the arguments that must be alike."""

    facts: Facts
    treatments: int
    dtype: str
    budget: bytes
    fill: bool
    warm_start: bytes | None


def _agree(parts: list[_Own]) -> None:
    for k, name in enumerate(_Own._fields[1:], 1):
        odd = [r for r, p in enumerate(parts) if p[k] != parts[0][k]]
        if odd:
            raise ValueError(f"{name} must be the same on all ranks: rank {odd[0]} differs from rank 0")


__all__ = ["average", "solve_mckp"]
