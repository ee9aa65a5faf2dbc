"""The report of the experiments: numbers, a page, a Markdown file and pictures from one list of blocks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from .. import tables
from ..data.simulation import BUDGETS
from ..evaluate import recipes
from ..evaluate.claims import Claim, claims, differ
from ..evaluate.statistics import Cells, Result, mean_regret
from . import log_bias, real_rows
from .elements import document
from .evaluation_figures import differences, frontier, standalone, trial_sizes

# ("h2", text), ("p", text), ("table", header, rows), ("picture", name, caption)
Block = tuple[Any, ...]


@dataclass(frozen=True)
class Report:
    """`numbers`: plain data, small enough to keep; `pictures`: SVG by name, in the colours of the page."""

    blocks: list[Block]
    pictures: dict[str, str]
    numbers: dict[str, Any]
    claims: list[Claim]

    def verdict(self) -> str:
        """The claims, a line each."""
        return "\n".join(f"{c.verdict}: {c.text}: {c.numbers}" for c in self.claims)


def make(results: Sequence[Result], failures: Sequence[dict[str, Any]] = ()) -> Report:
    """The report of these results; parts without results are left out, and the report says what was run."""
    worlds, small = Cells(results, "worlds").balanced(), Cells(results, "small trial").balanced()
    blocks: list[Block] = [("h1", "Experiments"), *_what_was_run(results, failures)]
    pictures: dict[str, str] = {}
    found = claims(worlds, small)
    if worlds.recipes:
        blocks += [("h2", "What was claimed, and what holds"), _claims_table(found)]
        blocks += _worlds(worlds, pictures, "differences")
    if small.recipes:
        title = f"A small trial: {small.trial_sizes()[0]:,} rows"
        blocks += [("h2", title), *_regimes(small), *log_bias.blocks(small)]
    for study, title in (("ablation", "Ablation"), ("sensitivity", "Sensitivity")):
        cells = Cells(results, study)
        if cells.recipes:
            blocks += [("h2", title), _grid(cells, "recommended" if study == "ablation" else None)]
    sizes = Cells([*results, *_as("trial size", results, worlds)], "trial size")
    if len(sizes.trial_sizes()) > 1:
        pictures["trial-size"] = trial_sizes(sizes)
        blocks += [
            ("h2", "Size of the trial"),
            ("picture", "trial-size", "Regret against the rows of the trial."),
            _sizes(sizes),
        ]
    blocks += _repeatability(results)
    blocks += real_rows.blocks([r for r in results if r["job"]["study"] == "real"], pictures)
    return Report(blocks, pictures, _numbers(results, found), found)


def write(report: Report, folder: Any) -> None:
    """report.html, README.md, results.json and the pictures, each whole or not at all."""
    folder = Path(folder)
    tables.write_text(folder / "report.html", _html(report))
    tables.write_text(folder / "README.md", _markdown(report))
    tables.write_text(
        folder / "results.json", json.dumps(report.numbers, allow_nan=False, separators=(",", ":")) + "\n"
    )
    for name, svg in report.pictures.items():
        tables.write_text(folder / f"{name}.svg", standalone(svg))


# --- The parts --------------------------------------------------------------------------------------------------------


def _what_was_run(results: Sequence[Result], failures: Sequence[dict[str, Any]]) -> list[Block]:
    studies: dict[str, list[Result]] = {}
    for r in results:
        studies.setdefault(r["job"]["study"], []).append(r)
    rows = []
    for study, those in studies.items():
        data = [r["job"]["data"] for r in those]
        seeds = sorted({d["seed"] for d in data if "seed" in d})
        where = f"worlds {_ranges(seeds)}" if seeds else ", ".join(sorted({d["real"] for d in data}))
        recipes_run = len({r["job"]["recipe"] for r in those})
        hours = sum(r["measured"].get("seconds", 0.0) for r in those) / 3600
        rows.append([study, where, str(recipes_run), str(len(those)), f"{hours:.2f}"])
    machines = sorted({r["measured"].get("machine", "unknown machine") for r in results})
    out: list[Block] = [
        (
            "p",
            "Made by `bidfcl evaluate`. Machine: "
            + "; ".join(machines)
            + ". One thread for each fit; cost is processor time.",
        ),
        ("table", ["Study", "Data", "Recipes", "Fits", "Processor hours"], rows),
    ]
    simulated = [r for r in results if "regime" in r["job"]["data"]]
    if simulated:
        d = simulated[0]["job"]["data"]
        out.append(
            (
                "p",
                f"Simulated worlds: {d['n_obs']:,} rows of the log, {d['n_test']:,} test users with truth, {d['features']} features, "
                f"{d['treatments']} treatments; the seed draws the response, cost and policy functions too. World s has response family "
                "s mod 5 and bias family s mod 4, so that 20 worlds in a row are all pairs. Regret is the share, in percent, of the best "
                f"plan's gain that is lost, the mean over budgets of {', '.join(f'{b:.0%}' for b in BUDGETS)} of what the dearest "
                "treatment for everybody costs; spend is the true one. Differences are paired by world, t in brackets.",
            )
        )
    if failures:
        lines = sorted(
            {f"{f['job']['study']}, {f['job']['recipe']}: {f['why'].strip().splitlines()[-1]}" for f in failures}
        )
        out.append(("p", f"{len(failures)} fits failed and are missing below: " + "; ".join(lines)))
    return out


def _claims_table(found: list[Claim]) -> Block:
    rows = [[f"{recipes.RECOMMENDED} {c.text}", c.verdict, c.numbers] for c in found]
    return ("table", ["Claim", "Verdict", "Mean difference in points of regret"], rows)


def _worlds(worlds: Cells, pictures: dict[str, str], name: str) -> list[Block]:
    pictures[name] = differences(worlds)
    pictures["cost"] = frontier(worlds)
    out: list[Block] = [
        ("h2", "True regret on fresh worlds"),
        (
            "picture",
            name,
            f"Paired difference in regret to {recipes.BASELINE}, points, with 95 % intervals over worlds. Left is better.",
        ),
        ("picture", "cost", f"Mean regret over the regimes against cost, {recipes.BASELINE} = 1."),
    ]
    return [*out, *_regimes(worlds), *_families(worlds), *log_bias.blocks(worlds)]


def _regimes(cells: Cells) -> list[Block]:
    out: list[Block] = []
    for regime in cells.regimes():
        best = cells.best(recipes.SIMPLE, regime)
        base = cells.of(recipes.BASELINE, regime)
        level = [np.mean(r["measured"]["uninformed"]) for r in base.values()]
        least = [r["measured"]["least_propensity"] for r in base.values()]
        out.append(("h3", f"Regime {regime}"))
        if base:
            out.append(
                (
                    "p",
                    f"An uninformed plan (arm means for everybody): {np.mean(level):.1f} ± {np.std(level):.1f}. Least propensity in the log: "
                    f"{min(least):.1g}. Best simple recipe: {best or 'not run'}.",
                )
            )
        out.append(
            ("table", _HEADER, [_row(cells, name, regime, best) for name in cells.recipes if cells.of(name, regime)])
        )
    return out


_HEADER = [
    "Recipe", "n", "Regret %", "sd", f"vs {recipes.BASELINE}", "vs best simple", "Regret, sized by predicted cost", "Overspend %",
    "EOM %", "EOM noise", "Cost",
]  # fmt: skip


def _row(cells: Cells, name: str, regime: str, best: str | None) -> list[str]:
    of = cells.of(name, regime)
    seen = np.array([mean_regret(r) for r in of.values()])
    base = cells.of(recipes.BASELINE, regime)
    ratio = cells.cost_ratio(name, recipes.BASELINE)
    relative, noise = [], []
    for cell, r in of.items():
        if cell in base and r["measured"]["eom"] and base[cell]["measured"]["eom"]:
            theirs = np.mean(base[cell]["measured"]["eom"])
            relative.append(100 * np.mean(r["measured"]["eom"]) / theirs - 100)
            noise.append(100 * np.mean(r["measured"]["eom_se"]) / theirs)
    return [
        name,
        str(len(seen)),
        f"{seen.mean():.2f}",
        f"{seen.std(ddof=1):.2f}" if len(seen) > 1 else "–",
        "–" if name == recipes.BASELINE else _brief(cells, name, recipes.BASELINE, regime),
        "–" if best is None or name == best else _brief(cells, name, best, regime),
        f"{np.mean([np.mean(r['measured']['regret_predicted_spend']) for r in of.values()]):.2f}",
        f"{np.mean([np.mean(r['measured']['overspend']) for r in of.values()]):+.1f}",
        f"{np.mean(relative):+.2f}" if relative else "–",
        f"± {np.mean(noise):.2f}" if noise else "–",
        "–" if ratio is None else f"{ratio:.2f}",
    ]


def _brief(cells: Cells, a: str, b: str, regime: str | None, n_rct: int | None = None) -> str:
    p = cells.difference(a, b, regime, n_rct)
    if not p.n:
        return "–"
    return f"{p.mean:+.2f}" + ("" if p.t is None else f" ({p.t:+.1f})")


def _families(cells: Cells) -> list[Block]:
    """The difference to the baseline by family of bias, where confounding is hidden."""
    ours, base = cells.of(recipes.RECOMMENDED), cells.of(recipes.BASELINE)
    rows = []
    for kind in ("response", "bias"):
        by: dict[str, list[float]] = {}
        for cell, r in ours.items():
            if cell in base and (kind == "response" or cell[0] in ("moderate", "severe")):
                by.setdefault(r["job"]["data"][kind], []).append(mean_regret(r) - mean_regret(base[cell]))
        for family, d in by.items():
            where = "all regimes" if kind == "response" else "moderate and severe"
            rows.append([f"{kind}: {family}", where, str(len(d)), f"{np.mean(d):+.2f}", f"{max(d):+.2f}"])
    if not rows:
        return []
    header = ["Family", "Regimes", "Cells", f"{recipes.RECOMMENDED} − {recipes.BASELINE}", "worst cell"]
    return [("h3", "By family of response and of bias"), ("table", header, rows)]


def _grid(cells: Cells, reference: str | None) -> Block:
    regimes = cells.regimes()
    rows = []
    for name in cells.recipes:
        row = [name]
        for regime in regimes:
            seen = [mean_regret(r) for r in cells.of(name, regime).values()]
            text = f"{np.mean(seen):.2f}" if seen else "–"
            if reference and name != reference and seen and not name.startswith("ladder"):
                text += f" [{_brief(cells, name, reference, regime)}]"
            row.append(text)
        rows.append([*row, str(max(len(cells.of(name, r)) for r in regimes))])
    return ("table", ["Recipe", *regimes, "worlds"], rows)


def _sizes(cells: Cells) -> Block:
    rows = [
        [regime, f"{n:,}", name, str(len(of)), f"{np.mean([mean_regret(r) for r in of.values()]):.2f}",
         "–" if name == recipes.BASELINE else _brief(cells, name, recipes.BASELINE, regime, n)]
        for regime in cells.regimes()
        for n in cells.trial_sizes()
        for name in cells.recipes
        if (of := cells.of(name, regime, n))
    ]  # fmt: skip
    return ("table", ["Regime", "Trial rows", "Recipe", "n", "Regret %", f"vs {recipes.BASELINE}"], rows)


def _as(study: str, results: Sequence[Result], worlds: Cells) -> list[Result]:
    """The headline's results on the worlds and recipes of another study, so that its tables hold the default size too."""
    there = {
        (r["job"]["recipe"], r["job"]["data"]["seed"], r["job"]["data"]["regime"])
        for r in results
        if r["job"]["study"] == study
    }
    return [
        {**r, "job": {**r["job"], "study": study}}
        for name in worlds.recipes
        for r in worlds.of(name).values()
        if (name, r["job"]["data"]["seed"], r["job"]["data"]["regime"]) in there
    ]


def _repeatability(results: Sequence[Result]) -> list[Block]:
    those = [r for r in results if r["job"]["study"] == "repeatability"]
    if not those:
        return []
    rows = []
    for regime in sorted({r["job"]["data"]["regime"] for r in those}):
        at = [r["measured"]["cosines"] for r in those if r["job"]["data"]["regime"] == regime]
        for key in at[0]:
            seen = np.array([c[key] for c in at])
            rows.append([regime, *key.split("|"), str(len(seen)), f"{seen.mean():.2f}", f"{seen.min():.2f}"])
    header = ["Regime", "Multiplier", "Rows of a trial", "worlds", "mean cosine", "least"]
    text = (
        "The gradient of the upper loss with respect to the bridge, at one state of training, computed from independent trials of the "
        "same world: the cosine between two of them. Near 1, the next trial would say the same; near 0, it is noise."
    )
    return [("h2", "Repeatability of the hypergradient"), ("p", text), ("table", header, rows)]


def _numbers(results: Sequence[Result], found: list[Claim]) -> dict[str, Any]:
    keep = ("regret", "overspend", "eom", "eom_se", "seconds", "cosines", "rows", "shares", "notes")
    fits = []
    for r in results:
        data = {
            k: v
            for k, v in r["job"]["data"].items()
            if k in ("regime", "seed", "response", "bias", "n_rct", "real", "fold")
        }
        measured = {k: _rounded(v) for k, v in r["measured"].items() if k in keep}
        fits.append({"study": r["job"]["study"], "recipe": r["job"]["recipe"], **data, **measured})
    specs = {f"{r['job']['study']}: {r['job']['recipe']}": r["job"]["spec"] for r in results}
    return {
        "claims": [{"claim": c.text, "verdict": c.verdict, "numbers": c.numbers} for c in found],
        "recipes": specs,
        "machines": sorted({r["measured"].get("machine", "unknown machine") for r in results}),
        "fits": fits,
    }


def _rounded(x: Any) -> Any:
    if isinstance(x, float):
        return float(f"{x:.5g}")
    if isinstance(x, list):
        return [_rounded(v) for v in x]
    return {k: _rounded(v) for k, v in x.items()} if isinstance(x, dict) else x


def _ranges(seeds: Sequence[int]) -> str:
    """[3, 4, 5, 9] → "3 to 5, 9"."""
    parts: list[list[int]] = []
    for s in seeds:
        if parts and s == parts[-1][-1] + 1:
            parts[-1].append(s)
        else:
            parts.append([s])
    return ", ".join(f"{p[0]} to {p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)


# --- The two forms ----------------------------------------------------------------------------------------------------


def _markdown(report: Report) -> str:
    out = []
    for kind, *what in report.blocks:
        if kind in ("h1", "h2", "h3"):
            out.append("#" * int(kind[1]) + " " + _plain(what[0]))
        elif kind == "p":
            out.append(_plain(what[0]))
        elif kind == "table":
            header, rows = what
            lines = [
                "| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in row) + " |" for row in (header, *rows)
            ]
            out.append("\n".join([lines[0], "|" + " --- |" + " ---: |" * (len(header) - 1), *lines[1:]]))
        else:
            out.append(f"![{_plain(what[1])}]({what[0]}.svg)\n\n*{_plain(what[1])}*")
    return "\n\n".join(out) + "\n"


def _plain(text: str) -> str:
    """Text that Markdown does not take for HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _html(report: Report) -> str:
    body = []
    for kind, *what in report.blocks:
        if kind in ("h1", "h2", "h3"):
            body.append(f"<{kind}>{escape(what[0])}</{kind}>")
        elif kind == "p":
            body.append(f"<p>{escape(what[0])}</p>")
        elif kind == "table":
            header, rows = what
            head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
            lines = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
            body.append(
                f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
            )
        else:
            body.append(f"<figure>{report.pictures[what[0]]}<figcaption>{escape(what[1])}</figcaption></figure>")
    css = "main { max-width: 68rem; }\nh3 { font-size: 1rem; margin: 1.6rem 0 .3rem; }\n"
    css += "td.text { text-align: left; white-space: normal; min-width: 22rem; }\n"
    return document("Experiments", "\n".join(body), css)


def _cell(text: str) -> str:
    """What is longer than a number is text: it wraps."""
    return f'<td class="text">{escape(text)}</td>' if len(text) > 60 else f"<td>{escape(text)}</td>"


__all__ = ["Report", "differ", "make", "write"]
