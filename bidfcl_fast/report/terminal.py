"""The summary on a terminal: aligned tables, units, no colour where none is wanted."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Callable, Sequence
from typing import TextIO

from .. import __version__
from ..demo import Demo
from ..known_truth import KnownTruth
from .truth_words import diagnosis, mean, title
from .words import money, percent, points, shares, verdict

BOLD, DIM = "1", "2"


class Style:
    """ANSI bold and dim, on a terminal that wants them; NO_COLOR and TERM=dumb turn them off."""

    def __init__(self, stream: TextIO) -> None:
        self.on = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def __call__(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.on and text else text


def grid(
    header: Sequence[str], units: Sequence[str], rows: Sequence[Sequence[str]], style: Style, left: int = 1
) -> list[str]:
    """Columns as wide as their longest cell, the first `left` flush left, the others flush right."""
    width = [max(len(row[j]) for row in [header, units, *rows]) for j in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        put = [c.ljust(w) if j < left else c.rjust(w) for j, (c, w) in enumerate(zip(cells, width, strict=True))]
        return ("  " + "  ".join(put)).rstrip()

    return [style(line(header), BOLD), style(line(units), DIM), *(line(row) for row in rows)]


def summary(demo: Demo, stream: TextIO, files: Sequence[str] = ()) -> str:
    """The whole summary as text with line ends."""
    style = Style(stream)
    t, s = demo.table, demo.scale
    wide = min(100, max(60, shutil.get_terminal_size((96, 24)).columns if stream.isatty() else 96))

    def text(sentence: str) -> list[str]:
        return textwrap.wrap(sentence, wide, initial_indent="  ", subsequent_indent="  ")

    out = [style(f"bidfcl demo · bidfcl_fast {__version__} · backend {demo.backend}", BOLD), ""]
    out += [style("The trial", BOLD)]
    out += text(
        f"{len(t):,} people in rural Malawi drew a cash voucher, paid if they came to learn their HIV test result "
        "(Thornton 2008). What would each offer bring, and cost, if everybody got it?"
    )
    out.append("")
    out += grid(
        ["offer", "people", "come", "±", "paid", "±"],
        ["", "drew it", "%", "95%", "$/person", "95%"],
        [
            [
                t.labels[j],
                f"{a.matched:,}",
                percent(a.value.estimate),
                percent(a.value.half_width),
                f"{a.spend.estimate:.3f}",
                f"{a.spend.half_width:.3f}",
            ]
            for j, a in enumerate(demo.arms)
        ],
        style,
    )
    out += ["", style("Plans, valued on people their models never saw", BOLD)]
    out += grid(
        ["budget", "promised", "come", "±", "spent", "±", "vs alike", "±", "vs random", "±"],
        ["$/person", "%", "%", "95%", "$/person", "95%", "points", "95%", "points", "95%"],
        [
            [
                f"{p.budget:.2f}",
                percent(p.promised_value),
                percent(p.held_out.value.estimate),
                percent(p.held_out.value.half_width),
                f"{p.held_out.spend.estimate:.3f}",
                f"{p.held_out.spend.half_width:.3f}",
                points(p.alike.gain.estimate),
                percent(p.alike.gain.half_width),
                points(p.lottery.gain.estimate),
                percent(p.lottery.gain.half_width),
            ]
            for p in demo.plans
        ],
        style,
        left=0,
    )
    out += [
        "",
        *text(
            "alike: the best mix of two offers that looks at nobody, at the same spend. "
            "random: offers drawn by lot, at the same spend."
        ),
        "",
    ]
    for sentence in verdict(demo):
        out += text(sentence)
    out += ["", style("Who is offered what", BOLD)]
    out += grid(
        ["budget", *t.labels],
        ["$/person", *["% people"] * t.treatments],
        [[f"{p.budget:.2f}", *(percent(x, 0) for x in shares(demo, p))] for p in demo.plans],
        style,
        left=0,
    )
    out += ["", style(f"The same allocation for {s.users:,} people", BOLD)]
    rows = [
        [f"one budget, {money(s.budget)} a person", seconds(s.one), f"{s.users / s.one / 1e6:.3g} M people/s"],
        [f"all {len(demo.plans)} budgets in one call", seconds(s.all_budgets), ""],
        [f"the whole frontier, {s.breakpoints:,} points", seconds(s.frontier), ""],
    ]
    width = max(len(r[0]) for r in rows)
    out += [f"  {a.ljust(width)}  {b.rjust(9)}  {c}".rstrip() for a, b, c in rows]
    out += text(
        f"{s.threads} thread{'s' * (s.threads != 1)}; {s.rows_read / s.users:.2f} reads of the data in {s.sweeps} "
        f"sweep{'s' * (s.sweeps != 1)}; {size(s.input_bytes)} of input"
        + (f", process peak {size(s.peak_bytes)}." if s.peak_bytes else ".")
    )
    out += text(
        f"Certified: {s.value * s.users:,.1f} people come by prediction; no plan within the budget "
        "can beat that by more than "
        f"{s.gap:.2g} of a person ({s.gap / s.dual_bound:.1e} of the total)."
    )
    out += _known_truth(demo.truth, style, text)
    if files:
        out += ["", style("Written", BOLD), *(f"  {f}" for f in files)]
    return "\n".join(out) + "\n"


def _known_truth(truth: KnownTruth, style: Style, text: Callable[[str], list[str]]) -> list[str]:
    trial, log_rows, test = truth.rows
    out = ["", style("A simulated world, where the truth is known", BOLD)]
    out += text(
        f"A trial of {trial:,} rows, a log of {log_rows:,}, {test:,} users to allocate to. Regret: the part of what a budget could "
        "bring that is missed. Budgets: shares of what the dearest treatment for everybody costs."
    )
    for log in truth.logs:
        out += ["", style(f"  {title(log)} in the log", BOLD)]
        none = ("uninformed", *(f"{100 * r:.1f}" for r in truth.uninformed), f"{100 * mean(truth.uninformed):.1f}", "")
        rows = [none]
        rows += [
            (m.name, *(f"{100 * r:.1f}" for r in m.regret), f"{100 * mean(m.regret):.1f}", f"{m.seconds:.1f}")
            for m in log.methods
        ]
        out += grid(
            ["regret at", *(f"{b:.0%}" for b in truth.budgets), "mean", "training"],
            ["", *["%"] * len(truth.budgets), "%", "s"],
            rows,
            style,
        )
        out += text(" ".join(diagnosis(log)))
    return out


def seconds(x: float) -> str:
    return f"{1000 * x:.1f} ms" if x < 1 else f"{x:.2f} s"


def size(count: int | None) -> str:
    return "-" if count is None else f"{count / 2**20:,.0f} MiB"
