"""The correction of a log by a trial, from the tables: a model of the log, its residuals on the trial, what they show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..data.table import Table
from ..methods._fit import Schedule
from ..methods._job import Job
from ..methods._losses import columns
from ..methods._units import Units, outputs
from ..methods.crossfit import folds
from ..methods.two_stage import fit_networks
from .correction import DOUBT, Correction, Regressions, held_out_ridge, left_over, log_propensity, ridge_correction
from .noise import Noise
from .residual import Residual, seen_again

Array = NDArray[Any]

# Parts of the trial: on each of them is judged what networks fitted to the others found.
_FOLDS = 2
# Of the networks that go on from the log's model: passes, rows of a batch, rate.
_GOING_ON = Schedule(8, 1024, 4e-3)


class Rows(NamedTuple):
    """A table, its standardised features [N, F] and outcomes [N, 2]."""

    table: Table
    x: Tensor
    y: Tensor


class OfLog(NamedTuple):
    """A model that has seen the log alone, and what it says of the treatments received: in the trial [N, 2], in the log [n, 2]."""

    model: nn.Module
    of_trial: Tensor
    of_log: Tensor


def model_of_log(job: Job, trial: Rows, log: Rows, units: Units, plan: Schedule, **common: Any) -> OfLog:
    """Train it; `common` as in `fit_networks`."""
    shares = job.shares(len(log.table))
    modules, _ = fit_networks(job, log.table, units, plan, part_name="log", seed=11, shares=shares, **common)
    return OfLog(modules[0], *(_says(modules[0], rows) for rows in (trial, log)))


def noise_of_log(job: Job, found: OfLog, log: Rows) -> tuple[Noise, Tensor]:
    """How noisy the log's outcomes are, and the weights [N + n, 2] that the rows of the trial and of the log have by that."""
    noise = Noise.of(found.of_log.cpu().numpy(), log.y.cpu().numpy(), job.ranks)
    both = torch.cat([found.of_trial, found.of_log]).cpu().numpy()
    shares = job.shares(len(found.of_log), len(found.of_trial))
    return noise, torch.from_numpy(noise.weights(both, shares)).to(log.y.device)


def ground(job: Job, trial: Rows, log: Rows, units: Units, said: OfLog, *, networks: bool, **common: Any) -> Correction:
    """What has to be added to the log's outcomes.

    First `ridge_correction`. With `networks`, where that finds a head biased, the log's model is trained on on the trial less the
    ridge's part, without one of its folds at a time; what it learned there is taken as far as it is seen again on the fold.
    `common` as in `fit_networks`. Where there are ranks, the log is this one's part: its regressions and its propensity are of all
    parts; what is done on the trial, each rank does for itself.
    """
    shares = job.shares(len(log.table))
    device = common.get("device", "cpu")
    m = trial.table.treatments
    of_trial, of_log = (trial.y - said.of_trial).cpu().numpy(), (log.y - said.of_log).cpu().numpy()
    x, t = trial.x.cpu().numpy(), trial.table.treatment
    given = torch.from_numpy(log.table.treatment).to(device)
    weight = log_propensity(log.x, given, m, trial.x, shares=shares).cpu().numpy()[np.arange(len(t)), t]
    parts: dict[str, Any] = {} if job.ranks is None else {"total": job.ranks.total}
    known: dict[str, Any] = {
        "log": Regressions(of_log, log.x.cpu().numpy(), log.table.treatment, m, **parts),
        "weight": weight,
    }
    found = ridge_correction(of_trial, x, t, m, **known)
    if np.bincount(t, minlength=m).min() < 4 * _FOLDS:
        return found  # too few rows to hold any out
    fold = folds(t, _FOLDS, job.seed)
    left = held_out_ridge(of_trial, x, t, m, fold, **known)
    biased = found.tested.min(1) < DOUBT
    if networks and biased.any():
        residual, again = _networks(job, said.model, trial, found, units, fold, biased, common)
        left = left - again
        found = replace(found, residual=residual)
    return replace(found, left=left_over(left, x, t, m, **known))


def _networks(
    job: Job,
    model: nn.Module,
    trial: Rows,
    ridge: Correction,
    units: Units,
    fold: Array,
    biased: Array,
    common: dict[str, Any],
) -> tuple[Residual, Array]:
    """The log's model trained on on the trial, and what that adds [N, 2] for the rows, each held out."""
    device = common.get("device", "cpu")
    t = trial.table.treatment
    at = columns(torch.from_numpy(t), trial.table.treatments).to(device)
    y = trial.y - torch.from_numpy(ridge.of(trial.x.cpu().numpy(), t).astype(np.float32)).to(device)
    found = torch.zeros_like(y)
    made = []
    with torch.no_grad():
        before = outputs(model, trial.x)
    for k in range(_FOLDS):
        rows, held = np.flatnonzero(fold != k), torch.from_numpy(np.flatnonzero(fold == k)).to(device)
        (network,), _ = fit_networks(
            job, trial.table[rows], units, _GOING_ON, part_name=f"residual{k}", modules=[model],
            labels=y[torch.from_numpy(rows).to(device)], seed=12 + k, **common,
        )  # fmt: skip
        made.append(network)
        with torch.no_grad():
            found[held] = (outputs(network, trial.x[held]) - before[held]).gather(1, at[held])
    share, gain = seen_again(found.cpu().numpy(), (y - before.gather(1, at)).cpu().numpy())
    share = np.where(biased, share, 0.0)
    return Residual(model, tuple(made), share, gain), share * found.double().cpu().numpy()


def _says(model: nn.Module, rows: Rows) -> Tensor:
    """[N, 2]: what the model says of the treatments received."""
    at = columns(torch.from_numpy(rows.table.treatment), rows.table.treatments).to(rows.x.device)
    with torch.no_grad():
        return outputs(model, rows.x).gather(1, at)
