"""Fixed point for what stands above the backends: the same integers as csrc/core/fixed.h, as NumPy and Python ones."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


def shift_of(unit: float) -> int:
    """The s for which the unit is 2^-s; 0 where every number is 0."""
    return 1 - math.frexp(unit)[1] if unit > 0 else 0


def integers(x: np.ndarray, shift: int) -> np.ndarray:
    """x·2^shift, rounded up, as int64."""
    scaled = np.ldexp(np.asarray(x, np.float64), shift)
    out = np.ceil(scaled).astype(np.int64)
    return out + ((out == 0) & (x > 0))


def floor(x: float, shift: int) -> int:
    return math.floor(Fraction(float(x)) * Fraction(2) ** shift)


def near(x: Fraction) -> float:
    """The nearest float; infinity beyond the largest."""
    try:
        return x.numerator / x.denominator  # Python divides integers with one rounding
    except OverflowError:
        return math.inf if x > 0 else -math.inf


def ldexp(x: float, power: int) -> float:
    """x·2^power; infinity beyond the largest float, where `math.ldexp` raises."""
    try:
        return math.ldexp(x, power)
    except OverflowError:
        return math.copysign(math.inf, x)


def nearest(n: int, shift: int) -> float:
    return ldexp(float(n), -shift)


def above(n: int, shift: int) -> float:
    """The smallest float that is not below n·2^-shift."""
    x = float(n)
    return ldexp(x if int(x) >= n else math.nextafter(x, math.inf), -shift)
