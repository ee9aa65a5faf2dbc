"""A causal model's effects to an allocation: the last three lines of each function. Run with econml, sklift or causalml as argument.

Each learns on a simulated trial what treatments bring, and spends a budget on other users; printed is the true value of the plan beside that of a
lottery that spends as much.
"""

from __future__ import annotations

import sys

import numpy as np

import bidfcl_fast as bf

PRICE = np.array([0.5, 1.0])  # money, of the two treatments beside the control


class Trial:
    """Three arms at random, or two; `gain` [N, M−1] is the true gain over the control."""

    def __init__(self, n: int, arms: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(n, 3))
        self.treatment = rng.integers(arms, size=n)
        self.gain = np.exp(0.7 * self.x[:, :1]) * np.array([1.0, 1.6])[: arms - 1]
        whole = np.hstack([np.zeros((n, 1)), self.gain])
        self.outcome = self.x[:, 1] + whole[np.arange(n), self.treatment] + rng.normal(size=n)


def econml(train: Trial, x: np.ndarray, budget: float) -> bf.Plan:
    from econml.dml import LinearDML
    from sklearn.linear_model import LinearRegression, LogisticRegression

    model = LinearDML(
        model_y=LinearRegression(), model_t=LogisticRegression(), discrete_treatment=True, random_state=0
    ).fit(train.outcome, train.treatment, X=train.x)

    effect = model.const_marginal_effect(x)
    value, cost = bf.adapters.from_effects(effect, PRICE)
    return bf.solve_mckp(value, cost, budget)


def sklift(train: Trial, x: np.ndarray, budget: float) -> bf.Plan:
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklift.models import TwoModels

    model = TwoModels(HistGradientBoostingRegressor(random_state=0), HistGradientBoostingRegressor(random_state=1))
    model.fit(pd.DataFrame(train.x), pd.Series(train.outcome), pd.Series(train.treatment))

    effect = model.predict(pd.DataFrame(x))
    value, cost = bf.adapters.from_effects(effect, PRICE[:1])
    return bf.solve_mckp(value, cost, budget)


def causalml(train: Trial, x: np.ndarray, budget: float) -> bf.Plan:
    from causalml.inference.meta import BaseTRegressor
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = BaseTRegressor(HistGradientBoostingRegressor(random_state=0), control_name=0)
    model.fit(X=train.x, treatment=train.treatment, y=train.outcome)

    effect = model.predict(x)
    value, cost = bf.adapters.from_effects(effect, PRICE)
    return bf.solve_mckp(value, cost, budget)


LIBRARIES = {"econml": (econml, 3), "sklift": (sklift, 2), "causalml": (causalml, 3)}


def main(library: str = "econml", n: int = 4000) -> tuple[float, float]:
    """The true gain a user of a lottery at the same spend, and of the plan."""
    allocate, arms = LIBRARIES[library]
    train, test = Trial(n, arms, 0), Trial(n, arms, 1)
    budget = 0.25 * n
    plan = allocate(train, test.x, budget)
    true = np.hstack([np.zeros((n, 1)), test.gain])
    planned = float(true[np.arange(n), plan.choice].mean())
    price = np.append(0.0, PRICE[: arms - 1])
    lottery = float(max(test.gain.mean(axis=0) / price[1:])) * plan.spend / n
    print(
        f"{library}: gain a user {lottery:.3f} by a lottery, {planned:.3f} by the plan, for {plan.spend / n:.3f} each"
    )
    return lottery, planned


if __name__ == "__main__":
    main(*sys.argv[1:])
