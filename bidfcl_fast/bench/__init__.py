"""The comparison with peers, on the user's machine: solver, losses, curvature. Every answer is checked before it is timed."""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

from .. import backends, machine
from ..tables import missing
from . import instances

PARTS = ("solver", "losses", "curvature")
PACKAGES = ("numpy", "numba", "torch", "highspy", "torchopt", "betty-ml")

_QUICK = [
    instances.Size(10_000, 5, "float32"),
    instances.Size(100_000, 10, "float32"),
    instances.Size(1_000_000, 10, "float32"),
]
_NEEDS_TORCH = "torch is not installed: pip install 'bidfcl_fast[torch]'"

Record = dict[str, Any]


def run(
    *,
    full: bool = False,
    parts: Sequence[str] = PARTS,
    users: int = 1_000_000,
    say: Callable[[str], None] = lambda _: None,
) -> Record:
    """Measure, and return plain data: what `bidfcl bench` writes as JSON.

    Parameters
    ----------
    full
        All sizes, more rounds, torch.compile; some fifteen minutes instead of less than two.
    parts
        Of "solver", "losses", "curvature".
    users
        The most rows of any instance.
    say
        Hears what is measured next.

    Returns
    -------
    `machine`, `date`, `load` (before, after), `versions`, `backends`; a list of entries for each part that was run; `absent`:
    what was not measured, and why; `seconds` in all. Times are in seconds, `bytes` in bytes; `gap`, `violation` and `slack` are shares.
    """
    start, before = time.perf_counter(), machine.load()
    record: Record = {
        "date": datetime.date.today().isoformat(),
        "size": "full" if full else "quick",
        "machine": {
            "cpu": machine.processor(),
            "cores": machine.cores(),
            "system": platform.system(),
            "machine": platform.machine(),
        },
        "versions": machine.versions(PACKAGES),
        "backends": {name: text for name, text in backends.describe().items() if name != "reference"},
        "absent": {},
    }
    for part in parts:
        _MEASURES[part](record, full, users, say)
    record["load"] = [round(before, 2), round(machine.load(), 2)]
    record["seconds"] = round(time.perf_counter() - start, 1)
    return record


def _solver(record: Record, full: bool, users: int, say: Callable[[str], None]) -> None:
    from . import solver

    sizes = [size for size in (instances.SIZES if full else _QUICK) if size.users <= users]
    sizes = sizes or [instances.Size(users, 10, "float32")]
    record["solver"] = solver.measure(sizes, seconds=solver.SECONDS if full else 0.5, say=say)
    record["absent"] |= solver.absent(sizes)


def _losses(record: Record, full: bool, users: int, say: Callable[[str], None]) -> None:
    if missing("torch"):
        record["absent"]["decision losses"] = _NEEDS_TORCH
        return
    from . import losses

    record["losses"] = []
    for treatments in (10, 2) if full else (10,):
        say(f"losses: {users:,} users × {treatments} treatments")
        times = losses.measure(users, treatments, 7 if full else 3, compiled=full)
        record["losses"].append({"users": users, "treatments": treatments, "dtype": "float32", "median_s": times})
    if not full:
        record["absent"]["torch.compile"] = "takes half a minute to compile; --full has it"


def _curvature(record: Record, full: bool, users: int, say: Callable[[str], None]) -> None:
    if missing("torch"):
        record["absent"]["curvature"] = _NEEDS_TORCH
        return
    from . import curvature

    fast = [name for name in backends.available() if name != "reference"]
    record["curvature"] = []
    for sizes, rows in curvature.SIZES if full else curvature.SIZES[:1]:
        network = "-".join(map(str, sizes))
        say(f"curvature: {network}")
        problem = curvature.Problem(sizes, min(rows, users))
        products = curvature.products(problem, 9 if full else 5, 5, fast)
        say(f"hypergradients: {network}")
        solves = curvature.hypergradients(problem, 5 if full else 3)
        entry = {"network": network, "rows": len(problem.x), "products": products, "hypergradients": solves}
        record["curvature"].append(entry)
    for name, module in ((curvature.TORCHOPT, "torchopt"), (curvature.BETTY, "betty")):
        if missing(module):
            record["absent"][name] = f"{module} is not installed"


_MEASURES = {"solver": _solver, "losses": _losses, "curvature": _curvature}
