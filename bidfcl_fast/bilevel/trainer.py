"""`BiDFCL`: learn from a log and a trial together, for the decisions that a budget leads to."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.table import Table
from ..methods import _fit
from ..methods._fit import Schedule
from ..methods._job import Job, TrainingWarning, check_arms, pooled
from ..methods._learner import NetLearner, Nets
from ..methods._losses import Cells, columns
from ..methods._network import Average, engine, mlp, outcome_means, start_at
from ..methods._trial import TrialLoss
from ..methods._units import Units, outputs
from ..methods.base import Method
from ..methods.finish import Finish, overspend, tune
from ..methods.two_stage import HIDDEN, fit_networks
from .bridge import Bridge
from .correction import Correction, log_propensity, ridge_correction
from .labels import Batch, mixed
from .presets import Settings, settings
from .student import UpperSteps

# Below this many rows a trial's decision loss is too noisy to finish on.
_FINISH_FROM = 10_000
# Root mean square of a value correction, in standard deviations, below which a log counts as unbiased enough to leave it there.
_FINISH_BIAS = 0.1


class BiDFCL(NetLearner):
    """Bi-level decision-focused causal learning.

    A target network is trained on the log, whose outcomes are biased, with labels that a bridge makes from the observed outcomes and
    from teachers that know the trial. The bridge is chosen for what the target's decisions bring on the trial: by the gradient of that
    through the target's training (the upper level), or, where nothing is learned above, in closed form.

    Parameters
    ----------
    upper
        The upper loss, and that of the finish: "ppl" or "pifd".
    differentiation
        "implicit" or "explicit". Under the recommended preset "explicit" learns the correction, so that there is something to differentiate.
    preset
        "recommended", "paper" (Algorithm 1 as written) or "fixed-gate". Each argument below that is None is the preset's.
    correction
        Of the log's observed outcomes: "none"; "ridge" (`ridge_correction`); "learned", by the upper level from that start.
    teachers
        How many networks to build, or fitted methods, or one, or a module from standardised features to standardised outputs; what
        several say is averaged.
    teacher_rows
        What built teachers are fitted to: "rct" (with early stopping), or "both" (the corrected log and the trial).
    gate, factual_gate
        How far labels lie towards the teacher, where nothing was observed and where the log's outcome was: a number, "per-arm", "network",
        or a module of logits.
    gate_start
        Where learned gates start.
    learn
        Which of "gate", "factual_gate" and "correction" the upper level learns. None: those that are not numbers, and a "learned" correction.
    trial_rows
        Whether the target is trained on the trial's rows as well.
    reading
        "A", "B" or "C": which θ the labels contain (`bilevel.labels`).
    counterfactual_weight
        Of the cells without an observation.
    upper_every
        Batches from one upper step to the next.
    upper_error
        Weight of the squared error on the trial in the upper loss.
    upper_rows
        Of a larger trial, each upper step looks at so many rows at random.
    multiplier_grad, temperature, price_bounds, min_gap
        Of the decision loss above (`losses.ppl_loss`); temperature in standard deviations of value.
    curvature, cg_steps, cg_tolerance, damping, share, assumed_steps, step_size
        Of the hypergradient (`BilevelStep`).
    bridge_lr, correction_lr, prox
        Adam's rates above, for gates and correction; `prox` pulls all of them towards where they started.
    schedule
        Dict of epochs: "obs", "teacher", "warm", "student"; and "batch", "lr", "floor" of all of them. What is left out is the preset's.
    finish
        "none"; "dfcl" or a dict, as in `tsm-sl`; "auto": 40 steps where the trial has 10,000 rows and the log's values were biased.
    target
        None: `hidden` layers. Else a module from standardised features [n, F] to 2M outputs, values then costs; it is copied.
    hidden
        Of the target, teachers and gate networks.
    device
        Where networks are trained.

    Attributes
    ----------
    correction_
        `Correction`, or None: is the log biased, where, and how sure is that; `print` it.
    bridge_, teacher_
        The bridge, and the teachers as one module.
    upper_
        The upper steps: loss, gates, price of money, how the linear solves went.
    settings_, seconds_
        Every setting as it was used; the time of each part.

    Source: Bi-DFCL (arXiv 2510.19517). What is beyond it: correction, several teachers, the trial below, gates of observed outcomes, the
    multiplier's own gradient, several budgets (docs/training.md).
    """

    _ends_itself = True

    def __init__(
        self,
        *,
        upper: str = "ppl",
        differentiation: str = "implicit",
        preset: str = "recommended",
        correction: str | None = None,
        teachers: Any = None,
        teacher_rows: str | None = None,
        gate: Any = None,
        factual_gate: Any = None,
        gate_start: Any = None,
        learn: Sequence[str] | None = None,
        trial_rows: bool | None = None,
        reading: str | None = None,
        counterfactual_weight: float | None = None,
        upper_every: int | None = None,
        upper_error: float | None = None,
        upper_rows: int | None = None,
        multiplier_grad: str | None = None,
        temperature: float | None = None,
        price_bounds: Any = None,
        min_gap: float | None = None,
        curvature: str | None = None,
        cg_steps: int | None = None,
        cg_tolerance: float | None = None,
        damping: float | None = None,
        share: float | None = None,
        assumed_steps: int | None = None,
        step_size: float | None = None,
        bridge_lr: float | None = None,
        correction_lr: float | None = None,
        prox: float | None = None,
        schedule: dict[str, Any] | None = None,
        finish: Any = None,
        target: nn.Module | None = None,
        hidden: Sequence[int] = HIDDEN,
        device: str = "cpu",
    ) -> None:
        self.upper, self.differentiation, self.preset = upper, differentiation, preset
        self.correction, self.teachers, self.teacher_rows = correction, teachers, teacher_rows
        self.gate, self.factual_gate, self.gate_start, self.learn = gate, factual_gate, gate_start, learn
        self.trial_rows, self.reading, self.counterfactual_weight = trial_rows, reading, counterfactual_weight
        self.upper_every, self.upper_error, self.upper_rows = upper_every, upper_error, upper_rows
        self.multiplier_grad = multiplier_grad
        self.temperature, self.price_bounds, self.min_gap = temperature, price_bounds, min_gap
        self.curvature, self.cg_steps, self.cg_tolerance, self.damping = curvature, cg_steps, cg_tolerance, damping
        self.share, self.assumed_steps, self.step_size = share, assumed_steps, step_size
        self.bridge_lr, self.correction_lr, self.prox = bridge_lr, correction_lr, prox
        self.schedule, self.finish, self.target, self.hidden, self.device = schedule, finish, target, hidden, device

    @property
    def name(self) -> str:  # type: ignore[override]
        if self.preset == "fixed-gate":
            return "fixed-gate"
        return f"bidfcl-{self.upper}" + ("-explicit" if self.differentiation == "explicit" else "")

    def resolved(self) -> Settings:
        """Every setting, the preset's where none was given."""
        from dataclasses import fields

        if self.upper not in ("ppl", "pifd"):
            raise ValueError(f"upper must be 'ppl' or 'pifd', got {self.upper!r}")
        given = {f.name: getattr(self, f.name) for f in fields(Settings)}
        return settings(self.preset, self.differentiation, given)

    def _learn(self, job: Job) -> None:
        self.settings_ = s = self.resolved()
        rct, obs = job.need("rct", f"method '{self.name}'"), job.need("obs", f"method '{self.name}'")
        check_arms(rct, "rct")
        if s.learn:
            job.need_budgets(f"the upper level of '{self.name}'")
        clock = _Clock()
        units = Units.of([rct, obs], rct)
        x_rct, x_obs = (units.inputs(t.x, self.device) for t in (rct, obs))
        y_rct, y_obs = (units.outcomes(t, self.device) for t in (rct, obs))

        self.correction_ = self._correct(job, (rct, x_rct, y_rct), (obs, x_obs, y_obs), units)
        shift = torch.zeros_like(y_obs)
        if self.correction_ is not None:
            delta = self.correction_(x_obs.cpu().numpy())[:, np.arange(len(obs)), obs.treatment]
            shift = torch.from_numpy(delta.T.astype(np.float32)).to(self.device)
        clock.lap("correction")

        teacher = self._teach(job, rct, obs, units, y_rct, y_obs + shift)
        self.teacher_ = teacher
        with torch.no_grad():
            says = [teacher(t, x) for t, x in ((rct, x_rct), (obs, x_obs))]
        clock.lap("teachers")

        if s.trial_rows:
            rows = _rows(
                pooled(rct, obs), torch.cat([x_rct, x_obs]), torch.cat([y_rct, y_obs]), torch.cat(says), len(rct)
            )
        else:
            rows = _rows(obs, x_obs, y_obs, says[1], 0)
        student = self._student(job, rct, rows, units)
        if s.schedule["warm"]:
            student = self._warm(job, obs, units, student)
            clock.lap("warm")
        self._train(job, rct, rows, units, student, clock)
        self._take(Nets([student.eval()], units), rct)
        if s.finish not in (None, "none"):
            self._end(job, rct, s.finish)
            clock.lap("finish")
        self.seconds_ = clock.laps
        self._warn(job, rct)

    # --- The parts ----------------------------------------------------------------------------------------------------

    def _common(self) -> dict[str, Any]:
        return {"hidden": self.hidden, "device": self.device}

    def _correct(
        self, job: Job, trial: tuple[Table, Tensor, Tensor], log: tuple[Table, Tensor, Tensor], units: Units
    ) -> Correction | None:
        s = self.settings_
        if s.correction == "none":
            return None
        plan = self._plan("obs")
        modules, _ = fit_networks(job, log[0], units, plan, part_name="log", seed=11, **self._common())
        left = [
            (
                (y - outputs(modules[0], x).gather(1, self._columns(table))).cpu().numpy(),
                x.cpu().numpy(),
                table.treatment,
            )
            for table, x, y in (trial, log)
        ]
        given = torch.from_numpy(log[0].treatment).to(self.device)
        likely = log_propensity(log[1], given, log[0].treatments, trial[1]).cpu().numpy()
        w = likely[np.arange(len(trial[0])), trial[0].treatment]
        return ridge_correction(*left[0], trial[0].treatments, log=left[1], weight=w)

    def _teach(
        self, job: Job, rct: Table, obs: Table, units: Units, y_rct: Tensor, y_obs: Tensor
    ) -> Callable[[Table, Tensor], Tensor]:
        """What the teachers say of people (a table and its standardised features): standardised outputs."""
        s = self.settings_
        given = s.teachers
        if isinstance(given, int) and not isinstance(given, bool):
            if given < 1:
                raise ValueError(f"teachers must be at least 1, got {given}")
            if s.teacher_rows == "both":
                modules, _ = fit_networks(
                    job, pooled(rct, obs), units, self._plan("teacher"), part_name="teacher", members=given,
                    labels=torch.cat([y_rct, y_obs]), seed=22, **self._common(),
                )  # fmt: skip
            else:
                plan = Schedule(s.schedule["teacher"], 1024, 2e-3, patience=15)
                modules, _ = fit_networks(
                    job, rct, units, plan, part_name="teacher", members=given, val=job.val, seed=22, **self._common()
                )
            average = Average(modules).eval()
            return lambda table, x: outputs(average, x)
        if isinstance(given, nn.Module):
            module = given.to(self.device).eval()
            return lambda table, x: outputs(module, x)
        methods = [given] if isinstance(given, Method) else list(given)
        if not methods or not all(isinstance(m, Method) for m in methods):
            raise TypeError("teachers must be how many to build, fitted methods, or a module")

        def say(table: Table, x: Tensor) -> Tensor:
            found = np.mean([units.outside(m.predict(table.x)) for m in methods], axis=0)
            return torch.from_numpy(found.astype(np.float32)).to(x.device)

        return say

    def _plan(self, part: str) -> Schedule:
        s = self.settings_.schedule
        return Schedule(s[part], s["batch"], s["lr"], s["floor"])

    def _columns(self, table: Table) -> Tensor:
        return columns(torch.from_numpy(table.treatment), table.treatments).to(self.device)

    def _student(self, job: Job, rct: Table, rows: Batch, units: Units) -> nn.Module:
        if self.target is not None:
            return copy.deepcopy(self.target).to(self.device).train()
        torch.manual_seed(int(np.random.default_rng((job.seed, 33)).integers(2**31)))
        net = mlp(rct.x.shape[1], self.hidden, 2 * rct.treatments)
        return start_at(net, outcome_means(units.outcomes(rct), rct)).to(self.device)

    def _warm(self, job: Job, obs: Table, units: Units, student: nn.Module) -> nn.Module:
        kept = job.store.get("warm")
        step = job.expect(self.settings_.schedule["warm"])
        if kept is not None:
            student.load_state_dict(kept)
            return student
        from ..methods._losses import Observed

        loss = Observed(self._columns(obs), units.outcomes(obs, self.device))
        _fit.fit(
            engine([student]), units.inputs(obs.x, self.device), loss, self._plan("warm"), seed=(job.seed, 44),
            store=job.store, part="warm", step=step, log=job.log,
        )  # fmt: skip
        job.store.put("warm", student.state_dict())
        return student.train()

    def _train(self, job: Job, rct: Table, rows: Batch, units: Units, student: nn.Module, clock: _Clock) -> None:
        s = self.settings_
        torch.manual_seed(int(np.random.default_rng((job.seed, 55)).integers(2**31)))
        self.bridge_ = Bridge(
            rct.x.shape[1], rct.treatments, gate=s.gate, factual_gate=s.factual_gate, correction=self.correction_,
            start=s.gate_start, hidden=self.hidden, learn=s.learn or (),
        ).to(self.device)  # fmt: skip
        self.upper_: list[dict[str, Any]] = []
        step = job.expect(s.schedule["student"])
        kept = job.store.get("student")
        if kept is not None:
            student.load_state_dict({k[7:]: v for k, v in kept.items() if k.startswith("target.")})
            self.bridge_.load_state_dict({k[7:]: v for k, v in kept.items() if k.startswith("bridge.")})
            return
        machine = engine([student])
        if s.learn:
            loss: Any = UpperSteps(
                self.bridge_, student, self._upper_loss(job, rct, units), rows, s, self.differentiation, job
            )
            hook: Any = loss
            self.upper_ = loss.history
        else:
            with torch.no_grad():
                labels = mixed(
                    rows, self.bridge_(rows), "C" if s.reading == "A" else s.reading, None, s.counterfactual_weight
                )
            loss, hook = Cells(labels.label, labels.weight), None
        _fit.fit(
            machine, rows.x, loss, self._plan("student"), seed=(job.seed, 66), hook=hook, store=job.store,
            part="student", step=step, log=job.log,
        )  # fmt: skip
        state = {f"target.{k}": v for k, v in student.state_dict().items()}
        job.store.put("student", {**state, **{f"bridge.{k}": v for k, v in self.bridge_.state_dict().items()}})
        clock.lap("student")

    def _upper_loss(self, job: Job, rct: Table, units: Units) -> TrialLoss:
        s = self.settings_
        return TrialLoss(
            self.upper, rct, units, job.budgets, temperature=s.temperature, multiplier_grad=s.multiplier_grad,
            price_bounds=s.price_bounds, min_gap=s.min_gap, weight_error=s.upper_error, rows=s.upper_rows, device=self.device, seed=job.seed,
        )  # fmt: skip

    def _end(self, job: Job, rct: Table, given: Any) -> None:
        if given == "auto":
            biased = self.correction_ is not None and float(self.correction_.size[0]) > _FINISH_BIAS
            if job.budgets is None or len(rct) < _FINISH_FROM or not biased:
                return
            chosen = Finish(loss=self.upper, steps=40, rows=10_000)
        else:
            chosen = Finish(loss=self.upper) if given == "dfcl" else Finish.of(given)
        job.need_budgets("the finish")
        tune(self.fitted_, rct, chosen, job, "finish")

    def _warn(self, job: Job, rct: Table) -> None:
        s = self.settings_
        if s.learn and {"gate", "factual_gate"} & set(s.learn):
            sample = units_sample(self.units_, rct, self.device)
            said = self.bridge_(sample)
            for name, gate in (("gate", said.gate), ("factual_gate", said.factual)):
                if isinstance(gate, Tensor) and name in s.learn:
                    closed = float(((gate < 0.02) | (gate > 0.98)).float().mean())
                    if closed > 0.95:
                        text = f"the {name} is all 0 or 1 ({closed:.0%} of the cells): it has stopped learning; lower bridge_lr"
                        warnings.warn(text, TrainingWarning, stacklevel=4)
        if self.upper_ and s.multiplier_grad == "implicit" and s.price_bounds is not None:
            held = float(np.mean([row["price_held"] for row in self.upper_]))
            if held > 0.1:
                text = f"the price of money was outside its bounds {s.price_bounds} in {held:.0%} of the upper steps"
                warnings.warn(text, TrainingWarning, stacklevel=4)
        if job.budgets is not None and (job.budgets > 0).all():
            over = overspend(self.fitted_, job.val if job.val is not None else rct, job.budgets)
            if float(over.max()) > 0.1:
                text = f"plans sized by predicted cost spend {over.max():.0%} more than the budget on the trial"
                warnings.warn(text, TrainingWarning, stacklevel=4)


def units_sample(units: Units, table: Table, device: Any, most: int = 4096) -> Batch:
    """Some of a table's rows, as a bridge takes them."""
    part = table[: min(most, len(table))]
    x, y = units.inputs(part.x, device), units.outcomes(part, device)
    at = columns(torch.from_numpy(part.treatment), part.treatments).to(device)
    return Batch(x, at, y, torch.zeros(len(x), 2 * part.treatments, device=device), torch.zeros(len(x), device=device))


def _rows(table: Table, x: Tensor, y: Tensor, teacher: Tensor, trial: int) -> Batch:
    """The lower level's rows, of which the first `trial` are the trial's."""
    at = columns(torch.from_numpy(table.treatment), table.treatments).to(x.device)
    own = torch.zeros(len(x), device=x.device)
    own[:trial] = 1
    return Batch(x, at, y, teacher, own)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now
