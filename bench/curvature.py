"""Curvature measured: products, whole hypergradients, and memory; writes a record, a table and a picture.

Every answer is checked before it is timed; nothing is asserted about a time. Contenders of one table take turns, round
by round, so that a busy minute of the machine hits them alike; ratios are medians of the rounds' own ratios.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import report
import torch
from peers import betty_cg, torchopt_cg
from run import HERE, cores, cpu, versions
from torch import Tensor, nn

import bidfcl_fast as bf
from bidfcl_fast.bilevel import implicit_hypergradient
from bidfcl_fast.linalg import (
    GaussNewtonOperator,
    HessianOperator,
    JacobiPreconditioner,
    LinearOperator,
    MLPCurvature,
    NystromPreconditioner,
    SamplePreconditioner,
    conjugate_gradient,
)

warnings.filterwarnings("ignore", category=DeprecationWarning)

SIZES = [((12, 64, 32, 32, 4), 8192), ((192, 128, 64, 32, 10), 8192), ((12, 64, 32, 32, 4), 512)]
RTOL, MOST = 1e-3, 500
OUTER = 10
SAMPLE = 512
GRADIENT = "one plain gradient"


class Problem:
    """A target trained on labels that a bridge mixes, as in the lower level of Bi-DFCL; an upper loss on other rows."""

    def __init__(self, sizes: tuple[int, ...], rows: int, activation: type[nn.Module] = nn.ReLU) -> None:
        torch.manual_seed(0)
        parts: list[nn.Module] = []
        for k, (i, o) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            parts += [nn.Linear(i, o)] + [activation()] * (k < len(sizes) - 2)
        self.target = nn.Sequential(*parts)
        self.bridge = nn.Sequential(nn.Linear(sizes[0], 16), nn.Tanh(), nn.Linear(16, sizes[-1]))
        self.x, self.up_x = torch.randn(rows, sizes[0]), torch.randn(rows, sizes[0])
        truth = torch.randn(sizes[0], sizes[-1]) / sizes[0] ** 0.5
        self.first = torch.sin(self.x @ truth) + 0.1 * torch.randn(rows, sizes[-1])
        self.second = self.x @ truth + 0.1 * torch.randn(rows, sizes[-1])
        self.up_y = torch.randn(rows, sizes[-1])
        optimiser = torch.optim.Adam(self.target.parameters(), 2e-3)
        for _ in range(150):
            optimiser.zero_grad()
            self.lower_loss(self.target(self.x)).backward()
            optimiser.step()
        self.bridge.zero_grad()
        self.parameters = list(self.target.parameters())

    def labels(self) -> Tensor:
        gate = torch.sigmoid(self.bridge(self.x))
        return gate * self.first + (1 - gate) * self.second

    def lower_loss(self, out: Tensor) -> Tensor:
        return ((self.labels() - out) ** 2).sum(1).mean()

    def upper_loss(self, target: nn.Module) -> Tensor:
        return (torch.softmax(target(self.up_x), 1) * self.up_y).sum(1).mean()

    def shaped(self, flat: Tensor) -> list[Tensor]:
        parts = flat.split([p.numel() for p in self.parameters])
        return [part.view(p.shape) for part, p in zip(parts, self.parameters, strict=True)]


def flat(tensors: Any) -> Tensor:
    return torch.cat([t.detach().reshape(-1) for t in tensors])


def take_turns(contenders: dict[str, Callable[[], Any]], rounds: int, inner: int = 1) -> dict[str, list[float]]:
    """Seconds of every contender in every round, a mean of `inner` calls in a row.

    Calls in a row, after one that is not timed, because that is how conjugate gradient makes them; and because an
    OpenMP pool goes on spinning on the other cores for a while after its last call.
    """
    for call in contenders.values():
        call()
    out: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            if inner > 1:
                call()
            start = time.perf_counter()
            for _ in range(inner):
                call()
            out[name].append((time.perf_counter() - start) / inner)
    return out


def summarise(times: dict[str, list[float]], base: str) -> list[dict[str, Any]]:
    def kept(x: float) -> float:
        return float(f"{x:.4g}")

    return [
        {
            "contender": name,
            "median_s": kept(statistics.median(seconds)),
            "best_s": kept(min(seconds)),
            "ratio": kept(statistics.median(b / s for b, s in zip(times[base], seconds, strict=True))),
            **(
                {"gradients": kept(statistics.median(s / b for b, s in zip(times[GRADIENT], seconds, strict=True)))}
                if GRADIENT in times
                else {}
            ),
        }
        for name, seconds in times.items()
    ]


def products(problem: Problem, rounds: int, inner: int) -> list[dict[str, Any]]:
    """One product each; `ratio` is kept-graph autograd over the contender."""
    x, y = problem.x, problem.labels().detach()
    kept = HessianOperator(problem.target, lambda net: ((net(x) - y) ** 2).sum(1).mean())
    rough = GaussNewtonOperator(problem.target, x, lambda out: ((out - y) ** 2).sum(1).mean())
    v = torch.randn(1, kept.size)
    shaped = problem.shaped(v[0])

    def gradient() -> Any:
        return torch.autograd.grad(((problem.target(x) - y) ** 2).sum(1).mean(), problem.parameters)

    contenders: dict[str, Callable[[], Any]] = {
        "kept-graph autograd, exact": lambda: torch.autograd.grad(
            kept._gradients, problem.parameters, shaped, retain_graph=True
        ),
        "kept-graph autograd, Gauss-Newton": lambda: rough._apply(v),
        GRADIENT: gradient,
    }
    for backend in bf.backends.available():
        for kind, judge in (("hessian", kept), ("gauss_newton", rough)):
            ours = MLPCurvature(problem.target, x, kind=kind, targets=y, backend=backend)
            expected = judge._apply(v)
            assert float((ours._apply(v) - expected).norm() / expected.norm()) < 1e-4
            short = "exact" if kind == "hessian" else "Gauss-Newton"
            contenders[f"bidfcl_fast, {backend}, {short}"] = lambda ours=ours: ours._apply(v)
            contenders[f"bidfcl_fast, {backend}, {short}, linearised anew"] = ours.refresh
    return summarise(take_turns(contenders, rounds, inner), "kept-graph autograd, exact")


def hypergradients(problem: Problem, rounds: int) -> list[dict[str, Any]]:
    """Whole hypergradients of one damped system each, from nothing; `ratio` is TorchOpt over the contender."""
    x = problem.x
    inputs = (problem.target, problem.bridge, problem.lower_loss, problem.upper_loss, x)
    bridge = list(problem.bridge.parameters())
    out = []
    for kind in ("gauss_newton", "hessian"):
        labels = problem.labels().detach()
        ours = MLPCurvature(problem.target, x, kind=kind, targets=labels)
        damping = 0.5 * float(MLPCurvature(problem.target, x).diagonal().mean())
        slope = torch.autograd.grad(problem.upper_loss(problem.target), problem.parameters)
        while conjugate_gradient(ours, flat(slope), damping=damping, rtol=RTOL, max_steps=MOST).status:
            damping *= 2  # the exact Hessian needs more to be positive definite

        def fused(ours: MLPCurvature = ours, damping: float = damping, sampled: bool = False) -> Any:
            ours.refresh(targets=problem.labels().detach() if ours.kind == "hessian" else None)
            kept = SamplePreconditioner(ours.sample(SAMPLE), damping) if sampled else None
            found = implicit_hypergradient(
                *inputs, curvature=ours, damping=damping, rtol=RTOL, max_steps=MOST, preconditioner=kept
            )
            return found, kept.products if kept else 0

        def graph() -> tuple[list[Tensor], list[Tensor]]:
            slope = torch.autograd.grad(problem.upper_loss(problem.target), problem.parameters)
            loss = problem.lower_loss(problem.target(x))
            return list(slope), list(torch.autograd.grad(loss, problem.parameters, create_graph=True))

        def torchopt(kind: str = kind, damping: float = damping) -> tuple[Tensor, Tensor]:
            slope, kept = graph()

            def exact(v: Any) -> Any:
                return torch.autograd.grad(kept, problem.parameters, v, retain_graph=True)

            rough = GaussNewtonOperator(problem.target, x, problem.lower_loss) if kind == "gauss_newton" else None
            product = exact if rough is None else lambda v: problem.shaped(rough._apply(flat(v)[None])[0])
            v = torchopt_cg.solve(product, slope, damping, RTOL, MOST)
            return flat(torch.autograd.grad(kept, bridge, [-t for t in v])), flat(v)

        (first, _), (theirs, v) = fused(), torchopt()
        rhs = flat(graph()[0])
        steps = {"TorchOpt's conjugate gradient": "", "bidfcl_fast": first.solve.steps}
        residual = float((rhs - ours @ v - damping * v).norm() / rhs.norm())
        assert first.solve.status == 0 and residual < 1.1 * RTOL, (kind, first.solve.sentence, residual)
        assert torch.nn.functional.cosine_similarity(first.gradient, theirs, dim=0) > 0.99

        def betty(damping: float = damping, steps: int = first.solve.steps) -> Tensor:
            slope, _ = graph()
            loss = lambda: problem.lower_loss(problem.target(x))  # noqa: E731
            return flat(betty_cg.hypergradient(loss, problem.parameters, bridge, slope, damping, steps))

        contenders: dict[str, Callable[[], Any]] = {"TorchOpt's conjugate gradient": torchopt, "bidfcl_fast": fused}
        if len(x) >= 8 * SAMPLE:
            sampled = f"bidfcl_fast, a sample of {SAMPLE} rows as preconditioner"
            found, inner = fused(sampled=True)
            assert found.solve.status == 0
            assert torch.nn.functional.cosine_similarity(found.gradient, theirs, dim=0) > 0.99
            contenders[sampled] = lambda fused=fused: fused(sampled=True)
            steps[sampled] = f"{found.solve.steps}, and {inner} of the sample"
        if kind == "hessian":
            contenders["Betty's, as many steps"] = betty
            steps["Betty's, as many steps"] = first.solve.steps
        for entry in summarise(take_turns(contenders, rounds), "TorchOpt's conjugate gradient"):
            out.append(entry | {"system": kind, "steps": steps[entry["contender"]], "damping": float(f"{damping:.3g}")})
    return out


def outer_steps(problem: Problem, count: int) -> list[dict[str, Any]]:
    """`count` outer steps in a row, the target moving between them; the median solve with its linearisation."""
    x = problem.x
    damping = 0.5 * float(MLPCurvature(problem.target, x).diagonal().mean())
    start = flat(problem.parameters).clone()
    out = []

    def run(name: str) -> dict[str, Any]:
        torch.nn.utils.vector_to_parameters(start.clone(), problem.parameters)
        operator = MLPCurvature(problem.target, x)
        v, kept, seconds, steps = None, None, [], []
        generator = torch.Generator().manual_seed(1)
        for k in range(count):
            for p in problem.parameters:  # what k = 5 lower steps on another batch do, in size
                p.data.add_(
                    torch.randn(p.shape, generator=generator), alpha=1e-3 * float(p.data.norm()) / p.numel() ** 0.5
                )
            slope = flat(torch.autograd.grad(problem.upper_loss(problem.target), problem.parameters))
            begin = time.perf_counter()
            if name == "TorchOpt's conjugate gradient":
                rough = GaussNewtonOperator(problem.target, x, problem.lower_loss)
                torchopt_cg.solve(
                    lambda v, rough=rough: problem.shaped(rough._apply(flat(v)[None])[0]),
                    problem.shaped(slope),
                    damping,
                    RTOL,
                    MOST,
                )
                seconds.append(time.perf_counter() - begin)
                continue
            operator.refresh()
            if "Jacobi" in name:
                kept = JacobiPreconditioner(operator, damping)
            if "Nyström" in name and k == 0:
                kept = NystromPreconditioner(operator.sample(SAMPLE // 2), 32, damping)
            if "a sample as" in name:
                if k == 0:
                    kept = SamplePreconditioner(operator.sample(SAMPLE), damping)
                else:
                    kept.sample.refresh()
            result = conjugate_gradient(
                operator,
                slope,
                x0=v if "warm" in name else None,
                rtol=RTOL,
                max_steps=MOST,
                damping=damping,
                preconditioner=kept,
            )
            assert result.status == 0
            v = result.x
            seconds.append(time.perf_counter() - begin)
            steps.append(result.steps)
        return {
            "contender": name,
            "median_s": float(f"{statistics.median(seconds):.4g}"),
            "steps": round(statistics.mean(steps), 1) if steps else None,
        }

    names = [
        "TorchOpt's conjugate gradient",
        "cold",
        "cold, Jacobi",
        "warm start",
        "warm start, Nyström of a sample, kept",
    ]
    if len(x) >= 8 * SAMPLE:
        names.append("warm start, a sample as preconditioner, kept and refreshed")
    run(names[1])  # once before it counts
    for name in names:
        out.append(run(name))
    torch.nn.utils.vector_to_parameters(start, problem.parameters)
    for entry in out:
        entry["ratio"] = float(f"{out[0]['median_s'] / entry['median_s']:.3g}")
    return out


def resident() -> float:
    """MB of this process's memory, now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory(problem: Problem, count_products: int, count_outer: int) -> dict[str, list[list[float]]]:
    """(how many, MB) along products, and along whole outer steps."""
    operator: LinearOperator = MLPCurvature(problem.target, problem.x)
    v = torch.randn(operator.size)
    out: dict[str, list[list[float]]] = {"products": [], "outer steps": []}
    for k in range(count_products + 1):
        if k % max(1, count_products // 50) == 0:
            out["products"].append([k, round(resident(), 2)])
        operator @ v
    inputs = (problem.target, problem.bridge, problem.lower_loss, problem.upper_loss, problem.x)
    optimiser = torch.optim.Adam(problem.bridge.parameters(), 1e-3)
    for k in range(count_outer + 1):
        if k % max(1, count_outer // 50) == 0:
            out["outer steps"].append([k, round(resident(), 2)])
        operator.refresh()  # type: ignore[attr-defined]
        found = implicit_hypergradient(*inputs, curvature=operator, damping=0.1, max_steps=10)
        found.assign(problem.bridge)
        optimiser.step()
    return out


# --- report -----------------------------------------------------------------------------------------------------------


def milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:,.{1 if seconds >= 0.1 else 2 if seconds >= 1e-3 else 3}f} ms"


def markdown(run: dict[str, Any]) -> str:
    lines = report.heading("Curvature, measured", run, ", float32, ReLU")
    lines += [
        "",
        "Every table is of a process of its own. Contenders of one table took turns; a ratio is the median of the rounds' ratios, above 1 where the contender is faster than the first.",
    ]
    lines += ["", run["note"]] if "note" in run else []
    for size in run["results"]:
        lines += ["", f"## {size['network']}, batch {size['rows']:,}", "", "### One product", ""]
        lines += [
            "| contender | median | best | kept-graph exact ÷ it | ÷ one plain gradient |",
            "|---|---:|---:|---:|---:|",
        ]
        for e in size["products"]:
            times = (milliseconds(e[key]) for key in ("median_s", "best_s"))
            lines.append(f"| {e['contender']} | {' | '.join(times)} | {e['ratio']:.2f} | {e['gradients']:.2f} |")
        lines += ["", f"### One hypergradient, from nothing, to a relative residual of {RTOL:g}", ""]
        lines += [
            "| system | contender | median | ours ÷ TorchOpt's, or its share | steps |",
            "|---|---|---:|---:|---:|",
        ]
        for e in size["hypergradients"]:
            name = {"hessian": "exact", "gauss_newton": "Gauss-Newton"}[e["system"]]
            lines.append(
                f"| {name} + {e['damping']:g}·I | {e['contender']} | {milliseconds(e['median_s'])} | {1 / e['ratio']:.2f} | {e['steps']} |"
            )
        lines += ["", "### Gauss-Newton solves of outer steps in a row, the network moving in between", ""]
        lines += ["| contender | a solve | ÷ TorchOpt's | conjugate-gradient steps |", "|---|---:|---:|---:|"]
        for e in size["outer"]:
            steps = "" if e["steps"] is None else f"{e['steps']:g}"
            lines.append(f"| {e['contender']} | {milliseconds(e['median_s'])} | {1 / e['ratio']:.2f} | {steps} |")
    if run["memory"]:
        lines += ["", "## Memory", "", "12-64-32-32-4, batch 512, a fresh process.", ""]
        for name, curve in run["memory"].items():
            half = curve[len(curve) // 2 :]
            lines.append(
                f"- {curve[-1][0]:,.0f} {name}: {curve[0][1]:.1f} MB at the start, {curve[-1][1]:.1f} MB at the end; "
                f"{max(y for _, y in half) - min(y for _, y in half):.2f} MB between the least and the most of the second half."
            )
    return "\n".join(lines) + "\n"


def picture(curves: dict[str, list[list[float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "bidfcl"
    figure, axes = plt.subplots(1, len(curves), figsize=(8, 2.6), sharey=True)
    for axis, (name, curve) in zip(axes, curves.items(), strict=True):
        axis.plot(*zip(*curve, strict=True), color="#1f5fa8", linewidth=2)
        axis.set_xlabel(name)
        axis.set_ylim(0, 1.2 * max(y for c in curves.values() for _, y in c))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("MB resident")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


TABLES: dict[str, Callable[[Problem, int, int], Any]] = {
    "products": products,
    "hypergradients": lambda problem, rounds, _: hypergradients(problem, max(3, rounds // 3)),
    "outer": lambda problem, rounds, _: outer_steps(problem, OUTER if rounds > 3 else 4),
}


def piece(name: str, quick: bool) -> Any:
    """One table of one size, or "memory"; each runs in a process of its own."""
    if name == "memory":
        torch.set_num_threads(1)
        return memory(Problem(*SIZES[-1]), *((500, 50) if quick else (10_000, 1000)))
    torch.set_num_threads(cores())
    table, _, which = name.partition("-")
    sizes, rows = SIZES[int(which)]
    before = os.getloadavg()[0]
    rounds, inner = (3, 5) if quick else (15, 30) if rows < 1000 else (9, 5)
    return {"load": before, "table": TABLES[table](Problem(sizes, rows), rounds, inner)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the smallest size alone, few rounds; writes no results")
    parser.add_argument("--piece", help="only this piece, as JSON on standard output, such as products-0 or memory")
    parser.add_argument("--pieces", type=Path, help="a folder of pieces, NAME.json, that have been run already")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where the record and the table go")
    parser.add_argument("--picture", type=Path, default=HERE.parent / "docs" / "curvature_memory.svg")
    args = parser.parse_args()
    if args.piece:
        print(json.dumps(piece(args.piece, args.quick)))
        return

    def get(name: str) -> Any:
        if args.pieces and (args.pieces / f"{name}.json").exists():
            return json.loads((args.pieces / f"{name}.json").read_text())
        command = [sys.executable, __file__, "--piece", name, *["--quick"] * args.quick]
        found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        print(f"{name}: done", file=sys.stderr, flush=True)
        return found

    results, loads = [], []
    for k, (sizes, rows) in enumerate(SIZES):
        if args.quick and k < len(SIZES) - 1:
            continue
        entry: dict[str, Any] = {"network": "-".join(map(str, sizes)), "rows": rows}
        for table in TABLES:
            found = get(f"{table}-{k}")
            entry[table] = found["table"]
            loads.append(round(found["load"], 2))
        results.append(entry)
    run = {
        "date": datetime.date.today().isoformat(),
        "machine": {"cpu": cpu(), "cores": cores()},
        "load": [loads[0], loads[-1]],
        "versions": versions(),
        "backends": {name: text for name, text in bf.backends.describe().items() if name != "reference"},
        "results": results,
        "memory": get("memory"),
    }
    text = markdown(run)
    print(text)
    if args.quick:
        return
    args.results.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", f"curvature {cpu()} {cores()} cores".lower()).strip("-")
    (args.results / f"{name}-{run['date']}.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    (args.results / "curvature.md").write_text(text, encoding="utf-8")
    picture(run["memory"], args.picture)


if __name__ == "__main__":
    main()
