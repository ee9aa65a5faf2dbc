"""Does a small step down the upper loss's gradient lower *true* regret? At the start on a confounded log, and midway."""

from __future__ import annotations

import numpy as np
import pytest

from bidfcl_fast.data import simulate
from bidfcl_fast.metrics import regret

torch = pytest.importorskip("torch")

from bidfcl_fast.bilevel import BiDFCL, TrialLoss  # noqa: E402
from bidfcl_fast.linalg import _vectors as vectors  # noqa: E402
from bidfcl_fast.methods._units import outputs  # noqa: E402

SHARES = [0.2, 0.4]


@pytest.mark.parametrize("student", [0, 2], ids=["warm start", "midway"])
def test_down_is_better_and_up_is_worse(student):
    """A step down helps in every world; one up hurts on average, because where all is badly wrong, any change may help."""
    changes = [_changes(simulate(20_000, 20_000, 5_000, seed=seed, confounding=2.0), student) for seed in (2, 3)]
    assert all(down < -0.002 for down, _ in changes), changes
    assert np.mean([up for _, up in changes]) > 0.005, changes


def _changes(world, student):
    """How true regret changes by a small step down the gradient, and up."""
    budgets = world.budget(SHARES)
    schedule = {"teacher": 3, "warm": 4, "student": student, "batch": 1024, "lr": 2e-3}
    method = BiDFCL(
        preset="paper", multiplier_grad="implicit", temperature=0.1, curvature="gauss_newton", cg_steps=10, damping=0.01,
        assumed_steps=0, upper_every=5, bridge_lr=1e-2, schedule=schedule,
    ).fit(world.rct, obs=world.obs, budget=budgets, progress=False)  # fmt: skip
    assert bool(method.upper_) == bool(student)
    net, x = method.nets_[0], method.units_.inputs(world.test.x)
    loss = TrialLoss("ppl", world.rct, method.units_, budgets, temperature=0.1)
    parameters = list(net.parameters())
    theta = vectors.flatten(p.detach() for p in parameters).clone()
    g = vectors.flatten(torch.autograd.grad(loss(net), parameters))

    def mean_regret(step):
        with torch.no_grad():
            for p, value in zip(parameters, vectors.unflatten(theta + step * g / g.norm(), parameters), strict=True):
                p.copy_(value)
        value, cost = method.units_.money(outputs(net, x))
        totals = [b * len(x) for b in budgets]
        return np.mean([regret(value, cost, world.true_value, world.true_cost, b) for b in totals])

    down, here, up = (mean_regret(s) for s in (-0.02, 0.0, 0.02))
    return down - here, up - here
