"""JAX: decision losses that it differentiates, and the solver, both under `jit`. Needs jax.

Both call the host (`jax.pure_callback`): arrays on a CPU are handed over, arrays on an accelerator are copied to the host and back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import mckp
from ..errors import Status
from ..gradients import loss_and_grad

Loss = Callable[[Any, Any, Any], Any]


class JaxPlan(NamedTuple):
    """A plan as JAX arrays: `choice` int32 [N], `status` int32, the others scalars of value's dtype, to which they are rounded."""

    choice: Any
    multiplier: Any
    value: Any
    spend: Any
    dual_bound: Any
    status: Any


def decision_loss(
    loss: str, treatment: Any, outcome: Any, weight: Any, *, cost_outcome: Any = None, **options: Any
) -> Loss:
    """`f(value_hat, cost_hat, multiplier)`, a scalar, for `jax.grad` and `jax.jit`; one pass makes loss and gradient.

    The gradients in value_hat and cost_hat [N, M] are exact, that in multiplier is 0 (with multiplier_grad="implicit" the predictions' gradients
    count what it does). A second derivative raises, as JAX does for every callback; torch's losses have it.

    Parameters
    ----------
    loss, cost_outcome, options
        As in `loss_and_grad`.
    treatment, outcome, weight
        [N] of the trial; outcome and weight are taken in the dtype of value_hat, float32 beside float16.
    """
    labels = tuple(np.asarray(x) for x in (outcome, weight) + (() if cost_outcome is None else (cost_outcome,)))
    received = np.asarray(treatment, np.int64)

    def host(value: Any, cost: Any, multiplier: Any) -> tuple[np.ndarray, ...]:
        v = np.asarray(value)
        number = np.float32 if v.dtype.itemsize == 2 else v.dtype
        y, w, *x = (np.ascontiguousarray(a, number) for a in labels)
        more = options | ({"cost_outcome": x[0]} if x else {})
        got = loss_and_grad(loss, v, np.asarray(cost), received, y, w, float(multiplier), **more)
        return np.asarray(got.loss, v.dtype), np.asarray(got.value), np.asarray(got.cost)

    def both(value: Any, cost: Any, multiplier: Any) -> Any:
        grid = jax.ShapeDtypeStruct(value.shape, value.dtype)
        out = (jax.ShapeDtypeStruct((), value.dtype), grid, grid)
        return jax.pure_callback(host, out, value, cost, multiplier, vmap_method="sequential")

    def forward(value: Any, cost: Any, multiplier: Any) -> tuple[Any, Any]:
        found, *gradients = both(value, cost, multiplier)
        return found, (*gradients, multiplier)

    def backward(kept: Any, scale: Any) -> tuple[Any, Any, Any]:
        value, cost, multiplier = kept
        return scale * value, scale * cost, jnp.zeros_like(multiplier)

    made = jax.custom_vjp(lambda value, cost, multiplier: both(value, cost, multiplier)[0])
    made.defvjp(forward, backward)
    return lambda value, cost, multiplier: made(jnp.asarray(value), jnp.asarray(cost), jnp.asarray(multiplier, float))


def solve_mckp(value: Any, cost: Any, budget: Any, **options: Any) -> JaxPlan:
    """`bf.solve_mckp` of one problem inside `jax.jit`: value, cost [N, M], budget a scalar; not differentiable.

    Outside `jit`, hand JAX arrays to `bf.solve_mckp` itself: it returns a full Plan. Here nothing can be raised, so look at `status`
    (negative: no plan, `choice` is −1).

    Parameters
    ----------
    options
        `fill`, `integrality` and `backend` of `bf.solve_mckp`.
    """

    def host(v: Any, c: Any, b: Any) -> JaxPlan:
        v = np.asarray(v)
        plan = mckp.solve_mckp(v, np.asarray(c), float(b), throw=False, **options)

        def number(x: Any) -> np.ndarray:
            return np.asarray(x, v.dtype)

        solved = int(plan.status) >= int(Status.SOLVED)
        choice = np.asarray(plan.choice, np.int32) if solved else np.full(len(v), -1, np.int32)
        totals = number(plan.multiplier), number(plan.value), number(plan.spend), number(plan.dual_bound)
        return JaxPlan(choice, *totals, np.int32(int(plan.status)))

    value, cost = jnp.asarray(value), jnp.asarray(cost)
    scalar = jax.ShapeDtypeStruct((), value.dtype)
    choice, status = jax.ShapeDtypeStruct(value.shape[:1], jnp.int32), jax.ShapeDtypeStruct((), jnp.int32)
    out = JaxPlan(choice, scalar, scalar, scalar, scalar, status)
    found: JaxPlan = jax.pure_callback(host, out, value, cost, budget, vmap_method="sequential")
    return found


__all__ = ["JaxPlan", "decision_loss", "solve_mckp"]
