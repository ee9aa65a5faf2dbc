"""What Bi-DFCL's training costs beside a two-stage model's: `python bench/training.py`.

All methods are trained on the same simulated tables, in turn, several times over; ratios are of medians of the time that passed, and beside
them of processor time, in which both of two threads count. "whole" is everything
a fit needs (the log's model, teachers, student, finish); "per OBS row" of the paper preset is an epoch of Algorithm 1 per row of the log,
beside an epoch of `tsm-sl` on both tables per row that it reads. Nothing is asserted about a time.
"""

from __future__ import annotations

import argparse
import cProfile
import datetime
import json
import platform
import pstats
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from bidfcl_fast import methods
from bidfcl_fast.data import Simulation, simulate

HERE = Path(__file__).resolve().parent

# Epochs of Algorithm 1 that are timed: one epoch costs what another does.
PAPER_EPOCHS = 3

# On a log without hidden confounding: nothing to correct, nothing to finish.
SOUND = "bidfcl-ppl, a sound log"


def _paper(epochs: int) -> dict[str, Any]:
    return {"preset": "paper", "schedule": {"teacher": 1, "warm": 1, "student": epochs}}


CONTENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "tsm-sl": ("tsm-sl", {}),
    "bidfcl-ppl": ("bidfcl-ppl", {}),
    "bidfcl-pifd": ("bidfcl-pifd", {}),
    SOUND: ("bidfcl-ppl", {}),
    "bidfcl-ppl, paper": ("bidfcl-ppl", _paper(PAPER_EPOCHS + 1)),
    "bidfcl-ppl, paper, one epoch": ("bidfcl-ppl", _paper(1)),
}


def fit(name: str, sim: Simulation) -> tuple[float, float, dict[str, float]]:
    """Seconds of one fit, of the clock and of the processor, and of its parts."""
    method, options = CONTENDERS[name]
    made = methods.create(method, **options)
    start, spent = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.fit(rct=sim.rct, obs=sim.obs, budget=sim.budget([0.15, 0.3, 0.45, 0.6]), progress=False)
    return time.perf_counter() - start, time.process_time() - spent, dict(getattr(made, "seconds_", {}))


def profile(name: str, sim: Simulation, lines: int = 15) -> list[dict[str, Any]]:
    """The functions that a fit spends most time in."""
    run = cProfile.Profile()
    run.enable()
    fit(name, sim)
    run.disable()
    stats = pstats.Stats(run).stats  # type: ignore[attr-defined]
    rows = sorted(stats.items(), key=lambda item: -item[1][2])[:lines]
    return [
        {"function": f"{Path(where[0]).name}:{where[2]}", "calls": numbers[0], "seconds": round(numbers[2], 4)}
        for where, numbers in rows
    ]


def ratios(seconds: dict[str, list[float]], rct: int, obs: int) -> dict[str, float]:
    """Of medians; the paper preset's is of an epoch of Algorithm 1, per row of the log."""
    median = {name: statistics.median(found) for name, found in seconds.items()}
    student = median["bidfcl-ppl, paper"] - median["bidfcl-ppl, paper, one epoch"]
    row = median["tsm-sl"] / (20 * (rct + obs))
    out = {name: round(found / median["tsm-sl"], 2) for name, found in median.items() if "paper" not in name}
    out["bidfcl-ppl, paper, per OBS row"] = round(student / (PAPER_EPOCHS * obs) / row, 2)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rct", type=int, default=20_000)
    parser.add_argument("--obs", type=int, default=60_000)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "training.json")
    args = parser.parse_args()
    sim, sound = (simulate(args.rct, args.obs, 1000, seed=0, confounding=c) for c in (2.0, 0.0))
    for name in CONTENDERS:  # what is loaded and compiled on first use
        small = simulate(2000, 4000, 100, seed=0)
        fit(name, small)
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    processor: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    parts: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(args.rounds):
        for name in CONTENDERS:
            whole, spent, of = fit(name, sound if name == SOUND else sim)
            seconds[name].append(whole)
            processor[name].append(spent)
            parts[name].append(of)
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "rows": {"rct": args.rct, "obs": args.obs},
        "rounds": args.rounds,
        "seconds": {name: [round(s, 3) for s in found] for name, found in seconds.items()},
        "processor seconds": {name: [round(s, 3) for s in found] for name, found in processor.items()},
        "parts": {name: {k: round(v, 3) for k, v in found[-1].items()} for name, found in parts.items() if found[-1]},
        "ratio to tsm-sl": ratios(seconds, args.rct, args.obs),
        "ratio to tsm-sl, processor time": ratios(processor, args.rct, args.obs),
        "profile": {name: profile(name, sim) for name in ("bidfcl-ppl", "bidfcl-ppl, paper")},
    }
    args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({k: v for k, v in result.items() if k != "profile"}, indent=1))


if __name__ == "__main__":
    main()
