"""How noisy an outcome is, by what is predicted for it: in money, those who bring more also vary more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..methods._ranks import Ranks, Shares

Array = NDArray[Any]

# Rows in a bin: fewer say little of a variance whose outcomes have long tails.
_ROWS, _BINS = 500, 20
# Nothing counts as less noisy than this share of the mean: a treatment that costs nothing would else weigh without bound.
_FLOOR = 0.1


@dataclass(frozen=True, eq=False)
class Noise:
    """The variance of an outcome about its mean, as a function of that mean; of values and of costs.

    Attributes
    ----------
    mean, variance
        Two arrays [B_h] each, one of either head: bins of rows with about the same prediction, and the mean squared error in them.

    Source: a variance function estimated from residuals, for weighted least squares (Carroll and Ruppert, 1988, ch. 2).
    """

    mean: tuple[Array, Array] = field(repr=False)
    variance: tuple[Array, Array] = field(repr=False)

    @classmethod
    def of(cls, predicted: Any, outcome: Any, ranks: Ranks | None = None) -> Noise:
        """From predictions and outcomes [N, 2] of the treatments received; `ranks`: these are this rank's part."""
        predicted, outcome = np.asarray(predicted, np.float64), np.asarray(outcome, np.float64)
        found = [_binned(predicted[:, h], (outcome[:, h] - predicted[:, h]) ** 2, ranks) for h in (0, 1)]
        return cls((found[0][0], found[1][0]), (found[0][1], found[1][1]))

    def weights(self, predicted: Any, shares: Shares | None = None) -> Array:
        """1 ÷ variance of rows with these predictions [n, 2], with mean 1 for each head; float32 [n, 2].

        `shares`: the mean is that of the rows of all ranks.
        """
        predicted = np.asarray(predicted, np.float64)
        out = np.ones(predicted.shape)
        for h in (0, 1):
            variance = np.interp(predicted[:, h], self.mean[h], self.variance[h])
            if variance.min() > 0:
                out[:, h] = 1 / variance
        mean = out.mean(0) if shares is None else shares.ranks.total(out[shares.here()].sum(0)) / shares.rows
        return np.asarray((out / mean).astype(np.float32))


def _binned(m: Array, square: Array, ranks: Ranks | None) -> tuple[Array, Array]:
    """Mean prediction and mean squared error, floored, of bins with about as many rows each, rising in the prediction."""
    total: Any = np.asarray if ranks is None else ranks.total
    bins = min(_BINS, max(1, int(total(len(m))) // _ROWS))
    cuts = np.arange(1, bins) / bins
    edges = np.unique(np.quantile(m, cuts) if ranks is None else ranks.quantiles(m, cuts))
    at = np.searchsorted(edges, m, side="right")
    count, *sums = (total(np.bincount(at, weights=a, minlength=len(edges) + 1)) for a in (None, m, square))
    filled = count > 0
    mean, variance = (a[filled] / count[filled] for a in sums)
    return mean, np.maximum(variance, _FLOOR * (square.mean() if ranks is None else sums[1].sum() / count.sum()))
