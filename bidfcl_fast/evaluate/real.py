"""One recipe on one fold of a real trial: net dollars of its decisions, with bootstrap replicates that all recipes share."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Table, load_hillstrom, load_starbucks, load_thornton, observational_sample
from ..data.shapes import smooth
from ..methods import folds
from . import recipes

Array = NDArray[Any]

REPLICATES = 400
BUDGET = (
    0.3  # per user, as a share of the dearest treatment for everybody: what methods that train for a budget are given
)

# Dollars that one unit of value is worth. In Thornton's trial a unit is one person who comes for their result; what that is
# worth is not in the data, and two dollars are this report's assumption.
WORTH = {"starbucks": 1.0, "hillstrom": 1.0, "thornton": 2.0}

_LOAD: dict[str, Callable[[Path | None], Table]] = {
    "starbucks": lambda path: load_starbucks(_inside(path, "starbucks")),
    "hillstrom": lambda path: load_hillstrom(_inside(path, "hillstrom")),
    "thornton": lambda path: load_thornton(),
}


def run(spec: recipes.Spec, data: dict[str, Any], seed: int, path: Path | None) -> dict[str, Any]:
    """Learn from a trial of one fold and a biased log of the rest, decide for the test fold, value it there.

    The decisions are argmax(worth·value − cost): every dollar counts alike, so no budget is needed. `policies` holds, for
    the recipe, for each arm given to all, and for an equal draw, the numerator and the denominator of the Hájek estimate of net
    dollars, on the fold itself (first) and on `REPLICATES` Poisson resamples of its rows, the same for every recipe.
    """
    name = data["real"]
    table = _LOAD[name](path)
    fold = folds(table.treatment, data["folds"], 0)
    test = table[fold == data["fold"]]
    trial = table[fold == (data["fold"] + 1) % data["folds"]]
    rest = table[(fold != data["fold"]) & (fold != (data["fold"] + 1) % data["folds"])]
    log = biased(rest, seed)
    dearest = max(float(table.cost[table.treatment == j].mean()) for j in range(table.treatments))
    method = recipes.build(spec)
    clock = time.perf_counter if recipes.on_gpu(spec) else time.process_time
    start = clock()
    method.fit(rct=trial, obs=log, budget=BUDGET * dearest, seed=seed, progress=False)
    seconds = clock() - start
    value, cost = method.predict(test.x)
    m = table.treatments
    choice = (WORTH[name] * np.asarray(value) - np.asarray(cost)).argmax(1)
    given = {"recipe": np.eye(m)[choice], "random": np.full((len(test), m), 1 / m)}
    given |= {f"all {j}": np.tile(np.eye(m)[j], (len(test), 1)) for j in range(m)}
    return {
        "rows": {"trial": len(trial), "log": len(log), "test": len(test)},
        "labels": list(table.labels),
        "shares": [float(s) for s in np.bincount(choice, minlength=m) / len(test)],
        "policies": {key: _sums(policy, test, WORTH[name], data["fold"]) for key, policy in given.items()},
        "seconds": seconds,
    }


def biased(table: Table, seed: int) -> Table:
    """A log of a policy that follows a smooth score of the features; its odds are not told."""
    x = table.x.astype(np.float64)
    sd = x.std(0)
    x = (x - x.mean(0)) / np.where(sd > 0, sd, 1)
    score = smooth(np.random.default_rng([seed, 7]), x.shape[1])(x)
    side = np.linspace(-1, 1, table.treatments)
    log = observational_sample(table, np.exp(np.outer((score - score.mean()) / score.std(), side)), seed)
    return replace(log, propensity=None)


def _sums(policy: Array, test: Table, worth: float, fold: int) -> list[list[float]]:
    weight = policy[np.arange(len(test)), test.treatment] / test.received_propensity
    net = worth * test.value - test.cost
    rng = np.random.default_rng([zlib.crc32(b"bootstrap"), fold])
    counts = np.concatenate([np.ones((1, len(test))), rng.poisson(1.0, (REPLICATES, len(test)))])
    return [[float(f"{s:.9g}") for s in counts @ column] for column in (weight * net, weight)]


def _inside(path: Path | None, name: str) -> Path:
    if path is None:
        raise FileNotFoundError(f"the data of {name}: give the folder that holds them (--data)")
    return path / name
