"""What 10⁹ and 10¹⁰ users take: bytes, rounds, memory, time. Writes the tables of docs/scale_plan.md.

Rates are measured here, on real rows. The search itself is run in full for every size, every question answered: those about a
sample and a sweep by scaling up what real users answered, those about the edges kept by synthetic ledgers with as many edges as
there would be, whose keys are computed when they are asked for.

python bench/scale_plan.py --parquet-rate ROWS_A_SECOND        # of one core, as bench/out_of_core.py measures it
"""

from __future__ import annotations

import argparse
import os
import pickle
import time
from pathlib import Path

import numpy as np

os.environ["BIDFCL_NUM_THREADS"] = "1"

from bidfcl_fast import _check, backends, solve_mckp
from bidfcl_fast.bench.instances import Size, campaign
from bidfcl_fast.scale._curve import CurvePart
from bidfcl_fast.scale._facts import Facts
from bidfcl_fast.scale._ledger import Key, Ledger, Sketch
from bidfcl_fast.scale._search import Curve, Stretch, Sweep, Swept, run, search
from bidfcl_fast.scale._shard import ArrayShard, facts_of

M, REAL = 8, 1_000_000
EDGE_BYTES = 130  # of one kept edge while it is sorted


class SyntheticLedger:
    """`edges` edges of one cost, of slopes spread over a bracket, a little off an even grid."""

    def __init__(self, shard: int, first: int, users: int, edges: int, cost: int, slopes: tuple[float, float]) -> None:
        self.shard, self.first, self.users, self.edges, self.cost = shard, first, users, edges, cost
        self.low, self.high = slopes

    def key(self, i: int) -> Key:
        off = ((i * 2654435761 + self.shard * 40503) % 1000) / 1001
        slope = self.high - (i + off) / self.edges * (self.high - self.low)
        return Key(int(slope * self.cost), self.cost, self.first + i * 7919 % self.users, 0)

    def find(self, key: Key | None, absent: int) -> int:
        if key is None:
            return absent
        low, high = 0, self.edges
        while low < high:
            middle = (low + high) // 2
            if self.key(middle).before(key):
                low = middle + 1
            else:
                high = middle
        return low

    def sketch(self, lower: Key | None, upper: Key | None, most: int) -> Sketch:
        first, end = self.find(lower, 0), self.find(upper, self.edges)
        count = max(0, end - first)
        at = np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)).tolist()
        rows = []
        for i in at:
            k, before = self.key(first + i), i * self.cost
            rows.append([i, before >> 32, before & 0xFFFFFFFF, k.value, k.cost, k.user, 0, 0, 1])
        value = int((self.low + self.high) / 2 * self.cost) * first
        points = np.array(rows, np.int64).reshape(len(rows), 9)
        return Sketch(value, first * self.cost, count, count * self.cost, points)


class Synthetic:
    """One of `shards` shards of `users` users in all, who are like the real ones."""

    def __init__(self, real: ArrayShard, shard: int, shards: int, parts: int, users: int) -> None:
        self.real, self.shard, self.parts = real, shard, parts
        self.users = users // shards
        self.first, self.scale = shard * self.users, self.users / real.users
        self.ledger: SyntheticLedger | None = None

    def curve(self, ask: Curve) -> CurvePart:
        c, s = self.real.curve(), self.scale
        # The real shard's sample is as large as all shards' samples together: each has a part of it.
        e = s * s * self.parts
        part = CurvePart(
            c.spend_before * s,
            c.variance_before * e,
            0.0,
            c.weight * s,
            c.slope,
            c.spend * s,
            c.variance * e,
            c.edges * s,
        )
        return part.between(*ask)

    def sweep(self, ask: Sweep) -> Swept:
        self.real.answer(0, ask)
        ledger, s = self.real._ledgers[0], self.scale
        found = self.real.module.edges_between(self.real.problems, self.real.scales, *ask)
        edges = max(1, round(len(ledger) * s))
        cost = max(1, round(ledger.totals(len(ledger))[1] / max(1, len(ledger))))
        own = 2.0 ** (self.real.scales.value - self.real.scales.cost)
        self.ledger = SyntheticLedger(self.shard, self.first, self.users, edges, cost, (ask.low * own, ask.high * own))
        return Swept((ask.low, ask.high), round(found.value * s), round(found.cost * s), edges * cost, edges, False)

    def answer(self, ask: Curve | Sweep | Stretch):
        if isinstance(ask, Curve):
            return self.curve(ask)
        if isinstance(ask, Sweep):
            return self.sweep(ask)
        assert self.ledger is not None
        return self.ledger.sketch(*ask)


def simulate(real: ArrayShard, facts: Facts, users: int, shards: int, budget: float) -> dict[str, float]:
    parts = [Synthetic(real, k, shards, min(shards, 16), users) for k in range(min(shards, 16))]
    copies = shards / len(parts)  # beyond sixteen, each stands for several
    rounds, most, total = 1, 0, 0

    def exchange(asks):
        nonlocal rounds, most, total
        rounds += 1
        out = []
        for _, ask in asks:
            answers = [p.answer(ask) for p in parts]
            sizes = [len(pickle.dumps(a, protocol=5)) for a in answers]
            most, total = max(most, max(sizes)), total + round(sum(sizes) * copies)
            out.append(answers)
        return out

    everybody = facts._replace(users=users // shards * len(parts))
    [outcome] = run([search(budget * everybody.users, True, everybody, shards)], exchange)
    return {
        "users": users,
        "shards": shards,
        "rounds": rounds,
        "sweeps": outcome.stats["sweeps"],
        "most_bytes": most,
        "bytes": total,
        "edges": outcome.stats["active"] * copies,
        "gap": outcome.gap / everybody.users,
    }


def rates() -> tuple[ArrayShard, Facts, float, dict[str, float]]:
    """Nanoseconds of one core, on a million rows in memory."""
    value, cost, budget = campaign(Size(REAL, M, "float32"))
    module, p = backends.resolve("cpp"), _check.instance(value, cost, None)
    facts = facts_of(p, module, 1)
    shard = ArrayShard(p, module, facts.scales, 0, 1)

    def nanoseconds(work, per: float) -> float:
        best = min(_timed(work) for _ in range(5))
        return 1e9 * best / per

    near = solve_mckp(value, cost, budget).multiplier
    low, high = near * 0.99, near * 1.01
    found = module.edges_between(p, facts.scales, low, high)
    return (
        shard,
        facts,
        budget / REAL,
        {
            "facts": nanoseconds(lambda: module.magnitudes(p), REAL),
            "sweep": nanoseconds(lambda: module.edges_between(p, facts.scales, low, high), REAL),
            "sort": nanoseconds(lambda: Ledger(found.edges), len(found.edges)),
            "open": len(found.edges) / REAL,
        },
    )


def _timed(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def tables(parquet_rate: float, latency: float) -> str:
    real, facts, budget, rate = rates()
    lines = [
        f"A reading takes {rate['facts'] + rate['sweep']:.1f} ns a user on one core where the numbers are in memory, at {rate['open']:.1%} "
        f"of the users open, and {1e9 / parquet_rate:.0f} ns where they are in Parquet (decoding them is most of that); sorting a kept edge "
        f"takes {rate['sort']:.0f} ns. A round is taken to last {1000 * latency:.0f} ms.",
        "",
        "| users | processes | numbers, each | rounds | most bytes a process and round | bytes sent, all | edges kept, each | memory for them | "
        "time in memory | time from Parquet |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for users, shards in ((10**8, 1), (10**8, 8), (10**9, 8), (10**9, 64), (10**10, 64), (10**10, 512)):
        s = simulate(real, facts, users, shards, budget)
        each, edges = users / shards, s["edges"] / shards
        memory = edges * EDGE_BYTES
        ram = (
            1e-9 * (each * (rate["facts"] + rate["sweep"] * s["sweeps"]) + edges * rate["sort"]) + s["rounds"] * latency
        )
        disk = (s["sweeps"] + 1) * each / parquet_rate
        lines.append(
            f"| {users:.0e} | {shards} | {each * 2 * M * 4 / 1e9:,.1f} GB | {s['rounds']} | {s['most_bytes']:,} | {s['bytes'] / 1e6:.2f} MB | "
            f"{edges:,.0f} | {memory / 1e6:,.0f} MB | {ram:,.1f} s | {disk:,.0f} s |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parquet-rate", type=float, required=True, help="rows a second and core of one reading")
    parser.add_argument("--latency", type=float, default=0.01, help="seconds a round")
    parser.add_argument("--page", type=Path, default=Path(__file__).parents[1] / "docs/scale_plan.md")
    args = parser.parse_args()
    text = tables(args.parquet_rate, args.latency)
    print(text)
    if args.page.exists():
        page = args.page.read_text()
        start, end = "<!-- generated by bench/scale_plan.py -->", "<!-- end -->"
        before, after = page.split(start)[0], page.split(end)[1]
        args.page.write_text(f"{before}{start}\n\n{text}\n\n{end}{after}")


if __name__ == "__main__":
    main()
