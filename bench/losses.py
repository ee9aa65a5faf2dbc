"""The decision losses against eager torch and torch.compile on the same tensors: `python bench/losses.py`.

Every contender's value and gradients are held against the first's before anything is timed; nothing is asserted about a time. All contenders
are timed in turn, several times over, so that other work on the machine falls on all alike; ratios are of medians.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import report
import run
import torch

import bidfcl_fast as bf
from bidfcl_fast import losses, machine
from bidfcl_fast.backends import reference
from bidfcl_fast.bench.losses import MULTIPLIER, Case, measure
from bidfcl_fast.bench.timing import medians

HERE = Path(__file__).resolve().parent


def returns(users: int, treatments: int, rounds: int) -> dict[str, float]:
    """DRP: scores of the steps between neighbouring arms."""
    case = Case(users, treatments)
    score = torch.rand(users, treatments - 1, requires_grad=True)
    labels = (case.treatment, case.outcome, case.outcome * 2)
    step, t = torch.arange(treatments - 1), case.treatment[:, None]
    sign = case.weight[:, None] * ((t == step + 1).float() - (t == step).float())

    def plain() -> torch.Tensor:
        value, cost = (y[:, None] for y in labels[1:])
        return -(sign * (value * score + cost * torch.nn.functional.logsigmoid(-score))).sum()

    def backward(loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
        def call() -> None:
            score.grad = None
            loss().backward()

        return call

    source = score.detach()
    target = torch.empty_like(source)
    calls = {
        "floor: scores copied": lambda: target.copy_(source),
        "drp_loss, cpp": backward(lambda: losses.drp_loss(score, *labels, weight=case.weight, backend="cpp")),
        "drp_loss, numba": backward(lambda: losses.drp_loss(score, *labels, weight=case.weight, backend="numba")),
        "eager torch": backward(plain),
    }
    found = []
    for name in list(calls)[1:]:
        calls[name]()
        assert score.grad is not None
        found.append(score.grad.clone())
    assert all(torch.allclose(x, found[0], rtol=1e-3, atol=1e-9) for x in found)
    return medians(calls, rounds)


def small_call(rounds: int) -> dict[str, float]:
    case = Case(256, 5)
    detached = [x.detach() for x in case.inputs]
    labels = (case.treatment, case.outcome, case.weight, MULTIPLIER)
    plain = case.plain()
    calls = {
        "forward": lambda: losses.ppl_loss(*detached, *labels),
        "forward, to be differentiated": lambda: losses.ppl_loss(*case.inputs, *labels),
        "forward and backward": case.backward(case.ours(losses.ppl_loss)),
        "eager, forward and backward": case.backward(lambda: plain(*case.inputs)),
    }
    in_a_row = medians(calls, 15 * rounds, 20)
    return in_a_row | {f"{name}; between other work": x for name, x in medians(calls, 300 * rounds).items()}


def budgets(users: int, treatments: int, rounds: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    value = rng.random((users, treatments), dtype=np.float32)
    cost = np.sort(rng.random((users, treatments), dtype=np.float32), axis=1)
    t = rng.integers(treatments, size=users)
    rows = np.arange(users)
    args = (value, cost, t, value[rows, t], cost[rows, t], bf.metrics.ipw_weight(t, treatments))
    calls = {
        "one budget": lambda: bf.metrics.labelled_multiplier(*args, 0.3),
        "ten budgets": lambda: bf.metrics.labelled_multiplier(*args, np.linspace(0.1, 0.5, 10)),
        "Algorithm 2 in NumPy, one budget": lambda: reference.bisection(*args[:3], *args[4:], 0.3),
    }
    return medians(calls, 1)


def table(times: dict[str, float], unit: str, beside: str | None = None) -> list[str]:
    scale, digits = (1e3, 1) if unit == "ms" else (1e6, 0)
    lines = [f"| | {unit} |" + (f" times {beside} |" if beside else ""), "|---|---:|" + ("---:|" if beside else "")]
    for name, seconds in times.items():
        ratio = f" {seconds / times[beside]:.2f} |" if beside else ""
        lines.append(f"| {name} | {scale * seconds:.{digits}f} |{ratio}")
    return [*lines, ""]


def markdown(record: dict[str, Any]) -> str:
    lines = [*report.heading("Decision losses", record), ""]
    lines.append(
        "Forward and backward, float32, gradients in both inputs, medians. *floor*: two arrays copied, which reads and writes"
    )
    lines += [
        "what a loss must read and write. *twice*: loss, gradient with a graph, and a Hessian-vector product.",
        "",
    ]
    for size, times in record["losses"].items():
        lines += [f"## {size}", "", *table(times, "ms", "floor")]
    lines += [f"## DRP, {record['eom_size']}", "", *table(record["drp"], "ms", "floor: scores copied")]
    lines += ["## One call on 256 users × 5 treatments", "", *table(record["small"], "µs")]
    lines += [f"## The multiplier on labelled rows, {record['eom_size']}", "", *table(record["eom"], "ms")]
    return "\n".join(lines)


USERS, ROUNDS = 1_000_000, 3
PIECES: dict[str, Callable[[int, int], dict[str, float]]] = {
    "losses-10": lambda users, rounds: measure(users, 10, rounds),
    "losses-2": lambda users, rounds: measure(users, 2, rounds),
    "drp": lambda users, rounds: returns(users, 10, rounds),
    "small": lambda users, rounds: small_call(rounds),
    "eom": lambda users, rounds: budgets(users, 10, rounds),
}


def piece(name: str, users: int, rounds: int) -> dict[str, Any]:
    before = machine.load()
    return {"times": PIECES[name](users, rounds), "load": [round(before, 2), round(machine.load(), 2)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20,000 users, few rounds; writes no results")
    parser.add_argument("--piece", choices=PIECES, help="only this table, as JSON on standard output")
    parser.add_argument("--pieces", type=Path, help="a folder of pieces, NAME.json, that have been run already")
    args = parser.parse_args()
    users, rounds = (20_000, 1) if args.quick else (USERS, ROUNDS)
    if args.piece:
        print(json.dumps(piece(args.piece, users, rounds)))
        return

    def get(name: str) -> dict[str, Any]:
        file = args.pieces / f"{name}.json" if args.pieces else None
        return json.loads(file.read_text()) if file and file.exists() else piece(name, users, rounds)

    found = {name: get(name) for name in PIECES}
    times = {name: entry["times"] for name, entry in found.items()}
    record = {
        "date": datetime.date.today().isoformat(),
        "machine": {"cpu": machine.processor(), "cores": machine.cores()},
        "versions": machine.versions(run.PACKAGES),
        "losses": {f"{users:,} users × {m} treatments": times[f"losses-{m}"] for m in (10, 2)},
        "drp": times["drp"],
        "small": times["small"],
        "eom_size": f"{users:,} users × 10 treatments",
        "eom": times["eom"],
        "load": [found["losses-10"]["load"][0], found["eom"]["load"][1]],
    }
    text = markdown(record)
    print(text)
    if not args.quick:
        (HERE / "results" / "losses.json").write_text(
            json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        (HERE / "results" / "losses.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
