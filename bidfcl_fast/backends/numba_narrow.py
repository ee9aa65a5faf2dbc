"""A bracket made narrower by the chunks of users that were read first (cpu/solver/narrow.h).

NumPy alone: what is looked at here are some thousand numbers, too few to compile anything for.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from . import numba_kernels as kernels

CHUNK = 8192  # users
WORTH, FEWEST = 32, 12  # chunks: fewer say little about how much they differ
STANDARD_ERRORS = 3.0
NEAR = 2.0**-45  # rounded slopes closer than this may be out of order


class Cut(NamedTuple):
    """The buckets [low, high) of a pass that should hold λ*, and the edges wanted below it."""

    low: int
    high: int


def first_chunks(users: int) -> list[int]:
    """Which chunks are read first: spread evenly over all, but off any period the data may have.

    The first few dozen thousand users leave a bracket about as wide as the sample's; the share that pays shrinks with
    the cube root of N. The last chunk may be short, and is left out.
    """
    chunks = -(-users // CHUNK)
    if chunks < WORTH:
        return []
    wanted = max(FEWEST, int((kernels.SAMPLE / (4.0 * users)) ** (1 / 3) * chunks))
    return [int((k + k * 0.6180339887498949 % 1) / wanted * (chunks - 1)) for k in range(wanted)]


def gaps(heads: list[int], users: int) -> list[tuple[int, int]]:
    """The users that are not in the chunks `heads`, which rise."""
    begins = [0, *((k + 1) * CHUNK for k in heads)]
    ends = [*(k * CHUNK for k in heads), users]
    return [(begin, end) for begin, end in zip(begins, ends, strict=True) if begin < end]


def _cost(totals: np.ndarray) -> Any:
    """As doubles, of totals [5, ...]."""
    return totals[2] * 2.0**32 + totals[3]


def _off(amounts: np.ndarray, share: float) -> float:
    """How far the sum over chunks may be off for a share of all: each chunk's amount is one observation, so that it
    counts if neighbours are alike."""
    spread = float(np.var(amounts, ddof=1)) * len(amounts) * (1 - share)
    return STANDARD_ERRORS * math.sqrt(spread) + 1e-6 * abs(float(amounts.sum()))


def narrowed(parts: list[np.ndarray], share: float, budget: float, wanted: float) -> Cut | None:
    """What the totals of the chunks read, a `share` of all users, leave of a bracket; None if nothing is gained.

    parts: their Found.totals. budget: for all users, in the units of their costs.
    """
    chunk_high = np.array([_cost(part[-5:]) for part in parts])
    chunk_low = np.array([_cost(part.reshape(-1, 5).sum(axis=0)) for part in parts])
    off = max(_off(chunk_high, share), _off(chunk_low, share))
    target = budget * share
    # So many edges among these users, that there are enough among all.
    spare = wanted * share + 3 * math.sqrt(wanted * share)
    # From the steepest bucket down.
    totals = sum(parts[1:], parts[0]).reshape(-1, 5)[-2::-1]
    cost, edges = _cost(totals.T), totals[:, 4]
    after = chunk_high.sum() + np.cumsum(cost)
    spend = after - cost
    count = len(cost)
    safe = np.flatnonzero(spend <= target - off)
    below = np.cumsum(np.where(spend > target + off, edges, 0))
    enough = np.flatnonzero((after > target + off) & (below >= spare))
    cut = Cut(count - 1 - int(enough[0]) if len(enough) else 0, count - int(safe[-1]) if len(safe) else count)
    kept = int(edges[count - cut.high : count - cut.low].sum())
    if cut.low >= cut.high or 4 * kept >= 3 * int(edges.sum()):
        return None
    return cut


def least_slope(buckets: kernels.Buckets, bucket: int) -> float:
    """Of a bucket above the first."""
    bits = np.array([buckets.lowest + (bucket << int(buckets.shift))], np.int64)
    return float(bits.view(np.float64)[0])


def bracket(
    cut: Cut, buckets: kernels.Buckets, low: float, high: float, counting: kernels.Counting
) -> tuple[float, float]:
    """The multipliers of `cut`, in the data's own units; `low` and `high`: those of all buckets."""
    to_own = int(counting.cost.shift - counting.value.shift)
    if cut.low > 0:
        low = math.ldexp(least_slope(buckets, cut.low), to_own)
    if cut.high < buckets.size:
        high = math.ldexp(least_slope(buckets, cut.high), to_own)
    return low, high


def wanted_between(wanted: kernels.Slopes, low: float, high: float, counting: kernels.Counting) -> kernels.Slopes:
    """The edges of a narrower bracket, in the same buckets."""
    to_fixed = int(counting.value.shift - counting.cost.shift)
    return wanted._replace(
        low=math.ldexp(low * (1 - kernels.SLACK), to_fixed), high=math.ldexp(high * (1 + kernels.SLACK), to_fixed)
    )


def cut_down(found: kernels.Found, buckets: kernels.Buckets, cut: Cut, choice: np.ndarray) -> kernels.Found | None:
    """What a pass has left, as if `cut` had been its bracket from the start; None if rounding forbids that.

    Rounded slopes may put a user's later edge above an earlier one: not across the new ends.
    """
    slope = found.listed["slope"]
    keep, bought = np.ones(len(slope), bool), np.zeros(len(slope), bool)
    for bucket in (cut.low, cut.high):
        if not 0 < bucket < buckets.size:
            continue
        end = least_slope(buckets, bucket)
        if np.any(np.abs(slope - end) <= NEAR * end):
            return None
        if bucket == cut.low:
            keep &= slope >= end
        else:
            bought = slope >= end
    keep &= ~bought
    steep = found.listed[bought]
    choice[steep["user"]] = steep["stop"]  # in turn: a user's last one stays
    totals = found.totals.reshape(-1, 5).copy()
    totals[-1, :4] += totals[cut.high : -1, :4].sum(axis=0)
    totals[: cut.low] = 0
    totals[cut.high : -1] = 0
    return found._replace(totals=totals.reshape(-1), listed=found.listed[keep])
