"""Thornton's trial of cash incentives: a randomised trial with several arms and a real, outcome-dependent cost."""

from __future__ import annotations

import csv
import gzip
import io
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .table import Table

Array = NDArray[Any]

# Upper ends of the bins of the incentive, US$. Villages numbered 100 and more only ever drew 0, 0.47, 0.95, 1.89 and
# 2.84: these are the finest bins of which every one was open to everybody. (1, 1.5] alone never occurred there.
BIN_ENDS = (0.0, 0.5, 1.0, 2.0, 3.0)
LABELS = ("nothing", "up to $0.50", "$0.51–1.00", "$1.01–2.00", "$2.01–3.00")

# The amounts were drawn from another distribution in the villages from this number on.
SECOND_SITES_FROM = 100


def load_thornton(*, covariates: tuple[str, ...] = ("distvct", "age"), propensity: str = "site") -> Table:
    """The trial of Thornton (2008), 2,830 people in rural Malawi, as a `Table`; embedded in the package.

    Each person was tested for HIV and drew a voucher worth 0 to about 3 US$, paid if they came to learn their result.
    value = 1 if they came (`got`), cost = US$ really paid (`tinc`·`got`), treatment = the bin of the amount drawn:
    nothing, (0, 0.5], (0.5, 1], (1, 2], (2, 3] US$; `labels` name them. `row` is the row in the source file.

    Rows without the amount, the outcome or the village are left out (a row without a village has no propensity).

    Parameters
    ----------
    covariates
        Columns of the source to use as features: "distvct" (km to the centre), "age" (years), "hiv2004" (the test
        result itself; left out by default, since an offer that depends on it would give it away). A missing value
        becomes the median, and a column `<name> missing` (0/1) is added. The feature "second sites" (0/1) is always
        there.
    propensity
        How the probability of each arm is estimated: "site", the shares within the two groups of sites whose
        draws differed; "village", those shrunk to the village's own shares; "overall", the shares of the whole
        trial, which ignores that the draws differed and is there for comparison.

    Source
    ------
    R. L. Thornton, The Demand for, and Impact of, Learning HIV Status, American Economic Review 98(5), 2008;
    the file is from the Python package causaldata 0.1.5 (MIT). Terms: thornton_hiv.LICENSE.txt beside it.
    """
    unknown = set(covariates) - {"distvct", "age", "hiv2004"}
    if unknown:
        raise ValueError(f"covariates must be among 'distvct', 'age', 'hiv2004', got {sorted(unknown)}")
    columns = _columns()
    usable = ~np.isnan(columns["tinc"]) & ~np.isnan(columns["got"]) & ~np.isnan(columns["villnum"])
    row = np.flatnonzero(usable)
    columns = {name: column[usable] for name, column in columns.items()}

    second = columns["villnum"] >= SECOND_SITES_FROM
    features, x = ["second sites"], [second.astype(np.float64)]
    for name in covariates:
        missing = np.isnan(columns[name])
        x.append(np.where(missing, np.nanmedian(columns[name]), columns[name]))
        features.append(name)
        if missing.any():
            x.append(missing.astype(np.float64))
            features.append(f"{name} missing")

    treatment = np.searchsorted(BIN_ENDS, columns["tinc"], side="left")
    return Table(
        x=np.column_stack(x),
        treatment=treatment,
        value=columns["got"],
        cost=columns["tinc"] * columns["got"],
        propensity=_propensity(treatment, second, columns["villnum"], propensity),
        labels=LABELS,
        features=features,
        row=row,
    )


def arm_shares(treatment: Array, group: Array, treatments: int) -> Array:
    """[N, M] share of each treatment among the people of the same group."""
    shares = np.zeros((len(treatment), treatments))
    for g in np.unique(group):
        inside = group == g
        shares[inside] = np.bincount(treatment[inside], minlength=treatments) / inside.sum()
    return shares


def _propensity(treatment: Array, second: Array, village: Array, how: str) -> Array:
    m = len(LABELS)
    if how == "overall":
        return arm_shares(treatment, np.zeros(len(treatment)), m)
    site = arm_shares(treatment, second, m)
    if how == "site":
        return site
    if how != "village":
        raise ValueError(f"propensity must be 'site', 'village' or 'overall', got {how!r}")
    # As if twenty more people of the site group had drawn in each village: small villages say little by themselves.
    size = np.array([(village == v).sum() for v in village])[:, None]
    return (size * arm_shares(treatment, village, m) + 20.0 * site) / (size + 20.0)


def _columns() -> dict[str, Array]:
    packed = resources.files(__package__).joinpath("thornton_hiv.csv.gz").read_bytes()
    rows = csv.reader(io.StringIO(gzip.decompress(packed).decode("ascii")))
    names = next(rows)
    cells = np.array([[float(cell) if cell else np.nan for cell in row] for row in rows])
    return {name: cells[:, j] for j, name in enumerate(names)}
