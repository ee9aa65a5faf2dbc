"""`dhcl`: return on investment learned directly (DHCL-style), decisions by comparing it with the multiplier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import losses
from . import _fit
from ._fit import Schedule
from ._job import Job, check_arms
from ._learner import Learner
from ._nets import Nets
from ._network import engine, mlp, start_at
from ._units import Units, outputs
from .base import part

Array = NDArray[Any]

# The mean return of the best step between neighbouring arms after scaling; single persons may have up to three times it.
_BEST_RETURN = 0.3


class DHCL(Learner):
    """A network of decision factors: for each pair of neighbouring arms (by cost) the return of the dearer over the cheaper.

    `predict` gives costs, the mean cost of each arm for everybody, and values whose steps are return × step in cost; so a
    user gets the dearest arm on the hull whose marginal return is at least the multiplier. The level of value is that of
    the cheapest arm's mean.

    Parameters
    ----------
    hidden, epochs, batch, lr, patience, holdout
        Of the fit, which stops early.
    finish, device
        As in `tsm-sl`.

    Source: DHCL (Zhou et al., AAAI 2023, arXiv 2211.15728), reconstructed: no code of it is public.
    """

    name = "dhcl"

    def __init__(
        self,
        *,
        hidden: Sequence[int] = (64, 32, 32),
        epochs: int = 200,
        batch: int = 1024,
        lr: float = 1e-3,
        patience: int = 15,
        holdout: float = 0.2,
        finish: Any = None,
        device: str = "cpu",
    ) -> None:
        self.hidden, self.epochs, self.batch, self.lr = hidden, epochs, batch, lr
        self.patience, self.holdout, self.finish, self.device = patience, holdout, finish, device

    def _learn(self, job: Job) -> None:
        rct = job.need("rct", "method 'dhcl'")
        check_arms(rct, "rct")
        if rct.treatments < 2:
            raise ValueError("method 'dhcl' needs at least two treatments")
        weight = 1 / (len(rct) * rct.received_propensity)
        m = rct.treatments

        def means(y: Array) -> Array:
            total = np.bincount(rct.treatment, weights=weight, minlength=m)
            return np.asarray(np.bincount(rct.treatment, weights=weight * y, minlength=m) / total)

        value, cost = means(rct.value), means(rct.cost)
        self.order_ = np.argsort(cost, kind="stable")
        rank = np.argsort(self.order_)
        self.cost_, self.base_ = cost, float(value[self.order_[0]])
        # The spend of neighbours must differ, or there is no return to speak of.
        steps = np.maximum(np.diff(cost[self.order_]), 1e-6 * max(float(np.ptp(cost)), 1e-12))
        returns = np.diff(value[self.order_]) / steps
        self.unit_ = max(float(returns.max()), 1e-12) / _BEST_RETURN
        self.steps_ = steps
        units = Units.of([rct], rct)
        train, held = (
            (rct, job.val) if job.val is not None else part(rct, self.holdout, np.random.default_rng(job.seed))
        )
        torch.manual_seed(job.seed)
        net = mlp(rct.x.shape[1], self.hidden, m - 1)
        with torch.no_grad():
            start = np.clip(returns / self.unit_, 0.02, 0.98)
            start_at(net, np.log(start / (1 - start)))
        net.to(self.device)
        # All arms' lifts count per unit of their step in cost, or the dearest step would have all the say.
        loss, held_loss = (
            _Returns(
                torch.from_numpy(rank[t.treatment]).to(self.device),
                torch.from_numpy((t.value / self.unit_).astype(np.float32)).to(self.device),
                torch.from_numpy(t.cost.astype(np.float32)).to(self.device),
                float(steps.mean()),
                m,
            )
            for t in (train, held)
        )
        schedule = Schedule(self.epochs, self.batch, self.lr, patience=self.patience)
        kept = job.store.get("dhcl")
        if kept is not None:
            net.load_state_dict(kept)
        else:
            _fit.fit(
                engine([net]), units.inputs(train.x, self.device), loss, schedule, seed=(job.seed,),
                held_out=(units.inputs(held.x, self.device), held_loss), store=job.store, part="dhcl",
                step=job.expect(self.epochs), log=job.log,
            )  # fmt: skip
            job.store.put("dhcl", net.state_dict())
        self.fitted_ = Nets([net.eval()], units)
        self.treatments_, self.features_ = m, rct.x.shape[1]

    def _predict(self, x: Array) -> tuple[Array, Array]:
        nets = self.fitted_
        with torch.no_grad(), _fit.quiet_threads(len(x)):
            share = outputs(nets.average, nets.units.inputs(x, nets.device)).double().sigmoid().cpu().numpy()
        gain = self.unit_ * share * self.steps_
        value = np.empty((len(x), self.treatments_))
        value[:, self.order_] = self.base_ + np.column_stack([np.zeros(len(x)), gain.cumsum(1)])
        return value, np.broadcast_to(self.cost_, value.shape).copy()

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        arrays = {"order": self.order_, "cost": self.cost_, "steps": self.steps_}
        tensors = {**self.fitted_.tensors(), **{name: torch.from_numpy(np.asarray(a)) for name, a in arrays.items()}}
        return tensors, {"shape": self.fitted_.shape, "base": self.base_, "unit": self.unit_}

    def _restore(self, tensors: dict[str, Tensor], info: Mapping[str, Any]) -> None:
        self.fitted_ = Nets.of(tensors, info["shape"])
        self.order_, self.cost_, self.steps_ = (tensors[name].numpy() for name in ("order", "cost", "steps"))
        self.base_, self.unit_ = info["base"], info["unit"]
        self.features_, self.treatments_ = info["shape"][1], len(self.cost_)


class _Returns:
    """`losses.drp_loss` of a batch, whose arms count as they are in it."""

    def __init__(self, rank: Tensor, value: Tensor, cost: Tensor, unit: float, treatments: int) -> None:
        self.unit = unit
        # Shares of the whole table: a batch may lack an arm.
        self.shares = torch.bincount(rank.cpu(), minlength=treatments).double() / len(rank)
        self.arrays: tuple[Tensor, ...] = (rank, value, cost)

    def slope(self, outputs: Tensor, arrays: Sequence[Tensor]) -> Tensor:
        with torch.enable_grad():
            leaf = outputs.detach().clone().requires_grad_()
            self._loss(leaf, arrays).sum().backward()
        assert leaf.grad is not None
        return leaf.grad

    def value(self, outputs: Tensor, arrays: Sequence[Tensor]) -> Tensor:
        return self._loss(outputs, arrays)

    def _loss(self, outputs: Tensor, arrays: Sequence[Tensor]) -> Tensor:
        rank, value, cost = arrays
        per = [
            losses.drp_loss(score.cpu(), r.cpu(), v.cpu() / self.unit, c.cpu() / self.unit, shares=self.shares)
            for score, r, v, c in zip(outputs, rank, value, cost, strict=True)
        ]
        return torch.stack(per).to(outputs.device)
