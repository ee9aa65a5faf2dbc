"""`tsm-sl` and `tsm-ft`: the two-stage methods. First predict value and cost of every treatment, then allocate on that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..data.table import Table
from . import _fit
from ._fit import History, Schedule
from ._job import Job, check_arms, pooled
from ._learner import NetLearner
from ._link import Link, LinkedLoss, link_of
from ._nets import Nets
from ._network import engine, mlp, outcome_means, start_at
from ._ranks import Shares, as_first
from ._units import Units, outputs
from .base import part

Array = NDArray[Any]

HIDDEN = (64, 32, 32)


class TwoStage(NetLearner):
    """A small network with a value head and a cost head for each treatment, trained on the treatment received.

    Before its first step it predicts the mean of each treatment for everybody; what it learns is how people differ
    from that.

    Value is a probability (sigmoid, cross-entropy) where all observed values are 0 or 1, else a real number (squared
    error). Cost comes in two forms, chosen by `cost`:

    - "on-value": cost = value × amount, the amount learned from those whose value is 1. Right where money is paid
      only on success, as in the cash-incentive trial: E[cost | x, j] = P(value = 1 | x, j) · E[cost | value = 1, x, j],
      so a predicted cost can never come without the outcome that it pays for, nor be negative.
    - "direct": its own head, squared error.
    - "auto" (default): "on-value" if values are 0 or 1 and nothing was ever paid at value 0, else "direct".

    Parameters
    ----------
    data
        Which tables `fit` uses: "both" (whatever it is given), "rct" or "obs".
    cost
        "auto", "on-value" or "direct".
    hidden
        Units of the hidden layers.
    epochs, batch, lr, decay
        Of the fit; `decay` is the weight decay. epochs=None: 20, or with early stopping at most 200.
    patience
        Epochs without improvement after which a fit ends; it keeps the best epoch, which may be the start. None: no early
        stopping; the rate falls along a cosine instead. "auto": 15 where a trial is all there is, since a trial is small
        and a network would learn it by heart; else None.
    holdout
        Share of the rows kept for early stopping where `fit` gets no `val`.
    members
        Networks averaged, each with its own start, order of rows and held-out part; more of them, less noise.
    finish
        "dfcl", or a dict of its settings: decision-focused steps on the trial afterwards (`methods.finish`).
    device
        Where the networks are trained.

    Source: the baseline TSM-SL of Bi-DFCL §5.1.
    """

    name = "tsm-sl"

    def __init__(
        self,
        *,
        data: str = "both",
        cost: str = "auto",
        hidden: Sequence[int] = HIDDEN,
        epochs: int | None = None,
        batch: int = 1024,
        lr: float = 2e-3,
        decay: float = 0.0,
        patience: Any = "auto",
        holdout: float = 0.2,
        members: int = 1,
        finish: Any = None,
        device: str = "cpu",
    ) -> None:
        self.data, self.cost, self.hidden = data, cost, hidden
        self.epochs, self.batch, self.lr, self.decay, self.patience = epochs, batch, lr, decay, patience
        self.holdout, self.members, self.finish, self.device = holdout, members, finish, device

    def _learn(self, job: Job) -> None:
        table, alone = chosen(self.data, job)
        check_arms(table)
        self.link_ = link_of(self.cost, table)
        units = Units.of([table], table if job.rct is None or self.data == "obs" else job.rct)
        if self.link_.name != "identity":
            units = self.link_.units(units, table)
        patience = (15 if alone else None) if self.patience == "auto" else self.patience
        epochs = (20 if patience is None else 200) if self.epochs is None else self.epochs
        schedule = Schedule(epochs, self.batch, self.lr, decay=self.decay, patience=patience)
        modules, self.history_ = fit_networks(
            job,
            table,
            units,
            schedule,
            hidden=self.hidden,
            members=self.members,
            val=job.val,
            holdout=self.holdout,
            link=self.link_,
            part_name="tsm-sl",
            device=self.device,
        )
        self._take(Nets(modules, units), table)

    def _predict(self, x: Array) -> tuple[Array, Array]:
        if self.link_.name == "identity":
            return super()._predict(x)
        inputs = self.units_.inputs(x, self.fitted_.device)
        found = []
        with torch.no_grad(), _fit.quiet_threads(len(x)):
            for module in self.nets_:
                found.append([part.double().cpu().numpy() for part in self.link_.predict(outputs(module, inputs))])
        value, cost = (np.mean([pair[k] for pair in found], axis=0) for k in (0, 1))
        return value, cost

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, info = super()._state()
        return {**tensors, **self.link_.tensors()}, {**info, "link": self.link_.name}

    def _restore(self, tensors: dict[str, Tensor], info: Mapping[str, Any]) -> None:
        super()._restore(tensors, info)
        self.link_ = Link.of(info["link"], tensors)


class FineTuned(NetLearner):
    """`tsm-ft`: fitted on the log (or on both), then fine-tuned on the trial at a smaller rate with early stopping.

    Parameters
    ----------
    data
        "obs" or "both": what it is fitted on first.
    hidden, epochs, batch, lr
        As in `tsm-sl`, for the first fit.
    tuning_epochs, tuning_lr, patience, holdout
        Of the second.
    members, finish, device
        As in `tsm-sl`.
    """

    name = "tsm-ft"

    def __init__(
        self,
        *,
        data: str = "obs",
        hidden: Sequence[int] = HIDDEN,
        epochs: int = 20,
        batch: int = 1024,
        lr: float = 2e-3,
        tuning_epochs: int = 100,
        tuning_lr: float = 3e-4,
        patience: int = 10,
        holdout: float = 0.2,
        members: int = 1,
        finish: Any = None,
        device: str = "cpu",
    ) -> None:
        self.data, self.hidden, self.epochs, self.batch, self.lr = data, hidden, epochs, batch, lr
        self.tuning_epochs, self.tuning_lr, self.patience, self.holdout = tuning_epochs, tuning_lr, patience, holdout
        self.members, self.finish, self.device = members, finish, device

    def _learn(self, job: Job) -> None:
        if self.data not in ("obs", "both"):
            raise ValueError(f"data must be 'obs' or 'both', got {self.data!r}")
        rct, obs = job.need("rct", "fine-tuning"), job.need("obs", "the fit before fine-tuning")
        check_arms(rct, "rct")
        units = Units.of([rct, obs], rct)
        first = obs if self.data == "obs" else pooled(rct, obs)
        common: dict[str, Any] = {"hidden": self.hidden, "members": self.members, "device": self.device}
        modules, _ = fit_networks(
            job, first, units, Schedule(self.epochs, self.batch, self.lr), part_name="first", **common
        )
        tuning = Schedule(self.tuning_epochs, self.batch, self.tuning_lr, patience=self.patience)
        modules, self.history_ = fit_networks(
            job, rct, units, tuning, modules=modules, val=job.val, holdout=self.holdout, part_name="tuning", **common
        )
        self._take(Nets(modules, units), rct)


def chosen(data: str, job: Job) -> tuple[Table, bool]:
    """The rows that `data` asks for, and whether they are a trial's alone."""
    if data not in ("both", "rct", "obs"):
        raise ValueError(f"data must be 'both', 'rct' or 'obs', got {data!r}")
    tables = {name: t for name, t in (("rct", job.rct), ("obs", job.obs)) if t is not None and data in (name, "both")}
    if not tables:
        raise ValueError("fit needs rct= or obs=" if data == "both" else f"fit needs {data}=")
    if len(tables) == 2:
        return pooled(tables["rct"], tables["obs"]), False
    return next(iter(tables.values())), "rct" in tables


def fit_networks(
    job: Job,
    table: Table,
    units: Units,
    schedule: Schedule,
    *,
    part_name: str,
    hidden: Sequence[int] = HIDDEN,
    members: int = 1,
    modules: Sequence[nn.Module] | None = None,
    labels: Tensor | None = None,
    weights: Tensor | None = None,
    val: Table | None = None,
    holdout: float = 0.2,
    link: Link | None = None,
    shares: Shares | None = None,
    device: Any = "cpu",
    seed: int = 0,
) -> tuple[list[nn.Module], list[History]]:
    """Networks fitted to the observed outcomes of a table.

    `labels`: standardised outcomes [N, 2] in place of the table's own; `weights` [N, 2]: of their squared errors (no early stopping).
    `modules`: start from copies of these. `seed` tells fits of one run apart that would otherwise be the same. `shares`: the table is
    this rank's part (no early stopping). Networks without early stopping, or with `val`, are trained side by
    side; where each has its own held-out part, one after the other.
    """
    link = link or Link("identity")
    if schedule.patience is not None and val is None and not 0 < holdout < 1:
        raise ValueError(f"holdout must be between 0 and 1 where there is no val=, got {holdout}")
    if weights is not None and schedule.patience is not None:
        raise ValueError("weights are of fits without early stopping")
    together = schedule.patience is None or val is not None
    groups = [list(range(members))] if together else [[t] for t in range(members)]
    done: list[nn.Module] = []
    histories: list[History] = []
    for group in groups:
        # A place in the run: its numbers do not depend on what else is fitted, or in what order.
        place = (job.seed, seed, group[0])
        rng = np.random.default_rng(place)
        train, held, own = table, val, labels
        if schedule.patience is not None and val is None:
            rows = Table(table.x, table.treatment, table.value, table.cost, treatments=table.treatments)
            train, held = part(rows, holdout, rng)
            assert train.row is not None and held.row is not None
            own = None if labels is None else labels[torch.from_numpy(train.row)]
            held = held if len(held) else train  # too few rows to spare any
        y = units.outcomes(train, device) if own is None else own.to(device)
        made: list[nn.Module] = []
        for t in group:
            torch.manual_seed(int(np.random.default_rng((job.seed, seed, t)).integers(2**31)))
            net = mlp(table.x.shape[1], hidden, 2 * table.treatments)
            if modules is not None:
                net.load_state_dict(modules[t].state_dict())
            else:
                start_at(net, link.start(train, outcome_means(y, train, shares)))
            made.append(net.to(device))
        if shares is not None:
            as_first(shares.ranks, made)
        name = f"{part_name}.{group[0]}"
        kept = job.store.get(name)
        step = job.expect(schedule.epochs)
        machine = engine(made)
        if kept is not None:
            for t, module in enumerate(made):
                module.load_state_dict(dict(_prefixed(kept, f"{t}.")))
            histories += [
                History(int(b), tuple(row.tolist())) for b, row in zip(kept["best"], kept["loss"], strict=True)
            ]
        else:
            x = units.inputs(train.x, device)
            loss = LinkedLoss.of(link, train, y, weights)
            held_out = None
            if held is not None:
                held_out = (units.inputs(held.x, device), LinkedLoss.of(link, held, units.outcomes(held, device)))
            found = _fit.fit(
                machine,
                x,
                loss,
                schedule,
                seed=place,
                held_out=held_out,
                shares=shares,
                store=job.store,
                part=name,
                step=step,
                log=job.log,
            )
            histories += found
            state = {f"{t}.{k}": v for t, module in enumerate(made) for k, v in module.state_dict().items()}
            state |= {
                "best": torch.tensor([h.best_epoch for h in found]),
                "loss": torch.tensor([h.loss for h in found], dtype=torch.float64),
            }
            job.store.put(name, state)
        done += [module.eval() for module in made]
    return done, histories


def _prefixed(tensors: Mapping[str, Tensor], prefix: str) -> list[tuple[str, Tensor]]:
    return [(k[len(prefix) :], v) for k, v in tensors.items() if k.startswith(prefix)]
