"""AUCC, the area under the cost curve of a ranking of users: two arms, a trial. NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np

from .data.table import Table

# A predicted extra cost smaller than this counts as this much.
_LEAST = 1e-6


def aucc(value_hat: Any, cost_hat: Any, table: Table, quantiles: int = 200) -> float:
    """How early a ranking by predicted return finds the users whose treatment pays.

    Users are taken in falling order of (value_hat_1 − value_hat_0)/(cost_hat_1 − cost_hat_0). Along the way the extra value and the
    extra cost of the treated among them are estimated on the trial, as shares of those of all; the curve of value against
    cost is read off the first time cost reaches each of `quantiles` equal steps, and averaged. 0.5 is what a random order gives;
    above is better.

    The definition is that of DFCL's code, with its habits: a step of cost that the curve jumps over is left out but still
    counted in the denominator, quantiles + 1, and a negative predicted extra cost makes a user's return negative.

    Parameters
    ----------
    value_hat, cost_hat
        [N, 2] predictions for the users of `table`.
    table
        A trial of two arms, 0 being nothing; its propensities are not used.
    quantiles
        Q, steps of the cost axis.

    Raises
    ------
    ValueError
        If there are not two arms with rows, a shape differs, or the treatment changes neither value nor cost on average.

    Source: Decision-based causal machine learning, DFCL's published code (METHOD.md §4.2); Bi-DFCL §5.1.
    """
    r, c = np.asarray(value_hat, np.float64), np.asarray(cost_hat, np.float64)
    n = len(table)
    if table.treatments != 2 or r.shape != (n, 2) or c.shape != (n, 2):
        shapes = f"{list(r.shape)} and {list(c.shape)}"
        raise ValueError(f"aucc needs two treatments and predictions [{n}, 2], got {table.treatments} and {shapes}")
    if not np.isfinite(r).all() or not np.isfinite(c).all():
        raise ValueError("predictions must be finite")
    if quantiles < 1:
        raise ValueError(f"quantiles must be at least 1, got {quantiles}")
    treated = table.treatment == 1
    if treated.all() or not treated.any():
        raise ValueError("aucc needs users of both treatments")
    price = c[:, 1] - c[:, 0]
    order = np.argsort(-(r[:, 1] - r[:, 0]) / np.where(np.abs(price) < _LEAST, _LEAST, price), kind="stable")
    sign = np.where(treated, 1 / treated.sum(), -1 / (~treated).sum())[order]
    value, cost = (sign * table.value[order]).cumsum(), (sign * table.cost[order]).cumsum()
    if value[-1] == 0 or cost[-1] == 0:
        raise ValueError("the treatment changes neither value nor cost on average: there is no curve")
    listed, step = [0.0], 1
    for v, k in zip(value[:-1], cost[:-1], strict=True):  # the last user is listed once, whatever it crosses
        if step < quantiles and k >= step * cost[-1] / quantiles:
            listed.append(float(v))
            step += 1
    return float(sum([*listed, value[-1]]) / (value[-1] * (quantiles + 1)))
