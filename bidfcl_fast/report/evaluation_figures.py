"""The figures of the experiments, in the style of the other pages; and SVG files that stand by themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..evaluate import recipes
from ..evaluate.statistics import Cells, mean_regret
from ..tables import need
from .css import CSS
from .figures import ALIKE, INK, LOTTERY, MUTED, PLAN, draw_svg, draw_svg_row


def differences(cells: Cells) -> str:
    """For every regime, each recipe's paired difference to the baseline with its 95 % interval."""
    regimes = cells.regimes()
    names = [n for n in cells.recipes if n != recipes.BASELINE]
    names.sort(key=lambda n: np.mean([mean_regret(r) for r in cells.of(n).values()]), reverse=True)

    def panel(regime: str, first: bool) -> Callable[[Any], None]:
        def draw(ax: Any) -> None:
            ax.axvline(0, color=MUTED, linewidth=1)
            for y, name in enumerate(names):
                p = cells.difference(name, recipes.BASELINE, regime)
                if not p.n:
                    continue
                colour = PLAN if name == recipes.RECOMMENDED else ALIKE if name in recipes.SIMPLE else LOTTERY
                half = p.half_width if p.n > 1 else 0.0
                ax.errorbar(p.mean, y, xerr=half, fmt="o", color=colour, markersize=4, elinewidth=1.4)
            ax.set_yticks(range(len(names)), names if first else [""] * len(names))
            ax.set_ylim(-0.6, len(names) - 0.4)
            ax.set_title(regime, color=INK, fontsize=11)
            ax.xaxis.set_major_locator(_locator(4))
            ax.grid(axis="y", visible=False)

        return draw

    panels = [panel(regime, k == 0) for k, regime in enumerate(regimes)]
    return draw_svg_row("differences", panels, width=3.2 + 1.75 * len(regimes), height=1.2 + 0.24 * len(names))


def frontier(cells: Cells) -> str:
    """Mean regret against cost."""

    def draw(ax: Any) -> None:
        placed: list[tuple[float, float]] = []
        for name in cells.recipes:
            ratio = cells.cost_ratio(name, recipes.BASELINE)
            p = cells.difference(name, recipes.BASELINE)
            if ratio is None or not p.n:
                continue
            colour = PLAN if name == recipes.RECOMMENDED else ALIKE if name in recipes.SIMPLE else LOTTERY
            ax.plot(ratio, p.mean, "o", color=colour, markersize=5)
            near = sum(abs(np.log(ratio / x)) < 0.5 and abs(p.mean - y) < 0.25 for x, y in placed)
            ax.annotate(name, (ratio, p.mean), (5, 4 + 9 * near), textcoords="offset points", fontsize=8, color=colour)
            placed.append((ratio, p.mean))
        ax.axhline(0, color=MUTED, linewidth=1)
        _log(ax, [2.0**k for k in range(-3, 6)])
        ax.set_xlabel(f"processor time, {recipes.BASELINE} = 1")
        ax.set_ylabel(f"regret less that of {recipes.BASELINE}, points")

    return draw_svg("cost", draw, width=7.0, height=4.2)


def trial_sizes(cells: Cells) -> str:
    """Regret of each recipe against the size of the trial, a panel for each regime."""
    colours = {recipes.RECOMMENDED: PLAN, recipes.BASELINE: INK}

    def panel(regime: str, first: bool) -> Callable[[Any], None]:
        def draw(ax: Any) -> None:
            for k, name in enumerate(cells.recipes):
                at = [n for n in cells.trial_sizes() if cells.of(name, regime, n)]
                y = [np.mean([mean_regret(r) for r in cells.of(name, regime, n).values()]) for n in at]
                style: Any = "-" if name in colours else (0, (3, 1 + k))
                ax.plot(at, y, marker="o", markersize=3, linestyle=style, color=colours.get(name, ALIKE), label=name)
            _log(ax, cells.trial_sizes())
            ax.set_title(regime, fontsize=11)
            ax.set_xlabel("rows of the trial")
            if first:
                ax.set_ylabel("regret, %")
                ax.legend(frameon=False, fontsize=8)

        return draw

    panels = [panel(regime, k == 0) for k, regime in enumerate(cells.regimes())]
    return draw_svg_row("trial-size", panels, width=3.6 * len(panels), height=3.2)


def intervals(name: str, label: str, rows: Sequence[tuple[str, float, float, float]]) -> str:
    """Estimates with intervals, one under the other: (name, estimate, low, high)."""

    def draw(ax: Any) -> None:
        ax.axvline(0, color=MUTED, linewidth=1)
        for y, (_, middle, low, high) in enumerate(reversed(rows)):
            ax.errorbar(middle, y, xerr=[[middle - low], [high - middle]], fmt="o", color=PLAN, markersize=4)
        ax.set_yticks(range(len(rows)), [row[0] for row in reversed(rows)])
        ax.set_xlabel(label)
        ax.grid(axis="y", visible=False)

    return draw_svg(name, draw, width=6.4, height=1.1 + 0.28 * len(rows))


def _log(ax: Any, ticks: Sequence[float]) -> None:
    """A logarithmic x axis labelled at these numbers, in plain text."""
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    shown = [t for t in ticks if low <= t <= high]
    ax.set_xticks(shown, [f"{t:,.0f}" if t >= 1 else f"{t:g}" for t in shown])
    ax.set_xticks([], minor=True)


def _locator(most: int) -> Any:
    return need("matplotlib.ticker", "plot", "the report").MaxNLocator(most)


def standalone(svg: str) -> str:
    """The SVG with the light palette's colours in place of the page's variables, on white."""
    light = dict(re.findall(r"--(\w+): (#\w+);", CSS.split("@media")[0]))
    out = re.sub(r"var\(--(\w+)\)", lambda m: light[m.group(1)], svg)
    out = out.replace("<svg ", '<svg style="background:#ffffff" ', 1)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + out.strip() + "\n"
