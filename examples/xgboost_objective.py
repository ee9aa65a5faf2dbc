"""XGBoost that learns from decisions: PIFD and squared error as one custom objective, through `bf.loss_and_grad`.

One tree a round and output; the trees predict 2M numbers a user, M values and M costs. Needs xgboost (or xgboost-cpu). Prints the
estimated value of the decisions before and after.
"""

from __future__ import annotations

import numpy as np
import xgboost

import bidfcl_fast as bf

TREATMENTS, BUDGET, TEMPERATURE = 3, 0.25, 0.3


def trial(n: int, seed: int) -> bf.Table:
    """Values and costs rise with the dose, values more for some; treatments are drawn at random."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    t = rng.integers(TREATMENTS, size=n)
    value = x[:, 0] + t * np.exp(0.5 * x[:, 1]) + rng.normal(size=n)
    cost = 0.3 * t * np.exp(0.3 * x[:, 2])
    return bf.Table(x, t, value, cost, treatments=TREATMENTS)


class Objective:
    """Gradient and a positive curvature of mse·squared error + N·PIFD, each [N, 2M]."""

    def __init__(self, table: bf.Table, mse: float = 0.3) -> None:
        self.table, self.mse = table, mse
        self.weight = bf.metrics.ipw_weight(table.treatment, TREATMENTS)

    def __call__(self, predicted: np.ndarray, _: xgboost.DMatrix) -> tuple[np.ndarray, np.ndarray]:
        table, n = self.table, len(self.table)
        value, cost = np.hsplit(np.asarray(predicted.reshape(n, 2 * TREATMENTS), np.float64), 2)
        lam = bf.metrics.eom(value, cost, table, BUDGET).multiplier
        loss = bf.loss_and_grad(
            "pifd",
            value,
            cost,
            table.treatment,
            table.value,
            self.weight,
            lam,
            temperature=TEMPERATURE,
            min_gap=0.3,
            multiplier_grad="implicit",
            cost_outcome=table.cost,
            centre=True,
            price_bounds=(0, 10),
        )
        received = np.eye(TREATMENTS)[table.treatment]
        off = [received * (p - y[:, None]) for p, y in ((value, table.value), (cost, table.cost))]
        gradient = np.hstack([n * loss.value + self.mse * off[0], n * loss.cost + self.mse * off[1]])
        # Newton steps need a positive curvature: the squared error's, and a bound on the softmax's.
        return gradient, np.full_like(gradient, self.mse + 1 / (4 * TEMPERATURE))


def main(rounds: int = 30, n: int = 4000) -> tuple[float, float]:
    train, test = trial(n, 0), trial(n, 1)

    def worth(scores: np.ndarray) -> float:
        return float(bf.metrics.eom(*np.hsplit(np.asarray(scores, np.float64), 2), test, BUDGET).value)

    # A number for everybody to start from: the means of the arms.
    means = np.array([[y[train.treatment == j].mean() for j in range(TREATMENTS)] for y in (train.value, train.cost)])
    start = np.tile(means.ravel(), (n, 1))
    # Labels are those of the table; what XGBoost is given only says how many outputs there are.
    data = xgboost.DMatrix(train.x, label=np.zeros((n, 2 * TREATMENTS)), base_margin=start)
    options = {"max_depth": 3, "eta": 0.1, "nthread": 1, "base_score": 0.0}
    booster = xgboost.train(options, data, num_boost_round=rounds, obj=Objective(train))
    learned = booster.predict(xgboost.DMatrix(test.x, base_margin=start), output_margin=True)
    before, after = worth(start), worth(learned)
    print(f"value per user at {BUDGET:g} of budget: {before:.3f} with the arms' means, {after:.3f} learned")
    return before, after


if __name__ == "__main__":
    main()
