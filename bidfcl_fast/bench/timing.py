"""Contenders timed in turn, so that a busy minute of the machine hits them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

Call = Callable[[], Any]


def once(call: Call) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def take_turns(contenders: Mapping[str, Call], rounds: int, in_a_row: int = 1) -> dict[str, list[float]]:
    """Seconds of every contender in every round, a mean of `in_a_row` calls.

    Each is called once before it counts. Calls in a row, after one more that does not count, are for what is called
    that way (in training, by conjugate gradient), and because an OpenMP pool goes on spinning on the other cores for a
    while after its last call.
    """
    for call in contenders.values():
        call()
    out: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            if in_a_row > 1:
                call()
            start = time.perf_counter()
            for _ in range(in_a_row):
                call()
            out[name].append((time.perf_counter() - start) / in_a_row)
    return out


def medians(contenders: Mapping[str, Call], rounds: int, in_a_row: int = 1) -> dict[str, float]:
    """The median of each contender's rounds, in seconds."""
    return {name: statistics.median(times) for name, times in take_turns(contenders, rounds, in_a_row).items()}


def kept(x: float) -> float:
    """Four digits: more than a clock on a shared machine has."""
    return float(f"{x:.4g}")
