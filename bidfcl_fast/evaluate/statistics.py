"""Means, spreads and paired differences of results. NumPy only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Result = dict[str, Any]

# 97.5 % quantiles of Student's t by degrees of freedom; the last for more.
_T = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110,
      2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.0)  # fmt: skip


@dataclass(frozen=True)
class Paired:
    """Mean of n differences between results of the same worlds; `t` is None with fewer than two, or without spread."""

    n: int
    mean: float
    sd: float
    t: float | None

    @property
    def half_width(self) -> float:
        """Of the 95 % interval."""
        return float("nan") if self.n < 2 else t_quantile(self.n - 1) * self.sd / np.sqrt(self.n)


def t_quantile(df: int) -> float:
    """97.5 % quantile of Student's t."""
    return _T[min(df, len(_T)) - 1]


def paired(a: Sequence[float], b: Sequence[float]) -> Paired:
    """Of a less b."""
    d = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    n = len(d)
    mean, sd = (float(d.mean()) if n else float("nan")), (float(d.std(ddof=1)) if n > 1 else float("nan"))
    return Paired(n, mean, sd, mean / (sd / np.sqrt(n)) if n > 1 and sd > 0 else None)


def mean_regret(result: Result) -> float:
    """Percent, mean over the budgets."""
    return float(np.mean(result["measured"]["regret"]))


class Cells:
    """Results of one study by recipe and by cell; a cell is a data set, whatever the recipe."""

    def __init__(self, results: Iterable[Result], study: str) -> None:
        self.by: dict[str, dict[tuple[Any, ...], Result]] = {}
        for result in results:
            if result["job"]["study"] == study:
                data = result["job"]["data"]
                cell = (data.get("regime"), data.get("n_rct"), data.get("seed"))
                self.by.setdefault(result["job"]["recipe"], {})[cell] = result

    def balanced(self) -> Cells:
        """The same without the cells that some widely run recipe of the regime lacks.

        A stopped run leaves its last worlds to some recipes only; means over different worlds must not stand side by side. Widely
        run are those with at least half as many cells of the regime as the one with most; the others are left as they are.
        """
        out = Cells([], "")
        for regime in {cell[0] for cells in self.by.values() for cell in cells}:
            of = {name: self.of(name, regime) for name in self.by}
            most = max(map(len, of.values()))
            wide = [set(cells) for cells in of.values() if 2 * len(cells) >= most]
            shared = set.intersection(*wide)
            for name, cells in of.items():
                kept = shared if 2 * len(cells) >= most else set(cells)
                out.by.setdefault(name, {}).update({cell: r for cell, r in cells.items() if cell in kept})
        out.by = {name: out.by[name] for name in self.by if out.by.get(name)}
        return out

    @property
    def recipes(self) -> list[str]:
        return list(self.by)

    def regimes(self) -> list[str]:
        """In the order in which jobs name them."""
        from .jobs import REGIMES

        seen = {cell[0] for cells in self.by.values() for cell in cells}
        return [r for r in REGIMES if r in seen]

    def trial_sizes(self) -> list[int]:
        return sorted({cell[1] for cells in self.by.values() for cell in cells})

    def of(self, recipe: str, regime: str | None = None, n_rct: int | None = None) -> dict[tuple[Any, ...], Result]:
        return {
            cell: result
            for cell, result in self.by.get(recipe, {}).items()
            if (regime is None or cell[0] == regime) and (n_rct is None or cell[1] == n_rct)
        }

    def difference(
        self, a: str, b: str, regime: str | None = None, n_rct: int | None = None, measure: Any = mean_regret
    ) -> Paired:
        """Of `measure`, a less b, over the cells that both have. Without a regime: each world's mean over its regimes."""
        of_a, of_b = self.of(a, regime, n_rct), self.of(b, regime, n_rct)
        shared = [cell for cell in of_a if cell in of_b]
        if regime is not None:
            return paired([measure(of_a[c]) for c in shared], [measure(of_b[c]) for c in shared])
        worlds = sorted({c[1:] for c in shared}, key=str)
        return paired(
            [float(np.mean([measure(of_a[c]) for c in shared if c[1:] == w])) for w in worlds],
            [float(np.mean([measure(of_b[c]) for c in shared if c[1:] == w])) for w in worlds],
        )

    def best(self, among: Sequence[str], regime: str, n_rct: int | None = None) -> str | None:
        """The one of these recipes with the least mean regret on the cells that all of them have."""
        there = [name for name in among if self.of(name, regime, n_rct)]
        if not there:
            return None
        shared = set.intersection(*(set(self.of(name, regime, n_rct)) for name in there))
        if not shared:
            return None
        return min(there, key=lambda name: np.mean([mean_regret(self.by[name][c]) for c in shared]))

    def cost_ratio(self, recipe: str, baseline: str) -> float | None:
        """Median over the cells of seconds by the baseline's."""
        a, b = self.of(recipe), self.of(baseline)
        ratios = [a[c]["measured"]["seconds"] / b[c]["measured"]["seconds"] for c in a if c in b]
        return float(np.median(ratios)) if ratios else None
