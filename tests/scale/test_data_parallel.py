"""A bilevel loop under DistributedDataParallel, each rank with half of every batch, against one process with all of it."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from bidfcl_fast.bilevel import Batch, BilevelStep, Bridge  # noqa: E402

from .test_torch_distributed import ranks  # noqa: E402  # skips this file too where there is no gloo

N, FEATURES, ARMS, BATCH = 96, 3, 3, 32


def rows() -> tuple[Batch, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(N, FEATURES, dtype=torch.float64, generator=g)
    t = torch.randint(ARMS, (N,), generator=g)
    y = torch.randn(N, 2, dtype=torch.float64, generator=g)
    teacher = torch.randn(N, 2 * ARMS, dtype=torch.float64, generator=g)
    log = Batch(x, torch.stack([t, t + ARMS], 1), y, teacher, (torch.arange(N) % 4 == 0).double())
    trial = torch.randn(40, FEATURES, dtype=torch.float64, generator=g)
    return log, trial, torch.randn(40, 2 * ARMS, dtype=torch.float64, generator=g)


def train(rank: int, world: int, options: dict, distributed: bool) -> np.ndarray:
    """Parameters of target and bridge after six batches and two upper steps."""
    torch.manual_seed(1)
    log, trial, wanted = rows()
    target = nn.Sequential(nn.Linear(FEATURES, 8), nn.Tanh(), nn.Linear(8, 2 * ARMS)).double()
    bridge = Bridge(FEATURES, ARMS, gate="per-arm", factual_gate="per-arm", learn=("gate", "factual_gate")).double()
    model = target
    more = {}
    if distributed:
        from bidfcl_fast.scale.torch_distributed import average

        model, more = nn.parallel.DistributedDataParallel(target), {"average": average()}
    # Each rank's part of the trial; the whole upper loss is the mean of the parts.
    mine = slice(rank, None, world)

    def upper_loss(net):
        return (torch.softmax(net(trial[mine]), 1) * wanted[mine]).sum(1).mean()

    step = BilevelStep(target, bridge, upper_loss, cg_steps=300, cg_tolerance=1e-12, step_size=0.05, **options, **more)
    for_target = torch.optim.SGD(target.parameters(), 0.05)
    for_bridge = torch.optim.SGD([p for p in bridge.parameters() if p.requires_grad], 0.5)
    for k in range(6):
        start = (k % 3) * BATCH
        batch = Batch(*(a[start : start + BATCH][rank::world] for a in log if a is not None))
        if k % 3 == 0:
            step.upper(batch)
            for_bridge.step()
        for_target.zero_grad()
        labels = step.labels(batch, target(batch.x).detach())
        labels = type(labels)(*(t.detach() for t in labels))
        labels.loss(model(batch.x)).backward()
        for_target.step()
    return torch.cat([p.detach().ravel() for p in (*target.parameters(), *bridge.parameters())]).numpy()


@pytest.mark.parametrize(
    "options",
    [
        {"curvature": "gauss_newton", "damping": 0.1},
        {"curvature": "hessian", "assumed_steps": 2, "damping": 0.5},
        {"differentiation": "explicit", "assumed_steps": 3},
    ],
    ids=["gauss_newton", "hessian", "explicit"],
)
def test_two_ranks_train_as_one_process_does(tmp_path, options):
    expected = train(0, 1, options, False)
    first, second = ranks(2, tmp_path, lambda rank: train(rank, 2, options, True))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, expected, rtol=1e-7, atol=1e-9)
