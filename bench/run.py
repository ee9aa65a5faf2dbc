"""Run the benchmarks, keep a small record of them, and write the table: `make bench`, or with --quick a smoke test."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import report

import bidfcl_fast as bf

HERE = Path(__file__).resolve().parent
PACKAGES = ("numpy", "numba", "scipy", "torch", "highspy", "pytest-benchmark")


def cpu() -> str:
    """The model as the system names it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def measure(file: str, quick: bool) -> list[dict[str, Any]]:
    """The entries of one file of benchmarks, in the order they ran; progress goes to the terminal as it comes."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.json"
        command = [sys.executable, "-m", "pytest", str(HERE / file), "-q", "-s", "--no-header"]
        command += ["-p", "no:cacheprovider", "--benchmark-quiet", f"--benchmark-json={raw}", *["--quick"] * quick]
        done = subprocess.run(command, cwd=HERE.parent, check=False)
        if done.returncode:
            raise SystemExit(done.returncode)
        entries = json.loads(raw.read_text(encoding="utf-8"))["benchmarks"]
    return [_entry(e) for e in entries]


def _entry(raw: dict[str, Any]) -> dict[str, Any]:
    """Four digits are more than a clock on a shared machine has."""
    kept = dict(raw["extra_info"])
    if "question" not in kept:
        kept |= {"best_s": raw["stats"]["min"], "rounds": raw["stats"]["rounds"]}
    return {name: float(f"{x:.4g}") if isinstance(x, float) else x for name, x in kept.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10,000 users alone, few rounds; writes no results")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where the record and the table go")
    args = parser.parse_args()

    before = os.getloadavg()[0]
    print(f"{cpu()}, {cores()} cores, load {before:.1f}; backends: {', '.join(bf.backends.available())}", flush=True)
    results = measure("test_solver.py", args.quick)
    ratios = [] if args.quick else measure("test_ratios.py", args.quick)
    backends = {name: text for name, text in bf.backends.describe().items() if name != "reference"}
    run = {
        "date": datetime.date.today().isoformat(),
        "machine": {"cpu": cpu(), "cores": cores(), "system": platform.system(), "machine": platform.machine()},
        "load": [round(before, 2), round(os.getloadavg()[0], 2)],
        "versions": versions(),
        "backends": backends,
        "ratios": ratios,
        "results": results,
    }
    if args.quick:
        print(report.markdown(run))
        return
    args.results.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", f"{cpu()} {cores()} cores".lower()).strip("-")
    record = args.results / f"{name}-{run['date']}.json"
    record.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (args.results / "latest.md").write_text(report.markdown(run), encoding="utf-8")
    print(f"\n{record.name} and latest.md written to {args.results.name}/", flush=True)


if __name__ == "__main__":
    main()
