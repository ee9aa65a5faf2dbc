"""What one would write or install instead, behind one signature.

`(value, cost, budget) -> {"value", "spend", "bound", "choice"}`: value [N, M] and cost [N, M] of one dtype; `bound` is
the best upper bound on any plan's value that the peer itself can show, in float64; `choice` is None where the peer
only has a fractional answer. All of them search to a relative width of `TOLERANCE` if they search.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from numpy.typing import NDArray

TOLERANCE = 1e-7

Array = NDArray[Any]
Answer = dict[str, Any]
Solver = Callable[..., Answer]


class Peer(NamedTuple):
    label: str
    module: str
    most_users: int
    needs: str
    rounds: int | None = None  # None: as many as patience allows

    def load(self) -> Solver:
        return importlib.import_module(f"{__name__}.{self.module}").solve


PEERS = [
    Peer("Numba bisection, fused", "numba_bisection", 10**7, "numba"),
    Peer("Numba hulls and sort, exact", "numba_hulls", 10**7, "numba"),
    Peer("NumPy bisection", "numpy_bisection", 10**7, "numpy"),
    Peer("torch bisection", "torch_bisection", 10**7, "torch"),
    Peer("HiGHS, interior point", "highs_lp", 10_000, "highspy", 1),
]


def bisect(spend_at: Callable[[float], float], budget: float) -> float:
    """The smallest multiplier, to TOLERANCE, at which the users' wishes fit into the budget."""
    if spend_at(0.0) <= budget:
        return 0.0
    low, high = 0.0, 1.0
    while spend_at(high) > budget:
        low, high = high, 2 * high
    while high - low > TOLERANCE * high:
        middle = (low + high) / 2
        if spend_at(middle) > budget:
            low = middle
        else:
            high = middle
    return high
