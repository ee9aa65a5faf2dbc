"""The decision losses for trainers that are not torch's: value and gradient of arrays, in one pass over the data.

What a custom objective of a boosting library, or a JAX callback, needs: numbers in, numbers out, and no torch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from . import _check, _pool, backends
from ._arrays import BFLOAT16, like, to_numpy
from ._decisions import Decisions, Family, Order, Total, gap_rule, log_price, price_range

# name -> (family, whether the multipliers price the cost in the outcome)
LOSSES = {
    "ppl": (Family.PPL, False),
    "pifd": (Family.PIFD, False),
    "dpl": (Family.PPL, True),
    "mer": (Family.PPL, True),
    "difd": (Family.PIFD, True),
}


class LossAndGrad(NamedTuple):
    """A loss and its gradients in value_hat and cost_hat, [N, M] each, of the library that value_hat came from."""

    loss: float
    value: Any
    cost: Any


def loss_and_grad(
    loss: str,
    value_hat: Any,
    cost_hat: Any,
    treatment: Any,
    outcome: Any,
    weight: Any,
    multiplier: Any,
    *,
    cost_outcome: Any = None,
    temperature: float = 1.0,
    variant: str = "paper",
    min_gap: float | None = None,
    window: float | None = None,
    multiplier_grad: str = "stop",
    price_bounds: tuple[float, float] | None = None,
    centre: bool = False,
    mask: Any = None,
    backend: str | None = None,
) -> LossAndGrad:
    """A loss of `bidfcl_fast.losses` by name, with its gradient, without torch.

    Parameters
    ----------
    loss
        "ppl", "pifd", "dpl", "mer" or "difd".
    value_hat, cost_hat
        [N, M] float32, float64 or float16, which is stored in two bytes and computed in float32.
    treatment, outcome, weight
        [N] int64, and numbers in the dtype of value_hat; float32 beside float16.
    multiplier
        A number or [K], whose losses are summed.
    cost_outcome
        [N]; needed by "dpl", "mer", "difd" and multiplier_grad="implicit".
    temperature, variant, min_gap, window, multiplier_grad, price_bounds, centre, mask
        As in `losses.ppl_loss` and `losses.pifd_loss`.
    backend
        As in `solve_mckp`.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.
    """
    if loss not in LOSSES:
        raise ValueError(f"unknown loss {loss!r}; expected one of {', '.join(LOSSES)}")
    family, dual = LOSSES[loss]
    if multiplier_grad not in ("stop", "implicit") or (dual and multiplier_grad != "stop"):
        raise ValueError(f"multiplier_grad must be 'stop', or for ppl and pifd 'implicit', got {multiplier_grad!r}")
    implicit = multiplier_grad == "implicit"
    if (dual or implicit) and cost_outcome is None:
        raise ValueError(f"{loss} with multiplier_grad={multiplier_grad!r} needs cost_outcome")
    low, high = price_range(price_bounds)
    rule = gap_rule(variant, temperature, min_gap, window)
    if family is not Family.PIFD:
        rule = replace(rule, family=family)
    problems = _check.instance(value_hat, cost_hat, mask)
    value, cost = problems.value[0], problems.cost[0]
    open_ = None if problems.mask is None else problems.mask[0]
    n, dtype = len(value), value.dtype
    if dtype == BFLOAT16:
        raise ValueError(
            "value_hat is bfloat16: NumPy cannot hold its gradient; take float32, or torch and bidfcl_fast.losses"
        )
    number = np.dtype(np.float32) if dtype.itemsize == 2 else dtype  # beside halves

    def labels(name: str, x: Any) -> np.ndarray:
        array = to_numpy(name, x)
        if array.shape != (n,) or array.dtype != number:
            raise ValueError(f"{name} must be [{n}] {number}, got shape {list(array.shape)}, dtype {array.dtype}")
        return array

    t = to_numpy("treatment", treatment)
    if t.shape != (n,) or t.dtype != np.int64:
        raise ValueError(f"treatment must be [{n}] int64, got shape {list(t.shape)}, dtype {t.dtype}")
    m = np.atleast_1d(np.asarray(to_numpy("multiplier", multiplier), np.float64))
    if m.ndim > 1 or m.size == 0 or not (np.isfinite(m) & (m >= 0)).all():
        raise ValueError(f"multiplier must be a number or [K], finite and at least 0, got {multiplier!r}")
    m = np.ascontiguousarray(m[None])
    w, y = labels("weight", weight), labels("outcome", outcome)
    x = labels("cost_outcome", cost_outcome) if dual or implicit else None
    if implicit and centre:
        y, x = (z - (w * z).sum() / w.sum() for z in (y, x))  # type: ignore[union-attr]
    run = backends.resolve(backend).decision_loss
    price, total = m if dual else None, None
    if implicit:
        total = run(Decisions(value, cost, t, w, y, x, m, rule, open_), Order.VALUE)
        slope = total[..., Total.COST_SLOPE]
        moves = (slope != 0) & (m > 0)  # at 0 money is left over, and the multiplier stays there
        free = np.where(moves, total[..., Total.VALUE_SLOPE] / np.where(moves, slope, 1.0), 0.0)
        price = np.where(moves, free.clip(low, high), 0.0)
        if ((price != free) | ~moves)[m > 0].any():
            log_price(price[0].tolist())
    out = _pool.empty(value.shape, dtype), _pool.empty(value.shape, dtype)
    made = run(Decisions(value, cost, t, w, y, x, m, rule, open_, price), Order.GRADIENT, *out)
    total = made if total is None else total
    back = like(value_hat)
    return LossAndGrad(float(total[..., Total.LOSS].sum()), back(out[0]), back(out[1]))
