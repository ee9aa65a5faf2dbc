"""The figures of the page: inline SVG in the page's own colours, so that they follow its light or dark mode."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..demo import Demo, hull
from ..tables import need
from .words import points

# matplotlib draws with these stand-ins; in the SVG each becomes the CSS variable of that name (see css.py).
_COLOURS = {
    "ink": "#010203",
    "muted": "#020304",
    "rule": "#030405",
    "plan": "#040506",
    "alike": "#050607",
    "lottery": "#060708",
    "paper": "#070809",
}
INK, MUTED, RULE, PLAN, ALIKE, LOTTERY, PAPER = _COLOURS.values()

# Where each offer of the trial is named, in points from its mark: clear of the lines, with a leader where it is far.
_NAMED = ((9, -4, "left"), (-24, 34, "left"), (-44, 27, "center"), (0, 8, "center"), (0, 8, "center"))
_LEADER = {"arrowstyle": "-", "color": ALIKE, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 2}

_STYLE = {
    "svg.fonttype": "none",  # text stays text: the reader's own font, searchable, sharp at any size
    "text.parse_math": False,  # a dollar sign is money
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 11,
    "axes.unicode_minus": True,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}


def frontier(demo: Demo) -> str:
    """Predicted value against budget: the exact frontier, the plans on it, and what held-out people say of them."""

    def draw(ax: Any) -> None:
        n = len(demo.table)
        x, y = np.asarray(demo.frontier.budget) / n, 100 * np.asarray(demo.frontier.value) / n
        ax.plot(x, y, color=PLAN, linewidth=1.8)
        ax.plot(
            [p.promised_spend for p in demo.plans],
            [100 * p.promised_value for p in demo.plans],
            "o", color=PAPER, markeredgecolor=PLAN, markeredgewidth=1.6, markersize=7,
        )  # fmt: skip
        _crosses(ax, demo)
        ax.set_ylim(top=max(100 * max(p.held_out.value.high for p in demo.plans), y.max()) + 5)
        _axes(ax)

    return _svg("frontier", draw)


def spend(demo: Demo) -> str:
    """Held-out value against held-out spend: the plans beside the rules that look at nobody."""

    def draw(ax: Any) -> None:
        arms = demo.arms
        blind = hull(arms)
        ax.plot(*_points([arms[j] for j in blind]), color=ALIKE, linewidth=1.8)
        x, y = _points(arms)
        ax.errorbar(
            x, y, yerr=[100 * a.value.half_width for a in arms], fmt="s", color=ALIKE, markersize=5, elinewidth=1
        )
        for j, a in enumerate(arms):
            right, up, side = _NAMED[j] if j < len(_NAMED) else (0, 12, "center")
            near = a.value.estimate if up < 0 else a.value.high
            ax.annotate(
                demo.table.labels[j], (a.spend.estimate, 100 * near), (right, up), textcoords="offset points",
                color=ALIKE, ha=side, arrowprops=_LEADER if up > 15 else None,
            )  # fmt: skip
        ends = demo.lottery_ends
        ax.plot(*_points(ends), color=LOTTERY, linewidth=1.6, linestyle=(0, (4, 3)))
        _crosses(ax, demo, PLAN)
        ax.set_ylim(top=100 * max(a.value.high for a in arms) + 8)
        _axes(ax)

    return _svg("spend", draw)


def gain(demo: Demo) -> str:
    """The difference to the best rule that looks at nobody, budget by budget, around zero."""

    def draw(ax: Any) -> None:
        g = [p.alike.gain for p in demo.plans]
        at = np.arange(len(g))
        ax.axhline(0, color=ALIKE, linewidth=1.8)
        ax.errorbar(
            at, [100 * e.estimate for e in g], yerr=[100 * e.half_width for e in g],
            fmt="o", color=PLAN, markersize=7, elinewidth=1.8,
        )  # fmt: skip
        for k, e in enumerate(g):
            ax.annotate(
                points(e.estimate), (k, 100 * e.estimate), (8, 0), textcoords="offset points",
                va="center", color=PLAN, fontsize=10,
            )  # fmt: skip
        ax.set_xticks(at, [f"${p.budget:.2f}" for p in demo.plans])
        ax.set_xlim(-0.5, len(g) - 0.3)
        ax.grid(axis="x", visible=False)
        ax.set_xlabel("budget, US$ per person")
        ax.set_ylabel("gain over alike, points")

    return _svg("gain", draw, height=2.9)


def _points(rules: Any) -> tuple[list[float], list[float]]:
    return [a.spend.estimate for a in rules], [100 * a.value.estimate for a in rules]


def _crosses(ax: Any, demo: Demo, colour: str = INK) -> None:
    held = [p.held_out for p in demo.plans]
    x, y = _points(held)
    ax.errorbar(
        x, y, xerr=[h.spend.half_width for h in held], yerr=[100 * h.value.half_width for h in held],
        fmt="o", color=colour, markersize=4, elinewidth=1.4, zorder=3,
    )  # fmt: skip


def _axes(ax: Any) -> None:
    ax.set_xlabel("spend, US$ per person")
    ax.set_ylabel("people who come, %")
    ax.set_xlim(left=-0.03)


def _svg(name: str, draw: Any, width: float = 5.6, height: float = 3.7) -> str:
    return draw_svg(name, draw, width, height)


def draw_svg(name: str, draw: Any, width: float = 5.6, height: float = 3.7) -> str:
    """One figure as an <svg> element for inlining: no size of its own, ids that no other figure has, CSS colours."""
    return draw_svg_row(name, [draw], width, height)


def draw_svg_row(name: str, draws: Sequence[Any], width: float, height: float) -> str:
    """The same with several panels side by side."""
    matplotlib = need("matplotlib", "plot", "the report")
    figure_module = need("matplotlib.figure", "plot", "the report")
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = figure_module.Figure(figsize=(width, height), layout="constrained")
        figure.patch.set_alpha(0)
        for draw, ax in zip(draws, figure.subplots(1, len(draws), squeeze=False)[0], strict=True):
            ax.patch.set_alpha(0)
            draw(ax)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    for variable, stand_in in _COLOURS.items():
        svg = svg.replace(stand_in, f"var(--{variable})")
    return svg.replace("<svg", '<svg role="img" aria-hidden="true"', 1)
