"""All that a machine with a GPU can prove, in one unattended run: `make gpu-test`. Writes bench/results/gpu-test.json.

The contract's tests on backend `cuda`, the tests of device arrays (tests/gpu), then compute-sanitizer's memcheck and racecheck over
small ones. `--dry` runs the same steps on the emulated backend, so that this file holds no mistake of its own.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench" / "results" / "gpu-test.json"
MINUTES = 9.0  # for everything

# Small, and every kernel is in it: under compute-sanitizer all is many times slower.
CHECKED = (
    "tests/gpu", "-k", "(three_orders and float32) or (plans_of_tensors and float32) or frontier or curvature or gradient or halves",
)  # fmt: skip


def steps(dry: bool) -> list[tuple[str, list[str], float]]:
    """(name, command, seconds at most)."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    name = "cuda_emulated" if dry else "cuda"
    if dry:
        contract = ["tests/contract/test_mckp_golden.py", "-k", name]
    else:
        contract = ["tests/contract", "-n", "4", "--dist", "loadfile", "-k", f"{name} and not emulated"]
    listed = [
        ("info", [sys.executable, "-m", "bidfcl_fast", "info"], 60),
        ("contract", [*pytest, *contract], 240),
        ("device", [*pytest, "tests/gpu"], 120),
    ]
    sanitizer = shutil.which("compute-sanitizer") or (
        "/usr/local/cuda/bin/compute-sanitizer" if Path("/usr/local/cuda/bin/compute-sanitizer").exists() else None
    )
    for tool in ("memcheck", "racecheck"):
        check = [sanitizer or "compute-sanitizer", "--tool", tool, "--error-exitcode", "9", "--target-processes", "all"]
        command = [*pytest, *CHECKED]
        listed.append((tool, command if dry else [*check, *command], 90))
    return listed


def run(name: str, command: list[str], limit: float) -> dict[str, Any]:
    if shutil.which(command[0]) is None:
        print(f"{name}: skipped, {command[0]} is not there", flush=True)
        return {"status": "skipped", "why": f"{command[0]} is not there"}
    began = time.monotonic()
    environment = {**os.environ, "BIDFCL_TEST_EMULATED": "1" if "emulated" in " ".join(command) else "0"}
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            timeout=limit,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        status, tail = ("passed" if done.returncode == 0 else "failed"), done.stdout[-3000:]
    except subprocess.TimeoutExpired as error:
        status, tail = "timeout", str(error.stdout or "")[-3000:]
    print(f"{name}: {status} in {time.monotonic() - began:.0f} s\n{tail}", flush=True)
    return {"status": status, "seconds": round(time.monotonic() - began, 1), "tail": tail.splitlines()[-5:]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="on the emulated backend")
    dry = parser.parse_args().dry
    end = time.monotonic() + 60 * MINUTES
    made = {}
    for name, command, limit in steps(dry):
        made[name] = run(name, command, max(1.0, min(limit, end - time.monotonic())))
    result = {"date": datetime.date.today().isoformat(), "steps": made}
    if not dry:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if all(step["status"] in ("passed", "skipped") for step in made.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
