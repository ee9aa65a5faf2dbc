"""What shards tell each other first, and the scales that follow: before any of them decides anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .. import _fixed
from .._precision import median
from .._problems import Magnitudes, Problems, Scales
from .._spec import FIXED_POINT_BITS


class Facts(NamedTuple):
    """Of one shard, or of all together."""

    users: int
    value: float  # the largest magnitudes of open cells
    cost: float
    typical_value: float  # and typical ones, of those that are not zero; 0 if there are none
    typical_cost: float

    @property
    def scales(self) -> Scales:
        """Fixed point in which the largest numbers fill 61 bits, as csrc/core/fixed.h chooses it."""
        return scales_of(self.value, self.cost)

    @property
    def units(self) -> tuple[float, float]:
        """What one unit of value, of cost is; 0 where all numbers are 0."""
        shifts = self.scales
        return (
            _fixed.nearest(1, shifts.value) if self.value > 0 else 0.0,
            _fixed.nearest(1, shifts.cost) if self.cost > 0 else 0.0,
        )

    @classmethod
    def of(cls, problems: Problems, magnitudes: Magnitudes, rows: np.ndarray) -> Facts:
        """Of problem 0, typical numbers from some of its rows."""
        users = int(problems.stop[0] - problems.start[0])
        return cls(
            users,
            magnitudes.value,
            magnitudes.cost,
            *(_typical(problems, x, rows) for x in (problems.value, problems.cost)),
        )

    @classmethod
    def together(cls, parts: Sequence[Facts]) -> Facts:
        return cls(
            sum(p.users for p in parts),
            max((p.value for p in parts), default=0.0),
            max((p.cost for p in parts), default=0.0),
            _middle([(p.typical_value, p.users) for p in parts]),
            _middle([(p.typical_cost, p.users) for p in parts]),
        )


def scales_of(value: float, cost: float) -> Scales:
    return Scales(*(FIXED_POINT_BITS - math.frexp(x)[1] for x in (value, cost)))


def evenly(users: int, most: int) -> np.ndarray:
    """At most `most` of so many users, evenly spread."""
    return np.arange(users) if users <= most else (np.arange(most) * (users / most)).astype(np.int64)


def _typical(problems: Problems, x: np.ndarray, rows: np.ndarray) -> float:
    size = np.abs(problems.cells(x, 0)[rows])
    wanted = size > 0
    if problems.mask is not None:
        wanted &= problems.cells(problems.mask, 0)[rows]
    return median(size[wanted])


def _middle(parts: list[tuple[float, int]]) -> float:
    """The median of medians, each weighing as many users as it speaks for."""
    parts = sorted(p for p in parts if p[0] > 0 and p[1] > 0)
    half, seen = sum(n for _, n in parts) / 2, 0
    for x, n in parts:
        seen += n
        if seen >= half:
            return x
    return 0.0
