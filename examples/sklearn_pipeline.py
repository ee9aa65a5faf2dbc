"""A method in a scikit-learn pipeline, its parameters by cross-validation, and an allocation. Needs scikit-learn and torch."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import QuantileTransformer

import bidfcl_fast as bf
from bidfcl_fast.data import simulate


def main(n: int = 1500) -> tuple[float, float]:
    """Regret of the plan of a model that knows nothing, and of the pipeline's."""
    sim = simulate(n, 10, n, features=6, treatments=3, seed=0)
    labels = np.column_stack([sim.rct.treatment, sim.rct.value, sim.rct.cost])
    budget = float(sim.budget(0.3)) * n

    pipeline = Pipeline(
        [
            ("even", QuantileTransformer(n_quantiles=100, output_distribution="normal")),
            ("method", bf.methods.create("tsm-sl", data="rct", epochs=8)),
        ]
    )
    search = GridSearchCV(pipeline, {"method__lr": [1e-3, 1e-2]}, cv=2, error_score="raise")
    search.fit(sim.rct.x, labels, method__progress=False)
    value, cost = search.predict(sim.test.x)
    plan = bf.solve_mckp(value, cost, budget)

    ignorant = [np.tile([y[sim.rct.treatment == j].mean() for j in range(3)], (n, 1)) for y in labels.T[1:]]
    before, after = (
        float(bf.metrics.regret(v, c, sim.true_value, sim.true_cost, budget)) for v, c in (ignorant, (value, cost))
    )
    print(
        f"{search.best_params_}: {np.bincount(plan.choice)} get each treatment; regret {after:.2f}, without x {before:.2f}"
    )
    return before, after


if __name__ == "__main__":
    main()
