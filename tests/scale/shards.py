"""Shards of one process, and what they decide together."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bidfcl_fast import _check, backends
from bidfcl_fast.errors import Status
from bidfcl_fast.scale._facts import Facts
from bidfcl_fast.scale._search import run, search
from bidfcl_fast.scale._shard import ArrayShard, facts_of


class Joint(NamedTuple):
    """A plan as `assert_same_plan` reads it."""

    choice: np.ndarray
    multiplier: float
    value: float
    spend: float
    dual_bound: float
    gap: float
    status: Status
    stats: dict[str, Any]


def solve(value, cost, budget, cuts, *, mask=None, fill=True, backend=None) -> Joint:
    """`solve_mckp` by shards that begin at 0 and at the `cuts`."""
    module = backends.resolve(backend)
    edges = [0, *sorted(cuts), len(value)]
    parts = [
        _check.instance(value[a:b], cost[a:b], None if mask is None else mask[a:b])
        for a, b in zip(edges, edges[1:], strict=False)
    ]
    n = len(parts)
    facts = Facts.together([facts_of(p, module, n) for p in parts])
    shards = [ArrayShard(p, module, facts.scales, a, n) for p, a in zip(parts, edges, strict=False)]
    rounds = 0

    def exchange(asks):
        nonlocal rounds
        rounds += 1
        return [[s.answer(k, ask) for s in shards] for k, ask in asks]

    [out] = run([search(float(budget), fill, facts, n)], exchange)
    choice = np.concatenate([s.choice(0, out) for s in shards])
    numbers = (out.multiplier, out.value, out.spend, out.dual_bound, out.gap)
    return Joint(choice, *numbers, out.status, {**out.stats, "rounds": rounds})
