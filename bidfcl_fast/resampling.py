"""Standard errors of anything that is computed from rows: the bootstrap, paired across what is compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .estimates import Estimate


@dataclass(frozen=True)
class Resampled:
    """S statistics of the same rows, and what they came to on R samples of these rows.

    `estimates` [S]; `draws` [R, S]. Row r of the draws is one sample, the same for all S, so differences are paired.
    `confidence` is that of the intervals.
    """

    estimates: np.ndarray
    draws: np.ndarray = field(repr=False)
    confidence: float = 0.95

    def __getitem__(self, which: int) -> Estimate:
        """Statistic `which` and its standard error."""
        return Estimate(float(self.estimates[which]), float(self.draws[:, which].std(ddof=1)), self.confidence)

    def __len__(self) -> int:
        return len(self.estimates)

    def difference(self, which: int, baseline: int) -> Estimate:
        """Statistic `which` less `baseline`; the standard error is that of the difference, sample by sample."""
        gaps = self.draws[:, which] - self.draws[:, baseline]
        gap = self.estimates[which] - self.estimates[baseline]
        return Estimate(float(gap), float(gaps.std(ddof=1)), self.confidence)

    def percentiles(self, which: int) -> tuple[float, float]:
        """The interval between the draws' percentiles, for a statistic that is far from normal."""
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(self.draws[:, which], [tail, 1 - tail])
        return float(low), float(high)


def paired_bootstrap(
    statistic: Callable[[np.ndarray], Any],
    rows: int,
    *,
    replicates: int = 200,
    seed: int = 0,
    confidence: float = 0.95,
    strata: Any = None,
) -> Resampled:
    """Sampling noise of one statistic, or of several on the same people, by drawing the people again.

        models = [(value_hat, cost_hat), (other_value, other_cost)]
        got = paired_bootstrap(lambda i: [metrics.aucc(v[i], c[i], table[i]) for v, c in models], len(table))
        got[0], got.difference(0, 1)

    Parameters
    ----------
    statistic
        Takes an index array [N] with repeats; returns a number, or S of them.
    rows
        N.
    replicates
        R samples, 2 or more. The standard error's own relative error is about 1/√(2R).
    seed
        Of the draws: the same seed gives the same samples.
    confidence
        Of the intervals.
    strata
        [N] integers, say the treatments received: rows are drawn within each, so that a sample has no empty arm.

    Returns
    -------
    Resampled

    Source: Efron (1979).
    """
    if rows < 1 or replicates < 2:
        raise ValueError(f"rows must be at least 1 and replicates at least 2, got {rows} and {replicates}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    groups = [np.arange(rows)]
    if strata is not None:
        s = np.asarray(strata)
        if s.shape != (rows,):
            raise ValueError(f"strata must be [{rows}], got shape {list(s.shape)}")
        groups = [np.flatnonzero(s == g) for g in np.unique(s)]
    rng = np.random.default_rng(seed)

    def one(sample: np.ndarray) -> np.ndarray:
        return np.atleast_1d(np.asarray(statistic(sample), np.float64))

    whole = one(np.arange(rows))
    if whole.ndim != 1:
        raise ValueError(f"statistic must return a number or [S], got shape {list(whole.shape)}")
    draws = [one(np.concatenate([g[rng.integers(len(g), size=len(g))] for g in groups])) for _ in range(replicates)]
    return Resampled(whole, np.array(draws), confidence)
