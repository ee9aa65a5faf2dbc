"""The least that any solver must do: read value and cost once, with every thread.

The sum is only there so that the reads are not optimised away. With fastmath the compiler keeps several vectors of
partial sums, so that the time is the memory's and not the additions'.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numba
import numpy as np


@numba.njit(fastmath=True, cache=True)
def _sum(x: np.ndarray) -> float:
    total = x.dtype.type(0)
    for i in range(x.size):  # over a view of its own: an index that may be negative would not be vectorised
        total += x[i]
    return total


@numba.njit(parallel=True, fastmath=True, cache=True)
def _sum_both(a: np.ndarray, b: np.ndarray, chunks: int) -> float:
    total = 0.0
    for chunk in numba.prange(chunks):
        part = slice(chunk * a.size // chunks, (chunk + 1) * a.size // chunks)
        total += _sum(a[part]) + _sum(b[part])
    return total


def reader(value: np.ndarray, cost: np.ndarray) -> Callable[[], float]:
    """A call that reads both arrays once."""
    a, b = value.reshape(-1), cost.reshape(-1)
    chunks = 4 * numba.get_num_threads()
    _sum_both(a, b, chunks)  # compiles
    return lambda: _sum_both(a, b, chunks)


def seconds(read: Callable[[], float], rounds: int = 9) -> list[float]:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        read()
        times.append(time.perf_counter() - start)
    return times


def median_seconds(read: Callable[[], float], rounds: int = 9) -> float:
    return statistics.median(seconds(read, rounds))
