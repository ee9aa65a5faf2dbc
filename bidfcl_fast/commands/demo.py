"""`bidfcl demo`."""

from __future__ import annotations

import argparse
import json
import sys

from .. import demo, report, tables

_NEEDS = (("torch", "torch"), ("pyarrow", "io"), ("matplotlib", "plot"))


def run(args: argparse.Namespace) -> None:
    # Whatever is missing is said before the work, not after it.
    for module, extra in _NEEDS:
        tables.need(module, extra, "bidfcl demo")
    folder = tables.output_folder(args.output)

    done = demo.run(
        users=args.users,
        budgets=args.budgets or demo.BUDGETS,
        seed=args.seed,
        backend=args.backend,
        progress=not args.quiet,
    )
    page, plan, results = report.page(done), report.plan_table(done), report.results(done)
    folder.mkdir(exist_ok=True)
    files = [folder / name for name in ("report.html", "plan.parquet", "results.json")]
    text = json.dumps(results, indent=2, allow_nan=False)
    tables.write_text(files[0], page)
    tables.write(files[1], plan)
    tables.write_text(files[2], text + "\n")
    if args.json:
        print(text)
    elif not args.quiet:
        print(report.summary(done, sys.stdout, [str(f) for f in files]), end="")
