"""`bidfcl bench`."""

from __future__ import annotations

import argparse
import json

from .. import bench, tables
from ..progress import Progress
from ..report import benchmarks


def run(args: argparse.Namespace) -> None:
    folder = tables.output_folder(args.output)
    with Progress("measuring", show=not args.quiet) as line:
        record = bench.run(
            full=args.full, parts=args.part or bench.PARTS, users=args.users, say=lambda what: line.step(what)
        )
    folder.mkdir(exist_ok=True)
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    tables.write_text(folder / "bench.json", text + "\n")
    tables.write_text(folder / "bench.html", benchmarks.page(record))
    if args.json:
        print(text)
    elif not args.quiet:
        print("\n".join(benchmarks.lines(record)))
        print(f"\nwritten: {folder / 'bench.html'}, {folder / 'bench.json'}")
