"""A decision loss in JAX, under `jit`: trains a linear model, and prints the estimated value of its decisions before and after. Needs jax."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import bidfcl_fast as bf
from bidfcl_fast.adapters.jax import decision_loss

TREATMENTS, BUDGET, TEMPERATURE = 3, 0.25, 0.3


def trial(n: int, seed: int) -> bf.Table:
    """Values and costs rise with the dose, values more for some; treatments are drawn at random."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    t = rng.integers(TREATMENTS, size=n)
    value = x[:, 0] + t * np.exp(0.5 * x[:, 1]) + rng.normal(size=n)
    cost = 0.3 * t * np.exp(0.3 * x[:, 2])
    return bf.Table(x, t, value.astype(np.float32), cost.astype(np.float32), treatments=TREATMENTS)


def predict(weights: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """weights [5, 2M]: value_hat and cost_hat [N, M]."""
    hat = jnp.hstack([x, jnp.ones((len(x), 1))]) @ weights
    return hat[:, :TREATMENTS], hat[:, TREATMENTS:]


def main(steps: int = 60, n: int = 4000, rate: float = 0.3) -> tuple[float, float]:
    train, test = trial(n, 0), trial(n, 1)
    weight = bf.metrics.ipw_weight(train.treatment, TREATMENTS)
    options = {"temperature": TEMPERATURE, "multiplier_grad": "implicit", "cost_outcome": train.cost}
    loss = decision_loss("ppl", train.treatment, train.value, weight, **options)
    means = [[y[train.treatment == j].mean() for j in range(TREATMENTS)] for y in (train.value, train.cost)]
    weights = jnp.zeros((5, 2 * TREATMENTS)).at[-1].set(np.ravel(means))

    def worth(weights: jax.Array) -> float:
        return float(bf.metrics.eom(*map(np.asarray, predict(weights, test.x)), test, BUDGET).value)

    # What is worth giving is learned; what it costs is not, or a descent that bends costs could leave no plan within the budget.
    learned = jnp.arange(2 * TREATMENTS) < TREATMENTS
    step = jax.jit(jax.grad(lambda weights, multiplier: loss(*predict(weights, train.x), multiplier)))
    before = worth(weights)
    for _ in range(steps):
        hat = map(np.asarray, predict(weights, train.x))
        multiplier = bf.metrics.eom(*hat, train, BUDGET).multiplier
        weights = weights - rate * learned * step(weights, jnp.float32(multiplier))
    after = worth(weights)
    print(f"value per user at {BUDGET:g} of budget: {before:.3f} with the arms' means, {after:.3f} learned")
    return before, after


if __name__ == "__main__":
    main()
