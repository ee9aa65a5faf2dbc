"""`Ensemble`: the mean of several methods' predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._job import Job
from ._learner import Learner
from .base import Method

Array = NDArray[Any]


# From one member's seed to the next: members of one kind differ, and share no start with other runs nearby.
SEED_STEP = 1000


class Ensemble(Learner):
    """Averages fitted methods; `fit` fits each of them (a member that is fitted already is fitted again).

    Member k gets the seed `seed` + 1000·k.

    Parameters
    ----------
    methods
        Of one kind or of several.
    finish
        As in `tsm-sl`: a network is taught the mean and trained on.
    """

    name = "ensemble"

    def __init__(self, methods: Sequence[Method], *, finish: Any = None) -> None:
        self.methods, self.finish = methods, finish

    def _learn(self, job: Job) -> None:
        if not len(self.methods):
            raise ValueError("an Ensemble needs at least one method")
        step = job.expect(len(self.methods))
        for k, method in enumerate(self.methods):
            method.fit(
                rct=job.rct, obs=job.obs, val=job.val, budget=job.budgets, seed=job.seed + SEED_STEP * k, progress=False
            )
            step()

    @property
    def features_(self) -> int:
        """Columns of x; AttributeError where a member is not fitted."""
        return int(self.methods[0].features_)  # type: ignore[attr-defined]

    def _predict(self, x: Array) -> tuple[Array, Array]:
        pairs = [method.predict(x) for method in self.methods]
        value, cost = (np.mean([pair[k] for pair in pairs], axis=0) for k in (0, 1))
        return value, cost
