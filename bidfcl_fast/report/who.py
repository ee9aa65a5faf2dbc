"""Who is offered what: bars of plain HTML, which keep their letters' size on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

import numpy as np

from ..demo import Demo, PlanResult
from .words import money, shares


def who(demo: Demo) -> str:
    """The section with the bars."""
    middle = demo.plans[len(demo.plans) // 2]
    t = demo.table
    key = "".join(
        f'<span><i style="background:var(--a{j})"></i>{escape(label)}</span>' for j, label in enumerate(t.labels)
    )
    parts = ['<div class="head">By budget, US$ per person</div>']
    parts += [bar(money(p.budget), shares(demo, p)) for p in demo.plans]
    for title, groups in _groups(demo):
        parts.append(f'<div class="head">{escape(title)}, at {money(middle.budget)}</div>')
        parts += [bar(name, _shares_within(demo, middle, inside)) for name, inside in groups]
    return "\n".join(
        [
            "<h2>Who is offered what</h2>",
            f'<div class="key">{key}</div><div class="bars">{"".join(parts)}</div>',
            '<p class="note">Numbers are percent of the people in the row.</p>',
        ]
    )


def _groups(demo: Demo) -> list[tuple[str, list[tuple[str, np.ndarray]]]]:
    """Titles, and the people of each group, by the covariates that the models use."""
    t = demo.table
    column = dict(zip(t.features, t.x.T, strict=True))
    out = []
    if "second sites" in column:
        s = column["second sites"] > 0
        out.append(("By number of the village", [("below 100", ~s), ("from 100 on", s)]))
    for name, title, unit, cuts in (
        ("distvct", "By distance to the centre", "km", (1.0, 2.0, 3.0)),
        ("age", "By age", "years", (20.0, 30.0, 45.0)),
    ):
        if name not in column:
            continue
        x = column[name]
        edges = [-np.inf, *cuts, np.inf]
        names = [f"under {cuts[0]:g} {unit}", *(f"{a:g} to {b:g}" for a, b in pairwise(cuts))]
        names.append(f"{cuts[-1]:g} and over")
        out.append((title, [(names[i], (x >= edges[i]) & (x < edges[i + 1])) for i in range(len(names))]))
    return out


def _shares_within(demo: Demo, plan: PlanResult, inside: np.ndarray) -> list[float]:
    chosen = plan.choice[inside]
    return [float((chosen == j).mean()) if chosen.size else 0.0 for j in range(demo.table.treatments)]


def bar(name: str, parts: Sequence[float]) -> str:
    """A row: its name, and its shares side by side."""
    spans = "".join(
        f'<span style="flex:{part:.4f} 0 0;background:var(--a{j});color:var(--t{j})">{100 * part:.0f}</span>'
        if part >= 0.06
        else f'<span style="flex:{part:.4f} 0 0;background:var(--a{j})"></span>'
        for j, part in enumerate(parts)
        if part > 0
    )
    return f'<div>{escape(name)}</div><div class="bar">{spans}</div>'
