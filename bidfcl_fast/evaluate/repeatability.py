"""Would another trial of the same world give the same hypergradient? Cosines between independent trials."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from ..data import Table, simulate
from ..data.simulation import BUDGETS
from . import recipes

TRIALS = 4  # independent ones, none of them the one that trained the teacher
BATCH = 4096


def run(data: dict[str, Any], seed: int) -> dict[str, Any]:
    """Cosines for both forms of the multiplier and three sizes of trial, at one state early in training.

    The bridge is one gate for each arm and head, the target is warm-started on the log and trained for two passes: the
    place where a gate has most to say. Everything but the trial is the same on both sides of a cosine.
    """
    made = simulate(**data)
    budget = [float(b) for b in made.budget(BUDGETS)]
    schedule = {"warm": 10, "student": 2}
    spec = {"name": "bidfcl-ppl", "options": {"preset": "paper", "gate": "per-arm", "schedule": schedule}}
    method = recipes.build(spec)
    method.fit(rct=made.rct, obs=made.obs, budget=budget, seed=seed, progress=False)
    trials = [simulate(**data, sample=k).rct for k in range(1, TRIALS + 1)]
    sizes = sorted({n for n in (2_000, 6_000) if n < len(made.rct)} | {len(made.rct)})
    cosines = {}
    for form, name in (("stop", "constant"), ("implicit", "its own gradient")):
        for n in sizes:
            found = [_hypergradient(method, made.obs[:BATCH], trial[:n], budget, form) for trial in trials]
            cosines[f"{name}|{n:,}"] = float(np.mean([_cosine(a, b) for a, b in combinations(found, 2)]))
    return {"cosines": cosines}


def _hypergradient(method: Any, log: Table, trial: Table, budget: list[float], form: str) -> Any:
    """[Q] of a fitted method's bridge, on rows of the log, for what one trial says; Gauss–Newton, temperature 0.1."""
    from ..bilevel.signs import sample
    from ..bilevel.step import BilevelStep
    from ..methods._trial import TrialLoss

    units = method.units_
    batch = sample(units, log, "cpu", len(log))
    batch = batch._replace(teacher=method.teacher_(log, batch.x).detach())
    upper = TrialLoss("ppl", trial, units, np.asarray(budget), temperature=0.1, multiplier_grad=form)
    return BilevelStep(method.nets_[0], method.bridge_, upper).upper(batch).gradient


def _cosine(a: Any, b: Any) -> float:
    a, b = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size else 0.0
