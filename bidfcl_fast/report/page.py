"""The report as one HTML page that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from html import escape

from .. import __version__
from ..demo import FOLDS, MEMBERS, Demo
from ..known_truth import FIRST_SEED, LOGS
from ..scale_up import JITTER
from . import figures
from .elements import document, figure, paragraph, plus_minus, table
from .terminal import seconds, size
from .truth import known_truth
from .who import who
from .words import money, percent, points, rule, verdict


def page(demo: Demo) -> str:
    """The whole page. Every name or value that comes from data is escaped."""
    body = "\n".join([_top(demo), _value(demo), who(demo), _scale(demo), known_truth(demo.truth), _method(demo)])
    return document("Budget allocation on a real trial", body)


def _top(demo: Demo) -> str:
    t = demo.table
    arms = table(
        [("Offer", ""), ("People", "drew it"), ("Come", "% of people"), ("Paid", "US$ per person")],
        [
            [
                escape(t.labels[j]),
                f"{a.matched:,}",
                plus_minus(percent(a.value.estimate), percent(a.value.half_width)),
                plus_minus(f"{a.spend.estimate:.2f}", f"{a.spend.half_width:.2f}"),
            ]
            for j, a in enumerate(demo.arms)
        ],
    )
    return "\n".join(
        [
            "<h1>Who should be offered how much?</h1>",
            paragraph(
                f"In rural Malawi, {len(t):,} people who had been tested for HIV drew a cash voucher, "
                "worth nothing to about "
                "three dollars and paid if they came to learn their result (Thornton 2008). Money "
                "brings people in, the first "
                "dollar more than the third. Given a budget, who should be offered which amount?",
                css="lead",
            ),
            '<div class="box">' + "".join(paragraph(s) for s in verdict(demo)) + "</div>",
            "<h2>What each offer brings, had everybody got it</h2>",
            arms,
            paragraph("Inverse-propensity (Hájek) estimates from the trial, with 95% intervals.", css="note"),
        ]
    )


def _value(demo: Demo) -> str:
    rows = [
        [
            money(p.budget),
            percent(p.promised_value),
            plus_minus(percent(p.held_out.value.estimate), percent(p.held_out.value.half_width)),
            plus_minus(f"{p.held_out.spend.estimate:.2f}", f"{p.held_out.spend.half_width:.2f}"),
            plus_minus(points(p.alike.gain.estimate), percent(p.alike.gain.half_width)),
            plus_minus(points(p.lottery.gain.estimate), percent(p.lottery.gain.half_width)),
        ]
        for p in demo.plans
    ]
    header = [
        ("Budget", "US$/person"),
        ("Promised", "% come"),
        ("Held-out", "% come"),
        ("Spend", "US$/person"),
        ("vs alike", "points"),
        ("vs random", "points"),
    ]
    mixes = "".join(f"<li>{money(p.budget)}: {escape(rule(p.alike))}</li>" for p in demo.plans)
    return "\n".join(
        [
            "<h2>What the plans are worth</h2>",
            paragraph(
                f"The people are split into {FOLDS} parts. A model fitted on the others predicts each "
                "part, which is then "
                "allocated with its share of the budget and valued on its own outcomes by "
                "inverse-propensity weighting. So "
                "everybody counts, and nobody is judged by a model that knew their outcome."
            ),
            figure(
                figures.spend(demo),
                "Held-out value against held-out spend, with 95% intervals. The line through the "
                "squares is the best that a "
                "rule blind to the person can do.",
                [
                    ("plan", "●", "the plans"),
                    ("alike", "■", "one offer for everybody"),
                    ("lottery", "╌╌", "drawn at random"),
                ],
            ),
            table(header, rows),
            paragraph(
                "± is the half-width of a 95% interval; differences use the same people on both "
                "sides (paired), at the same "
                "estimated spend. On its predictions each plan is certified to fall short of the "
                "best possible by at most "
                f"{max(p.gap for p in demo.plans):.2g} people in {len(demo.table):,}.",
                css="note",
            ),
            figure(
                figures.gain(demo),
                "Gain of choosing person by person over the best rule that treats everybody alike, at the same spend. "
                "An interval that crosses zero means: this trial cannot tell the two apart.",
            ),
            '<p class="note">Treating everybody alike at the same spend means, by budget:</p>'
            f'<ul class="note">{mixes}</ul>',
            figure(
                figures.frontier(demo),
                "The exact frontier over all budgets, on the predictions, and what held-out people "
                "say of the same plans (95% "
                "intervals). Promises above the intervals would mean over-optimistic models.",
                [
                    ("plan", "—", "predicted frontier"),
                    ("plan", "○", "plans, as promised"),
                    ("", "●", "plans, held-out"),
                ],
            ),
        ]
    )


def _scale(demo: Demo) -> str:
    s = demo.scale
    rows = [
        [f"One budget, {money(s.budget)} a person", seconds(s.one), f"{s.users_per_second / 1e6:.3g} million"],
        [f"All {len(demo.plans)} budgets in one call", seconds(s.all_budgets), ""],
        [f"The whole frontier, {s.breakpoints:,} breakpoints", seconds(s.frontier), ""],
    ]
    facts = (
        f"Backend {demo.backend}, {s.threads} thread{'s' * (s.threads != 1)}, {s.treatments} offers. Allocations: median of "
        f"{s.repeats} calls; the frontier: one call. With one budget, the data was read {s.rows_read / s.users:.2f} times in "
        f"{s.sweeps} sweep{'s' * (s.sweeps != 1)}, and {s.active:,} people were left to the final sort. Input "
        f"{size(s.input_bytes)}"
        + (f", peak memory of the whole process {size(s.peak_bytes)}." if s.peak_bytes else ".")
    )
    return "\n".join(
        [
            f"<h2>The same allocation for {s.users:,} people</h2>",
            paragraph(
                f"{s.users:,} people are drawn with replacement from the trial's, and each prediction "
                "gets a little noise "
                f"(standard deviation {JITTER:g} on the logit of coming and on the log of the "
                "amount), so that no two are the "
                "same. This says what the allocation takes, and nothing new about Malawi."
            ),
            table([("Job", ""), ("Time", ""), ("People per second", "")], [[escape(c) for c in r] for r in rows]),
            paragraph(facts, css="note"),
            paragraph(
                f"The plan carries its proof: it is worth {s.value * s.users:,.2f} predicted visits "
                "and no plan within the "
                f"budget is worth more than {s.dual_bound:,.2f}; the gap is {s.gap:.2g} of a visit, "
                f"{s.gap / s.dual_bound:.1e} of "
                "the total."
            ),
        ]
    )


def _method(demo: Demo) -> str:
    t = demo.table
    items = [
        "Data: Thornton (2008), American Economic Review 98(5), as packaged in causaldata 0.1.5 (MIT). Rows without "
        f"the amount drawn, the outcome or the village are left out; {len(t):,} remain. Value is 1 if the person came "
        "for the result, cost is the money really paid: the voucher if they came, else nothing.",
        "Offers are bins of the voucher. Within a bin amounts differ, and were smaller in the first group of villages: "
        "an offer means an amount drawn as in the trial, not a fixed sum.",
        "The odds of the draw differed between two groups of villages (numbered below 100, and from 100 on; the second "
        "drew almost only five amounts, and nothing far more often). Each person's propensity is the share of the offer "
        "within their group. Ignoring this would mix the effect of money with that of place.",
        f"Model: {', '.join(t.features)} predict, for each offer, the chance of coming and the amount paid to those who "
        f"come; predicted cost is their product. A small network, the average of {MEMBERS}, stopped early. The HIV "
        "result itself is not used: an offer that depends on it would disclose it.",
        "Alike: the mix of two offers, dealt at random and blind to the person, that brings most at the plan's own "
        "estimated spend. It is read off the same outcomes that judge it, which favours it slightly. Random: an equal "
        "draw among all offers, given to a random part of the people (the others get nothing, or where more is to be "
        "spent, the largest).",
        "Another seed splits the people and fits anew; that alone moves the gains over alike by about half a point to a "
        "point.",
        "Intervals treat people as independent; neighbours in a village are not quite, so they are somewhat too narrow. "
        "All budgets share the same people: their errors go up and down together.",
        f"Simulated world: data.simulate, seed {demo.truth.seed}, regimes {' and '.join(LOGS.values())}; worlds from {FIRST_SEED} on "
        "took no part in choosing the library's defaults.",
        "Of the trial: money is the only cost counted, and coming the only benefit; whether either is the right measure is not a "
        "question for arithmetic.",
    ]
    laps = ", ".join(f"{name} {seconds(s)}" for name, s in demo.seconds.items())
    return (
        "<h2>Data, method, caveats</h2>\n<ul>"
        + "".join(f"<li>{escape(i)}</li>" for i in items)
        + "</ul>\n"
        + paragraph(f"bidfcl_fast {__version__}, backend {demo.backend}, seed {demo.seed}. Time: {laps}.", css="meta")
    )
