"""Cross-fitting: predictions for everybody, each from a model that never saw them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.table import Table
from .base import Method

Array = NDArray[Any]


@dataclass(frozen=True)
class CrossFit:
    """`value`, `cost`: [N, M] predictions; `fold`: int64 [N], who was held out together; `models`: one per fold."""

    value: Array
    cost: Array
    fold: Array
    models: tuple[Method, ...]


def folds(treatment: Any, k: int, seed: int = 0) -> Array:
    """int64 [N] fold of each person, 0 … k-1, at random by `seed`; every treatment is spread evenly over the folds."""
    treatment = np.asarray(treatment)
    if not 2 <= k <= len(treatment):
        raise ValueError(f"folds must be 2 to the number of people, {len(treatment)}; got {k}")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(treatment))
    order = order[np.argsort(treatment[order], kind="stable")]
    fold = np.empty(len(treatment), np.int64)
    fold[order] = np.arange(len(treatment)) % k
    return fold


def crossfit(
    make: Callable[[], Method],
    table: Table,
    *,
    k: int = 5,
    seed: int = 0,
    step: Callable[[], None] | None = None,
) -> CrossFit:
    """Fit k models, each without one fold of the people, and predict that fold with it.

    Parameters
    ----------
    make
        Returns a new, unfitted method.
    table
        A trial of N people.
    k, seed
        Number of folds, and the seed of the folds and of the fits.
    step
        Called after each fit; for a progress line.
    """
    fold = folds(table.treatment, k, seed)
    value = np.empty((len(table), table.treatments))
    cost = np.empty_like(value)
    models = []
    for held in range(k):
        model = make().fit(rct=table[fold != held], seed=seed + held, progress=False)
        out = fold == held
        value[out], cost[out] = model.predict(table.x[out])
        models.append(model)
        if step is not None:
            step()
    return CrossFit(value, cost, fold, tuple(models))
