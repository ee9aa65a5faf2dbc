"""`bidfcl allocate`."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from .. import tables
from ..mckp import solve_mckp
from ..progress import Progress


def run(args: argparse.Namespace) -> None:
    source, target = Path(args.input), Path(args.output)
    tables.format_of(target)
    tables.check_output(target, source)
    budgets = list(dict.fromkeys(args.budget))
    several = len(budgets) > 1

    with Progress(f"reading {source.name}") as line:
        table = tables.read(source)
        value, cost = tables.value_and_cost(table)
        names = [_names(b, several) for b in budgets]
        taken = set(tables.key_columns(table)) & {name for triple in names for name in triple}
        if taken:
            raise ValueError(f"{source}: already has a column {sorted(taken)[0]}, which the output adds; rename it")
        line.step(f"allocating {len(value):,} rows")
        start = time.perf_counter()
        plan = solve_mckp(
            value, cost, np.array(budgets) if several else budgets[0], fill=not args.no_fill, backend=args.backend
        )
        seconds = time.perf_counter() - start
        line.step(f"writing {target.name}")
        out = table.select(tables.key_columns(table))
        choices = np.atleast_2d(np.asarray(plan.choice))
        rows = np.arange(len(value))
        for triple, choice in zip(names, choices, strict=True):
            for name, column in zip(triple, (choice, value[rows, choice], cost[rows, choice]), strict=True):
                out = out.append_column(name, [column])
        tables.write(target, out)

    plans = [_numbers(plan, k, several, b) for k, b in enumerate(budgets)]
    if args.json:
        done = {"rows": len(value), "treatments": value.shape[1], "seconds": seconds, "output": str(target)}
        print(json.dumps({**done, "backend": plan.stats["backend"], "plans": plans}, indent=2))
        return
    print(f"{len(value):,} rows, {value.shape[1]} treatments, backend {plan.stats['backend']}, {1000 * seconds:.1f} ms")
    for p in plans:
        print(
            f"  budget {p['budget']:,.10g}: value {p['value']:,.10g}, spend {p['spend']:,.10g}, "
            f"at most {p['gap']:.3g} below the optimum, multiplier {p['multiplier']:.6g}"
        )
    print(f"written: {target}")


def _names(budget: float, several: bool) -> tuple[str, str, str]:
    end = f"_at_{budget:.15g}" if several else ""
    return f"choice{end}", f"value{end}", f"cost{end}"


def _numbers(plan: Any, k: int, several: bool, budget: float) -> dict[str, float]:
    out = {"budget": budget}
    for name in ("value", "spend", "dual_bound", "gap", "multiplier"):
        number = getattr(plan, name)
        out[name] = float(number[k] if several else number)
    return out
