"""`bidfcl frontier`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .. import _cells, tables
from .._whole import atomic
from ..frontier import Frontier, budget_frontier
from ..progress import Progress


def run(args: argparse.Namespace) -> None:
    source, target = Path(args.input), Path(args.output)
    tables.format_of(target)
    tables.check_output(target, source)
    plot = None if args.plot is None else Path(args.plot)
    if plot is not None:
        tables.format_of(plot, ("png", "svg"))
        tables.check_output(plot, source, target)
        tables.need("matplotlib", "plot", "--plot")

    with Progress(f"reading {source.name}") as line:
        table = tables.read(source, args.mask)
        mask = None if args.mask is None else _cells.open_cells(table, args.mask)
        value, cost = _cells.value_and_cost(table, mask=mask)
        line.step(f"sorting the steps of {len(value):,} rows")
        found = budget_frontier(value, cost, mask=mask, backend=args.backend)
        line.step(f"writing {target.name}")
        pa = tables.need("pyarrow", "io", "writing the frontier")
        tables.write(target, pa.table({name: getattr(found, name) for name in ("budget", "value", "multiplier")}))
        if plot is not None:
            _draw(found, plot)

    first, last = (float(found.budget[0]), float(found.value[0])), (float(found.budget[-1]), float(found.value[-1]))
    if args.json:
        done = {"rows": len(value), "treatments": value.shape[1], "breakpoints": len(found.budget)}
        ends = {"least_budget": first[0], "least_value": first[1], "full_budget": last[0], "full_value": last[1]}
        files = {"output": str(target), "plot": None if plot is None else str(plot)}
        print(json.dumps({**done, **ends, **files}, indent=2))
        return
    print(
        f"{len(value):,} rows, {value.shape[1]} treatments, {len(found.budget):,} breakpoint{'s' * (len(found.budget) != 1)}"
    )
    print(f"  least budget {first[0]:,.10g}: value {first[1]:,.10g}")
    print(f"  from budget  {last[0]:,.10g}: value {last[1]:,.10g}, and no more money helps")
    print("written: " + ", ".join(str(f) for f in (target, plot) if f is not None))


def _draw(found: Frontier, path: Path) -> None:
    figure_module = tables.need("matplotlib.figure", "plot", "--plot")
    figure = figure_module.Figure(figsize=(7, 4.2), layout="constrained")
    found.plot(figure.subplots())
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150)
