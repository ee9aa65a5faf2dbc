"""`bidfcl hybrid`."""

from __future__ import annotations

import argparse
import json

from .. import tables
from ..data import hybrid, load_criteo, save_table
from ..data.criteo import POLICY_SHARE


def run(args: argparse.Namespace) -> None:
    tables.need("torch", "torch", "bidfcl hybrid")
    from ..methods import create

    folder = tables.output_folder(args.output)
    table = load_criteo(args.input, rows=args.rows)
    model = create("tsm-sl", data="rct", epochs=args.epochs, patience=args.epochs)
    share = POLICY_SHARE if args.share is None else args.share
    parts = hybrid(table, model, share=share, seed=args.seed)
    folder.mkdir(exist_ok=True)
    made = {"obs": parts.obs, "rct": parts.rct, "val": parts.val, "test": parts.test}
    for name, part in made.items():
        save_table(folder / f"{name}.npz", part)
    facts = {"rows": {name: len(part) for name, part in made.items()}, "matched": parts.matched, "share": share}
    if args.json:
        print(json.dumps(facts, indent=2))
        return
    for name, part in made.items():
        print(f"{folder / name}.npz: {part}")
    print(f"the policy treats {share:.2%} and agreed with {parts.matched:.2%} of its half")
