"""The decision losses against eager torch and torch.compile on the same tensors: `python bench/losses.py`.

Every contender's value and gradients are held against the first's before anything is timed; nothing is asserted about a time. All contenders
are timed in turn, several times over, so that other work on the machine falls on all alike; ratios are of medians.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import report
import run
import torch

import bidfcl_fast as bf
from bidfcl_fast import losses
from bidfcl_fast.backends import reference

HERE = Path(__file__).resolve().parent
MULTIPLIER, TEMPERATURE = 0.5, 0.3


class Case:
    """A conversion-like trial; `share` of the rows have an outcome."""

    def __init__(self, users: int, treatments: int, share: float = 1.0) -> None:
        g = torch.Generator().manual_seed(0)
        self.value = torch.rand(users, treatments, generator=g)
        self.cost = torch.rand(users, treatments, generator=g)
        self.treatment = torch.randint(treatments, (users,), generator=g)
        self.outcome = torch.rand(users, generator=g) * (torch.rand(users, generator=g) < share)
        self.weight = torch.full((users,), treatments / users)
        self.inputs = [self.value.requires_grad_(), self.cost.requires_grad_()]

    def ours(self, loss: Callable, **options: Any) -> Callable[[], torch.Tensor]:
        labels = (self.treatment, self.outcome, self.weight, MULTIPLIER)
        return lambda: loss(*self.inputs, *labels, temperature=TEMPERATURE, **options)

    def plain(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """The formula as one would write it."""
        labels, received = self.weight * self.outcome, self.treatment[:, None]

        def loss(value: torch.Tensor, cost: torch.Tensor) -> torch.Tensor:
            policy = torch.softmax((value - MULTIPLIER * cost) / TEMPERATURE, 1)
            return -(labels * policy.gather(1, received)[:, 0]).sum()

        return loss

    def backward(self, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
        def call() -> None:
            for x in self.inputs:
                x.grad = None
            loss().backward()

        return call

    def twice(self, loss: Callable[[], torch.Tensor]) -> Callable[[], Any]:
        """Loss, gradient, and the Hessian times a vector."""
        turns = [x.detach() for x in self.inputs]

        def call() -> Any:
            grads = torch.autograd.grad(loss(), self.inputs, create_graph=True)
            return torch.autograd.grad(grads, self.inputs, turns)

        return call

    def copies(self) -> Callable[[], None]:
        """The traffic floor: read value and cost, write two arrays of their size."""
        sources = [x.detach() for x in self.inputs]
        targets = [torch.empty_like(x) for x in sources]

        def call() -> None:
            for a, b in zip(targets, sources, strict=True):
                a.copy_(b)

        return call


def same(case: Case, calls: dict[str, Callable[[], torch.Tensor]]) -> None:
    found = {}
    for name, call in calls.items():
        case.backward(call)()
        found[name] = [x.grad.clone() for x in case.inputs]
    first = next(iter(found.values()))
    for name, grads in found.items():
        for a, b in zip(grads, first, strict=True):
            assert torch.allclose(a, b, rtol=1e-3, atol=1e-5 * float(b.abs().max())), f"{name} disagrees"


def medians(calls: dict[str, Callable[[], Any]], rounds: int, sweeps: int = 3) -> dict[str, float]:
    """Each contender `rounds` times in a row, as in training, after one to warm up; all that `sweeps` times over."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(sweeps):
        for name, call in calls.items():
            call()
            for _ in range(rounds):
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(t) for name, t in times.items()}


def losses_at(users: int, treatments: int, rounds: int) -> dict[str, float]:
    case = Case(users, treatments)
    plain = case.plain()
    compiled = torch.compile(plain)
    contenders = {
        "ppl_loss, cpp": case.ours(losses.ppl_loss, backend="cpp"),
        "eager torch": lambda: plain(*case.inputs),
        "torch.compile": lambda: compiled(*case.inputs),
        "ppl_loss, numba": case.ours(losses.ppl_loss, backend="numba"),
    }
    same(case, contenders)
    calls = {"floor": case.copies()} | {name: case.backward(call) for name, call in contenders.items()}
    calls["pifd_loss, cpp"] = case.backward(case.ours(losses.pifd_loss))
    calls["pifd_loss exact, cpp"] = case.backward(case.ours(losses.pifd_loss, variant="exact"))
    implicit = {"multiplier_grad": "implicit", "cost_outcome": case.outcome}
    calls["ppl_loss implicit, cpp"] = case.backward(case.ours(losses.ppl_loss, **implicit))
    sparse = Case(users, treatments, share=0.01)
    calls["ppl_loss, cpp, 1 % with an outcome"] = sparse.backward(sparse.ours(losses.ppl_loss))
    for name in ("pifd_loss", "pifd_loss exact"):
        variant = "exact" if "exact" in name else "paper"
        calls[f"{name}, numba"] = case.backward(case.ours(losses.pifd_loss, variant=variant, backend="numba"))
    calls["twice: ppl_loss, cpp"] = case.twice(contenders["ppl_loss, cpp"])
    calls["twice: eager torch"] = case.twice(contenders["eager torch"])
    return medians(calls, rounds)


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
        "forward and backward": case.backward(case.ours(losses.ppl_loss)),
        "eager, forward and backward": case.backward(lambda: plain(*case.inputs)),
    }
    return medians(calls, 300 * rounds)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20,000 users, few rounds; writes no results")
    args = parser.parse_args()
    users, rounds = (20_000, 1) if args.quick else (1_000_000, 3)
    before = os.getloadavg()[0]
    record = {
        "date": datetime.date.today().isoformat(),
        "machine": {"cpu": run.cpu(), "cores": run.cores()},
        "versions": run.versions(),
        "losses": {f"{users:,} users × {m} treatments": losses_at(users, m, rounds) for m in (10, 2)},
        "drp": returns(users, 10, rounds),
        "small": small_call(rounds),
        "eom_size": f"{users:,} users × 10 treatments",
        "eom": budgets(users, 10, rounds),
    }
    record["load"] = [round(before, 2), round(os.getloadavg()[0], 2)]
    text = markdown(record)
    print(text)
    if not args.quick:
        (HERE / "results" / "losses.json").write_text(
            json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        (HERE / "results" / "losses.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
