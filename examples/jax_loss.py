"""A decision loss in JAX: `bf.loss_and_grad` behind `custom_vjp` and `pure_callback`, so that it can be jitted.

The callback makes the value and the gradient in one pass over the data; the backward only scales what is there. Needs jax. Trains a
linear model, and prints the estimated value of its decisions before and after.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import bidfcl_fast as bf

TREATMENTS, BUDGET, TEMPERATURE = 3, 0.25, 0.3


def trial(n: int, seed: int) -> bf.Table:
    """Values and costs rise with the dose, values more for some; treatments are drawn at random."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    t = rng.integers(TREATMENTS, size=n)
    value = x[:, 0] + t * np.exp(0.5 * x[:, 1]) + rng.normal(size=n)
    cost = 0.3 * t * np.exp(0.3 * x[:, 2])
    return bf.Table(x, t, value.astype(np.float32), cost.astype(np.float32), treatments=TREATMENTS)


class DecisionLoss:
    """`loss(value_hat, cost_hat, multiplier)`, PPL with the implicit gradient, as a function that JAX differentiates once."""

    def __init__(self, table: bf.Table) -> None:
        self.table = table
        self.weight = bf.metrics.ipw_weight(table.treatment, TREATMENTS).astype(np.float32)
        self.loss = jax.custom_vjp(lambda *args: self._both(*args)[0])
        self.loss.defvjp(self._forward, self._backward)

    def __call__(self, value: jax.Array, cost: jax.Array, multiplier: jax.Array) -> jax.Array:
        return self.loss(value, cost, multiplier)

    def _host(self, value: jax.Array, cost: jax.Array, multiplier: jax.Array) -> tuple[np.ndarray, ...]:
        table = self.table
        arrays = (np.asarray(value), np.asarray(cost), table.treatment, table.value, self.weight)
        got = bf.loss_and_grad(
            "ppl",
            *arrays,
            float(multiplier),
            temperature=TEMPERATURE,
            multiplier_grad="implicit",
            cost_outcome=table.cost,
        )
        return np.float32(got.loss), got.value, got.cost

    def _both(self, value: jax.Array, cost: jax.Array, multiplier: jax.Array) -> tuple[jax.Array, ...]:
        grid = jax.ShapeDtypeStruct(value.shape, value.dtype)
        return jax.pure_callback(
            self._host, (jax.ShapeDtypeStruct((), jnp.float32), grid, grid), value, cost, multiplier
        )

    def _forward(self, *args: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        loss, *gradients = self._both(*args)
        return loss, tuple(gradients)

    def _backward(self, gradients: tuple[jax.Array, jax.Array], scale: jax.Array) -> tuple[jax.Array, ...]:
        return scale * gradients[0], scale * gradients[1], jnp.zeros(())


def predict(weights: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """weights [5, 2M]: value_hat and cost_hat [N, M]."""
    hat = jnp.hstack([x, jnp.ones((len(x), 1))]) @ weights
    return hat[:, :TREATMENTS], hat[:, TREATMENTS:]


def main(steps: int = 60, n: int = 4000, rate: float = 0.3) -> tuple[float, float]:
    train, test = trial(n, 0), trial(n, 1)
    loss = DecisionLoss(train)
    means = [[y[train.treatment == j].mean() for j in range(TREATMENTS)] for y in (train.value, train.cost)]
    weights = jnp.zeros((5, 2 * TREATMENTS)).at[-1].set(np.ravel(means))

    def worth(weights: jax.Array) -> float:
        return float(bf.metrics.eom(*map(np.asarray, predict(weights, test.x)), test, BUDGET).value)

    step = jax.jit(jax.grad(lambda weights, multiplier: loss(*predict(weights, train.x), multiplier)))
    before = worth(weights)
    for _ in range(steps):
        hat = map(np.asarray, predict(weights, train.x))
        multiplier = bf.metrics.eom(*hat, train, BUDGET).multiplier
        weights = weights - rate * step(weights, jnp.float32(multiplier))
    after = worth(weights)
    print(f"value per user at {BUDGET:g} of budget: {before:.3f} with the arms' means, {after:.3f} learned")
    return before, after


if __name__ == "__main__":
    main()
