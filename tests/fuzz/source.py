"""Choices out of bytes: the same bytes, the same choices, whoever drives. When they run out, everything is 0."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

# Where arithmetic goes wrong, if it does.
NUMBERS = (
    0.0, -0.0, 1.0, -1.0, 0.5, 1 / 3, 2.0, 3.0, 1e-3, 1e3, 1e15, -1e15, 1e30, 1e-30, 1e38, 3.4e38, 1e300, 1.7e308,
    -1.7e308, 1e-45, 1e-300, 5e-324, 2.0**53, 2.0**61, 2.0**63, 2.0**-61, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip
INTEGERS = (0, 1, 2, 3, 4, 7, -1, -2, 255, 256, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, -(2**63))


class Source:
    """Reads choices off `data`."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        self._at += count
        return part + bytes(count - len(part))

    def rest(self) -> bytes:
        part, self._at = self._data[self._at :], len(self._data)
        return part

    def below(self, n: int) -> int:
        """0 … n − 1, n at most 65,536."""
        return struct.unpack("<H", self.take(2))[0] % n if n > 256 else self.take(1)[0] % n

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def chance(self, one_in: int) -> bool:
        return self.below(one_in) == one_in - 1

    def number(self) -> float:
        kind = self.below(8)
        if kind < 4:
            return (self.below(33) - 8) / 4  # these collide
        if kind < 6:
            return float(self.below(256)) * 10.0 ** (self.below(25) - 12)
        if kind == 6:
            return self.pick(NUMBERS)
        return float(struct.unpack("<d", self.take(8))[0])

    def integer(self) -> int:
        return self.below(12) if self.below(4) else self.pick(INTEGERS)

    def numbers(self, count: int) -> np.ndarray:
        """float64; one way for all of them or each its own."""
        if self.below(2):
            return np.array([(b % 33 - 8) / 4 for b in self.take(count)])
        return np.array([self.number() for _ in range(count)], np.float64)
