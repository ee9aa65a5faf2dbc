"""Bi-DFCL inside a Lightning module: `BilevelStep` gives the two losses, Lightning runs the loop.

python examples/lightning_bidfcl.py          # needs lightning
"""

from __future__ import annotations

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import bidfcl_fast as bf
from bidfcl_fast.bilevel import Batch, BilevelStep, Bridge, TrialLoss
from bidfcl_fast.data import simulate


class BiDFCL(lightning.LightningModule):
    """Manual optimisation: the bridge takes a step before every fourth batch, the target at every batch."""

    def __init__(self, features: int, treatments: int, upper_loss) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.target = nn.Sequential(nn.Linear(features, 32), nn.ReLU(), nn.Linear(32, 2 * treatments))
        self.bridge = Bridge(features, treatments, gate="network", hidden=(16,), learn=("gate",))
        self.step = BilevelStep(self.target, self.bridge, upper_loss)

    def training_step(self, rows, index: int) -> None:
        batch = Batch(*rows)
        for_target, for_bridge = self.optimizers()
        if index % 4 == 0:
            self.step.upper(batch)  # fills in the gradients of the bridge
            for_bridge.step()
        loss = self.step.loss(batch)
        for_target.zero_grad()
        self.manual_backward(loss)
        for_target.step()
        self.log("lower", loss)

    def configure_optimizers(self):
        learned = [p for p in self.bridge.parameters() if p.requires_grad]
        return torch.optim.Adam(self.target.parameters(), 2e-3), torch.optim.Adam(learned, 1e-2)


def prepared(n_rct: int = 2000, n_obs: int = 6000):
    """A trial, a log, and the tensors of both: outcomes in standard deviations, a teacher from the trial."""
    sim = simulate(n_rct, n_obs, 2000, seed=1, confounding=2.0)
    teacher = bf.methods.create("tsm-sl", data="rct", epochs=20, patience=None).fit(sim.rct, progress=False)
    units, m = teacher.units_, sim.rct.treatments
    x, y = units.inputs(sim.obs.x), units.outcomes(sim.obs)
    t = torch.from_numpy(sim.obs.treatment)
    says = torch.from_numpy(units.outside(teacher.predict(sim.obs.x)))
    log = TensorDataset(x, torch.stack([t, t + m], 1), y, says, torch.zeros(len(x)))

    upper_loss = TrialLoss("ppl", sim.rct, units, sim.budget([0.2, 0.4]), temperature=0.1)
    return sim, units, log, upper_loss


def main() -> tuple[float, float]:
    """The upper loss before and after."""
    lightning.seed_everything(0, verbose=False)
    sim, units, log, upper_loss = prepared()
    module = BiDFCL(sim.rct.x.shape[1], sim.rct.treatments, upper_loss)
    before = upper_loss(module.target).item()
    trainer = lightning.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, DataLoader(log, batch_size=256, shuffle=True))
    with torch.no_grad():
        value, cost = units.money(module.target(units.inputs(sim.test.x)))
    plan = bf.solve_mckp(value, cost, float(sim.budget(0.3)) * len(sim.test))
    after = upper_loss(module.target).item()
    print(f"upper loss {before:.4f} before, {after:.4f} after; the plan spends {plan.spend:.0f}")
    return before, after


if __name__ == "__main__":
    main()
