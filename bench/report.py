"""The Markdown table of one run: speed, the read floor of the same minutes, and quality side by side."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

HEADER = "| contender | median | best | reads | gap | over budget | looseness of its bound | times ours |"
RULE = "|---|---:|---:|---:|---:|---:|---:|---:|"
LEGEND = """
*median*, *best*: of the rounds. *reads*: median over the time of one parallel read of `value` and `cost`, which was
measured just before and just after every contender of the size. *gap*: LP optimum less the plan's value, over the LP optimum (a fractional answer
has next to none and is no plan). *over budget*: spend beyond the budget, over the budget. *looseness of its bound*:
how far above the LP optimum the bound is that the contender itself can show. *times ours*: median over the best
cold median of `bidfcl_fast`.
"""


def milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:,.{0 if seconds >= 1 else 1 if seconds >= 0.1 else 2}f} ms"


def small(x: float | None) -> str:
    if x is None:
        return ""
    return "0" if abs(x) < 1e-15 else f"{x:.0e}"


def _size(entry: dict[str, Any]) -> tuple[int, int, str]:
    return entry["users"], entry["treatments"], entry["dtype"]


def floor_seconds(entries: list[dict[str, Any]]) -> float:
    """Each contender was timed between two looks at the floor; a size's floor is the median of them all."""
    return statistics.median(e["floor_s"] for e in entries)


def _table(entries: list[dict[str, Any]]) -> Iterator[str]:
    floor = floor_seconds(entries)
    cold = [e["median_s"] for e in entries if e["contender"].startswith("bidfcl_fast") and "warm" not in e["contender"]]
    yield HEADER
    yield RULE
    for e in entries:
        times = f"{e['median_s'] / min(cold):.3g}" if cold and "gap" in e else ""
        quality = (small(e.get(name)) for name in ("gap", "violation", "slack"))
        cells = [
            e["contender"],
            milliseconds(e["median_s"]),
            milliseconds(e["best_s"]),
            f"{e['median_s'] / floor:.1f}",
            *quality,
        ]
        yield f"| {' | '.join([*cells, times])} |"


def _ratios(entries: list[dict[str, Any]]) -> Iterator[str]:
    yield "| question | ratio | at most (or at least) | gap | over budget | detail |"
    yield "|---|---:|---|---:|---:|---|"
    for e in entries:
        quality = " | ".join(small(e.get(name)) for name in ("gap", "violation"))
        yield f"| {e['question']} | {e['ratio']:.2f} | {e['target']} | {quality} | {e['detail']} |"


def heading(title: str, run: dict[str, Any], about: str = "") -> list[str]:
    """The title, and the machine, date, load and versions that every report begins with."""
    machine = run["machine"]
    lines = [f"# {title}", "", f"{machine['cpu']}, {machine['cores']} cores, {run['date']}{about}."]
    lines.append("Load average when it began and ended: {:.1f} and {:.1f}.".format(*run["load"]))
    if max(run["load"]) > 1.5 * machine["cores"]:
        lines.append("**The machine was busy with other work: read ratios, not times, and those with care.**")
    lines.append("Versions: " + ", ".join(f"{name} {version}" for name, version in run["versions"].items()) + ".")
    return lines


def markdown(run: dict[str, Any]) -> str:
    lines = heading("Benchmarks", run)
    lines += [f"Backend {name}: {made_of}." for name, made_of in run["backends"].items()]
    if run.get("ratios"):
        lines += [
            "",
            "## What users ask",
            "",
            "Ratios of medians whose rounds took turns.",
            "",
            *_ratios(run["ratios"]),
        ]
    lines.append(LEGEND)
    for (users, treatments, dtype), group in groupby(run["results"], key=_size):
        entries = list(group)
        floor = floor_seconds(entries)
        lines += [f"## {users:,} users × {treatments} treatments, {dtype}", ""]
        megabytes = entries[0]["bytes"] / 1e6
        lines.append(f"One read: {megabytes:,.1f} MB in {milliseconds(floor)}, {megabytes / floor / 1e3:.1f} GB/s.")
        lines += ["", *_table(entries), ""]
    return "\n".join(lines)


def main() -> None:
    run = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(markdown(run))


if __name__ == "__main__":
    main()
