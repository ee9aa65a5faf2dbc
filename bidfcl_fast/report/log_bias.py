"""What the recommended form says of each log: is it biased, what did it find, and how much can be left."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..evaluate import recipes
from ..evaluate.statistics import Cells

_TEXT = (
    f"What `{recipes.RECOMMENDED}` says of the logs (`correction_`), about values, in standard deviations, means over the worlds. Found: worlds in "
    "which the trial rejects that the log's levels or slopes are right (p < 0.01). Networks: the share of what they found beyond the linear part that "
    "was seen again on rows they never saw. Left: the largest level that a treatment's log may still be off by, 95 % for each treatment; and the "
    "worlds in which rows held out reject that nothing is left (p < 0.01)."
)


def blocks(cells: Cells) -> list[tuple[Any, ...]]:
    """A table over regimes, for the results that say it."""
    rows = []
    for regime in cells.regimes():
        told = [r["measured"].get("notes") or {} for r in cells.of(recipes.RECOMMENDED, regime).values()]
        told = [t for t in told if "left" in t]
        if not told:
            continue
        n = len(told)
        level, network, left = (np.mean([t[key] for t in told]) for key in ("level", "network", "left"))
        found, doubted = (sum(t[key] < 0.01 for t in told) for key in ("p", "left_p"))
        rows.append(
            [regime, str(n), f"{found} of {n}", f"{level:.2f}", f"{network:.0%}", f"{left:.2f}", f"{doubted} of {n}"]
        )
    if not rows:
        return []
    header = ["Regime", "worlds", "found", "largest level found", "networks", "left at most", "doubted still"]
    return [("h3", "What is left of the bias"), ("p", _TEXT), ("table", header, rows)]
