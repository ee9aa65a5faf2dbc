"""`BiDFCL`: learn from a log and a trial together, for the decisions that a budget leads to."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.table import Table
from ..methods import _fit
from ..methods._fit import Schedule
from ..methods._job import Job, check_arms, pooled
from ..methods._learner import NetLearner
from ..methods._losses import Cells, Observed, columns
from ..methods._nets import Nets
from ..methods._network import engine, mlp, outcome_means, start_at
from ..methods._ranks import Shares, as_first
from ..methods._trial import TrialLoss
from ..methods._units import Units
from ..methods.finish import Finish, tune
from ..methods.two_stage import HIDDEN
from .bridge import Bridge
from .correction import Correction
from .grounding import Rows, ground, model_of_log, noise_of_log
from .labels import Batch, mixed
from .noise import Noise
from .presets import Settings, settings
from .signs import warn_of_training
from .student import UpperSteps
from .teachers import teach

# Below this many rows a trial's decision loss is too noisy to finish on.
_FINISH_FROM = 10_000


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
        "recommended"; "distilled" (two teachers and a student; what "recommended" means as soon as teachers or gates are asked for);
        "paper" (Algorithm 1 as written) or "fixed-gate". Each argument below that is None is the preset's.
    correction
        Of the log's observed outcomes: "none"; "ridge" (`ridge_correction`), linear in the features; "network", which goes on from there
        with networks where the ridge finds a bias (`bilevel.residual`); "learned", by the upper level from that start.
    students
        How many targets are trained, each from its own start.
    answer
        Whose mean is the prediction: that of the "students", or of "all": the students and the teachers that were built.
    teachers
        How many networks to build, or fitted methods, or one, or a module from standardised features to standardised outputs; what
        several say is averaged. 0: nothing is said of cells without an observation, and observed outcomes are not mixed.
    teacher_rows
        What built teachers are fitted to: "rct" (with early stopping), or "both" (the corrected log and the trial).
    weights
        Of the rows in the squared error: "equal"; or "noise", by how noisy an outcome is whose mean is predicted as this one's
        (`bilevel.noise`; not in teachers of the trial alone).
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
        Dict of epochs: "obs", "teacher", "warm", "student"; and "batch", "lr", "floor", "decay" of all of them ("obs_lr" of the log's model).
        What is left out is the preset's.
    finish
        "none"; "dfcl" or a dict, as in `tsm-sl`; "auto": 40 steps of the last layers where the trial has 10,000 rows and the log's values
        were biased.
    target
        None: `hidden` layers. Else a module from standardised features [n, F] to 2M outputs, values then costs; it is copied, and
        further students start where `reset_parameters` of its parts puts them.
    hidden
        Of the target, teachers and gate networks.
    device
        Where networks are trained.

    Attributes
    ----------
    correction_
        `Correction`, or None: is the log biased, where, and how sure is that; `print` it.
    noise_
        `Noise`, or None.
    bridge_, teacher_
        The bridge, which is learned with the first student and kept for the others; and what the teachers say of a table's people.
    upper_
        The upper steps: loss, gates, price of money, how the linear solves went.
    settings_, seconds_
        Every setting as it was used; the time of each part.
    summary_
        The correction in a few numbers.

    Source: Bi-DFCL (arXiv 2510.19517). What is beyond it: correction, several teachers, the trial below, gates of observed outcomes, the
    multiplier's own gradient, several budgets (docs/training.md).
    """

    _ends_itself = True
    _in_parts = True

    def __init__(
        self,
        *,
        upper: str = "ppl",
        differentiation: str = "implicit",
        preset: str = "recommended",
        correction: str | None = None,
        students: int | None = None,
        answer: str | None = None,
        teachers: Any = None,
        teacher_rows: str | None = None,
        weights: str | None = None,
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
        self.correction, self.students, self.answer = correction, students, answer
        self.teachers, self.teacher_rows, self.weights = teachers, teacher_rows, weights
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
        units = Units.of([rct, obs], rct, job.ranks)
        x_rct, x_obs = (units.inputs(t.x, self.device) for t in (rct, obs))
        y_rct, y_obs = (units.outcomes(t, self.device) for t in (rct, obs))

        weights = self._ground(job, Rows(rct, x_rct, y_rct), Rows(obs, x_obs, y_obs), units)
        shift = torch.zeros_like(y_obs)
        if self.correction_ is not None:
            # What networks found stays as it is; the bridge may move the linear part.
            if self.correction_.residual is not None:
                y_obs = y_obs + self.correction_.residual(x_obs).gather(1, self._columns(obs))
            linear = self.correction_.of(x_obs.cpu().numpy(), obs.treatment)
            shift = torch.from_numpy(linear.astype(np.float32)).to(self.device)
        clock.lap("correction")

        self.teacher_, built = teach(
            job, rct, obs, units, (y_rct, y_obs + shift), s, self._plan("teacher"), weights, hidden=self.hidden, device=self.device
        )  # fmt: skip
        with torch.no_grad():
            says = [self.teacher_(t, x) for t, x in ((rct, x_rct), (obs, x_obs))]
        clock.lap("teachers")

        if s.trial_rows:
            both = pooled(rct, obs), torch.cat([x_rct, x_obs]), torch.cat([y_rct, y_obs]), torch.cat(says)
            rows = _rows(*both, len(rct), weights)
        else:
            rows = _rows(obs, x_obs, y_obs, says[1], 0, None if weights is None else weights[len(rct) :])
        self._bridge(job, rct)
        made = [self._trained(job, rct, obs, rows, units, k, clock).eval() for k in range(s.students)]
        self._take(Nets(made + (built if s.answer == "all" else []), units), rct)
        if s.finish not in (None, "none"):
            self._end(job, rct, s.finish)
            clock.lap("finish")
        as_first(job.ranks, self.nets_)
        self.seconds_ = clock.laps
        warn_of_training(self, job, rct)

    @property
    def summary_(self) -> dict[str, float]:
        """The correction in a few numbers, about values, in standard deviations; empty without one.

        "level": the largest mean bias found; "network": the share of what networks found that was seen again; "left": the largest
        level that may be left (95 % for each treatment), "left_p": the least p-value of nothing left.
        """
        found = getattr(self, "correction_", None)
        if found is None:
            return {}
        out = {"level": float(np.abs(found.level[0]).max()), "p": float(found.tested[0].min())}
        out["network"] = float(found.residual.share[0]) if found.residual is not None else 0.0
        if found.left is not None:
            out |= {"left": float(found.left.at_most[0].max()), "left_p": float(found.left.p_value[0].min())}
        return out

    # --- The parts ----------------------------------------------------------------------------------------------------

    def _ground(self, job: Job, trial: Rows, log: Rows, units: Units) -> Tensor | None:
        """The correction of the log, and the weights of the rows of trial and log where noise gives them."""
        s = self.settings_
        self.correction_: Correction | None = None
        self.noise_: Noise | None = None
        weights = None
        common: dict[str, Any] = {"hidden": self.hidden, "device": self.device}
        if s.correction != "none" or s.weights == "noise":
            model = model_of_log(job, trial, log, units, self._plan("obs"), **common)
            if s.weights == "noise":
                self.noise_, weights = noise_of_log(job, model, log)
            if s.correction != "none":
                self.correction_ = ground(job, trial, log, units, model, networks=s.correction != "ridge", **common)
        return weights

    def _plan(self, part: str) -> Schedule:
        s = self.settings_.schedule
        return Schedule(s[part], s["batch"], s["obs_lr" if part == "obs" else "lr"], s["floor"], s["decay"])

    def _columns(self, table: Table) -> Tensor:
        return columns(torch.from_numpy(table.treatment), table.treatments).to(self.device)

    def _student(self, job: Job, rct: Table, units: Units, k: int) -> nn.Module:
        torch.manual_seed(_draw(job.seed, 33, k))
        if self.target is not None:
            module = copy.deepcopy(self.target).to(self.device).train()
            if k:
                for part in module.modules():
                    reset: Any = getattr(part, "reset_parameters", None)
                    if callable(reset):
                        reset()
            return module
        net = mlp(rct.x.shape[1], self.hidden, 2 * rct.treatments)
        return start_at(net, outcome_means(units.outcomes(rct), rct)).to(self.device)

    def _bridge(self, job: Job, rct: Table) -> None:
        s = self.settings_
        torch.manual_seed(_draw(job.seed, 55))
        self.bridge_ = Bridge(
            rct.x.shape[1], rct.treatments, gate=s.gate, factual_gate=s.factual_gate, correction=self.correction_,
            start=s.gate_start, hidden=self.hidden, learn=s.learn or (),
        ).to(self.device)  # fmt: skip
        as_first(job.ranks, [self.bridge_])
        self.upper_: list[dict[str, Any]] = []

    def _trained(self, job: Job, rct: Table, obs: Table, rows: Batch, units: Units, k: int, clock: _Clock) -> nn.Module:
        """The k-th student: warmed on the log where the schedule says so, then trained; the first one teaches the bridge."""
        s = self.settings_
        student = self._student(job, rct, units, k)
        as_first(job.ranks, [student])
        part, end = ("student", "") if k == 0 else (f"student{k}", str(k))
        if s.schedule["warm"]:
            x, seen = units.inputs(obs.x, self.device), self._seen(obs, units)
            self._fit(job, f"warm{end}", student, x, seen, "warm", (44, k), shares=job.shares(len(obs)))
            clock.lap(f"warm{end}")
        hook: Any = None
        if s.learn and k == 0:
            hook = UpperSteps(
                self.bridge_, student, self._upper_loss(job, rct, units), rows, s, self.differentiation, job
            )
            self.upper_ = hook.history
            loss = hook
        else:
            with torch.no_grad():
                reading = "C" if s.reading == "A" else s.reading
                labels = mixed(rows, self.bridge_(rows), reading, None, s.counterfactual_weight)
            if s.teachers == 0:  # nothing is said of the other cells
                loss = Observed(rows.columns, labels.label.gather(1, rows.columns), rows.weight)
            else:
                loss = Cells(labels.label, labels.weight)
        shares = job.shares(len(obs), len(rct) if s.trial_rows else 0)
        self._fit(job, part, student, rows.x, loss, "student", (66, k), hook, shares)
        clock.lap(part)
        return student

    def _seen(self, table: Table, units: Units) -> Observed:
        return Observed(self._columns(table), units.outcomes(table, self.device))

    def _fit(
        self,
        job: Job,
        part: str,
        student: nn.Module,
        x: Tensor,
        loss: Any,
        plan: str,
        place: tuple[int, int],
        hook: Any = None,
        shares: Shares | None = None,
    ) -> None:
        """Train a student, or take it from the store where it is finished; with a hook, the bridge goes along."""
        step = job.expect(self.settings_.schedule[plan])
        kept = job.store.get(part)
        goes_along = {"target": student} if hook is None else {"target": student, "bridge": self.bridge_}
        if kept is not None:
            for name, module in goes_along.items():
                start = len(name) + 1
                module.load_state_dict({k[start:]: v for k, v in kept.items() if k.startswith(f"{name}.")})
            return
        student.train()
        _fit.fit(
            engine([student]), x, loss, self._plan(plan), seed=(job.seed, *place), hook=hook, shares=shares,
            store=job.store, part=part, step=step, log=job.log,
        )  # fmt: skip
        job.store.put(
            part, {f"{n}.{key}": v for n, module in goes_along.items() for key, v in module.state_dict().items()}
        )

    def _upper_loss(self, job: Job, rct: Table, units: Units) -> TrialLoss:
        s = self.settings_
        return TrialLoss(
            self.upper, rct, units, job.budgets, temperature=s.temperature, multiplier_grad=s.multiplier_grad,
            price_bounds=s.price_bounds, min_gap=s.min_gap, weight_error=s.upper_error, rows=s.upper_rows, device=self.device, seed=job.seed,
        )  # fmt: skip

    def _end(self, job: Job, rct: Table, given: Any) -> None:
        if given == "auto":
            biased = self.correction_ is not None and bool(self.correction_.biased[0].any())
            if job.budgets is None or len(rct) < _FINISH_FROM or not biased:
                return
            chosen = Finish(loss=self.upper, steps=40, lr=3e-4, rows=10_000, layers="last")
        else:
            chosen = Finish(loss=self.upper) if given == "dfcl" else Finish.of(given)
        job.need_budgets("the finish")
        tune(self.fitted_, rct, chosen, job, "finish")


def _draw(*place: int) -> int:
    """A seed for torch, of a place in the run."""
    return int(np.random.default_rng(place).integers(2**31))


def _rows(table: Table, x: Tensor, y: Tensor, teacher: Tensor, trial: int, weight: Tensor | None) -> Batch:
    """The lower level's rows, of which the first `trial` are the trial's."""
    at = columns(torch.from_numpy(table.treatment), table.treatments).to(x.device)
    own = torch.zeros(len(x), device=x.device)
    own[:trial] = 1
    return Batch(x, at, y, teacher, own, weight)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now
