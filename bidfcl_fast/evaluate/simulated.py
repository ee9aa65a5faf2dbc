"""One recipe on one simulated world: true regret, and beside it what an analyst would see."""

from __future__ import annotations

import json
import time
import warnings
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data import Simulation, simulate
from ..data.simulation import BUDGETS
from ..errors import InfeasibleBudget
from ..metrics import eom, regret
from . import recipes


def run(spec: recipes.Spec, data: dict[str, Any], seed: int) -> dict[str, Any]:
    """Fit and judge; every list has one number for each budget (`BUDGETS`, shares of the dearest treatment for all).

    `seconds` is processor time of the fit, which other work on the machine disturbs little (on a GPU: time by the clock); regret is in
    percent.
    """
    made = _world(json.dumps(data))
    budget = made.budget(BUDGETS)
    n = len(made.test)
    fitted = _fitted(json.dumps(spec), json.dumps(data), seed)
    value, cost = fitted.value, fitted.cost
    truth = made.true_value.astype(np.float64), made.true_cost.astype(np.float64)
    sized = regret(value, cost, *truth, budget * n, spend="predicted")
    seen = observed(value, cost, made, budget)
    return {
        "regret": _percent(regret(value, cost, *truth, budget * n)),
        "regret_predicted_spend": _percent(sized.regret),
        "overspend": _percent(sized.overspend / (budget * n)),
        "eom": seen[0],
        "eom_se": seen[1],
        "seconds": fitted.wall if recipes.on_gpu(spec) else fitted.seconds,
        "uninformed": _percent(made.describe().uninformed_regret),
        "least_propensity": made.least_propensity,
        "warnings": list(fitted.warnings),
        "notes": fitted.notes,
    }


class Fitted(NamedTuple):
    """What a fitted recipe says of the test users, and what the fit took: processor time, and time by the clock."""

    value: NDArray[Any]
    cost: NDArray[Any]
    seconds: float
    wall: float
    warnings: tuple[str, ...]
    notes: dict[str, Any]


@lru_cache(maxsize=1)
def _world(data: str) -> Simulation:
    return simulate(**json.loads(data))


# The means of 2 and of 3 fits of a recipe, which stand beside the recipe itself, share theirs.
@lru_cache(maxsize=4)
def _fitted(spec: str, data: str, seed: int) -> Fitted:
    """Fit a recipe; of a mean of several, each member by itself, as `Ensemble` fits them."""
    from ..methods.ensemble import SEED_STEP

    given = json.loads(spec)
    if "ensemble" in given:
        common = given.get("common", {})
        each = [json.dumps(recipes.with_options(member, common)) for member in given["ensemble"]]
        parts = [_fitted(member, data, seed + SEED_STEP * k) for k, member in enumerate(each)]
        value, cost = (np.mean([getattr(part, what) for part in parts], axis=0) for what in ("value", "cost"))
        said = {text for part in parts for text in part.warnings}
        return Fitted(
            value, cost, sum(p.seconds for p in parts), sum(p.wall for p in parts), tuple(sorted(said)), parts[0].notes
        )
    made = _world(data)
    method = recipes.build(given)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start, wall = time.process_time(), time.perf_counter()
        budget = [float(b) for b in made.budget(BUDGETS)]
        method.fit(rct=made.rct, obs=made.obs, budget=budget, seed=seed, progress=False)
        seconds, wall = time.process_time() - start, time.perf_counter() - wall
    value, cost = (np.asarray(p, np.float64) for p in method.predict(made.test.x))
    said = {str(w.message)[:300] for w in caught if issubclass(w.category, UserWarning)}
    return Fitted(value, cost, seconds, wall, tuple(sorted(said)), notes(method))


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
