"""`bidfcl allocate`."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from .. import _cells, tables
from ..errors import Status
from ..mckp import solve_mckp
from ..progress import Progress
from ..scale.parquet import column_names

# A table in memory, and the arrays made of it, take about so many times the bytes of its columns.
_COPIES = 3


def run(args: argparse.Namespace) -> None:
    source, target = Path(args.input), Path(args.output)
    if _is_streamed(args, source):
        return _stream(args, source, target)
    tables.format_of(target)
    tables.check_output(target, source)
    given = "budget" if args.multiplier is None else "multiplier"
    amounts = list(dict.fromkeys(getattr(args, given)))
    several = len(amounts) > 1

    with Progress(f"reading {source.name}") as line:
        table = tables.read(source, args.mask)
        value, cost, mask, kept = _instance(args, table)
        names = column_names(amounts, several)
        taken = set(kept) & {name for triple in names for name in triple}
        if taken:
            raise ValueError(f"{source}: already has a column {sorted(taken)[0]}, which the output adds; rename it")
        line.step(f"allocating {len(value):,} rows")
        money: dict[str, Any] = {given: np.array(amounts) if several else amounts[0]}
        start = time.perf_counter()
        plan = solve_mckp(
            value,
            cost,
            **money,
            mask=mask,
            min_spend=args.min_spend,
            max_treated=args.max_treated,
            control=args.control,
            fill=not args.no_fill,
            integrality="proven" if args.proven else "gap",
            time_limit=args.time_limit,
            backend=args.backend,
        )
        seconds = time.perf_counter() - start
        line.step(f"writing {target.name}")
        out = table.select(kept)
        choices = np.atleast_2d(np.asarray(plan.choice))
        rows = np.arange(len(value))
        for triple, choice in zip(names, choices, strict=True):
            for name, column in zip(triple, (choice, value[rows, choice], cost[rows, choice]), strict=True):
                out = out.append_column(name, [column])
        tables.write(target, out)

    plans = [_numbers(plan, k, several) for k in range(len(amounts))]
    _say(args, given, target, len(value), value.shape[1], plan.stats["backend"], seconds, plans)


def _instance(args: argparse.Namespace, table: Any) -> tuple[Any, Any, Any, list[str]]:
    """value, cost and mask of a table, and which of its other columns are kept."""
    if args.model is None:
        mask = None if args.mask is None else _cells.open_cells(table, args.mask)
        value, cost = _cells.value_and_cost(table, mask=mask)
    else:
        value, cost = _predicted(args.model, table)
        mask = None if args.mask is None else _cells.open_cells(table, args.mask, value.shape[1])
    closed = [] if args.mask is None else [f"{args.mask}_{j}" for j in range(value.shape[1])]
    return value, cost, mask, _cells.key_columns(table.schema.names, closed)


def _is_streamed(args: argparse.Namespace, source: Path) -> bool:
    """Whether the rows are read piece by piece: on request, for folders, and for files that are large beside the memory."""
    if args.stream or source.is_dir():
        return True
    if (
        not source.is_file()
        or tables.format_of(source) != "parquet"
        or tables.format_of(Path(args.output)) != "parquet"
    ):
        return False
    if any(x is not None for x in (args.min_spend, args.max_treated, args.model)) or args.proven:
        return False  # they need all rows at once
    return _COPIES * tables.parquet_bytes(source) > args.max_memory * 2**20


def _stream(args: argparse.Namespace, source: Path, target: Path) -> None:
    from ..scale import parquet

    for name in ("min_spend", "max_treated", "proven", "model"):
        if getattr(args, name):
            option = "--" + name.replace("_", "-")
            raise ValueError(
                f"{option} needs all rows in memory: give one file, without --stream, and raise --max-memory"
            )
    given = "budget" if args.multiplier is None else "multiplier"
    amounts = list(dict.fromkeys(getattr(args, given)))
    money: dict[str, Any] = {given: amounts if len(amounts) > 1 else amounts[0]}
    plan = parquet.allocate(source, target, **money, mask=args.mask, fill=not args.no_fill, backend=args.backend)
    plans = [_numbers(plan, k, len(amounts) > 1) for k in range(len(amounts))]
    seconds = plan.stats["seconds"]
    _say(args, given, target, plan.rows, plan.treatments, plan.stats["backend"], seconds, plans, plan.stats)


def _say(
    args: argparse.Namespace,
    given: str,
    target: Path,
    rows: int,
    treatments: int,
    backend: str,
    seconds: float,
    plans: list[dict[str, Any]],
    readings: dict[str, Any] | None = None,
) -> None:
    """The plans on stdout; `seconds` are the solver's, or, with `readings`, those of reading and writing as well."""
    if args.json:
        done = {"rows": rows, "treatments": treatments, "seconds": seconds, "output": str(target)}
        more = {} if readings is None else {name: readings[name] for name in ("sweeps", "rows_read", "rows_per_second")}
        print(json.dumps({**done, **more, "backend": backend, "plans": plans}, indent=2))
        return
    took = f"{1000 * seconds:.1f} ms"
    if readings is not None:
        took = f"{seconds:.1f} s, {readings['rows_per_second']:,.0f} rows a second, {readings['sweeps']} + 1 readings"
    print(f"{rows:,} rows, {treatments} treatments, backend {backend}, {took}")
    for p in plans:
        first = f"multiplier {p['multiplier']:,.10g}" if given == "multiplier" else f"budget {p['budget']:,.10g}"
        last = "" if given == "multiplier" else f", multiplier {p['multiplier']:.6g}"
        print(
            f"  {first}: value {p['value']:,.10g}, spend {p['spend']:,.10g}, "
            f"at most {p['gap']:.3g} below the optimum{last}"
        )
        if p["status"] != Status.SOLVED:
            print(f"    {Status(p['status']).sentence}")
    print(f"written: {target}")


def _predicted(model: str, table: Any) -> tuple[Any, Any]:
    """What a saved method predicts for the rows, whose columns hold its features by name."""
    tables.need("torch", "torch", "--model")
    from ..data.columnar import features_of
    from ..methods import load

    if not Path(model).is_file():
        raise ValueError(f"{model}: no such file")
    method = load(model)
    if not method.feature_names_in_:
        raise ValueError(f"{model}: does not say which columns its features are; fit it on a Table with `features`")
    return method.predict(features_of(table, method.feature_names_in_))


def _numbers(plan: Any, k: int, several: bool) -> dict[str, Any]:
    def one(x: Any) -> Any:
        return x[k] if several else x

    names = ("budget", "value", "spend", "dual_bound", "gap", "multiplier")
    out: dict[str, Any] = {name: float(one(getattr(plan, name))) for name in names}
    out["status"] = int(one(plan.status))
    if "treated" in plan.stats:
        out["treated"] = int(one(plan.stats["treated"]))
    return out
