"""Run the benchmarks, keep a small record of them, and write the table: `make bench`, or with --quick a smoke test."""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import report

import bidfcl_fast as bf
from bidfcl_fast import machine
from bidfcl_fast.bench import instances, solver
from bidfcl_fast.bench.timing import kept

HERE = Path(__file__).resolve().parent
PACKAGES = ("numpy", "numba", "scipy", "torch", "highspy", "pytest-benchmark")


def ratios() -> list[dict[str, Any]]:
    """The entries of test_ratios.py, in the order they ran; progress goes to the terminal as it comes."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.json"
        command = [sys.executable, "-m", "pytest", str(HERE / "test_ratios.py"), "-q", "-s", "--no-header"]
        command += ["-p", "no:cacheprovider", "--benchmark-quiet", f"--benchmark-json={raw}"]
        done = subprocess.run(command, cwd=HERE.parent, check=False)
        if done.returncode:
            raise SystemExit(done.returncode)
        entries = json.loads(raw.read_text(encoding="utf-8"))["benchmarks"]
    return [{k: kept(x) if isinstance(x, float) else x for k, x in e["extra_info"].items()} for e in entries]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10,000 users alone, few rounds; writes no results")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where the record and the table go")
    args = parser.parse_args()

    before, cpu, cores = machine.load(), machine.processor(), machine.cores()
    print(f"{cpu}, {cores} cores, load {before:.1f}; backends: {', '.join(bf.backends.available())}", flush=True)
    sizes = instances.QUICK if args.quick else instances.SIZES
    results = solver.measure(sizes, say=lambda what: print(what, flush=True))
    backends = {name: text for name, text in bf.backends.describe().items() if name != "reference"}
    run = {
        "date": datetime.date.today().isoformat(),
        "machine": {"cpu": cpu, "cores": cores, "system": platform.system(), "machine": platform.machine()},
        "load": [round(before, 2), round(machine.load(), 2)],
        "versions": machine.versions(PACKAGES),
        "backends": backends,
        "ratios": [] if args.quick else ratios(),
        "results": results,
    }
    if args.quick:
        print(report.markdown(run))
        return
    args.results.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", f"{cpu} {cores} cores".lower()).strip("-")
    record = args.results / f"{name}-{run['date']}.json"
    record.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (args.results / "latest.md").write_text(report.markdown(run), encoding="utf-8")
    print(f"\n{record.name} and latest.md written to {args.results.name}/", flush=True)


if __name__ == "__main__":
    main()
