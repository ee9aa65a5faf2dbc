"""Biased logs made of a trial's real rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .table import Table

Array = NDArray[Any]


def observational_sample(table: Table, propensity_model: Callable[[Array], Any] | Any, seed: int = 0) -> Table:
    """A log as a policy would have left it, made of rows of a trial.

    Row i, which got t with probability p_i, is kept with probability π_t(x_i)/(p_i·C), C the largest such ratio of any user and
    treatment. What is kept has treatments with odds π(x) and users distributed as in the trial; outcomes are real. About
    N/C rows are left, C ≥ 1 and at most max π/p.

    Parameters
    ----------
    table
        A trial. Without propensities the shares of its treatments are used.
    propensity_model
        π: a function of x [N, F], or an array: [N, M] odds of each treatment (not negative; rows are normalised).
    seed
        Of the draw.

    Returns
    -------
    Table
        The rows kept, in order, with `propensity` [n, M] = π and `row` theirs. Drop features from its x that the policy used,
        and the bias is hidden.
    """
    n, m = len(table), table.treatments
    odds = np.asarray(propensity_model(table.x) if callable(propensity_model) else propensity_model, np.float64)
    if odds.shape != (n, m):
        raise ValueError(f"propensity_model must give [{n}, {m}], got shape {list(odds.shape)}")
    total = odds.sum(1, keepdims=True)
    if not np.isfinite(odds).all() or (odds < 0).any() or (total <= 0).any():
        raise ValueError("propensity_model must give finite odds, none negative, not all 0 in a row")
    policy = odds / total
    if table.propensity is None:
        p = np.broadcast_to(np.bincount(table.treatment, minlength=m) / n, (n, m))
    elif table.propensity.ndim == 2:
        p = table.propensity
    else:
        raise ValueError("table must have propensities [N, M] or none: those of the treatments not received are needed")
    if (p[policy > 0] <= 0).any():
        raise ValueError("the policy gives somebody a treatment that the trial could not")
    ratio = np.divide(policy, p, out=np.zeros((n, m)), where=policy > 0)
    received = ratio[np.arange(n), table.treatment] / ratio.max()
    kept = np.flatnonzero(np.random.default_rng(seed).random(n) < received)
    if not kept.size:
        raise ValueError("no row is left: the policy and the trial hardly meet")
    return replace(table[kept], propensity=policy[kept])
