"""`bidfcl evaluate`."""

from __future__ import annotations

import argparse
import json
import sys

from .. import evaluate, tables
from ..evaluate import jobs as plan
from ..evaluate import store


def run(args: argparse.Namespace) -> None:
    for module, extra in (("torch", "torch"), ("matplotlib", "plot")):
        tables.need(module, extra, "bidfcl evaluate")
    size = evaluate.size("quick" if args.quick else args.size, args.config)
    wanted = plan.jobs(size, tuple(args.study or ()))
    if not wanted:
        raise ValueError("nothing to run: no job has that study and those recipes")
    folder = tables.output_folder(args.output, parents=True)
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "results"
    if not args.report_only:
        ran = evaluate.run(wanted, results, processes=args.processes, data=args.data, progress=not args.quiet)
        if not args.quiet:
            print("\n".join(ran.lines()), file=sys.stderr)
    keys = {job.key for job in wanted}
    found = [r for r in evaluate.load(results) if plan.Job(**r["job"]).key in keys]
    if not found:
        raise RuntimeError("no job has a result: see the .failed files beside them")
    from ..report import evaluation

    made = evaluation.make(found, store.failures(results))
    evaluation.write(made, folder)
    if args.json:
        print(json.dumps(made.numbers, indent=2, allow_nan=False))
    elif not args.quiet:
        print(made.verdict())
        print(f"report: {folder / 'report.html'}, {folder / 'README.md'}")
