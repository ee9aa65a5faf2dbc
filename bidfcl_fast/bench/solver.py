"""The exact solver and its peers on the same arrays, each timed between two looks at the machine's read floor.

Every answer is checked before it is timed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import backends
from ..mckp import solve_mckp
from ..tables import missing
from . import instances, judge, read_floor
from .peers import PEERS, Answer
from .timing import kept, once

SECONDS = 1.5  # patience for all rounds of one contender at one size
FLOOR = "one read of both arrays"

Say = Callable[[str], None]


class _Case:
    def __init__(self, size: instances.Size) -> None:
        self.size = size
        self.value, self.cost, self.budget = instances.campaign(size)
        self.read = read_floor.reader(self.value, self.cost)
        plan = solve_mckp(self.value, self.cost, self.budget)
        # The certificate, by weak duality and without the package: the dual function at its multiplier.
        self.optimum = judge.dual(self.value, self.cost, self.budget, float(plan.multiplier))
        assert abs(float(plan.dual_bound) - self.optimum) <= 1e-12 * abs(self.optimum), "the bound is not the optimum"

    def ours(self, backend: str, **options: Any) -> Callable[[], Answer]:
        def call() -> Answer:
            plan = solve_mckp(self.value, self.cost, self.budget, backend=backend, **options)
            return {"value": plan.value, "spend": plan.spend, "bound": plan.dual_bound, "choice": plan.choice}

        answer = call()
        assert answer["spend"] <= self.budget and answer["value"] <= answer["bound"]
        return call

    def timed(
        self, contender: str, call: Callable[[], Any], rounds: int, quality: judge.Quality | None
    ) -> dict[str, Any]:
        floor = read_floor.seconds(self.read)
        times = [once(call) for _ in range(rounds)]
        floor += read_floor.seconds(self.read)
        n, m, dtype = self.size
        out: dict[str, Any] = {"contender": contender, "users": n, "treatments": m, "dtype": dtype}
        out |= {
            "median_s": statistics.median(times),
            "best_s": min(times),
            "floor_s": statistics.median(floor),
            "floor_best_s": min(floor),
            "bytes": self.value.nbytes + self.cost.nbytes,
            **(quality._asdict() if quality else {}),
            "rounds": rounds,
        }
        return {name: kept(x) if isinstance(x, float) else x for name, x in out.items()}


def measure(
    sizes: Sequence[instances.Size], *, seconds: float = SECONDS, say: Say = lambda _: None
) -> list[dict[str, Any]]:
    """One entry a size and contender: the floor, each fast backend cold and warm, the peers that are installed.

    `say` hears what comes next.
    """
    fast = [name for name in backends.available() if name != "reference"]
    out = []
    for size in sizes:
        say(f"{size}: making it")
        case = _Case(size)

        def rounds(call: Callable[[], Any]) -> int:
            return max(3, min(60, int(seconds / once(call))))

        out.append(case.timed(FLOOR, case.read, rounds(case.read), None))
        for backend in fast:
            # Warm: from the multiplier of a budget one per cent larger, the day after.
            near = solve_mckp(case.value, case.cost, case.budget * 1.01, backend=backend)
            for label, options in ((backend, {}), (f"{backend}, warm", {"warm_start": near})):
                say(f"{size}: bidfcl_fast, {label}")
                call = case.ours(backend, **options)
                quality = judge.quality(case.value, case.cost, case.budget, call(), case.optimum)
                out.append(case.timed(f"bidfcl_fast, {label}", call, rounds(call), quality))
        for peer in PEERS:
            if missing(peer.needs) or size.users > peer.most_users:
                continue
            say(f"{size}: {peer.label}")
            solve = peer.load()
            args: tuple[np.ndarray, np.ndarray, float] = (case.value, case.cost, case.budget)
            quality = judge.quality(*args, solve(*args), case.optimum)
            again = lambda solve=solve, args=args: solve(*args)  # noqa: E731
            out.append(case.timed(peer.label, again, peer.rounds or rounds(again), quality))
    return out


def absent(sizes: Sequence[instances.Size]) -> dict[str, str]:
    """The peers that are not measured at any of these sizes, and why."""
    out = {}
    for peer in PEERS:
        if missing(peer.needs):
            out[peer.label] = f"{peer.needs} is not installed"
        elif all(size.users > peer.most_users for size in sizes):
            out[peer.label] = f"too slow beyond {peer.most_users:,} users"
    return out
