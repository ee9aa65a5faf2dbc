"""What is known to make training on a table go wrong, said before it does. NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np

from .table import Table

_FEW = 30  # rows of an arm below which its mean says little
_RARE = 20.0  # the most frequent arm may have so many times the rows of the rarest
_LEAST = 1e-3  # propensities below this make weights of a thousand
_SURPRISE = 5.0  # standard errors
_HEAVY = 0.05  # share of the sum of squares that one row may bring
_APART = 1e3  # scales of value and cost, or of two features


def check(table: Table) -> tuple[str, ...]:
    """Sentences about this table, the gravest first; none if nothing is known to be wrong with it.

    Looked for: arms without rows or with few; very unequal shares; shares that contradict the propensities; tiny
    propensities; outcomes of which a few rows bring most, that never differ, or whose scales are far apart; features that
    never differ or whose scales are far apart.
    """
    return (*_arms(table), *_odds(table), *_outcomes(table), *_features(table))


def _arms(table: Table) -> list[str]:
    n = np.bincount(table.treatment, minlength=table.treatments)
    names: Any = table.labels or [f"treatment {j}" for j in range(table.treatments)]
    out = [f"{names[j]}: no rows, so nothing can be learned about it" for j in np.flatnonzero(n == 0)]
    out += [f"{names[j]}: {n[j]} rows only" for j in np.flatnonzero((n > 0) & (n < _FEW))]
    some = n[n > 0]
    if some.size and some.max() > _RARE * some.min():
        least, most = int(np.where(n > 0, n, n.max() + 1).argmin()), int(n.argmax())
        out.append(
            f"shares of the arms are very unequal: {names[least]} {n[least] / len(table):.2%}, {names[most]} "
            f"{n[most] / len(table):.2%}; weights by the inverse are as unequal"
        )
    return out


def _odds(table: Table) -> list[str]:
    if table.propensity is None or not len(table):
        return []
    out = []
    least = float(table.received_propensity.min())
    if least < _LEAST:
        out.append(
            f"the least propensity of a treatment received is {least:.2g}: weights up to {1 / least:.2g}; clip them"
        )
    if table.propensity.ndim == 2:
        p = table.propensity.astype(np.float64)
        expected, sd = p.sum(0), np.sqrt((p * (1 - p)).sum(0))
        n = np.bincount(table.treatment, minlength=table.treatments)
        for j in np.flatnonzero(np.abs(n - expected) > _SURPRISE * sd + 1e-9 * len(table)):
            out.append(f"treatment {j} has {n[j]} rows where its propensities say {expected[j]:.0f} ± {sd[j]:.0f}")
    return out


def _outcomes(table: Table) -> list[str]:
    out = []
    size = {}
    for name, y in (("value", table.value.astype(np.float64)), ("cost", table.cost.astype(np.float64))):
        if not y.size:
            continue
        size[name] = float(np.abs(y).mean())
        if name == "value" and y.min() == y.max():
            out.append("value is the same in every row")
        if name == "cost" and y.min() < 0:
            out.append(f"cost is negative in {(y < 0).sum()} rows")
        square = (y - y.mean()) ** 2
        if len(y) >= 1000 and not np.isin(y, (0, 1)).all() and square.max() > _HEAVY * square.sum() > 0:
            i = int(square.argmax())
            share = square.max() / square.sum()
            out.append(
                f"{name} {y[i]:.4g} in row {i} makes {share:.0%} of the sum of squares: cap it, or learn a logarithm"
            )
    if size and min(size.values()) > 0 and max(size.values()) > _APART * min(size.values()):
        out.append(
            f"mean sizes of value and cost are {size['value']:.2g} and {size['cost']:.2g}: give one of them another unit, "
            "or let the method standardise"
        )
    return out


def _features(table: Table) -> list[str]:
    if not len(table) or not table.x.shape[1]:
        return []
    names: Any = table.features or [f"column {j}" for j in range(table.x.shape[1])]
    sd = table.x.astype(np.float64).std(0)
    out = [f"feature {names[j]} is the same in every row" for j in np.flatnonzero(sd == 0)]
    some = sd[sd > 0]
    if some.size and some.max() > _APART * some.min():
        out.append(f"standard deviations of features run from {some.min():.2g} to {some.max():.2g}: standardise them")
    return out
