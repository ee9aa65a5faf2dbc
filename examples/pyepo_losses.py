"""PyEPO's SPO+ trained for a budget on our solver. Needs pyepo (and torch).

An instance is a day of 20 users with 3 offers each; a linear model predicts values from what is known of the day.
"""

from __future__ import annotations

import numpy as np
import torch
from pyepo import func
from pyepo.data.dataset import optDataset
from torch.utils.data import DataLoader

from bidfcl_fast.adapters.pyepo import MCKPModel

USERS, OFFERS, BUDGET = 20, 3, 12.0


def days(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features [count, 4] and true values [count, users × offers]."""
    x = np.random.default_rng(seed).normal(size=(count, 4))
    mix = np.random.default_rng(99).normal(size=(4, USERS * OFFERS))
    return x.astype(np.float32), (np.maximum(1 + x @ mix, 0) ** 1.5).astype(np.float32)


def main(epochs: int = 5, count: int = 60) -> tuple[float, float]:
    """Regret, as a share of the best value, before and after training."""
    cost = np.tile([0.0, 1.0, 2.0], (USERS, 1))
    model = MCKPModel(cost, BUDGET)
    train, test = (optDataset(model, *days(count, seed)) for seed in (0, 1))
    torch.manual_seed(0)
    net = torch.nn.Linear(4, USERS * OFFERS)

    def regret() -> float:
        with torch.no_grad():
            predicted = net(test.feats)
        lost = 0.0
        for value, hat, best in zip(test.costs, predicted, test.objs, strict=True):
            model.setObj(hat)
            lost += float(best) - float(torch.as_tensor(model.solve()[0]) @ value)
        return lost / float(test.objs.sum())

    loss, optimiser, before = func.SPOPlus(model), torch.optim.Adam(net.parameters(), 0.02), regret()
    for _ in range(epochs):
        for x, value, plan, best in DataLoader(train, batch_size=10, shuffle=True):
            optimiser.zero_grad()
            loss(net(x), value, plan, best).mean().backward()
            optimiser.step()
    after = regret()
    print(f"regret {before:.1%} before, {after:.1%} after {epochs} epochs of SPO+")
    return before, after


if __name__ == "__main__":
    main()
