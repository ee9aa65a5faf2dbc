"""Bars on a logarithmic axis, as inline SVG in the page's colours; for times that differ a thousandfold. Needs no matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_BARS, _NOTES, _ROW, _LETTER = 300, 100, 24, 6.4  # widths of bars and notes, height of a row, width of a letter
# Where a line passes behind a word, the word stays readable.
_HALO = 'stroke="var(--paper)" stroke-width="3" paint-order="stroke"'


class Bar(NamedTuple):
    label: str
    length: float  # positive
    note: str  # beside the bar
    colour: str  # a variable of the style sheet


def bars(rows: Sequence[Bar], unit: str, mark: tuple[float, str] | None = None) -> str:
    """One bar a row, from the decade below the shortest; `mark` is a line across all of them, with its name."""
    left = 20 + _LETTER * max(len(r.label) for r in rows)
    lengths = [r.length for r in rows] + ([mark[0]] if mark else [])
    low = math.floor(math.log10(min(lengths) * 0.8))
    high = max(math.log10(max(lengths) * 1.1), low + 1)

    def at(x: float) -> float:
        return left + _BARS * (math.log10(x) - low) / (high - low)

    top, bottom = 22, 22 + _ROW * len(rows)
    width, height = left + _BARS + _NOTES, bottom + 38
    out = [f'<svg role="img" aria-label="{escape(_spoken(rows))}" viewBox="0 0 {width:.0f} {height}" font-size="12.5">']
    for decade in range(low, math.floor(high) + 1):
        x = at(10.0**decade)
        out.append(f'<path d="M{x:.1f} {top}V{bottom}" stroke="var(--rule)"/>')
        out.append(_text(x, bottom + 16, f"{10.0**decade:,.10g}", "muted", "middle"))
    out.append(_text(left + _BARS / 2, bottom + 33, unit, "muted", "middle"))
    if mark:
        x = at(mark[0])
        out.append(f'<path d="M{x:.1f} {top - 4}V{bottom}" stroke="var(--ink)" stroke-dasharray="3 3"/>')
        out.append(_text(x, 12, mark[1], "ink", "middle" if x > left + 60 else "start"))
    for k, row in enumerate(rows):
        y = top + _ROW * k
        long = max(at(row.length) - left, 1.0)
        out.append(_text(left - 8, y + 16, row.label, "ink", "end"))
        out.append(
            f'<rect x="{left:.1f}" y="{y + 4}" width="{long:.1f}" height="{_ROW - 8}" rx="2" fill="var(--{row.colour})"/>'
        )
        out.append(_text(left + long + 7, y + 16, row.note, "ink"))
    return "".join(out) + "</svg>"


def _text(x: float, y: float, text: str, colour: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" fill="var(--{colour})" {_HALO}>{escape(text)}</text>'


def _spoken(rows: Sequence[Bar]) -> str:
    return "; ".join(f"{r.label}: {r.note}" for r in rows)
