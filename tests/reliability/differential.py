"""Random small instances, near-ties and extremes more often than life has them, every answer against every other.

`python tests/reliability/differential.py COUNT [SEED [PROCESSES]]` runs so many; `make nightly` a million.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

if __name__ in ("__main__", "__mp_main__"):
    sys.path.insert(0, str(Path(__file__).parents[1]))

import emulated
import numpy as np
from oracles import exact, highs
from oracles.instances import Instance
from oracles.same import FLOATS, assert_same_plan, bits, part

import bidfcl_fast as bf
from bidfcl_fast import _check, backends
from bidfcl_fast.scale._facts import Facts
from bidfcl_fast.scale._search import run as search_all
from bidfcl_fast.scale._search import search
from bidfcl_fast.scale._shard import ArrayShard, facts_of

FAST = [name for name in bf.backends.available() if name != "reference"]
THREADS = ("1", "2", "5")
PLANS = 500  # as many are looked at one by one
EMULATE = os.environ.get("BIDFCL_TEST_EMULATED", "1") != "0"


def numbers(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """One of eight kinds; most of them collide or span many orders of magnitude."""
    kind = rng.integers(8)
    if kind == 0:
        return rng.integers(-4, 12, shape) / 4.0
    if kind == 1:  # ties broken in the last bits
        return rng.integers(1, 5, shape) * (1 + rng.integers(-2, 3, shape) * 2.0**-52)
    if kind == 2:
        return 10.0 ** rng.uniform(-6, 6, shape)
    if kind == 3:
        return rng.integers(0, 4, shape) * 2.0 ** float(rng.integers(-1000, 960))
    if kind == 4:
        return rng.choice([0.0, 1.0, 1.0 + 2.0**-23, 1.0 - 2.0**-24, 3.0], shape)
    if kind == 5:
        return rng.normal(size=shape)
    if kind == 6:
        return np.cumsum(rng.integers(0, 3, shape), axis=1).astype(np.float64)
    return rng.random(shape)


def instance(rng: np.random.Generator) -> tuple[Instance, float]:
    """Some users, and a budget at, near or between the steps of the plan."""
    n, m = int(rng.integers(1, 9)), int(rng.integers(1, 7))
    dtype = rng.choice([np.float32, np.float64])
    with np.errstate(over="ignore"):
        value, cost = (numbers(rng, (n, m)).astype(dtype) for _ in range(2))
        cost[~np.isfinite(cost)] = 1.0
        if rng.integers(6) == 0:  # all on one line
            value = (cost * dtype(3)).astype(dtype)
    value[~np.isfinite(value)] = 1.0
    if rng.integers(4) == 0:
        value, cost = np.tile(value, (3, 1)), np.tile(cost, (3, 1))
    mask = None
    if rng.integers(3) == 0:
        mask = rng.random(value.shape) < 0.7
        mask[np.arange(len(mask)), rng.integers(0, m, len(mask))] = True
    x = Instance(value, cost, mask)
    population = exact.users(*x)
    low = exact.least_spend(population)
    high = sum((max(p.cost for p in points) for points in population), Fraction(0))
    budget = float(low + (high - low) * Fraction(int(rng.integers(0, 9)), 8))
    if rng.integers(3) == 0:
        budget = float(np.nextafter(budget, rng.choice([-np.inf, np.inf])))
    return x, budget if np.isfinite(budget) else 0.0


def sharded(x: Instance, budget: float, cuts: list[int], backend: str, fill: bool) -> Any:
    """The search over parts of the users, as the drivers of `scale` run it: what a part tells is all that is known of it."""
    module = backends.resolve(backend)
    edges = [0, *cuts, len(x.value)]
    masks = [None if x.mask is None else x.mask[a:b] for a, b in pairwise(edges)]
    parts = [
        _check.instance(x.value[a:b], x.cost[a:b], mask) for (a, b), mask in zip(pairwise(edges), masks, strict=True)
    ]
    facts = Facts.together([facts_of(part, module, len(parts)) for part in parts])
    shards = [
        ArrayShard(part, module, facts.scales, first, len(parts)) for part, first in zip(parts, edges, strict=False)
    ]
    searches = [search(budget, fill, facts, len(parts), None)]
    (outcome,) = search_all(searches, lambda asks: [[s.answer(k, ask) for s in shards] for k, ask in asks])
    return outcome, np.concatenate([shard.choice(0, outcome) for shard in shards])


def beside(x: Instance, other: Instance, several: list[float], together: Any, backend: str, options: Any) -> None:
    """Three problems in one call: one instance with two budgets, and another instance between them."""
    masks = {} if x.mask is None else {"mask": np.stack([x.mask, other.mask, x.mask])}
    value, cost = (np.stack([a, b, a]) for a, b in ((x.value, other.value), (x.cost, other.cost)))
    plans = bf.solve_mckp(value, cost, [several[0], several[1], several[1]], backend=backend, **{**options, **masks})
    alone = bf.solve_mckp(other.value, other.cost, several[1], backend=backend, **{**options, "mask": other.mask})
    for k, expected in enumerate((part(together, 0), alone, part(together, 1))):
        assert_same_plan(part(plans, k), expected)


def without_padding(x: Instance, budget: float, expected: Any, backend: str, options: Any) -> None:
    """The same users, each with the treatments that are open to it and no others."""
    open_ = np.ones(x.value.shape, bool) if x.mask is None else x.mask
    offsets = np.concatenate([[0], open_.sum(axis=1).cumsum()])
    plan = bf.solve_mckp_ragged(
        x.value[open_], x.cost[open_], offsets, budget, backend=backend, **{**options, "mask": None}
    )
    assert plan.status == expected.status
    if plan.status == bf.Status.SOLVED:
        for name in FLOATS:
            assert bits(getattr(plan, name)) == bits(getattr(expected, name)), f"ragged: {name}"
        order = np.argsort(~open_, axis=1, kind="stable")  # the open ones first
        np.testing.assert_array_equal(order[np.arange(len(order)), plan.choice], expected.choice)


def frontiers(x: Instance) -> None:
    """The same bits, or the same refusal."""

    def answer(backend: str) -> Any:
        try:
            found = bf.budget_frontier(x.value, x.cost, mask=x.mask, backend=backend)
        except ValueError as error:
            return str(error)
        return [bits(getattr(found, name)).tolist() for name in ("budget", "value", "multiplier")]

    expected = answer("reference")
    for backend in FAST:
        assert answer(backend) == expected, f"frontier of {backend}"


def check(rng: np.random.Generator, seen: Counter[str]) -> None:
    """One instance: backends, thread counts, parts of the users, the exact LP optimum and, now and then, HiGHS."""
    x, budget = instance(rng)
    options: dict[str, Any] = {"mask": x.mask, "throw": False, "fill": bool(rng.integers(2))}
    expected = bf.solve_mckp(x.value, x.cost, budget, backend="reference", **options)
    seen[expected.status.name] += 1
    several = [budget if rng.integers(2) else budget / 2, budget]
    backwards = Instance(*(None if a is None else a[::-1] for a in x))
    cuts = sorted(int(k) for k in rng.integers(0, len(x.value) + 1, rng.integers(1, 4)))
    turn = int(rng.integers(2))
    for k, backend in enumerate(FAST):
        os.environ["BIDFCL_NUM_THREADS"] = THREADS[int(rng.integers(3))]
        assert_same_plan(bf.solve_mckp(x.value, x.cost, budget, backend=backend, **options), expected)
        if k % 2 == turn:  # each backend its half of the instances
            together = bf.solve_mckp(x.value, x.cost, several, backend=backend, **options)
            assert_same_plan(part(together, 1), expected)
            beside(x, backwards, several, together, backend, options)
            warm = bf.solve_mckp(x.value, x.cost, budget, backend=backend, warm_start=rng.normal() ** 2, **options)
            assert_same_plan(warm, expected)
        else:
            outcome, choice = sharded(x, budget, cuts, backend, options["fill"])
            if bf.Status.TOO_WIDE in {outcome.status, expected.status} and outcome.status != expected.status:
                # A typical number is a median of the parts' medians there: near the limit one refuses, the other does not.
                seen["wide to one"] += 1
                assert seen["wide to one"] <= 1 + sum(seen.values()) // 1000
            else:
                assert outcome.status == expected.status
            if outcome.status == expected.status == bf.Status.SOLVED:
                np.testing.assert_array_equal(choice, expected.choice)
                for name in FLOATS:
                    assert bits(getattr(outcome, name)) == bits(getattr(expected, name)), f"shards: {name}"
            without_padding(x, budget, expected, backend, options)
    if rng.integers(8) == 0:
        seen["frontier"] += 1
        frontiers(x)
    if expected.status == bf.Status.SOLVED:
        certified(x, budget, expected, seen)
        largest = max(float(np.abs(a).max()) for a in (x.value, x.cost))
        room = budget - float(exact.least_spend(exact.users(*x)))  # of a hair HiGHS makes none
        if rng.integers(6) == 0 and 1e-3 < largest < 1e4 and abs(budget) > 1e-3 and room > 1e-9 * largest:
            seen["HiGHS"] += 1
            try:
                found = highs.lp_value(x.value, x.cost, budget, x.mask)
            except AssertionError as error:
                if "model_status is Unknown" not in str(error):
                    raise
                seen["HiGHS gave up"] += 1
            else:
                assert abs(found - expected.dual_bound) <= 1e-5 * max(1.0, abs(found))
    if rng.integers(40) == 0 and EMULATE and emulated.register() is None:  # a lane at a time: 60 ms
        seen["CUDA sources"] += 1
        on_a_device(x, several, expected, options)


def on_a_device(x: Instance, several: list[float], expected: Any, options: Any) -> None:
    """What the CUDA sources say, run as C++: one budget, and several, of which it is the last."""
    together = bf.solve_mckp(x.value, x.cost, several, backend="reference", **options)
    assert_same_plan(bf.solve_mckp(x.value, x.cost, several[1], backend=emulated.NAME, **options), expected)
    plans = bf.solve_mckp(x.value, x.cost, several, backend=emulated.NAME, **options)
    for k in range(2):
        assert_same_plan(part(plans, k), part(together, k))


def certified(x: Instance, budget: float, plan: Any, seen: Counter[str]) -> None:
    """The plan is within the budget, and its bound no less than every plan's value and that of the LP."""
    population, money, value, cost = exact.whole(exact.users(*x), Fraction(budget))
    total, spent = exact.totals(population, plan.choice)
    bound = Fraction(plan.dual_bound) * value
    assert spent <= money
    if math.prod(map(len, population)) <= PLANS:
        seen["every plan"] += 1
        assert total <= exact.integer_optimum(population, money) <= bound
    if not (exact.exact_in_units(x.value, x.mask) and exact.exact_in_units(x.cost, x.mask)):
        return
    seen["exact"] += 1
    unit = exact.unit(x.cost, x.mask) * cost  # a fraction of one buys nothing: all costs are whole
    optimum = exact.lp_optimum(population, money // unit * unit)
    assert bound >= optimum >= total
    assert optimum - total <= exact.largest_edge(population)


def run(count: int, seed: int = 0) -> Counter[str]:
    """`count` instances from `seed` on; a failure names its seed."""
    seen: Counter[str] = Counter()
    before = os.environ.get("BIDFCL_NUM_THREADS")
    try:
        for k in range(seed, seed + count):
            try:
                check(np.random.default_rng(k), seen)
            except Exception as error:
                raise AssertionError(f"differential.run(1, {k}) fails: {error!r}") from error
    finally:
        os.environ.pop("BIDFCL_NUM_THREADS", None)
        if before is not None:
            os.environ["BIDFCL_NUM_THREADS"] = before
    return seen


def portion(seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """As `run`, and goes on after a failure."""
    seen, failures = Counter[str](), []
    for k in range(seed, seed + count):
        try:
            seen += run(1, k)
        except AssertionError as error:
            failures.append(str(error))
    return seen, failures


def main(count: int, first: int, processes: int, size: int = 200) -> int:
    """How many instances failed; each is named on the way."""
    began = said = time.monotonic()
    seen, failed = Counter[str](), 0
    starts = range(0, count, size)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        work = pool.map(portion, [first + a for a in starts], [min(size, count - a) for a in starts])
        for a, (found, failures) in zip(starts, work, strict=True):
            seen += found
            failed += len(failures)
            print(*failures, sep="\n", end="\n" if failures else "", flush=True)
            done, now = min(a + size, count), time.monotonic()
            if now - said > 60 or done == count:
                said = now
                print(
                    f"{done} instances, {done / (now - began):.1f} a second, {failed} failed: {dict(seen)}", flush=True
                )
    return failed


if __name__ == "__main__":
    given = [int(a) for a in sys.argv[1:]]
    sys.exit(main(*given, *(1, 0, os.cpu_count() or 1)[len(given) :]) > 0)
