"""The section on the simulated world: what a log with hidden confounding does, and what each method makes of it."""

from __future__ import annotations

from html import escape

from ..known_truth import KnownTruth, Log
from . import truth_figures as figures
from .elements import figure, paragraph, plus_minus, table
from .truth_words import NAMES, diagnosis, level, mean, named, ranking, spending, title
from .who import bar


def known_truth(truth: KnownTruth) -> str:
    """The whole section."""
    trial, log_rows, test = truth.rows
    key = [(*figures.KEY[m.name], named(m)) for m in truth.logs[0].methods]
    gap = max(g for log in truth.logs for m in log.methods for g in m.gap)
    return "\n".join(
        [
            "<h2>Where the truth is known: a simulated world</h2>",
            paragraph(
                f"Trials are small. Logs of past decisions are large, and biased where whoever decided knew something that was not "
                f"written down. Here is a made-up world with {len(truth.true_mean) - 1} treatments of rising cost beside treatment 0, which is "
                f"nothing: a trial of {trial:,} rows, a log of {log_rows:,}, and {test:,} users to allocate to, whose true values and costs "
                "are known to the judge and to no model. The log comes twice: once with hidden confounding, once without, all "
                "else equal. Every method learns from the trial and one log, then allocates."
            ),
            '<div class="box">' + "".join(paragraph(ranking(truth, log)) for log in truth.logs) + "</div>",
            figure(
                figures.regret(truth),
                "Regret: the part of what a budget could bring that a method's decisions miss, at the same true spend. Lower is better. "
                "A budget is a share of what the dearest treatment for everybody would cost.",
                [*key, ("lottery", "╌╌", "one rule for all, knowing the true means")],
            ),
            _regrets(truth),
            paragraph(
                "Training: wall time of the fit. Two-stage is fitted to both tables at once; DFCL goes on by its decision loss from "
                "a fit of the log tuned on the trial; Bi-DFCL in its recommended form, which first asks the trial how the log is biased.",
                css="note",
            ),
            *(_diagnosis(truth, log) for log in truth.logs),
            "<h2>What the plans of the simulated world bring</h2>",
            figure(
                figures.value(truth),
                "True value, less that of giving everybody nothing, against true spend, per user. Lines: budgets of 10% to 70%; marks: "
                "those of the table. Plans are sized by predicted costs, as when serving.",
                [*key, ("lottery", "╌╌", "the best there is")],
            ),
            _spending(truth),
            _who(truth),
            paragraph(
                f"Numbers are percent of the test users. On its own predictions no plan falls short of the best by more than {gap:.1g} a user: "
                "what is missed is missed by the models. "
                f"This is one world (number {truth.seed}) and one fit of each method; the difference between two methods moves from world to "
                "world. docs/experiments.md says how the same is done over many, with intervals.",
                css="note",
            ),
        ]
    )


def _regrets(truth: KnownTruth) -> str:
    header = [("Regret", "%"), *((f"{b:.0%}", "") for b in truth.budgets), ("Mean", ""), ("Training", "s")]
    rows = [["One rule for all", *_row(truth.uninformed), ""]]
    for log in truth.logs:
        rows.append([f"<em>{escape(title(log))}</em>", *[""] * (len(truth.budgets) + 2)])
        rows += [[escape(named(m)), *_row(m.regret), f"{m.seconds:.1f}"] for m in log.methods]
    return table(header, rows)


def _row(regret: tuple[float, ...]) -> list[str]:
    return [f"{100 * r:.1f}" for r in (*regret, mean(regret))]


def _diagnosis(truth: KnownTruth, log: Log) -> str:
    arms = range(len(truth.true_mean))
    header = [
        ("Treatment", ""),
        ("In the log", "% of rows"),
        ("Mean value", "truth"),
        ("Mean value", "its rows of the log"),
        ("Bias found", "value, sd"),
        ("Bias found", "cost, sd"),
    ]
    rows = [
        [
            "0, nothing" if j == 0 else str(j),
            f"{100 * log.shares[j]:.0f}",
            f"{truth.true_mean[j]:.2f}",
            f"{log.mean[j]:.2f}",
            *(_bias(log, h, j) for h in (0, 1)),
        ]
        for j in arms
    ]
    return "\n".join(
        [
            f"<h2>{escape(title(log))}: what Bi-DFCL says of the log</h2>",
            paragraph(*diagnosis(log)),
            table(header, rows),
            paragraph(
                "Bias: what the log says less what the trial says, for a user with average features, in standard deviations of the outcome, "
                "with 95% intervals; bold where some user's is beyond doubt (p below 0.01 for all these tests together). The means of the "
                "log's rows also differ from the truth because of who was chosen by what everybody can see; that is no bias.",
                css="note",
            )
            if log is truth.logs[0]
            else "",
        ]
    )


def _bias(log: Log, head: int, arm: int) -> str:
    cell = plus_minus(*level(log.bias, head, arm))
    return f"<b>{cell}</b>" if log.bias.biased[head][arm] else cell


def _spending(truth: KnownTruth) -> str:
    said = [f"with {title(log).lower()} {spending(log, truth)}" for log in truth.logs]
    warned = sorted({f"{m.name}: {w}" for log in truth.logs for m in log.methods for w in m.warnings})
    text = paragraph(
        f"True spend less the budget, from least to most over methods and budgets: {'; '.join(said)}.", css="note"
    )
    return text + "".join(paragraph(f"Training warned: {w}", css="note") for w in warned)


def _who(truth: KnownTruth) -> str:
    middle = len(truth.budgets) // 2
    arms = len(truth.true_mean)
    key = "".join(
        f'<span><i style="background:var(--a{j})"></i>{"nothing" if j == 0 else f"treatment {j}"}</span>'
        for j in range(arms)
    )
    parts = [
        f'<div class="head">Who gets what at {truth.budgets[middle]:.0%}</div>',
        bar("best", truth.best_shares[middle]),
    ]
    for log in truth.logs:
        parts.append(f'<div class="head">{escape(title(log))}</div>')
        parts += [bar(NAMES.get(m.name, m.name), m.shares[middle]) for m in log.methods]
    return f'<div class="key">{key}</div><div class="bars">{"".join(parts)}</div>'
