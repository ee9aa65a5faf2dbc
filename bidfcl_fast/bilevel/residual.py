"""What a linear correction leaves of a log's bias: the part that networks find, and a bound on the level of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[Any]

# What networks find counts only where its one-sided p-value on rows that they never saw is below 0.01.
_DOUBT = 2.33


@dataclass(frozen=True, eq=False)
class Residual:
    """share·(mean of the networks − start): the log's model, trained on on parts of the trial, less itself.

    Attributes
    ----------
    start, networks
        Modules from standardised features to standardised outputs [n, 2M].
    share
        [2]: of value and cost, how much of what a network found was seen again on the rows that it never saw; 0 where
        that is within the noise.
    gain
        [2]: that share before it was cut to [0, 1], over its standard error.
    """

    start: nn.Module = field(repr=False)
    networks: tuple[nn.Module, ...] = field(repr=False)
    share: Array
    gain: Array

    def __call__(self, x: Tensor) -> Tensor:
        """To be added to the log's outcomes [n, 2M], for standardised features x."""
        from ..methods._units import outputs  # hypergradients alone need no methods

        with torch.no_grad():
            if not self.share.any():
                return torch.zeros_like(outputs(self.start, x))
            found = torch.stack([outputs(network, x) for network in self.networks]).mean(0) - outputs(self.start, x)
            share = torch.from_numpy(self.share).to(found).repeat_interleave(found.shape[1] // 2)
            return found * share


def seen_again(found: Any, left: Any) -> tuple[Array, Array]:
    """The slope of `left` on `found`, [N, 2] each, by head: 1 if all of it is there, 0 if it was noise; and slope ÷ error.

    The error is robust to unequal noise. The slope is cut to [0, 1], and 0 where it is not beyond doubt.
    """
    found, left = np.asarray(found, np.float64), np.asarray(left, np.float64)
    square = (found**2).sum(0)
    known = square > 0
    slope = np.where(known, (found * left).sum(0) / np.where(known, square, 1), 0.0)
    error = np.sqrt(((found * (left - slope * found)) ** 2).sum(0)) / np.where(known, square, 1)
    gain = np.divide(slope, error, out=np.zeros(2), where=error > 0)
    return np.where(gain > _DOUBT, np.clip(slope, 0, 1), 0.0), gain


@dataclass(frozen=True)
class Left:
    """What the trial still shows of a log's bias after the correction, on rows that the correction was not fitted to.

    Attributes
    ----------
    level, error
        [2, M]: the mean bias left (log less trial), of value and cost, for a user with average features, in standard
        deviations; and its standard error.
    p_value
        [2, 2]: of "no treatment's level is off" and "no treatment's slope is off", for each head.
    """

    level: Array
    error: Array
    p_value: Array

    @property
    def at_most(self) -> Array:
        """[2, M]: below this the size of the level left lies, with 95 % confidence for each."""
        return np.asarray(np.abs(self.level) + 1.96 * self.error)

    def lines(self, heads: Sequence[str]) -> list[str]:
        return [
            f"{head}: at most {self.at_most[h].max():.3f} standard deviations of level are left after the correction "
            f"(95 %, each treatment by itself); p {self.p_value[h].min():.2g} that nothing is left"
            for h, head in enumerate(heads)
        ]
