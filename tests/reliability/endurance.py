"""Long runs: solves, training steps and a soak of `Allocator`, with memory, open files and latencies before and after.

`python tests/reliability/endurance.py solves|training|soak COUNT` prints what it found as JSON; `make endurance` runs all three.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import bidfcl_fast as bf


@dataclass(frozen=True)
class Use:
    """What a process holds: resident bytes, open files, threads."""

    memory: int
    files: int
    threads: int

    @classmethod
    def now(cls) -> Use:
        gc.collect()
        own = Path("/proc/self")
        pages = int((own / "statm").read_text().split()[1])
        files, threads = (sum(1 for _ in (own / name).iterdir()) for name in ("fd", "task"))
        return cls(pages * os.sysconf("SC_PAGE_SIZE"), files, threads)


def solves(count: int) -> dict[str, Any]:
    """Solves of every form and size, frontiers among them; what the second half adds to what the first half holds."""
    rng = np.random.default_rng(0)

    def some(times: int) -> None:
        for k in range(times):
            n, m = int(rng.integers(1, 400)), int(rng.integers(1, 8))
            value, cost = rng.random((n, m), np.float32), rng.random((n, m), np.float32)
            cost[:, 0] = 0
            mask = rng.random((n, m)) < 0.7 if k % 3 == 0 else None
            if mask is not None:
                mask[:, 0] = True
            bf.solve_mckp(value, cost, [0.1 * n, 0.2 * n] if k % 5 == 0 else 0.1 * n, mask=mask)
            if k % 7 == 0:
                bf.budget_frontier(value, cost)
            if k % 11 == 0:
                bf.solve_mckp(value, cost, -1.0, throw=False)
            if k % 501 == 0:
                large = rng.random((20_000, 6), np.float32)
                bf.solve_mckp(large, large, 6e3, throw=False)

    some(count // 2)
    before = Use.now()
    some(count - count // 2)
    return {"solves": count, "before": asdict(before), "after": asdict(Use.now())}


def training(steps: int) -> dict[str, Any]:
    """Steps of a method on decision losses, half of them on its plain loss, in two fits of equal length."""
    from bidfcl_fast import methods
    from bidfcl_fast.data import Table

    rng = np.random.default_rng(0)
    t = rng.integers(3, size=640)
    table = Table(rng.normal(size=(640, 4)), t, rng.random(640) + t, 1.0 * t)
    uses = []
    for _ in range(2):
        method = methods.create("dfcl-ppl", epochs=max(1, steps // 40), steps=steps // 4, batch=64, hidden=(8,))
        method.fit(rct=table, budget=0.5, progress=False)
        del method
        uses.append(Use.now())
    return {"steps": 2 * (10 * max(1, steps // 40) + steps // 4), "before": asdict(uses[0]), "after": asdict(uses[1])}


def soak(requests: int, clients: int = 16) -> dict[str, Any]:
    """Client threads that ask one `Allocator` for decisions; latencies in microseconds."""
    rng = np.random.default_rng(0)
    value, cost = rng.random((4096, 6)), rng.random((4096, 6))
    cost[:, 0] = 0
    rows = [(v.tolist(), c.tolist()) for v, c in zip(value, cost, strict=True)]
    allocator = bf.Allocator(0.8, budget=requests * 0.05)
    latencies = np.zeros((clients, requests // clients))

    def serve(client: int) -> None:
        for k in range(latencies.shape[1]):
            row = rows[(client * 977 + k) % len(rows)]
            began = time.perf_counter()
            allocator.choose(*row)
            latencies[client, k] = time.perf_counter() - began

    threads = [threading.Thread(target=serve, args=(client,)) for client in range(clients)]
    before, began = Use.now(), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    assert allocator.users == latencies.size
    assert allocator.spend <= requests * 0.05
    shares = {f"p{p:g}": round(float(np.percentile(latencies, p)) * 1e6, 1) for p in (50, 90, 99, 99.9)}
    return {
        "requests": latencies.size,
        "clients": clients,
        "a second": round(latencies.size / seconds),
        "microseconds": {**shares, "worst": round(float(latencies.max()) * 1e6, 1)},
        "before": asdict(before),
        "after": asdict(Use.now()),
    }


RUNS = {"solves": solves, "training": training, "soak": soak}

if __name__ == "__main__":
    print(json.dumps(RUNS[sys.argv[1]](int(sys.argv[2].replace("_", "")))))
