"""A number with its noise."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Estimate:
    """A number (`estimate`), its standard error (`se`), and the normal interval around it at `confidence`, a share such as 0.95."""

    estimate: float
    se: float
    confidence: float = 0.95

    @property
    def half_width(self) -> float:
        return NormalDist().inv_cdf(0.5 + self.confidence / 2) * self.se

    @property
    def low(self) -> float:
        return self.estimate - self.half_width

    @property
    def high(self) -> float:
        return self.estimate + self.half_width

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.estimate:.4g} ({self.confidence:.0%} interval {self.low:.4g} to {self.high:.4g})"
