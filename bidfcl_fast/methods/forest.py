"""`tsm-cf`: a causal forest for the effects of value and cost, over EconML (LBCF-style)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._job import Job, check_arms
from ._learner import Learner
from .two_stage import chosen

Array = NDArray[Any]


class CausalForest(Learner):
    """Effects of each treatment over treatment 0 from EconML's `CausalForestDML`, one forest for value and one for cost.

    The level of treatment 0 comes from a random forest on the people who received it. Needs `econml`
    (pip install 'bidfcl_fast[forest]').

    Parameters
    ----------
    data
        "rct", "obs" or "both".
    trees, min_leaf
        Of the forests.
    jobs
        Threads.
    finish
        As in `tsm-sl`.

    Source: TSM-CF of Bi-DFCL §5.1, which cites LBCF (WWW 2022); its own forest's split rule is not in public, so this is
    "LBCF-style".
    """

    name = "tsm-cf"

    def __init__(
        self, *, data: str = "rct", trees: int = 200, min_leaf: int = 50, jobs: int = 1, finish: Any = None
    ) -> None:
        self.data, self.trees, self.min_leaf, self.jobs, self.finish = data, trees, min_leaf, jobs, finish

    def _learn(self, job: Job) -> None:
        try:
            from econml.dml import CausalForestDML
            from sklearn.dummy import DummyClassifier
            from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
        except ImportError as error:
            raise RuntimeError("method 'tsm-cf' needs econml: pip install 'bidfcl_fast[forest]'") from error
        table, alone = chosen(self.data, job)
        check_arms(table)
        trees = max(4, self.trees // 4 * 4)  # EconML wants a multiple of four
        state = int(job.seed)
        common: dict[str, Any] = {"min_samples_leaf": self.min_leaf, "n_jobs": self.jobs, "random_state": state}
        step = job.expect(4)
        self.effects_, self.levels_ = [], []
        for outcome in (table.value, table.cost):
            # In a trial the features say nothing of the treatment, and a model of it would only add noise.
            of_treatment = DummyClassifier() if alone else RandomForestClassifier(50, **common)
            forest = CausalForestDML(
                model_y=RandomForestRegressor(50, **common),
                model_t=of_treatment,
                discrete_treatment=True,
                n_estimators=trees,
                min_samples_leaf=self.min_leaf,
                n_jobs=self.jobs,
                random_state=state,
                inference=False,
            )
            forest.fit(outcome.astype(np.float64), table.treatment, X=table.x.astype(np.float64))
            self.effects_.append(forest)
            step()
            control = table.treatment == 0
            self.levels_.append(RandomForestRegressor(50, **common).fit(table.x[control], outcome[control]))
            step()
        self.treatments_, self.features_ = table.treatments, table.x.shape[1]

    def _predict(self, x: Array) -> tuple[Array, Array]:
        out = []
        for forest, level in zip(self.effects_, self.levels_, strict=True):
            base = level.predict(x)[:, None]
            lift = np.asarray(forest.const_marginal_effect(x.astype(np.float64))).reshape(len(x), -1)
            out.append(np.concatenate([base, base + lift], 1))
        return out[0], out[1]
