"""One recipe on one simulated world: true regret, and beside it what an analyst would see."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np

from ..data import simulate
from ..data.simulation import BUDGETS
from ..errors import InfeasibleBudget
from ..metrics import eom, regret
from . import recipes


def run(spec: recipes.Spec, data: dict[str, Any], seed: int) -> dict[str, Any]:
    """Fit and judge; every list has one number for each budget (`BUDGETS`, shares of the dearest treatment for all).

    `seconds` is processor time of the fit, which other work on the machine disturbs little (on a GPU: time by the clock); regret is in
    percent.
    """
    made = simulate(**data)
    budget = made.budget(BUDGETS)
    n = len(made.test)
    method = recipes.build(spec)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        start, wall = time.process_time(), time.perf_counter()
        method.fit(rct=made.rct, obs=made.obs, budget=[float(b) for b in budget], seed=seed, progress=False)
        seconds, wall = time.process_time() - start, time.perf_counter() - wall
    value, cost = (np.asarray(p, np.float64) for p in method.predict(made.test.x))
    truth = made.true_value.astype(np.float64), made.true_cost.astype(np.float64)
    sized = regret(value, cost, *truth, budget * n, spend="predicted")
    seen = observed(value, cost, made, budget)
    return {
        "regret": _percent(regret(value, cost, *truth, budget * n)),
        "regret_predicted_spend": _percent(sized.regret),
        "overspend": _percent(sized.overspend / (budget * n)),
        "eom": seen[0],
        "eom_se": seen[1],
        "seconds": wall if recipes.on_gpu(spec) else seconds,
        "uninformed": _percent(made.describe().uninformed_regret),
        "least_propensity": made.least_propensity,
        "warnings": sorted({str(w.message)[:300] for w in said if issubclass(w.category, UserWarning)}),
        "notes": notes(method),
    }


def observed(value: Any, cost: Any, made: Any, budget: Any) -> tuple[list[float] | None, list[float] | None]:
    """EOM on the test users' own trial, and its standard error at the multiplier found; None where no multiplier fits."""
    try:
        seen = eom(value, cost, made.test, budget)
    except InfeasibleBudget:
        return None, None
    weight = 1 / made.test.received_propensity
    errors = []
    for multiplier in np.atleast_1d(seen.multiplier):
        choice = (value - multiplier * cost).argmax(1)
        errors.append(float((weight * made.test.value * (choice == made.test.treatment)).std() / np.sqrt(len(choice))))
    return [float(v) for v in np.atleast_1d(seen.value)], errors


def notes(method: Any) -> dict[str, Any]:
    """What the fitted method says of itself, as far as it is plain numbers or words."""
    found = getattr(method, "summary_", None)
    if callable(found):
        found = found()
    plain = (int, float, str, bool)
    return {k: v for k, v in found.items() if isinstance(v, plain)} if isinstance(found, dict) else {}


def _percent(shares: Any) -> list[float]:
    return [100 * float(s) for s in np.atleast_1d(shares)]
