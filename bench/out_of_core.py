"""Parquet files larger than memory: rows a second and peak memory of `scale.parquet.allocate`, beside reading alone.

python bench/out_of_core.py --folder /somewhere --rows 1e8     # generates the file if it is not there, then measures

Processor time is given beside wall time, since a machine that others use too makes the latter mean little. Every measurement is a process of its own, so that its peak memory is its own. The answer is checked first: on the first rows
against `solve_mckp` in memory, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

M, GROUP = 8, 1_000_000


def chunks(rows: int, seed: int = 0):
    """Tables of up to a million users: doses of rising cost with falling returns, no two users alike."""
    rng = np.random.default_rng(seed)
    n = min(rows, GROUP)
    dose = (np.arange(M) / (M - 1)).astype(np.float32)
    cost = rng.uniform(0.5, 2, (n, 1)).astype(np.float32) * dose * rng.uniform(0.9, 1.1, (n, M)).astype(np.float32)
    lift = rng.gamma(2, 0.5, (n, 1)) * (1 - np.exp(-rng.uniform(0.5, 4, (n, 1)) * dose))
    value = (lift * rng.uniform(0.8, 1.2, (n, M)) + rng.uniform(0, 0.2, (n, 1))).astype(np.float32)
    for first in range(0, rows, GROUP):
        k = min(GROUP, rows - first)
        # Costs stay with their users; values are dealt out anew, in another size.
        order = rng.permutation(n)[:k]
        v = value[order] * rng.uniform(0.5, 1.5, (k, 1)).astype(np.float32)
        columns = {"user": np.arange(first, first + k)}
        columns |= {f"value_{j}": v[:, j] for j in range(M)} | {f"cost_{j}": cost[:k, j] for j in range(M)}
        yield pa.table(columns)


def generate(path: Path, rows: int) -> None:
    temporary = path.with_suffix(".writing")
    with pq.ParquetWriter(temporary, next(chunks(1)).schema, use_dictionary=False, compression="none") as writer:
        for table in chunks(rows):
            writer.write_table(table, row_group_size=GROUP)
    temporary.replace(path)


READ = """
import json, sys, time
import pyarrow.parquet as pq
start, cpu = time.perf_counter(), time.process_time()
with pq.ParquetFile(sys.argv[1], pre_buffer=False, buffer_size=1 << 18) as file:
    cells = [name for name in file.schema_arrow.names if name != "user"]
    rows = sum(len(b) for b in file.iter_batches(batch_size=1 << 16, columns=cells))
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "processor_seconds": time.process_time() - cpu, "rows_per_second": rows / seconds}))
"""

ALLOCATE = """
import json, sys, time
from bidfcl_fast.scale import parquet
cpu = time.process_time()
plan = parquet.allocate(sys.argv[1], sys.argv[2], float(sys.argv[3]))
peak = int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1024
cpu = time.process_time() - cpu
print(json.dumps({"processor_seconds": cpu, "peak_mb": peak, "gap": plan.gap, "value": plan.value, "spend": plan.spend, **plan.stats}))
"""

IMPORT = """
import bidfcl_fast.scale.parquet, pyarrow.parquet, pyarrow.dataset
print(int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1024)
"""


def ran(code: str, *args: object) -> str:
    done = subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def check(path: Path, folder: Path) -> None:
    """The first 200,000 rows, in memory and from a file."""
    import bidfcl_fast as bf
    from bidfcl_fast import _cells
    from bidfcl_fast.scale import parquet

    with pq.ParquetFile(path) as file:
        table = pa.Table.from_batches([next(file.iter_batches(batch_size=200_000))])
    pq.write_table(table, folder / "check.parquet", row_group_size=20_000)
    value, cost = _cells.value_and_cost(table)
    expected = bf.solve_mckp(value, cost, 0.6 * len(value))
    plan = parquet.allocate(folder / "check.parquet", folder / "checked.parquet", 0.6 * len(value))
    assert np.array_equal(pq.read_table(folder / "checked.parquet")["choice"].to_numpy(), expected.choice)
    assert (plan.value, plan.dual_bound) == (expected.value, expected.dual_bound)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=float, default=2e7)
    parser.add_argument("--budget", type=float, default=0.6, help="money a row")
    parser.add_argument("--generate-only", action="store_true")
    parser.add_argument("--output", type=Path, help="JSON to write")
    args = parser.parse_args()
    rows = int(args.rows)
    path = args.folder / f"{rows}x{M}.parquet"
    if not path.exists():
        generate(path, rows)
    if args.generate_only:
        return
    check(path, args.folder)
    start = time.perf_counter()
    read = json.loads(ran(READ, path))
    allocated = json.loads(ran(ALLOCATE, path, args.folder / "out.parquet", args.budget * rows))
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": time.strftime("%Y-%m-%d"),
        "rows": rows,
        "treatments": M,
        "file_bytes": path.stat().st_size,
        "import_mb": float(ran(IMPORT)),
        "read": read,  # the numbers alone, one thread, nothing done with them
        "allocate": allocated,
        "readings": allocated["sweeps"] + 1,
        "seconds_in_all": time.perf_counter() - start,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
