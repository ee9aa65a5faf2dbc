"""The search over shards gives the plan of one process, bit for bit, however the users are cut."""

from __future__ import annotations

import numpy as np
import pytest
from oracles.instances import Instance, budgets, diminishing
from oracles.same import assert_same_plan

import bidfcl_fast as bf
from bidfcl_fast.scale import _selection
from bidfcl_fast.scale._ledger import Ledger

from .shards import solve


def check(x: Instance, budget: float, cuts, **more) -> dict:
    got = solve(*x[:2], budget, cuts, mask=x.mask, **more)
    expected = bf.solve_mckp(*x[:2], budget, mask=x.mask, fill=more.get("fill", True), throw=False)
    assert_same_plan(got, expected)
    return got.stats


@pytest.mark.parametrize("kind", ["diminishing", "alike", "five kinds", "lattice", "heavy", "masked", "sorted"])
@pytest.mark.parametrize("fill", [True, False])
def test_large_shards(kind, fill, dtype):
    rng = np.random.default_rng(11)
    x = diminishing(rng, 20000, 4, dtype)
    value, cost, mask = x
    if kind == "alike":
        value, cost = np.tile(value[:1], (20000, 1)), np.tile(cost[:1], (20000, 1))
    if kind == "five kinds":
        some = rng.integers(0, 5, 20000)
        value, cost = value[some], cost[some]
    if kind == "lattice":
        value, cost = (rng.integers(0, 9, (20000, 4)).astype(dtype) for _ in range(2))
    if kind == "heavy":
        size = rng.pareto(1.1, (20000, 1)).astype(dtype)
        value, cost = value * size, cost * size
    if kind == "masked":
        mask = rng.random(value.shape) < 0.6
        mask[:, 1] = True
    if kind == "sorted":
        order = np.argsort(cost.sum(axis=1))
        value, cost = value[order], cost[order]
    x = Instance(value, cost, mask)
    for budget in budgets(x, (0.0, 0.004, 0.3, 0.7, 0.999, 1.1)):
        check(x, budget, [0, 1, 7000, 7000, 19999], fill=fill)


def test_halves_and_the_backends_agree(backend):
    x = diminishing(np.random.default_rng(2), 500, 4, np.float32)
    half = Instance(x.value.astype(np.float16), x.cost.astype(np.float16))
    check(half, float(budgets(half)[2]), [100, 350], backend=backend)


def test_the_last_round_of_a_large_search_is_not_the_only_one():
    x = diminishing(np.random.default_rng(5), 60000, 4, np.float32)
    stats = check(x, float(budgets(x)[2]), [1000, 20000])
    assert stats["sweeps"] == 1
    assert stats["rounds"] > 3


def test_infeasible_and_too_wide_have_the_status_of_one_process():
    x = diminishing(np.random.default_rng(3), 6000, 4, np.float64)
    got = solve(x.value, x.cost + 1, 100.0, [2000])
    expected = bf.solve_mckp(x.value, x.cost + 1, 100.0, throw=False)
    assert_same_plan(got, expected)
    wide = x.cost.copy()
    wide[4, 3] = 1e18
    got = solve(x.value, wide, 100.0, [2000])
    assert_same_plan(got, bf.solve_mckp(x.value, wide, 100.0, throw=False))
    assert got.status is bf.Status.TOO_WIDE


def test_a_stretch_tells_what_lies_before_each_of_its_edges():
    rng = np.random.default_rng(0)
    x = diminishing(rng, 50, 4, np.float32)
    ledger = _ledger_of(x)
    whole = ledger.sketch(None, None, 10**6)
    assert whole.complete
    some = ledger.sketch(ledger.key(5), ledger.key(40), 7)
    assert some.edges == 35
    for point in map(_selection.Point.of, some.points.tolist()):
        assert point.edge == ledger.key(5 + point.rank)
        assert point.cost_before == sum(int(c) for c in ledger.cost[5 : 5 + point.rank])


def _ledger_of(x):
    from bidfcl_fast import _check
    from bidfcl_fast.backends import reference
    from bidfcl_fast.scale._facts import scales_of

    p = _check.instance(*x)
    m = reference.magnitudes(p)
    return Ledger(reference.edges_between(p, scales_of(m.value, m.cost), 0.0, np.inf).edges)
