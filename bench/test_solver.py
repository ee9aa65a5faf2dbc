"""The exact solver and its peers on the same arrays, each timed between two looks at the machine's read floor.

Every answer is checked before it is timed; nothing is asserted about a time.
"""

from __future__ import annotations

import statistics
import time

import instances
import judge
import pytest
import read_floor
from peers import PEERS

import bidfcl_fast as bf

FAST = [name for name in bf.backends.available() if name != "reference"]
PATIENCE_SECONDS = 1.5  # for all rounds of one contender at one size


class Case:
    def __init__(self, size: instances.Size) -> None:
        self.size = size
        self.value, self.cost, self.budget = instances.campaign(size)
        self.read = read_floor.reader(self.value, self.cost)
        self.bytes = self.value.nbytes + self.cost.nbytes
        plan = bf.solve_mckp(self.value, self.cost, self.budget, backend=FAST[0])
        # The certificate, by weak duality and without the package: the dual function at its multiplier.
        self.optimum = judge.dual(self.value, self.cost, self.budget, plan.multiplier)
        assert plan.dual_bound == pytest.approx(self.optimum, rel=1e-12)


@pytest.fixture(scope="module")
def size(request) -> Case:
    return Case(request.param)


def _rounds(call, quick: bool) -> int:
    start = time.perf_counter()
    call()
    affordable = int(PATIENCE_SECONDS / (time.perf_counter() - start))
    return 3 if quick else max(3, min(60, affordable))


def _time(benchmark, case: Case, contender: str, call, quality: judge.Quality | None, rounds: int) -> None:
    floor = read_floor.seconds(case.read)
    benchmark.pedantic(call, rounds=rounds, iterations=1)
    floor = statistics.median(floor + read_floor.seconds(case.read))
    median = statistics.median(benchmark.stats.stats.data)
    benchmark.extra_info.update(
        contender=contender, users=case.size.users, treatments=case.size.treatments, dtype=case.size.dtype
    )
    benchmark.extra_info.update(median_s=median, floor_s=floor, bytes=case.bytes)
    if quality:
        benchmark.extra_info.update(quality._asdict())
    print(f"{case.size!s:>20}  {contender:34} {1e3 * median:10.3f} ms {median / floor:8.1f} reads", flush=True)


@pytest.fixture
def quick(request) -> bool:
    return request.config.getoption("--quick")


def test_read_floor(benchmark, size, quick):
    _time(benchmark, size, "one read of both arrays", size.read, None, _rounds(size.read, quick))


def _ours(case: Case, backend: str, **options):
    def call():
        plan = bf.solve_mckp(case.value, case.cost, case.budget, backend=backend, **options)
        return {"value": plan.value, "spend": plan.spend, "bound": plan.dual_bound, "choice": plan.choice}

    answer = call()
    assert answer["spend"] <= case.budget
    assert answer["value"] <= answer["bound"]
    return call, judge.quality(case.value, case.cost, case.budget, answer, case.optimum)


@pytest.mark.parametrize("backend", FAST)
def test_solver(benchmark, size, backend, quick):
    call, quality = _ours(size, backend)
    assert quality.gap < 1e-3
    _time(benchmark, size, f"bidfcl_fast, {backend}", call, quality, _rounds(call, quick))


@pytest.mark.parametrize("backend", FAST)
def test_warm_solver(benchmark, size, backend, quick):
    """From the multiplier of a budget one per cent larger: the day after."""
    near = bf.solve_mckp(size.value, size.cost, size.budget * 1.01, backend=backend)
    call, quality = _ours(size, backend, warm_start=near)
    _time(benchmark, size, f"bidfcl_fast, {backend}, warm", call, quality, _rounds(call, quick))


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.module)
def test_peer(benchmark, size, peer, quick):
    pytest.importorskip(peer.needs)
    if size.size.users > peer.most_users:
        pytest.skip(f"{peer.label}: too slow beyond {peer.most_users:,} users")
    solve = peer.load()
    args = size.value, size.cost, size.budget
    quality = judge.quality(*args, solve(*args), size.optimum)
    rounds = peer.rounds or _rounds(lambda: solve(*args), quick)
    _time(benchmark, size, peer.label, lambda: solve(*args), quality, rounds)
