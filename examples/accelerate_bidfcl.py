"""Bi-DFCL in a loop of your own under Hugging Face Accelerate.

python examples/accelerate_bidfcl.py         # needs accelerate
accelerate launch examples/accelerate_bidfcl.py
"""

from __future__ import annotations

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import bidfcl_fast as bf
from bidfcl_fast.bilevel import Batch, BilevelStep, Bridge, ridge_correction
from bidfcl_fast.data import simulate


def main() -> tuple[float, float]:
    """The upper loss before and after."""
    torch.manual_seed(0)
    sim = simulate(2000, 6000, 2000, seed=1, confounding=2.0)
    m = sim.rct.treatments
    # What the log says, and how far the trial says it is off: a correction that the upper level goes on from.
    of_log = bf.methods.create("tsm-sl", data="obs", epochs=5).fit(obs=sim.obs, progress=False)
    units = of_log.units_
    x, y, t = units.inputs(sim.rct.x), units.outcomes(sim.rct), torch.from_numpy(sim.rct.treatment)
    columns = torch.stack([t, t + m], 1)
    said = torch.from_numpy(units.outside(of_log.predict(sim.rct.x)))
    correction = ridge_correction(y - said.gather(1, columns), x, t, m)
    print(correction)

    accelerator = Accelerator(cpu=True)
    target = nn.Sequential(nn.Linear(x.shape[1], 32), nn.ReLU(), nn.Linear(32, 2 * m))
    bridge = Bridge(x.shape[1], m, gate=0.0, correction=correction, learn=("correction",))
    s = torch.from_numpy(sim.obs.treatment)
    log = TensorDataset(
        units.inputs(sim.obs.x), torch.stack([s, s + m], 1), units.outcomes(sim.obs), torch.zeros(len(sim.obs), 2 * m),
        torch.zeros(len(sim.obs)),
    )  # fmt: skip
    for_target = torch.optim.Adam(target.parameters(), 2e-3)
    for_bridge = torch.optim.Adam([p for p in bridge.parameters() if p.requires_grad], 2e-3)
    target, for_target, loader = accelerator.prepare(target, for_target, DataLoader(log, batch_size=256, shuffle=True))
    plain = accelerator.unwrap_model(target)

    # Any upper loss will do: here the squared error on the trial.
    def upper_loss(net: nn.Module) -> torch.Tensor:
        return (net(x).gather(1, columns) - y).square().sum(1).mean()

    step = BilevelStep(plain, bridge, upper_loss)
    before = float(upper_loss(plain).detach())
    for _ in range(3):
        for index, rows in enumerate(loader):
            batch = Batch(*rows)
            if index % 8 == 0:
                step.upper(batch)
                for_bridge.step()
            loss = step.loss(batch)
            for_target.zero_grad()
            accelerator.backward(loss)
            for_target.step()
    with torch.no_grad():
        value, cost = units.money(plain(units.inputs(sim.test.x)))
    plan = bf.solve_mckp(value, cost, float(sim.budget(0.3)) * len(sim.test))
    after = float(upper_loss(plain).detach())
    print(f"upper loss {before:.4f} before, {after:.4f} after; {np.mean(plan.choice > 0):.0%} treated")
    return before, after


if __name__ == "__main__":
    main()
