"""Criteo's uplift trial, and the biased log that Bi-DFCL makes of it. The file is the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from . import columns
from .table import Table

Array = NDArray[Any]

# Parts of the rows: the policy's model, the log's source; the trial's training, validation and test.
_MODEL, _SOURCE, _TRAIN, _VAL = 0.05, 0.50, 0.05, 0.10

# Kept rows number 3,498,294 of half of 13,979,592: a share 0.50049 = 0.15 + 0.70 q, with 85 % treated.
POLICY_SHARE = 0.5007


def load_criteo(path: Any, *, rows: int | None = None) -> Table:
    """Criteo's uplift trial (v2 or v2.1): 13,979,592 users, 12 features, 85 % treated.

    value = conversion, cost = visit (0/1 each), as in DFCL and Bi-DFCL. Memory for all rows: about 1.0 GB.

    Parameters
    ----------
    path
        The CSV file (gzip by its ending), or the folder that holds it as criteo*.csv*.
    rows
        Read so many rows only.

    Source: Diemert, Betlei, Renaudin, Amini, A Large Scale Benchmark for Uplift Modeling, AdKDD 2018; licence of the data
    CC BY-NC-SA 4.0.
    """
    file = columns.located(path, "criteo*.csv*")
    names = [f"f{j}" for j in range(12)]
    seen = columns.numbers(file, [*names, "treatment", "conversion", "visit"], rows)
    if not np.isin(seen[:, 12:], (0, 1)).all():
        raise ValueError(f"{file}: treatment, conversion and visit must be 0 or 1")
    return Table(
        x=np.ascontiguousarray(seen[:, :12]),
        treatment=seen[:, 12].astype(np.int64),
        value=seen[:, 13].copy(),
        cost=seen[:, 14].copy(),
        labels=("nothing", "advertised to"),
        features=names,
    )


class _Fits(Protocol):
    def fit(self, *, rct: Table, seed: int, progress: bool) -> Any: ...

    def predict(self, x: Any) -> tuple[Array, Array]: ...


@dataclass(frozen=True)
class Hybrid:
    """The parts of a trial after `hybrid`: the log `obs`, the trial in `rct`, `val` and `test`; `matched`: the share of the log's source that the policy agreed with."""

    obs: Table
    rct: Table
    val: Table
    test: Table
    matched: float


def hybrid(table: Table, model: _Fits, *, share: float = POLICY_SHARE, seed: int = 0) -> Hybrid:
    """Bi-DFCL's Hybrid construction: a trial of two arms becomes a small trial and a large log of a targeting policy.

    5 % of the rows train `model`. Its policy treats the users of another 50 % who are in the top `share` by predicted return
    (gain in value over gain in cost); those who really got what the policy gives them are the log, the others are dropped. The
    remaining 45 % are the trial: 5 % training, 10 % validation, 30 % test.

    The policy is deterministic, so the log has no overlap and carries no propensities.

    Parameters
    ----------
    table
        A trial of two arms, 0 being nothing.
    model
        An unfitted method, e.g. `methods.create("tsm-sl")`.
    share
        Share of users that the policy treats. The paper does not give it; its number of rows does (METHOD.md §4.1), about
        one half. That users are ranked by predicted return is this project's reading.
    seed
        Of the split and the fit.

    Source: Bi-DFCL, Appendix B.1.1.
    """
    if table.treatments != 2:
        raise ValueError(f"the construction is for two arms, got {table.treatments}")
    if not 0 < share < 1:
        raise ValueError(f"share must be between 0 and 1, got {share}")
    n = len(table)
    order = np.random.default_rng(seed).permutation(n)
    cuts = np.cumsum([round(p * n) for p in (_MODEL, _SOURCE, _TRAIN, _VAL)])
    first, source, train, val, test = (np.sort(part) for part in np.split(order, cuts))
    model.fit(rct=table[first], seed=seed, progress=False)
    value, cost = model.predict(table.x[source])
    gain, price = value[:, 1] - value[:, 0], cost[:, 1] - cost[:, 0]
    rank = gain / np.where(np.abs(price) < 1e-6, 1e-6, price)
    treated = np.zeros(len(source), np.int64)
    treated[np.argsort(-rank, kind="stable")[: round(share * len(source))]] = 1
    agreed = table.treatment[source] == treated
    return Hybrid(table[source[agreed]], table[train], table[val], table[test], float(agreed.mean()))
