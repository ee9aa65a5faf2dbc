"""The peak of resident memory that one solve adds: `memory.py BACKEND` prints bytes beside inputs and plan, and bytes of inputs.

A process of its own, because the kernel's high-water mark is reset only once here (by writing 5 to clear_refs).
"""

from __future__ import annotations

import sys
from pathlib import Path

import bidfcl_fast as bf
from bidfcl_fast.bench import instances


def resident(name: str) -> int:
    """VmRSS (now) or VmHWM (the highest so far), in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {name}")


def main() -> None:
    backend = sys.argv[1]
    value, cost, budget = instances.campaign(instances.Size(4_000_000, 10, "float32"))
    few = slice(0, 50_000)
    bf.solve_mckp(value[few], cost[few], budget / 80, backend=backend)  # threads, compiled code
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    plan = bf.solve_mckp(value, cost, budget, backend=backend)
    print(resident("VmHWM") - before - plan.choice.nbytes, value.nbytes + cost.nbytes)


if __name__ == "__main__":
    main()
