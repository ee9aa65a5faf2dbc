"""The only question that matters: does a small step down the gradient lower *true* regret, with the budget solved afresh?

The model is fitted on confounded data: a hidden variable drives both the treatment and the value.
"""

from __future__ import annotations

import numpy as np
import pytest

import bidfcl_fast as bf
from bidfcl_fast.metrics import ipw_weight, labelled_multiplier

torch = pytest.importorskip("torch")

from bidfcl_fast import losses  # noqa: E402

M = 4


class World:
    """Value rises with the dose, more for some; a hidden `need` lowers value and draws higher doses in the log."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.slope = self.rng.normal(size=5) * 0.4
        self.base = self.rng.normal(size=5) * 0.5
        self.price = self.rng.normal(size=5) * 0.2

    def users(self, n: int):
        x = np.column_stack([np.ones(n), self.rng.normal(size=(n, 4))])
        need = self.rng.normal(size=n)
        dose = np.arange(M)
        lift = np.exp(x @ self.slope)[:, None] * (1 - np.exp(-0.7 * dose))
        value = 2.0 + (x @ self.base)[:, None] - 1.5 * need[:, None] + lift
        cost = np.exp(x @ self.price)[:, None] * dose**0.9 * 0.3
        return x, need, value, cost

    def sample(self, n: int, trial: bool):
        x, need, value, cost = self.users(n)
        logits = np.zeros((n, M)) if trial else np.outer(need, np.arange(M))
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        t = (p.cumsum(1) < self.rng.random((n, 1))).sum(1).clip(0, M - 1)
        i = np.arange(n)
        y = value[i, t] + 0.5 * self.rng.normal(size=n)
        return x, t, y, cost[i, t] * (1 + 0.1 * self.rng.normal(size=n))


def regret(value_hat, cost_hat, value, cost, budget):
    """1 − (V − V0)/(V* − V0) at the multiplier where the true spend meets the budget."""
    i = np.arange(len(value))
    low, high = 0.0, 1e4
    for _ in range(60):
        lam = (low + high) / 2
        k = (value_hat - lam * cost_hat).argmax(1)
        low, high = (lam, high) if cost[i, k].sum() > budget else (low, lam)
    k = (value_hat - high * cost_hat).argmax(1)
    best = bf.solve_mckp(value, cost, budget).dual_bound
    idle = value[:, 0].sum()
    return 1 - (value[i, k].sum() - idle) / (best - idle)


@pytest.mark.parametrize("name", ["ppl", "pifd"])
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_down_is_better_and_up_is_worse(name, seed):
    world = World(seed)
    x, t, y, c = world.sample(20_000, trial=False)
    theta = np.zeros((2, 5, M))
    for j in range(M):
        rows = t == j
        theta[0, :, j] = np.linalg.lstsq(x[rows], y[rows], rcond=None)[0]
        theta[1, :, j] = np.linalg.lstsq(x[rows], c[rows], rcond=None)[0]
    x, t, y, c = world.sample(40_000, trial=True)
    weight = ipw_weight(t, M)
    test_x, _, value, cost = world.users(10_000)
    budgets = [0.2, 0.35, 0.5]

    def predict(theta, x):
        return x @ theta[0], x @ theta[1]

    parameters = torch.tensor(theta, requires_grad=True)
    hat = predict(parameters, torch.tensor(x))
    multiplier = labelled_multiplier(*(h.detach() for h in hat), t, y, c, weight, budgets).multiplier
    labels = (torch.tensor(z) for z in (t, y, weight))
    loss_of = {"ppl": losses.ppl_loss, "pifd": losses.pifd_loss}[name]
    options = {"min_gap": 0.02} if name == "pifd" else {}
    loss = loss_of(
        *hat, *labels, multiplier, temperature=0.3, multiplier_grad="implicit", cost_outcome=torch.tensor(c),
        price_bounds=(0, 10), centre=True, **options,
    )  # fmt: skip
    (g,) = torch.autograd.grad(loss, parameters)
    step = (0.05 * g / g.norm()).numpy()

    def mean_regret(theta):
        return np.mean([regret(*predict(theta, test_x), value, cost, b * len(test_x)) for b in budgets])

    down, here, up = (mean_regret(theta + s * step) for s in (-1, 0, 1))
    assert down < here < up, (down, here, up)
