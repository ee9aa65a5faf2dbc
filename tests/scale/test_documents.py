"""The Python blocks of the documents that need several processes, on two ranks; spark_cluster.py runs the one for a cluster."""

from __future__ import annotations

import numpy as np
import pytest
from bilevel.small import SHORT, table
from oracles.instances import diminishing
from test_documents import BLOCK, ROOT

import bidfcl_fast as bf

PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
BLOCKS = [code for skipped, kind, code in BLOCK.findall(PAGE) if kind == "python" and not skipped]


def test_blocks_for_ranks_run(tmp_path):
    torch = pytest.importorskip("torch")
    from bidfcl_fast.bilevel import Batch, BilevelStep, Bridge

    from .test_torch_distributed import ranks

    code = "\n".join(b for b in BLOCKS if "torch.distributed" in b or "torch_distributed" in b)
    assert code.count("process_group=") == 1 and code.count("average()") == 1
    code = code.replace('create("bidfcl-ppl")', f'create("bidfcl-ppl", schedule={SHORT})')
    trial, log = table(300, 0), table(600, 1)
    people = diminishing(np.random.default_rng(0), 600, 3, np.float64)

    def work(rank):
        mine = slice(rank * 200, 200 + rank * 400)
        part = log[mine]
        t = torch.from_numpy(part.treatment[:64])
        batch = Batch(
            torch.from_numpy(part.x[:64]).float(), torch.stack([t, t + 3], 1), torch.zeros(64, 2), torch.ones(64, 6), torch.zeros(64)
        )  # fmt: skip
        given = {
            "bf": bf, "torch": torch, "BilevelStep": BilevelStep, "trial": trial, "part": part, "x": part.x, "batch": batch,
            "value": people.value[mine], "cost": people.cost[mine], "budget": 900.0, "target": torch.nn.Linear(3, 6),
            "bridge": Bridge(3, 3, gate="per-arm", learn=("gate",)), "upper_loss": lambda net: net(batch.x).square().mean(),
        }  # fmt: skip
        exec(code, given)
        plan = given["plan"]
        return plan.stats["users"], plan.spend, len(plan.choice)

    first, second = ranks(2, tmp_path, work, timeout=300)
    assert first[:2] == second[:2] and first[0] == 600 and first[1] <= 900
    assert (first[2], second[2]) == (200, 400)
