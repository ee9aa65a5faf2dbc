"""A rank that dies in the middle of a search: the others end with an error within a bounded time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("torch without process groups", allow_module_level=True)

ROOT = Path(__file__).parents[2]
BOUND = 90  # seconds; the group's own timeout is 20

RANK = """
import datetime, os, sys
import numpy as np
import torch.distributed as dist
from bidfcl_fast.scale import torch_distributed

rank, store = int(sys.argv[1]), sys.argv[2]
dist.init_process_group(
    "gloo", init_method=f"file://{store}", rank=rank, world_size=3, timeout=datetime.timedelta(seconds=20)
)
if rank == 1:
    answer = torch_distributed.Wire.exchange
    rounds = []

    def dying(self, mine):
        rounds.append(0)
        if len(rounds) > int(sys.argv[3]):
            os._exit(9)
        return answer(self, mine)

    torch_distributed.Wire.exchange = dying
rng = np.random.default_rng(rank)
value, cost = rng.random((20_000, 4)), rng.random((20_000, 4))
torch_distributed.solve_mckp(value, cost, 16_000.0)
"""


@pytest.mark.parametrize("rounds", [0, 1])
def test_a_rank_that_dies_ends_the_others(tmp_path, rounds):
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(tmp_path / "store"), str(rounds)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(3)
    ]
    try:
        said = [process.communicate(timeout=BOUND)[1] for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert ranks[1].returncode == 9, said[1]
    for rank in (0, 2):
        assert ranks[rank].returncode == 1
        assert "Error" in said[rank].splitlines()[-1] or "Connection closed" in said[rank], said[rank]
