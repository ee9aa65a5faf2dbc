"""The part of the experiments' report on real trials: net dollars, with paired bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluate.real import WORTH
from ..evaluate.statistics import Result
from .evaluation_figures import intervals

Array = NDArray[Any]


def blocks(results: Sequence[Result], pictures: dict[str, str]) -> list[tuple[Any, ...]]:
    """A table and a picture for every data set of which all folds are there."""
    out: list[tuple[Any, ...]] = []
    for name in sorted({r["job"]["data"]["real"] for r in results}):
        those = [r for r in results if r["job"]["data"]["real"] == name]
        folds = those[0]["job"]["data"]["folds"]
        of = {
            recipe: [r for r in those if r["job"]["recipe"] == recipe]
            for recipe in dict.fromkeys(r["job"]["recipe"] for r in those)
        }
        whole = {recipe: rs for recipe, rs in of.items() if len(rs) == folds}
        if not whole:
            continue
        out += _one(name, whole, pictures)
    if not out:
        return []
    text = (
        "Every row is judged once, by models that never saw it: of five folds one is the test, one (a fifth) the trial, the rest become a "
        "biased log by keeping rows as a policy would have treated them. Decisions take whatever treatment has the largest predicted net "
        "value. Net dollars per thousand customers are Hájek estimates; intervals are 95 % percentile intervals of 400 Poisson bootstrap "
        "resamples of the test rows, paired between policies (the models are not refitted). An interval that contains 0 decides nothing."
    )
    return [("h2", "Real rows"), ("p", text), *out]


def _one(name: str, whole: dict[str, list[Result]], pictures: dict[str, str]) -> list[tuple[Any, ...]]:
    first = next(iter(whole.values()))
    labels, rows = first[0]["measured"]["labels"], [r["measured"]["rows"] for r in first]
    net = {recipe: _per_thousand(rs, "recipe") for recipe, rs in whole.items()}
    arms = {f"{label} for all": _per_thousand(first, f"all {j}") for j, label in enumerate(labels)}
    lot = _per_thousand(first, "random")
    nothing = next(iter(arms.values()))
    best = max(list(arms)[1:], key=lambda arm: arms[arm][0])
    table, drawn = [], []
    for recipe, mine in net.items():
        shares = np.mean([r["measured"]["shares"] for r in whole[recipe]], axis=0)
        table.append(
            [recipe, _interval(mine), _interval(mine - arms[best]), _interval(mine - nothing), _interval(mine - lot),
             " ".join(f"{100 * s:.0f}" for s in shares)]
        )  # fmt: skip
        difference = mine - nothing
        drawn.append((recipe, float(difference[0]), *_ends(difference)))
    table += [[arm, _interval(of), "–", _interval(of - nothing), "–", "–"] for arm, of in arms.items()]
    table.append(["an equal draw", _interval(lot), "–", _interval(lot - nothing), "–", "–"])
    pictures[f"real-{name}"] = intervals(f"real-{name}", f"net dollars per thousand over {labels[0]} for all", drawn)
    worth = "" if WORTH[name] == 1 else f" One unit of value is taken to be worth {WORTH[name]:g} dollars."
    counts = ", ".join(f"{int(np.mean([r[part] for r in rows])):,} {part}" for part in ("trial", "log", "test"))
    return [
        ("h3", name),
        ("p", f"Rows of a fold, on average: {counts}.{worth} Treatments: {', '.join(labels)}."),
        ("picture", f"real-{name}", f"{name}: net dollars per thousand, less those of {labels[0]} for all."),
        ("table", ["Policy", "Net per thousand", f"less {best}", f"less {labels[0]} for all", "less an equal draw",
                   "gives, %"], table),
    ]  # fmt: skip


def _per_thousand(results: Sequence[Result], policy: str) -> Array:
    """[1 + replicates] net dollars per thousand customers; the first is the estimate."""
    sums = np.sum([r["measured"]["policies"][policy] for r in results], axis=0)
    return np.asarray(1000 * sums[0] / sums[1])


def _ends(net: Array) -> tuple[float, float]:
    low, high = np.percentile(net[1:], [2.5, 97.5])
    return min(float(low), float(net[0])), max(float(high), float(net[0]))


def _interval(net: Array) -> str:
    low, high = np.percentile(net[1:], [2.5, 97.5])
    return f"{net[0]:+.1f} ({low:+.1f} to {high:+.1f})"
