"""`bidfcl train`."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from .. import tables
from ..data import Table, read_table
from ..methods import create


def run(args: argparse.Namespace) -> None:
    tables.need("torch", "torch", "bidfcl train")
    tables.need("safetensors", "torch", "bidfcl train")
    from ..methods._learner import Learner

    target = Path(args.output)
    tables.format_of(target, ("safetensors",))
    given = {name: Path(path) for name in ("rct", "obs", "val") if (path := getattr(args, name)) is not None}
    if not given:
        raise ValueError("nothing to learn from: give --rct, --obs or both")
    tables.check_output(target, *given.values())
    method = create(args.method, **_options(args.method, args.option or []))
    if not isinstance(method, Learner) or not method.can_be_saved():
        raise ValueError(f"{args.method} cannot be saved to a file; use it from Python")

    read = _read(given, args.features or (), args.ignore or ())
    start = time.perf_counter()
    method.fit(
        **read,
        budget=args.budget,
        seed=args.seed,
        progress=not args.quiet,
        checkpoint=args.checkpoint,
        resume=args.resume,
        log=args.log,
    )
    seconds = time.perf_counter() - start
    method.save(target)

    first = next(iter(read.values()))
    done: dict[str, Any] = {
        "method": args.method,
        "parameters": repr(method),
        "rows": {name: len(table) for name, table in read.items()},
        "features": list(method.feature_names_in_),
        "treatments": first.treatments,
        "seconds": round(seconds, 3),
        "output": str(target),
        "val": _valued(method, read["val"], args.budget) if "val" in read and args.budget else None,
    }
    if args.json:
        print(json.dumps(done, indent=2, allow_nan=False))
    elif not args.quiet:
        rows = ", ".join(f"{name} {count:,} rows" for name, count in done["rows"].items())
        print(
            f"{done['parameters']}: {rows}, {len(done['features'])} features, {first.treatments} treatments, {seconds:.1f} s"
        )
        for v in done["val"] or ():
            print(
                f"  val at budget {v['budget']:.6g} a person: value {v['value']:.6g}, spend {v['spend']:.6g} a person"
            )
        print(f"written: {target}")


def _options(method: str, given: list[str]) -> dict[str, Any]:
    """NAME=VALUE pairs; a value is JSON where it can be read so, else a word."""
    known = create(method).get_params()
    out: dict[str, Any] = {}
    for pair in given:
        name, equals, text = pair.partition("=")
        if not equals:
            raise ValueError(f"--option {pair}: expected NAME=VALUE")
        if name not in known:
            raise ValueError(f"--option {name}: {method} has no such option; it has {', '.join(known)}")
        try:
            out[name] = json.loads(text)
        except json.JSONDecodeError:
            out[name] = text
    return out


def _read(given: dict[str, Path], features: Any, ignore: Any) -> dict[str, Table]:
    read: dict[str, Table] = {}
    for name, path in given.items():
        # The first file's columns are asked of the others, by name: their order may differ.
        columns = next(iter(read.values())).features if read else features
        read[name] = read_table(path, features=columns, ignore=() if read else ignore)
    most = max(table.treatments for table in read.values())
    for name, path in given.items():
        if read[name].treatments != most:
            raise ValueError(f"{path}: has {read[name].treatments} treatments, another table {most}")
    return read


def _valued(method: Any, val: Table, budgets: list[float]) -> list[dict[str, float]]:
    from ..metrics import eom

    value_hat, cost_hat = method.predict(val.x)
    found = eom(value_hat, cost_hat, val, budgets)
    return [
        {"budget": b, "value": float(v), "spend": float(s)}
        for b, v, s in zip(budgets, found.value, found.spend, strict=True)
    ]
