"""The teachers: networks built for the run, fitted methods, or a module; what they say together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.table import Table
from ..methods._fit import Schedule
from ..methods._job import Job, pooled
from ..methods._network import Average
from ..methods._units import Units, outputs
from ..methods.base import Method
from ..methods.two_stage import fit_networks
from .presets import Settings

Says = Callable[[Table, Tensor], Tensor]


def teach(
    job: Job,
    rct: Table,
    obs: Table,
    units: Units,
    y: tuple[Tensor, Tensor],
    s: Settings,
    plan: Schedule,
    weights: Tensor | None = None,
    **common: Any,
) -> tuple[Says, list[nn.Module]]:
    """What the teachers say of people (a table and its standardised features → standardised outputs), and those that were built.

    `y`: standardised outcomes of the trial and of the corrected log; `weights` [N, 2] of both, for teachers of both. Without teachers 0 is said of everybody.
    """
    given = s.teachers
    if isinstance(given, int) and not isinstance(given, bool):
        if given == 0:
            return (lambda table, x: torch.zeros(len(x), 2 * rct.treatments, device=x.device)), []
        if s.teacher_rows == "both":
            shares = job.shares(len(obs), len(rct))
            modules, _ = fit_networks(
                job, pooled(rct, obs), units, plan, part_name="teacher", members=given, labels=torch.cat(y), weights=weights, seed=22,
                shares=shares, **common
            )  # fmt: skip
        else:
            alone = Schedule(s.schedule["teacher"], 1024, 2e-3, patience=15)
            modules, _ = fit_networks(
                job, rct, units, alone, part_name="teacher", members=given, val=job.val, seed=22, **common
            )
        average = Average(modules).eval()
        return (lambda table, x: outputs(average, x)), modules
    if isinstance(given, nn.Module):
        module = given.to(common["device"]).eval()
        return (lambda table, x: outputs(module, x)), []
    methods = [given] if isinstance(given, Method) else list(given)
    if not methods or not all(isinstance(m, Method) for m in methods):
        raise TypeError("teachers must be how many to build, fitted methods, or a module")

    def say(table: Table, x: Tensor) -> Tensor:
        found = np.mean([units.outside(m.predict(table.x)) for m in methods], axis=0)
        return torch.from_numpy(found.astype(np.float32)).to(x.device)

    return say, []
