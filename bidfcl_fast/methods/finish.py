"""`finish`: decision-focused steps on the trial after any method."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.table import Table
from ._fit import Schedule
from ._fit import fit as _train
from ._job import Job, TrainingWarning
from ._learner import Learner, NetLearner
from ._losses import Cells
from ._nets import Nets
from ._network import Average, engine, mlp
from ._trial import DUAL, TrialLoss
from ._units import Units, outputs


@dataclass(frozen=True)
class Finish:
    """Settings of decision-focused steps.

    Attributes
    ----------
    loss
        "ppl", "pifd", "dpl", "mer" or "difd".
    steps, lr
        Adam on the whole trial (on `rows` of a larger one). Few and small: on a trial alone the loss can be led astray.
    anchor
        Weight of the squared error that is added, which keeps predicted costs honest.
    temperature, multiplier_grad, price_bounds, min_gap, multipliers, rows
        Of the loss (`methods/_trial.py`).
    layers
        What is moved: "all", or "last", the last layer of each network on the others' fixed outputs, which costs a third and has
        less to overfit with. Networks that are no Sequential ending in a Linear are moved whole.

    Source: DFCL (arXiv 2407.13664), α·prediction loss + decision loss; the implicit multiplier is this project's.
    """

    loss: str = "ppl"
    steps: int = 60
    lr: float = 1e-4
    anchor: float = 3.0
    temperature: float = 1.0
    multiplier_grad: str = "implicit"
    price_bounds: tuple[float, float] | None = (0.0, 10.0)
    min_gap: float | None = 0.02
    multipliers: Any = None
    rows: int = 65_536
    layers: str = "all"

    def __post_init__(self) -> None:
        if self.layers not in ("all", "last"):
            raise ValueError(f"layers must be 'all' or 'last', got {self.layers!r}")

    @classmethod
    def of(cls, given: Any) -> Finish:
        """From `finish=`: "dfcl", or a dict of settings."""
        if given == "dfcl":
            return cls()
        if isinstance(given, cls):
            return given
        known = {f.name for f in fields(cls)}
        if isinstance(given, dict) and set(given) <= known:
            return cls(**given)
        raise ValueError(f"finish must be 'dfcl', 'none' or a dict of {', '.join(sorted(known))}; got {given!r}")


def finish(method: Learner, job: Job) -> None:
    """Train the fitted `method` on: its networks in place, or a network that was first taught its predictions."""
    settings = Finish.of(method.finish)
    rct = job.need("rct", "finish='dfcl'")
    if isinstance(method, NetLearner) and getattr(getattr(method, "link_", None), "name", "identity") == "identity":
        nets = method.fitted_
        tune(nets, rct, settings, job, "finish")
        method.fitted_ = Nets(nets.modules, nets.units)
        return
    method.finished_ = taught(method, job)  # type: ignore[attr-defined]
    tune(method.finished_, rct, settings, job, "finish")  # type: ignore[attr-defined]


def taught(method: Learner, job: Job, *, epochs: int = 20) -> Nets:
    """One network that says what `method` predicts for the people of both tables."""
    rct = job.need("rct", "finish='dfcl'")
    tables = [t for t in (rct, job.obs) if t is not None]
    units = Units.of(tables, rct)
    x = np.concatenate([t.x for t in tables])
    labels = torch.from_numpy(units.outside(method.predict(x)))
    torch.manual_seed(job.seed)
    net = mlp(x.shape[1], (64, 32, 32), labels.shape[1])
    kept = job.store.get("taught")
    if kept is not None:
        net.load_state_dict(kept)
    else:
        loss = Cells(labels, torch.ones_like(labels))
        _train(
            engine([net]), units.inputs(x), loss, Schedule(epochs), seed=(job.seed, 97), store=job.store,
            part="taught", step=job.expect(epochs),
        )  # fmt: skip
        job.store.put("taught", net.state_dict())
    return Nets([net.eval()], units)


def tune(nets: Nets, rct: Table, settings: Finish, job: Job, part: str) -> TrialLoss:
    """Decision-focused steps on the mean of `nets`, in place."""
    module = Average(nets.modules)
    loss = TrialLoss(
        settings.loss,
        rct,
        nets.units,
        job.budgets,
        temperature=settings.temperature,
        multiplier_grad=settings.multiplier_grad,
        price_bounds=settings.price_bounds,
        min_gap=settings.min_gap,
        multipliers=settings.multipliers,
        weight_error=settings.anchor,
        rows=settings.rows,
        device=nets.device,
        seed=job.seed,
        watch=False,
    )
    step = job.expect(settings.steps)
    kept = job.store.get(part)
    if kept is not None:
        module.load_state_dict(kept)
        module.eval()
        return loss
    module.train()
    moved: nn.Module = module
    if settings.layers == "last" and all(_ends_in_linear(net) for net in nets.modules):
        moved = _Last(nets.modules)
        loss.inputs = moved.before(loss.x)
    optimiser = torch.optim.Adam(moved.parameters(), lr=settings.lr, fused=True)
    for k in range(settings.steps):
        optimiser.zero_grad(set_to_none=True)
        now = loss(moved)
        now.backward()
        optimiser.step()
        step()
        if job.log is not None:
            job.log(f"{part}/loss", float(now.detach()), k)
    module.eval()
    loss.inputs = loss.x
    warn_of_policy(loss, module)
    job.store.put(part, module.state_dict())
    return loss


class _Last(nn.Module):
    """The mean of networks, as a function of what goes into their last layers, side by side [n, Σ width]; those are its parameters."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.bodies = [net[:-1] for net in modules]  # type: ignore[index]
        self.heads = nn.ModuleList(net[-1] for net in modules)  # type: ignore[index]

    @torch.no_grad()
    def before(self, x: Tensor) -> Tensor:
        return torch.cat([outputs(body, x) for body in self.bodies], 1)

    def forward(self, features: Tensor) -> Tensor:
        heads: Any = self.heads
        weight = torch.cat([head.weight for head in heads], 1) / len(heads)
        biases = [head.bias for head in heads if head.bias is not None]
        return nn.functional.linear(features, weight, torch.stack(biases).sum(0) / len(heads) if biases else None)


def _ends_in_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and len(module) > 1 and isinstance(module[-1], nn.Linear)


def warn_of_policy(loss: TrialLoss, module: nn.Module) -> None:
    """Warn of soft decisions that teach nothing any more, and of a price of money outside its bounds."""
    if loss.budgets is None or loss.kind in DUAL:
        return
    sharpness, _ = loss.policy(module)
    if sharpness > 0.99:
        text = f"soft decisions are nearly hard (mean largest probability {sharpness:.3f}); raise the temperature"
        warnings.warn(text, TrainingWarning, stacklevel=2)
    elif sharpness < 1 / loss.treatments + 0.02:
        text = f"soft decisions are nearly uniform (mean largest probability {sharpness:.3f}); lower the temperature"
        warnings.warn(text, TrainingWarning, stacklevel=2)
    if loss.multiplier_grad == "implicit" and loss.bounds is not None:
        low, high = loss.bounds
        prices = loss.prices(module)
        if (prices < low).any() or (prices > high).any():
            text = f"the price of money is outside its bounds {loss.bounds} (standardised): {prices.round(3).tolist()}"
            warnings.warn(text, TrainingWarning, stacklevel=2)


def overspend(nets: Nets, table: Table, budgets: Any) -> np.ndarray:
    """[K]: spend of the plans sized by predicted cost, as `table`'s people paid it, over the budget, less 1.

    -1 where the predictions allow no plan within the budget.
    """
    from ..mckp import solve_mckp
    from ..metrics import ipw_value

    value, cost = nets.predict(table.x)
    plan = solve_mckp(value, cost, np.asarray(budgets) * len(table), throw=False)
    spends = [
        ipw_value(choice, table).spend.estimate if choice.min() >= 0 else 0.0 for choice in np.atleast_2d(plan.choice)
    ]
    return np.asarray(spends) / np.asarray(budgets) - 1
