"""Ranks of a process group decide as one process does. Processes are forked, so that none has to import torch again."""

from __future__ import annotations

import multiprocessing
import pickle
import time
import traceback
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from oracles.instances import Instance, budgets, diminishing
from oracles.same import assert_same_plan

import bidfcl_fast as bf

torch = pytest.importorskip("torch")
if not (torch.distributed.is_available() and "fork" in multiprocessing.get_all_start_methods()):
    pytest.skip("needs torch.distributed and fork", allow_module_level=True)

TIMEOUT = 60


def ranks(world: int, folder: Path, work, timeout: float = TIMEOUT) -> list:
    """What work(rank) returns on each of `world` ranks."""
    context = multiprocessing.get_context("fork")
    pipes, processes = [], []
    for rank in range(world):
        mine, theirs = context.Pipe(duplex=False)
        processes.append(context.Process(target=_rank, args=(rank, world, folder / "store", work, theirs)))
        pipes.append(mine)
    for p in processes:
        p.start()
    try:
        out = []
        for pipe in pipes:
            assert pipe.poll(timeout), "a rank does not answer"
            out.append(pickle.loads(pipe.recv_bytes()))  # by value: torch would pass tensors as handles
            if isinstance(out[-1], AssertionError):
                raise out[-1]
        return out
    finally:
        for p in processes:
            p.join(5)
            if p.is_alive():
                p.kill()


def _rank(rank: int, world: int, store: Path, work, pipe) -> None:
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=world, timeout=timedelta(seconds=60)
    )
    try:
        pipe.send_bytes(pickle.dumps(work(rank)))
    except Exception:
        pipe.send_bytes(pickle.dumps(AssertionError(traceback.format_exc())))
    finally:
        dist.destroy_process_group()


def cases() -> dict[str, tuple[Instance, float]]:
    rng = np.random.default_rng(3)
    plain = diminishing(rng, 9000, 4, np.float32)
    double = diminishing(rng, 6000, 4, np.float64)
    some = rng.integers(0, 3, 8000)
    alike = Instance(plain.value[some], plain.cost[some])
    mask = rng.random(double.value.shape) < 0.7
    mask[:, 0] = True
    masked = Instance(double.value, double.cost, mask)
    few = diminishing(rng, 5, 3, np.float32)
    out = {"float32": plain, "float64": double, "alike": alike, "masked": masked, "five users": few}
    return {name: (x, float(budgets(x)[2])) for name, x in out.items()}


def uneven(n: int, world: int) -> list[int]:
    """Where shards begin and end: some empty, none as large as another."""
    cuts = [0, *[round(n * (k / world) ** 2) for k in range(1, world)], n]
    if world > 2:
        cuts[1] = 0  # the first rank has nobody
    return cuts


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_the_plan_is_that_of_one_process(tmp_path, world):
    from bidfcl_fast.scale.torch_distributed import solve_mckp

    given = cases()

    def work(rank):
        plans = []
        for x, budget in given.values():
            cuts = uneven(len(x.value), world)
            mine = slice(cuts[rank], cuts[rank + 1])
            mask = None if x.mask is None else x.mask[mine]
            plan = solve_mckp(torch.from_numpy(x.value[mine]), torch.from_numpy(x.cost[mine]), budget, mask=mask)
            assert isinstance(plan.choice, torch.Tensor)
            plans.append(plan)
        return plans

    found = ranks(world, tmp_path, work)
    for k, (x, budget) in enumerate(given.values()):
        plans = [f[k] for f in found]
        expected = bf.solve_mckp(x.value, x.cost, budget, mask=x.mask)
        for plan in plans:
            joint = bf.Plan(**{**plan.__dict__, "choice": np.concatenate([p.choice.numpy() for p in plans])})
            assert_same_plan(joint, expected)
            assert plan.stats["users"] == len(x.value)
            # A few kilobytes a rank and round, whatever the number of users.
            assert plan.stats["most_bytes"] < 40_000
            assert plan.stats["bytes_sent"] < 12_000 * plan.stats["rounds"]


def test_several_budgets_share_the_rounds(tmp_path):
    from bidfcl_fast.scale.torch_distributed import solve_mckp

    x = diminishing(np.random.default_rng(8), 7000, 4, np.float32)
    some = budgets(x, (-0.1, 0.1, 0.6))

    def work(rank):
        mine = slice(0, 2000) if rank == 0 else slice(2000, None)
        kept = solve_mckp(x.value[mine], x.cost[mine], some, fill=False, throw=False)
        warm = solve_mckp(x.value[mine], x.cost[mine], float(some[1]), warm_start=float(kept.multiplier[1]))
        return kept, warm

    found = ranks(2, tmp_path, work)
    expected = bf.solve_mckp(x.value, x.cost, some, fill=False, throw=False)
    plan = found[0][0]
    joint = bf.Plan(**{**plan.__dict__, "choice": np.concatenate([f[0].choice for f in found], axis=1)})
    assert_same_plan(joint, expected)
    one = bf.Plan(**{**found[0][1].__dict__, "choice": np.concatenate([f[1].choice for f in found])})
    assert_same_plan(one, bf.solve_mckp(x.value, x.cost, float(some[1])))


def test_what_one_rank_cannot_do_all_say(tmp_path):
    from bidfcl_fast.scale.torch_distributed import solve_mckp

    x = diminishing(np.random.default_rng(8), 300, 3, np.float32)

    def work(rank):
        said = []
        bad = x.value.copy()
        if rank == 1:
            bad[7, 2] = np.nan
        closed = np.ones(x.value.shape, bool)
        if rank == 2:
            closed[11] = False
        tries = [
            lambda: solve_mckp(bad, x.cost, 10.0),
            lambda: solve_mckp(x.value, x.cost[:, : 3 - (rank == 1)], 10.0),
            lambda: solve_mckp(x.value, x.cost, 10.0, mask=closed),
            lambda: solve_mckp(x.value, x.cost, 10.0 + rank),
            lambda: solve_mckp(x.value, x.cost, "ten" if rank == 0 else 10.0),
            lambda: solve_mckp(x.value[:, : 3 - rank], x.cost[:, : 3 - rank], 10.0),
            lambda: solve_mckp(x.value, x.cost, -1.0),
        ]
        for attempt in tries:
            start = time.monotonic()
            try:
                attempt()
                said.append("nothing")
            except (ValueError, TypeError) as error:
                said.append(f"{type(error).__name__}: {error}")
            assert time.monotonic() - start < 20
        plan = solve_mckp(x.value, x.cost, 100.0)  # and the group still works
        return said, plan.spend

    found = ranks(3, tmp_path, work)
    assert all(len(f) == 2 for f in found), found
    assert found[0] == found[1] == found[2]
    said = found[0][0]
    assert said[0] == "ValueError: rank 1: value must be finite, got nan at value[7, 2]"
    assert said[1].startswith("ValueError: rank 1: cost must have the shape of value")
    assert "rank 2: mask leaves user 11 no open treatment" in said[2]
    assert said[3] == "ValueError: budget must be the same on all ranks: rank 1 differs from rank 0"
    assert said[4].startswith("TypeError: rank 0: budget")
    assert said[5] == "ValueError: treatments must be the same on all ranks: rank 1 differs from rank 0"
    assert said[6].startswith("InfeasibleBudget: budget = -1.0 is infeasible")
