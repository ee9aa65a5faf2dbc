"""Times on a GPU, in one unattended run of a few minutes: `make gpu-bench`. Writes bench/results/gpu-<device>.json.

Answers are checked before anything is timed. Every kernel's time (torch's profiler sees all kernels of the process) is held against
the bytes it has to move and a device copy measured in the same run; whole solves and losses against torch. `--dry` runs the same
lines at toy sizes on the emulated backend: its times mean nothing and are not written.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gpu_peers
import numpy as np
import torch
from gpu_kernels import KERNELS, NUMBER, OPEN, SAMPLED, USER

import bidfcl_fast as bf
from bidfcl_fast import backends, losses
from bidfcl_fast._network import ACTIVATIONS
from bidfcl_fast.linalg import _cuda
from bidfcl_fast.metrics import labelled_multiplier

SILU = ACTIVATIONS["silu"]
HERE = Path(__file__).resolve().parent
MINUTES = 9.0


class Machine:
    """The device, or what stands for it."""

    def __init__(self, dry: bool) -> None:
        self.dry = dry
        self.device = torch.device("cpu" if dry else "cuda:0")
        self.backend = "cuda_emulated" if dry else "cuda"
        self.end = time.monotonic() + 60 * MINUTES
        if dry:
            sys.path.insert(0, str(HERE.parent / "tests"))
            import emulated

            from bidfcl_fast import _device

            why = emulated.register()
            assert why is None, why
            _device.TORCH_DEVICES.add("cpu")
        self.ops = backends.resolve(self.backend) if dry else backends.resolve("cuda").ops()

    def wait(self) -> None:
        if not self.dry:
            torch.cuda.synchronize()

    def time(self, call: Callable[[], Any], repeats: int = 21) -> float:
        """Median seconds from call to the end of its work, after two to warm up."""
        repeats = 2 if self.dry else repeats
        for _ in range(2):
            call()
        found = []
        for _ in range(repeats):
            self.wait()
            began = time.perf_counter()
            call()
            self.wait()
            found.append(time.perf_counter() - began)
        return statistics.median(found)

    def kernels(self, call: Callable[[], Any], repeats: int = 10) -> dict[str, float]:
        """Median seconds of every kernel by name, a launch; nothing when dry."""
        call()
        if self.dry:
            return {}
        self.wait()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
            for _ in range(repeats):
                call()
            self.wait()
        times: dict[str, list[float]] = {}
        for event in seen.events():
            times.setdefault(event.name, []).append(1e-6 * float(getattr(event, "device_time", 0) or event.cuda_time))
        return {name: statistics.median(found) for name, found in times.items()}


def instance(machine: Machine, n: int, m: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, float]:
    """A campaign with diminishing returns, made on the device; the cheapest treatment is free."""
    make = torch.Generator(device=machine.device).manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=make, device=machine.device)

    cost = random(n, m).sort(dim=1).values
    cost[:, 0] = 0
    value = cost.sqrt().mul_(random(n, 1)).add_(random(n, m), alpha=0.05)
    return value, cost, 0.2 * n


def batch(machine: Machine, n: int, m: int) -> tuple[torch.Tensor, ...]:
    v, c, _ = instance(machine, n, m)
    t = torch.randint(m, (n,), device=machine.device)
    y, w = torch.rand(n, device=machine.device) + 0.1, torch.full((n,), 1 / n, device=machine.device)
    return v, c, t, y, w


def copy_speed(machine: Machine) -> float:
    """Bytes a second of a device copy, read and written."""
    size = 1 << 16 if machine.dry else 1 << 30
    a = torch.empty(size, dtype=torch.uint8, device=machine.device)
    b = torch.empty_like(a)
    return 2 * size / machine.time(lambda: b.copy_(a))


def check(machine: Machine) -> None:
    v, c, budget = instance(machine, 2_000 if machine.dry else 300_000, 10, seed=1)
    got = bf.solve_mckp(v, c, budget, backend=machine.backend)
    expected = bf.solve_mckp(v.cpu().numpy(), c.cpu().numpy(), budget, backend="cpp")
    assert (got.value, got.spend, got.dual_bound, got.gap) == (
        expected.value, expected.spend, expected.dual_bound, expected.gap,
    )  # fmt: skip
    assert np.array_equal(got.choice.cpu().numpy(), expected.choice)
    v, c, t, y, w = batch(machine, 1_000 if machine.dry else 100_000, 10)
    ours = losses.ppl_loss(v, c, t, y, w, 0.6, backend=machine.backend)
    torch.testing.assert_close(ours, gpu_peers.ppl(v, c, t, y, w, 0.6), rtol=1e-4, atol=1e-5)


def both(loss: Callable[..., torch.Tensor], v: torch.Tensor, c: torch.Tensor, *rest: Any) -> Any:
    """Forward and backward."""
    a, b = v.detach().requires_grad_(), c.detach().requires_grad_()
    return torch.autograd.grad(loss(a, b, *rest), (a, b))


def calls(machine: Machine, n: int, m: int) -> dict[str, tuple[Callable[[], Any], dict[str, int]]]:
    """For `gpu_kernels.Kernel.call`: what runs it, and how many rows of each kind it has."""
    v, c, budget = instance(machine, n, m)
    arrays = batch(machine, n, m)
    t, y, w = arrays[2:]
    active = bf.solve_mckp(v, c, budget, backend=machine.backend).stats["active"]
    numbers = n * m
    x, first, second, bent = (torch.rand(numbers, device=machine.device) for _ in range(4))
    ops = machine.ops

    def ours(a: torch.Tensor, b: torch.Tensor, *labels: Any) -> torch.Tensor:
        return losses.ppl_loss(a, b, *labels, backend=machine.backend)

    def hessian() -> None:
        a, b = v.detach().requires_grad_(), c.detach().requires_grad_()
        grads = torch.autograd.grad(ours(a, b, t, y, w, 0.6), (a, b), create_graph=True)
        torch.autograd.grad(grads, (a, b), (v, c))

    def drp() -> None:
        score = v.detach().requires_grad_()
        torch.autograd.grad(losses.drp_loss(score, t, y, y, weight=w, backend=machine.backend), score)

    def network() -> None:
        ops.elementwise("mlp_activate", x, (SILU, 0.0, numbers), x, bent, first, second)
        ops.elementwise("mlp_forward", x, (numbers,), bent, first, second, x)
        ops.elementwise("mlp_back", x, (numbers,), bent, first, second)

    def cg(preconditioner: Any) -> Callable[[], Any]:
        class Solve:
            damping, look = 0.1, 100
            product = staticmethod(lambda p: p * first)

        Solve.preconditioner = preconditioner  # type: ignore[attr-defined]

        def run() -> None:
            start, r = torch.zeros(1, numbers, device=machine.device), x.reshape(1, -1).clone()
            goal = torch.zeros(1, dtype=torch.float64, device=machine.device)
            _cuda.advance(Solve, start, r, goal, np.array([5]), ops=ops)

        return run

    users, vector = {USER: n}, {NUMBER: numbers}
    return {
        "solve": (
            lambda: bf.solve_mckp(v, c, budget, backend=machine.backend),
            {USER: n, OPEN: active, SAMPLED: min(8192, n // 8)},
        ),
        "decide": (lambda: bf.solve_mckp(v, c, multiplier=0.7, backend=machine.backend), users),
        "labelled": (lambda: labelled_multiplier(v, c, t, y, y, w, 1e9, backend=machine.backend), users),
        "loss": (lambda: both(ours, *arrays, 0.6), users),
        "hessian": (hessian, users),
        "drp": (drp, users),
        "cg": (cg(None), vector),
        "cg preconditioned": (cg(lambda r: 0.5 * r), vector),
        "network": (network, vector),
    }


def kernel_rows(machine: Machine, speed: float) -> list[dict[str, Any]]:
    n, m = (2_000, 10) if machine.dry else (4_000_000, 10)
    rows = []
    for name, (call, sizes) in calls(machine, n, m).items():
        seen = machine.kernels(call, 5)
        for kernel_name, kernel in KERNELS.items():
            if kernel.call != name:
                continue
            found = [seconds for full, seconds in seen.items() if kernel.pattern in plain(full)]
            size = sizes[kernel.row]
            row = {"kernel": kernel_name, "rows": size, "treatments": m, "bytes": kernel.bytes(size, m)}
            row["floor"] = kernel.floor(size, m)
            if found:
                row |= {"seconds": max(found), "share_of_copy": row["bytes"] / max(found) / speed}
            elif not machine.dry:
                row["seconds"] = "the profiler did not see it"
            rows.append(row)
    return rows


def plain(name: str) -> str:
    """A kernel's name without namespaces."""
    return name.replace("bidfcl::", "").replace("(anonymous namespace)::", "")


def solve_rows(machine: Machine) -> list[dict[str, Any]]:
    rows = []
    for n, m in [(1_000, 10), (2_000, 8)] if machine.dry else [(1_000_000, 10), (100_000_000, 8)]:
        v, c, budget = instance(machine, n, m)
        row: dict[str, Any] = {"users": n, "treatments": m}
        plan = bf.solve_mckp(v, c, budget, backend=machine.backend)
        row |= {"gap": plan.gap / plan.dual_bound, "sweeps": plan.stats["sweeps"], "active": plan.stats["active"]}
        repeats = 21 if n <= 1_000_000 else 5
        row["cold"] = machine.time(lambda: bf.solve_mckp(v, c, budget, backend=machine.backend), repeats)  # noqa: B023
        row["warm"] = machine.time(
            lambda: bf.solve_mckp(v, c, budget, warm_start=plan, backend=machine.backend),  # noqa: B023
            repeats,
        )
        peers: dict[str, Callable[..., Any]] = {"bisection": gpu_peers.bisection, "dual ascent": gpu_peers.dual_ascent}
        for name, peer in peers.items():
            _, reached = peer(v, c, budget)
            row[name] = {"seconds": machine.time(lambda: peer(v, c, budget), 3), "reached": reached}  # noqa: B023
        rows.append(row)
    return rows


def loss_rows(machine: Machine) -> list[dict[str, Any]]:
    n, m = (1_000, 5) if machine.dry else (1_000_000, 10)
    v, c, *rest = batch(machine, n, m)
    row: dict[str, Any] = {"loss": "ppl", "rows": n, "treatments": m}
    at = torch.full((), 0.6, dtype=torch.float64, device=machine.device)

    def ours(a: Any, b: Any, *labels: Any) -> torch.Tensor:
        return losses.ppl_loss(a, b, *labels, backend=machine.backend)

    row["ours"] = machine.time(lambda: both(ours, v, c, *rest, at))
    row["torch eager"] = machine.time(lambda: both(gpu_peers.ppl, v, c, *rest, 0.6))
    if not machine.dry:
        peer = gpu_peers.compiled()
        row["torch compile"] = machine.time(lambda: both(peer, v, c, *rest, 0.6))
    return [row]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="toy sizes on the emulated backend")
    machine = Machine(parser.parse_args().dry)
    check(machine)
    speed = copy_speed(machine)
    result: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "device": "dry" if machine.dry else torch.cuda.get_device_name(0),
        "torch": torch.__version__,
        "copy_bytes_a_second": speed,
    }
    parts: dict[str, Callable[[], Any]] = {
        "kernels": lambda: kernel_rows(machine, speed),
        "losses": lambda: loss_rows(machine),
        "solves": lambda: solve_rows(machine),
    }
    for name, part in parts.items():
        if time.monotonic() > machine.end:
            result[name] = "out of time"
            continue
        try:
            result[name] = part()
        except torch.OutOfMemoryError as error:
            result[name] = f"out of memory: {error}"
        text = json.dumps(result, indent=1)
        print(text, flush=True)
        if not machine.dry:  # after each part, so that an early end leaves what there is
            slug = re.sub(r"[^a-z0-9]+", "-", result["device"].lower()).strip("-")
            (HERE / "results" / f"gpu-{slug}.json").write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
