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
from run import HERE, PACKAGES

import bidfcl_fast as bf
from bidfcl_fast import machine
from bidfcl_fast.bench.curvature import (
    MOST,
    PLAIN,
    RTOL,
    SAMPLE,
    SIZES,
    TORCHOPT,
    Problem,
    flat,
    hypergradients,
    products,
)
from bidfcl_fast.bench.peers import plain_cg, torchopt_cg
from bidfcl_fast.bilevel import implicit_hypergradient
from bidfcl_fast.linalg import (
    GaussNewtonOperator,
    JacobiPreconditioner,
    LinearOperator,
    MLPCurvature,
    NystromPreconditioner,
    SamplePreconditioner,
    conjugate_gradient,
)
from bidfcl_fast.tables import missing

warnings.filterwarnings("ignore", category=DeprecationWarning)

OUTER = 10


def outer_steps(problem: Problem, count: int) -> list[dict[str, Any]]:
    """`count` outer steps in a row, the target moving between them; the median solve with its linearisation."""
    x = problem.x
    rival, solve = (PLAIN, plain_cg.solve) if missing("torchopt") else (TORCHOPT, torchopt_cg.solve)
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
            if name == rival:
                rough = GaussNewtonOperator(problem.target, x, problem.lower_loss)
                solve(
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
        rival,
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
            f"| system | contender | median | ÷ {size['hypergradients'][0]['contender']} | steps |",
            "|---|---|---:|---:|---:|",
        ]
        for e in size["hypergradients"]:
            name = {"hessian": "exact", "gauss_newton": "Gauss-Newton"}[e["system"]]
            lines.append(
                f"| {name} + {e['damping']:g}·I | {e['contender']} | {milliseconds(e['median_s'])} | {1 / e['ratio']:.2f} | {e['steps']} |"
            )
        lines += ["", "### Gauss-Newton solves of outer steps in a row, the network moving in between", ""]
        rival = size["outer"][0]["contender"]
        lines += [f"| contender | a solve | ÷ {rival} | conjugate-gradient steps |", "|---|---:|---:|---:|"]
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
    torch.set_num_threads(machine.cores())
    table, _, which = name.partition("-")
    sizes, rows = SIZES[int(which)]
    before = machine.load()
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
        "machine": {"cpu": machine.processor(), "cores": machine.cores()},
        "load": [loads[0], loads[-1]],
        "versions": machine.versions(PACKAGES),
        "backends": {name: text for name, text in bf.backends.describe().items() if name != "reference"},
        "results": results,
        "memory": get("memory"),
    }
    text = markdown(run)
    print(text)
    if args.quick:
        return
    args.results.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", f"curvature {machine.processor()} {machine.cores()} cores".lower()).strip("-")
    (args.results / f"{name}-{run['date']}.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    (args.results / "curvature.md").write_text(text, encoding="utf-8")
    picture(run["memory"], args.picture)


if __name__ == "__main__":
    main()
