"""Draws the pictures of these pages from runs of the package: `python docs/losses/pictures.py`."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import bidfcl_fast as bf
from bidfcl_fast.backends import reference

HERE = Path(__file__).resolve().parent
GAPS = np.linspace(-2, 2, 401)
COLOURS = ("#2c6e8f", "#c8553d", "#5b8c5a", "#8e6c8a")


def axes(x: str, y: str):
    figure, ax = plt.subplots(figsize=(5.6, 3.2), layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    return figure, ax


def save(figure, name: str) -> None:
    figure.savefig(HERE / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


def rows(loss: str, value: np.ndarray, cost: np.ndarray | None = None, outcome: float = 1.0, **options):
    """The loss and the gradient in the value of treatment 0, received by everybody, row by row."""
    out = []
    for v, c in zip(value, np.zeros_like(value) if cost is None else cost, strict=True):
        got = bf.loss_and_grad(
            loss, v[None], c[None], np.zeros(1, np.int64), np.array([outcome]), np.ones(1),
            options.get("multiplier", 0.0), **{k: x for k, x in options.items() if k != "multiplier"},
        )  # fmt: skip
        out.append((got.loss, got.value[0, 0]))
    return np.array(out).T


def two_arms() -> np.ndarray:
    return np.column_stack([GAPS, np.zeros_like(GAPS)])


def ppl() -> None:
    figure, ax = axes("score of the treatment received − that of the other", "loss of a row with outcome 1")
    ax.step(GAPS, -1.0 * (GAPS > 0), color="#999999", linewidth=1, label="hard decision", where="mid")
    for colour, tau in zip(COLOURS, (0.1, 0.3, 1.0), strict=False):
        ax.plot(GAPS, rows("ppl", two_arms(), temperature=tau)[0], color=colour, label=f"temperature {tau:g}")
    ax.legend(frameon=False)
    save(figure, "ppl")


def pifd() -> None:
    figure, ax = axes("score of the treatment received − that of the other", "gradient in its score")
    options = {"no floor": {}, "min_gap 0.3": {"min_gap": 0.3}, "window 0.3": {"window": 0.3}}
    value = two_arms()[::4]
    for colour, (label, given) in zip(COLOURS, options.items(), strict=False):
        gradient = rows("pifd", value, temperature=0.5, **given)[1]
        ax.plot(value[:, 0], gradient, ".-", markersize=3, linewidth=0.7, color=colour, label=label)
    ax.plot(GAPS, rows("ppl", two_arms(), temperature=0.5)[1], color="#999999", label="ppl", linewidth=1)
    ax.set_ylim(-8, 0.5)
    ax.legend(frameon=False)
    save(figure, "pifd")


def dual() -> None:
    figure, ax = axes(
        "score of the dearer treatment − that of the free one, at λ = 0", "loss of a row that received it"
    )
    value = np.column_stack([GAPS, np.zeros_like(GAPS)])
    cost = np.column_stack([np.ones_like(GAPS), np.zeros_like(GAPS)])
    for colour, (label, lams) in zip(
        COLOURS, {"λ = 0.1": [0.1], "λ = 1": [1.0], "both": [0.1, 1.0]}.items(), strict=False
    ):
        loss = rows("dpl", value, cost, multiplier=lams, temperature=0.2, cost_outcome=np.array([0.4]))[0]
        ax.plot(GAPS, loss, color=colour, label=label)
    ax.legend(frameon=False)
    save(figure, "dual")


def spend() -> None:
    """A trial of 60 rows: C(λ) is a step function that also rises."""
    rng = np.random.default_rng(4)
    n, m = 60, 3
    value, cost = rng.random((n, m)), np.sort(rng.random((n, m)), axis=1)
    t = rng.integers(m, size=n)
    observed, weight = cost[np.arange(n), t], bf.metrics.ipw_weight(t, m)
    lams = np.geomspace(0.02, 1000, 3000)
    total = [(weight * observed)[(value - lam * cost).argmax(1) == t].sum() for lam in lams]
    budget = 0.3
    found = bf.metrics.labelled_multiplier(value, cost, t, value[np.arange(n), t], observed, weight, budget)
    printed = reference.bisection(value, cost, t, observed, weight, budget)
    figure, ax = axes("multiplier λ", "observed spend per user")
    ax.plot(lams, total, color=COLOURS[0], linewidth=1)
    ax.set_xscale("log")
    ax.axhline(budget, color="#999999", linewidth=1)
    ax.plot(found.multiplier, found.spend, "o", color=COLOURS[2], label="eom: smallest λ within the budget")
    there = (weight * observed)[(value - printed * cost).argmax(1) == t].sum()
    ax.plot(printed, there, "x", color=COLOURS[1], label="Algorithm 2's bisection")
    ax.legend(frameon=False)
    save(figure, "multiplier")


def drp() -> None:
    """Convex in the score, least where the sigmoid is the return: lifts of .03 in value and .10 in cost."""
    s = np.linspace(-4, 3, 200)
    figure, ax = axes("score", "expected loss of a user")
    ax.plot(s, -(0.03 * s + 0.10 * -np.logaddexp(0, s)), color=COLOURS[0])
    best = np.log(0.3 / 0.7)
    ax.plot(best, -(0.03 * best - 0.10 * np.logaddexp(0, best)), "o", color=COLOURS[2], label="sigmoid = .3 = .03/.10")
    ax.legend(frameon=False)
    save(figure, "drp")


if __name__ == "__main__":
    plt.rcParams |= {"svg.hashsalt": "bidfcl", "svg.fonttype": "none", "font.size": 9}
    for draw in (ppl, pifd, dual, spend, drp):
        draw()
