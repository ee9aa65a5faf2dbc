"""How well predictions rank people by what a treatment brings for its money: the area under the cost curve."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _check
from ._half import widened
from .data.table import Table

_BLOCK = 4096  # rows looked at together
_LEAST_LIFT = 1e-6  # a smaller lift in cost counts as this


def aucc(value_hat: Any, cost_hat: Any, table: Table, quantiles: int = 200) -> float:
    """Area under the cost curve of one treatment against none, as DFCL's code computes it.

    People are taken by predicted return, (value_hat_1 − value_hat_0)/(cost_hat_1 − cost_hat_0), best first (equals: in the order
    of the rows), a lift in cost closer to 0 than 1e-6 counting as 1e-6. After k people, C(k) and R(k) are the lifts in cost and
    value: sums over the treated less sums over the others, each over its whole arm's size. R is read off where C first reaches j/Q of
    the whole lift in cost, j = 1 … Q−1 (one reading a row at most), at the start, where it is 0, and at the end; the area
    is the sum of the readings over (Q + 1) and over the whole lift in value. A random ranking has ½.

    Parameters
    ----------
    value_hat, cost_hat
        [N, 2] floats: predictions for the people of `table`.
    table
        A trial of two treatments, drawn with the same chance for everybody: its propensities are not used.
    quantiles
        Q.

    Raises
    ------
    ValueError
        For other than two treatments, an arm that nobody received, or a trial without a lift in value.

    Source: the published code of DFCL (get_uplift_model_aucc); METHOD.md §4.2. Its table of results uses Q = 200.
    """
    problem = _check.instance(value_hat, cost_hat, None)
    value, cost = (widened(x[0]).astype(np.float64) for x in (problem.value, problem.cost))
    if value.shape != (len(table), 2):
        raise ValueError(f"value_hat must be [{len(table)}, 2], none and one treatment, got {list(value.shape)}")
    if not (np.isfinite(value).all() and np.isfinite(cost).all()):
        raise ValueError("value_hat and cost_hat must be finite")
    if quantiles < 1:
        raise ValueError(f"quantiles must be at least 1, got {quantiles}")
    sizes = np.bincount(table.treatment, minlength=2)
    if len(sizes) > 2 or not sizes.all():
        raise ValueError(f"table must hold people with and without one treatment, got {sizes.tolist()} of each")
    spent = cost[:, 1] - cost[:, 0]
    spent[np.abs(spent) < _LEAST_LIFT] = _LEAST_LIFT
    order = np.argsort(-(value[:, 1] - value[:, 0]) / spent, kind="stable")
    arm = table.treatment[order]
    sign = np.where(arm == 1, 1.0 / sizes[1], -1.0 / sizes[0])
    lift = np.cumsum(sign * table.value[order])
    paid = np.cumsum(sign * table.cost[order])
    # The whole lifts as differences of means: the running sums carry rounding, and the last reading is exact.
    whole, whole_paid = (
        float(y[table.treatment == 1].mean() - y[table.treatment == 0].mean())
        for y in (table.value.astype(np.float64), table.cost.astype(np.float64))
    )
    if whole == 0:
        raise ValueError("the trial shows no lift in value, so the area under its cost curve has no scale")
    area, row = float(lift[-1]), 0
    for j in range(1, quantiles):
        row = _first_at_least(paid, j * whole_paid / quantiles, row)
        if row >= len(paid) - 1:  # the last row is read once, at the end
            break
        area += float(lift[row])
        row += 1
    return area / (whole * (quantiles + 1))


def _first_at_least(x: np.ndarray, least: float, start: int) -> int:
    """The first row from `start` on where x reaches `least`, or len(x)."""
    for begin in range(start, len(x), _BLOCK):
        reached = x[begin : begin + _BLOCK] >= least
        if reached.any():
            return begin + int(reached.argmax())
    return len(x)
