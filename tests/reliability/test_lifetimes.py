"""Threads, forks and endings: other threads go on meanwhile, a child solves, an exit in the middle of work is an exit."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from oracles.instances import budgets, diminishing
from oracles.same import assert_same_plan

import bidfcl_fast as bf

ROOT = Path(__file__).parents[2]
SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "") or "tsan" in os.environ.get("LD_PRELOAD", "")
MANY = 20_000


@pytest.fixture(scope="module")
def large():
    x = diminishing(np.random.default_rng(5), MANY, 6, np.float32)
    return x, float(budgets(x)[2])


def test_other_threads_go_on_while_one_solves(fast):
    """A counter in Python advances during a call: the lock of the interpreter is not held for its length."""
    x = diminishing(np.random.default_rng(5), 200_000, 6, np.float32)
    budget = float(budgets(x)[2])
    bf.solve_mckp(x.value, x.cost, budget, backend=fast)  # whatever is compiled is compiled now
    ticks, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            ticks[0] += 1
            time.sleep(0)  # gives the lock away

    thread = threading.Thread(target=count)
    thread.start()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e4)  # nobody loses the lock who does not give it away
    try:
        for _ in range(200):
            seen = ticks[0]
            bf.solve_mckp(x.value, x.cost, budget, backend=fast)
            if advanced := ticks[0] > seen:
                break
    finally:
        stop.set()
        sys.setswitchinterval(before)
        thread.join()
    assert advanced


def test_many_threads_many_problems(backend):
    """Sixteen threads, each with its own arrays that nobody else holds and that are gone when the call returns."""
    count = 200 if backend == "reference" else 3_000

    def solve(seed):
        x = diminishing(np.random.default_rng(seed), count, 4, np.float64)
        budget = float(budgets(x)[2])
        plan = bf.solve_mckp(x.value, x.cost, budget, backend=backend)
        frontier = bf.budget_frontier(x.value, x.cost, backend=backend)
        assert frontier.value_at(budget) == pytest.approx(plan.dual_bound)
        return plan

    seeds = list(range(6)) * (1 if backend == "reference" else 8)
    alone = {seed: solve(seed) for seed in set(seeds)}
    with ThreadPoolExecutor(16) as pool:
        for seed, plan in zip(seeds, pool.map(solve, seeds), strict=True):
            assert_same_plan(plan, alone[seed])


def test_arrays_that_another_thread_lets_go(fast, large):
    """The call keeps what it reads: views of an array whose only other owner drops it meanwhile."""
    x, budget = large
    expected = bf.solve_mckp(x.value, x.cost, budget, backend=fast)
    for _ in range(2):
        kept = [[x.value.copy(), x.cost.copy()]]
        gone = [weakref.ref(a) for a in kept[0]]
        started = threading.Event()

        def solve(kept=kept, started=started):
            value, cost = (a.T.T[:, :] for a in kept[0])  # views
            started.set()
            return bf.solve_mckp(value, cost, budget, backend=fast)

        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(solve)
            started.wait()
            kept.clear()
            gc.collect()
            assert_same_plan(future.result(), expected)
        del future
        gc.collect()
        assert all(ref() is None for ref in gone)


@pytest.mark.skipif("tsan" in os.environ.get("LD_PRELOAD", ""), reason="a race on purpose")
def test_arrays_that_change_meanwhile_harm_nobody(fast, large):
    """Whoever writes into the arrays during a call gets some plan or a refusal, and memory stays whole."""
    x, budget = large
    value, cost = x.value.copy(), x.cost.copy()
    stop = threading.Event()

    def write():
        rng = np.random.default_rng(1)
        while not stop.is_set():
            rows = rng.integers(0, MANY, 500)
            if SANITIZED:  # numbers out of all proportion wrap in sums, which harms no memory, but stops such a build
                others = rng.permutation(rows)
                value[rows], cost[rows] = x.value[others], x.cost[others]
            else:
                value[rows] = rng.choice([0.0, 1.0, 1e9, -1.0, np.nan, np.inf], (500, 6))
                cost[rows] = rng.random((500, 6)) * rng.choice([0.0, 1.0, 1e6, -1.0])
            value[rows], cost[rows] = x.value[rows], x.cost[rows]

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for k in range(10 if SANITIZED else 40):
            plan = bf.solve_mckp(value, cost, budget * (k % 5), backend=fast, throw=False)
            assert ((plan.choice >= -1) & (plan.choice < 6)).all()
            with contextlib.suppress(ValueError):  # a number that is not finite
                bf.budget_frontier(value, cost, backend=fast)
    finally:
        stop.set()
        writer.join()
    assert_same_plan(
        bf.solve_mckp(x.value, x.cost, budget, backend=fast), bf.solve_mckp(x.value, x.cost, budget, backend="cpp")
    )


def test_solving_inside_what_a_solve_calls(backend, large):
    """An array type that solves another problem when it is asked for its memory."""
    x, budget = large
    few = slice(0, 300)
    plain = bf.solve_mckp(x.value[few], x.cost[few], budget / 50, backend=backend)
    inner = []

    class Asking:
        def __array__(self, dtype=None, copy=None):
            inner.append(bf.solve_mckp(x.value[few], x.cost[few], budget / 50, backend=backend))
            return x.value[few]

    got = bf.solve_mckp(Asking(), x.cost[few], budget / 50, backend=backend)
    assert inner
    for plan in (got, *inner):
        assert_same_plan(plan, plain)


def _solved(args):
    value, cost, budget = args
    return bf.solve_mckp(value, cost, budget, backend="cpp").choice.sum()


@pytest.mark.skipif("cpp" not in bf.backends.available() or SANITIZED, reason="needs _C, without a sanitizer")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_processes_of_multiprocessing(how, large):
    x, budget = large
    expected = _solved((x.value, x.cost, budget))
    with multiprocessing.get_context(how).Pool(2) as pool:
        assert pool.map_async(_solved, [(x.value, x.cost, budget)] * 4).get(120) == [expected] * 4


@pytest.mark.skipif(not hasattr(os, "fork") or SANITIZED, reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_others_solve(large):
    """None of the parent's locks that a helper held at that moment stops the child."""
    x, budget = large
    backend = bf.backends.available()[0]
    expected = bf.solve_mckp(x.value, x.cost, budget, backend=backend)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            bf.solve_mckp(x.value, x.cost, budget, backend=backend)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(12):
            child = os.fork()
            if child == 0:
                same = np.array_equal(bf.solve_mckp(x.value, x.cost, budget, backend=backend).choice, expected.choice)
                os._exit(0 if same else 1)
            deadline = time.monotonic() + 60
            while (done := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
                time.sleep(0.005)
            if done[0] == 0:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                pytest.fail("the forked child never finished")
            assert os.waitstatus_to_exitcode(done[1]) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


EXIT = """
import sys, threading, time
import numpy as np
import bidfcl_fast as bf
from bidfcl_fast import backends

name = sys.argv[1]
rng = np.random.default_rng(0)
value, cost = rng.random((100_000, 6)), rng.random((100_000, 6))
begun = threading.Event()

def work():
    while True:
        begun.set()
        if name == "losses":
            import torch
            from bidfcl_fast import losses
            v = torch.from_numpy(value).requires_grad_()
            t = torch.zeros(len(v), dtype=torch.int64)
            one = torch.ones(len(v), dtype=torch.float64)
            losses.ppl_loss(v, torch.from_numpy(cost), t, one, one, 1.0).backward()
        else:
            bf.solve_mckp(value, cost, 3e4, backend=name)

bf.solve_mckp(value[:100], cost[:100], 30.0, backend="cpp" if name == "losses" else name)
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
begun.wait()
time.sleep(0.3 + 0.1 * np.random.default_rng().random())
"""


@pytest.mark.skipif(SANITIZED, reason="threads that the end of the process meets count as leaks there")
@pytest.mark.parametrize("name", ["cpp", "losses"])
def test_the_interpreter_may_end_during_work(name):
    """Daemon threads inside native code: a status of 0 and nothing on stderr."""
    if "cpp" not in bf.backends.available():
        pytest.skip("installed without _C")
    if name == "losses":
        pytest.importorskip("torch")
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", EXIT, name], capture_output=True, text=True, cwd=ROOT, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")


FEW = """
import os, resource
import numpy as np
import bidfcl_fast as bf

rng = np.random.default_rng(0)
value, cost = rng.random((60_000, 6)), rng.random((60_000, 6))
os.environ["BIDFCL_NUM_THREADS"] = "1"
expected = bf.solve_mckp(value, cost, 2e4, backend="cpp")
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * os.sysconf("SC_PAGE_SIZE") + (30 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
os.environ["BIDFCL_NUM_THREADS"] = "64"  # their stacks alone would take 512 MiB
got = bf.solve_mckp(value, cost, 2e4, backend="cpp")
assert (got.choice == expected.choice).all() and got.dual_bound == expected.dual_bound
print("solved")
"""


@pytest.mark.skipif(SANITIZED or not sys.platform.startswith("linux"), reason="a limit on addresses")
@pytest.mark.skipif("cpp" not in bf.backends.available(), reason="installed without _C")
def test_fewer_threads_than_asked_for_are_enough():
    done = subprocess.run([sys.executable, "-c", FEW], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.stdout == "solved\n", done.stderr
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
