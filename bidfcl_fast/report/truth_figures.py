"""The figures of the simulated world: a panel for each of its logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..known_truth import KnownTruth, Log
from .figures import ALIKE, INK, LOTTERY, PLAN, draw_svg_row
from .truth_words import title

# name -> colour, marker, dashes; the page's key uses the class and the mark.
_MARKS: dict[str, tuple[str, str]] = {"tsm-sl": (INK, "s"), "dfcl-ppl": (ALIKE, "^"), "bidfcl-ppl": (PLAN, "o")}
KEY = {"tsm-sl": ("", "■"), "dfcl-ppl": ("alike", "▲"), "bidfcl-ppl": ("plan", "●")}
_DASHES: Any = (0, (4, 3))
_WIDTH, _HEIGHT = 7.6, 3.3


def regret(truth: KnownTruth) -> str:
    """True regret of each method at each budget, and the level of a plan that looks at nobody."""

    def panel(log: Log, first: bool) -> Callable[[Any], None]:
        def draw(ax: Any) -> None:
            at = np.arange(len(truth.budgets))
            ax.plot(at, _percent(truth.uninformed), color=LOTTERY, linewidth=1.6, linestyle=_DASHES)
            for m in log.methods:
                colour, mark = _MARKS[m.name]
                ax.plot(at, _percent(m.regret), marker=mark, color=colour, linewidth=1.6, markersize=6)
            ax.set_xticks(at, [f"{b:.0%}" for b in truth.budgets])
            ax.grid(axis="x", visible=False)
            ax.set_ylim(
                0, 1.08 * 100 * max(*truth.uninformed, *(r for g in truth.logs for m in g.methods for r in m.regret))
            )
            _named(ax, log, "budget, share of the dearest", "regret, %" if first else "")

        return draw

    return _row("regret", truth, panel)


def value(truth: KnownTruth) -> str:
    """True value of the plans against what they truly spend, below the best there is."""

    def panel(log: Log, first: bool) -> Callable[[Any], None]:
        def draw(ax: Any) -> None:
            ax.plot(*truth.best_curve, color=LOTTERY, linewidth=1.6, linestyle=_DASHES)
            for m in log.methods:
                colour, mark = _MARKS[m.name]
                ax.plot(*m.curve, color=colour, linewidth=1.4)
                ax.plot(m.spend, m.gain, mark, color=colour, markersize=5)
            ax.set_ylim(0, 1.05 * max(truth.best_curve[1]))
            _named(ax, log, "true spend per user", "true value per user, over nothing" if first else "")

        return draw

    return _row("value", truth, panel)


def _row(name: str, truth: KnownTruth, panel: Callable[[Log, bool], Callable[[Any], None]]) -> str:
    return draw_svg_row(name, [panel(log, k == 0) for k, log in enumerate(truth.logs)], _WIDTH, _HEIGHT)


def _named(ax: Any, log: Log, across: str, up: str) -> None:
    ax.set_title(title(log), fontsize=11, color=INK)
    ax.set_xlabel(across)
    ax.set_ylabel(up)


def _percent(shares: tuple[float, ...]) -> list[float]:
    return [100 * s for s in shares]
