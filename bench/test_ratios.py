"""What users ask beside the plain solve, each as a ratio of two medians whose rounds took turns.

Many budgets, many small problems, warm starts, growth with the number of users, hard data, memory. Every answer is
checked before it is timed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bidfcl_fast as bf
from bidfcl_fast.bench import instances, judge, read_floor
from bidfcl_fast.bench.peers import numba_bisection
from bidfcl_fast.bench.timing import medians

HERE = Path(__file__).resolve().parent
FAST = [name for name in bf.backends.available() if name != "reference"]
MILLION = instances.Size(1_000_000, 10, "float32")


@pytest.fixture(scope="module")
def million() -> tuple[np.ndarray, np.ndarray, float]:
    return instances.campaign(MILLION)


def turns(*calls: Callable[[], Any], rounds: int) -> list[float]:
    """Median seconds of each call; they take turns, so that a busy minute strikes all of them, and each is called once
    unheeded first: another's threads may still be looking out for work on our cores."""
    return list(medians({str(k): call for k, call in enumerate(calls)}, rounds, in_a_row=2).values())


SEEN: list[judge.Quality] = []  # of the plans checked since the last record


def record(benchmark: Any, question: str, ratio: float, target: str, detail: str = "") -> None:
    """Beside the ratio stand the largest gap and violation among the plans that were checked for it."""
    benchmark.pedantic(lambda: None, rounds=1)  # the plugin wants one; the turns above are what counts
    worst = {name: max(getattr(found, name) for found in SEEN) for name in ("gap", "violation")} if SEEN else {}
    SEEN.clear()
    benchmark.extra_info.update(question=question, ratio=ratio, target=target, detail=detail, **worst)
    quality = ", ".join(f"{name} {worst[name]:.0e}" for name in worst)
    print(f"{question:>70}  {ratio:8.2f}  ({target})  {quality}  {detail}", flush=True)


def checked(value: np.ndarray, cost: np.ndarray, budget: float, **options: Any) -> bf.Plan:
    plan = bf.solve_mckp(value, cost, budget, **options)
    optimum = judge.dual(value, cost, budget, plan.multiplier)
    answer = {"value": plan.value, "spend": plan.spend, "bound": plan.dual_bound, "choice": plan.choice}
    SEEN.append(judge.quality(value, cost, budget, answer, optimum))
    return plan


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("large", [MILLION, instances.Size(4_000_000, 5, "float32")], ids=str)
def test_reads(benchmark, large, backend):
    value, cost, budget = instances.campaign(large)
    read = read_floor.reader(value, cost)
    checked(value, cost, budget, backend=backend)
    floor, ours = turns(read, lambda: bf.solve_mckp(value, cost, budget, backend=backend), rounds=21)
    record(benchmark, f"{large}, {backend}: one budget, in reads of value and cost", ours / floor, "3; reach for 1.5")


def test_bisection(benchmark, million):
    value, cost, budget = million
    checked(value, cost, budget, backend=FAST[0])
    ours, peer = turns(
        lambda: bf.solve_mckp(value, cost, budget, backend=FAST[0]),
        lambda: numba_bisection.solve(value, cost, budget),
        rounds=9,
    )
    record(benchmark, "fused Numba bisection ÷ ours", peer / ours, "at least 8; reach for 15")


@pytest.mark.parametrize("backend", FAST)
def test_warm(benchmark, million, backend):
    """From the plan of a budget one per cent larger, and from the plan for predictions that have moved a little since."""
    value, cost, budget = million
    rng = np.random.default_rng(1)
    moved = value * rng.uniform(0.95, 1.05, value.shape).astype(value.dtype)
    near = bf.solve_mckp(value, cost, budget * 1.01, backend=backend)
    yesterday = bf.solve_mckp(moved, cost, budget, backend=backend)
    for start in (near, yesterday):
        checked(value, cost, budget, backend=backend, warm_start=start)
    cold, from_near, from_yesterday = turns(
        lambda: bf.solve_mckp(value, cost, budget, backend=backend),
        lambda: bf.solve_mckp(value, cost, budget, backend=backend, warm_start=near),
        lambda: bf.solve_mckp(value, cost, budget, backend=backend, warm_start=yesterday),
        rounds=15,
    )
    sweeps = bf.solve_mckp(value, cost, budget, backend=backend, warm_start=yesterday).stats["sweeps"]
    record(benchmark, f"{backend}: warm from a nearby budget ÷ cold", from_near / cold, "1")
    benchmark.extra_info["detail"] = f"from yesterday's predictions {from_yesterday / cold:.2f}, {sweeps} sweeps"


@pytest.mark.parametrize("backend", FAST)
def test_budgets(benchmark, million, backend):
    value, cost, budget = million
    budgets = np.linspace(0.05, 0.95, 32) * budget / instances.BUDGET_SHARE
    for k in (0, 13, 31):
        alone = checked(value, cost, budgets[k], backend=backend)
        together = bf.solve_mckp(value, cost, budgets, backend=backend)
        assert together.value[k] == alone.value
    one, many = turns(
        lambda: bf.solve_mckp(value, cost, budget, backend=backend),
        lambda: bf.solve_mckp(value, cost, budgets, backend=backend),
        rounds=5,
    )
    record(benchmark, f"{backend}: 32 budgets ÷ one budget", many / one, "12; reach for 6")


@pytest.mark.parametrize("backend", FAST)
def test_problems(benchmark, backend):
    value, cost, budget = instances.campaign(instances.Size(1_000_000, 8, "float32"))
    batch = value.reshape(2000, 500, 8), cost.reshape(2000, 500, 8)
    budgets = instances.BUDGET_SHARE * batch[1].max(axis=2).sum(axis=1, dtype=np.float64)
    for b in (0, 999, 1999):
        checked(batch[0][b], batch[1][b], budgets[b], backend=backend)
    one, many = turns(
        lambda: bf.solve_mckp(value, cost, budget, backend=backend),
        lambda: bf.solve_mckp(*batch, budgets, backend=backend),
        rounds=9,
    )
    record(benchmark, f"{backend}: 2,000 problems of 500 × 8 ÷ one of the same rows", many / one, "4; reach for 1.5")


@pytest.mark.parametrize("backend", FAST)
def test_growth(benchmark, backend):
    """Nanoseconds a user at 10^7 over those at 10^5."""
    cost_of_a_user = []
    for users in (100_000, 1_000_000, 10_000_000):
        value, cost, budget = instances.campaign(instances.Size(users, 5, "float32"))
        checked(value, cost, budget, backend=backend)
        (seconds,) = turns(lambda args=(value, cost, budget): bf.solve_mckp(*args, backend=backend), rounds=7)
        cost_of_a_user.append(1e9 * seconds / users)
    detail = "10⁵, 10⁶, 10⁷ users: " + ", ".join(f"{x:.1f}" for x in cost_of_a_user) + " ns a user"
    record(benchmark, f"{backend}: time a user, 10⁷ ÷ 10⁵", cost_of_a_user[2] / cost_of_a_user[0], "1: linear", detail)


@pytest.mark.parametrize("kind", instances.HARD)
@pytest.mark.parametrize("backend", FAST)
def test_hard_data(benchmark, million, backend, kind):
    value, cost, budget = million
    hard = instances.hard(kind, value, cost)
    spent = 0.3 * float(hard[1].max(axis=1).sum(dtype=np.float64))
    plan = checked(*hard, spent, backend=backend)
    ordinary, ours = turns(
        lambda: bf.solve_mckp(value, cost, budget, backend=backend),
        lambda: bf.solve_mckp(*hard, spent, backend=backend),
        rounds=5,
    )
    detail = f"{plan.stats['sweeps']} sweeps, {plan.stats['active']:,} users walked"
    record(benchmark, f"{backend}: {kind} ÷ ordinary data", ours / ordinary, "3", detail)


@pytest.mark.parametrize("large", [MILLION, instances.Size(1_000_000, 5, "float32")], ids=str)
def test_proven(benchmark, large):
    """A proof with its plain solve, over the plain solve; the numba backend's is recorded beside the first's."""
    value, cost, budget = instances.campaign(large)
    unproven = []
    for backend in FAST:
        plan = checked(value, cost, budget, integrality="proven", backend=backend)
        assert plan.status is bf.Status.SOLVED
        unproven.append(plan.gap)
    times = turns(
        *(
            lambda options=options: bf.solve_mckp(value, cost, budget, **options)
            for backend in FAST
            for options in ({"backend": backend}, {"backend": backend, "integrality": "proven"})
        ),
        rounds=15,
    )
    ratios = {backend: times[2 * k + 1] / times[2 * k] for k, backend in enumerate(FAST)}
    detail = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()) + f"; left unproven {max(unproven):.0e}"
    record(benchmark, f"{large}: proven ÷ plain", ratios[FAST[0]], "3", detail)


@pytest.mark.parametrize("backend", FAST)
def test_memory(benchmark, backend):
    """Resident memory at its highest during a solve, beyond what was there before and the plan, over the inputs."""
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc/self/status")
    done = subprocess.run(
        [sys.executable, str(HERE / "memory.py"), backend], check=True, capture_output=True, text=True
    )
    extra, inputs = map(float, done.stdout.split())
    record(benchmark, f"{backend}: memory beside inputs and plan ÷ inputs", extra / inputs, "0.25; reach for 0.05")
