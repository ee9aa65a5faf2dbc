"""`dfcl-*`: decision-focused causal learning on a trial, from a two-stage start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._fit import Schedule
from ._job import Job, check_arms, pooled
from ._learner import NetLearner
from ._nets import Nets
from ._units import Units
from .finish import Finish, tune
from .two_stage import HIDDEN, fit_networks


class DFCL(NetLearner):
    """Fit value and cost, then go on by a decision loss of the trial, held near by the squared error.

    Parameters
    ----------
    loss
        "ppl" and "pifd" (primal: multipliers from the budgets, at every step), "dpl", "mer", "difd" (dual: `multipliers`
        given, or those of the start at the budgets).
    start
        What the fit before is: "rct" (the trial alone, with early stopping), "both" (trial and log), "ft" (the log, then
        fine-tuned on the trial).
    steps, lr, anchor, temperature, multiplier_grad, price_bounds, min_gap, multipliers
        Of the decision-focused steps (`methods.finish.Finish`). temperature=None: 0.3 for "mer", else 1. With the
        multiplier held constant ("stop") more or larger steps overspend.
    hidden, epochs, batch, learning_rate, members, finish, device
        Of the fit before, as in `tsm-sl`.

    Source: DFCL (arXiv 2407.13664); Bi-DFCL §4.2 and A.7 for PPL, PIFD and DIFD.
    """

    def __init__(
        self,
        *,
        loss: str = "ppl",
        start: str = "rct",
        steps: int = 60,
        lr: float = 1e-4,
        anchor: float = 3.0,
        temperature: float | None = None,
        multiplier_grad: str = "implicit",
        price_bounds: tuple[float, float] | None = (0.0, 10.0),
        min_gap: float | None = 0.02,
        multipliers: Any = None,
        hidden: Sequence[int] = HIDDEN,
        epochs: int = 20,
        batch: int = 1024,
        learning_rate: float = 2e-3,
        members: int = 1,
        finish: Any = None,
        device: str = "cpu",
    ) -> None:
        self.loss, self.start, self.steps, self.lr, self.anchor = loss, start, steps, lr, anchor
        self.temperature, self.multiplier_grad, self.price_bounds = temperature, multiplier_grad, price_bounds
        self.min_gap, self.multipliers = min_gap, multipliers
        self.hidden, self.epochs, self.batch, self.learning_rate = hidden, epochs, batch, learning_rate
        self.members, self.finish, self.device = members, finish, device

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"dfcl-{self.loss}"

    def _learn(self, job: Job) -> None:
        if self.start not in ("rct", "both", "ft"):
            raise ValueError(f"start must be 'rct', 'both' or 'ft', got {self.start!r}")
        rct = job.need("rct", f"method '{self.name}'")
        check_arms(rct, "rct")
        temperature = self.temperature or (0.3 if self.loss == "mer" else 1.0)
        settings = Finish(
            self.loss, self.steps, self.lr, self.anchor, temperature, self.multiplier_grad, self.price_bounds,
            self.min_gap, self.multipliers,
        )  # fmt: skip
        if self.multipliers is None:
            job.need_budgets(f"method '{self.name}'")
        common: dict[str, Any] = {"hidden": self.hidden, "members": self.members, "device": self.device}
        plain = Schedule(self.epochs, self.batch, self.learning_rate)
        alone = Schedule(200, self.batch, self.learning_rate, patience=15)
        if self.start == "rct":
            units = Units.of([rct], rct)
            modules, _ = fit_networks(job, rct, units, alone, part_name="start", val=job.val, **common)
        else:
            obs = job.need("obs", f"start={self.start!r}")
            units = Units.of([rct, obs], rct)
            first = pooled(rct, obs) if self.start == "both" else obs
            modules, _ = fit_networks(job, first, units, plain, part_name="start", **common)
            if self.start == "ft":
                tuning = Schedule(100, self.batch, 3e-4, patience=10)
                modules, _ = fit_networks(
                    job, rct, units, tuning, modules=modules, part_name="tuning", val=job.val, **common
                )
        nets = Nets(modules, units)
        tune(nets, rct, settings, job, "decision")
        self._take(nets, rct)
