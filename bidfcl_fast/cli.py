"""The command `bidfcl`: arguments in, exit status out; the work is in `commands`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import __version__

# Outcomes that a person can act on; anything else is a fault of ours and keeps its traceback.
_EXPECTED = (ValueError, TypeError, RuntimeError, OSError, ImportError, MemoryError)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _say(f"{message} (see {self.prog} --help)")
        raise SystemExit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it worked, 1 if the input was at fault, 2 if the arguments were, 130 if interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no ± or − shows ? and loses nothing else
    args = _parser().parse_args(argv)
    try:
        importlib.import_module(f".commands.{args.command}", __package__).run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough; keep the interpreter from complaining when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except _EXPECTED as error:
        if os.environ.get("BIDFCL_TRACEBACK"):
            raise
        _say(f"out of memory: {error}" if isinstance(error, MemoryError) else str(error) or type(error).__name__)
        return 1
    return 0


def _say(message: str) -> None:
    """One line; names from a file reach the terminal without what would steer it."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(message.split()))
    print(f"bidfcl: error: {line}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bidfcl", description="Exact budget allocation: who gets which treatment, for the most value."
    )
    parser.add_argument("--version", action="version", version=f"bidfcl {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo",
        help="the main job end to end on a real trial, with a report",
        description="Learn from a real trial of cash incentives, allocate a budget, value the plans on held-out "
        "people, do it again for a million people; writes report.html, plan.parquet and results.json.",
    )
    demo.add_argument(
        "--output", default="demo", metavar="DIR", help="folder for the results; made if absent (default: demo)"
    )
    demo.add_argument(
        "--users", type=_count, metavar="N", help="people in the scaled-up allocation (default: a million)"
    )
    demo.add_argument(
        "--budgets", type=float, nargs="+", metavar="B", help="US$ per person (default: 0.1 0.2 0.4 0.6 0.8 1)"
    )
    demo.add_argument(
        "--seed", type=_whole, default=0, help="of folds, fits, resampling and the simulated world (default: 0)"
    )
    demo.add_argument("--quiet", action="store_true", help="no summary and no progress line")
    _common(demo)

    allocate = commands.add_parser(
        "allocate",
        help="choose a treatment for every row of a table within a budget",
        description="Columns value_0, value_1, … and cost_0, cost_1, … hold one treatment each; every other "
        "column is kept. The output has those, and choice, value and cost of the treatment chosen (with several "
        "budgets, choice_at_B, …).",
    )
    allocate.add_argument(
        "input",
        metavar="IN",
        help="Parquet or CSV, by its ending; or a folder of Parquet files, hive partitions included",
    )
    money = allocate.add_mutually_exclusive_group(required=True)
    money.add_argument("--budget", type=float, nargs="+", action="extend", metavar="B", help="total money")
    money.add_argument(
        "--multiplier",
        type=float,
        nargs="+",
        action="extend",
        metavar="L",
        help="a price instead: take every step that brings more than L value per unit of money",
    )
    allocate.add_argument(
        "--model",
        metavar="FILE",
        help="what `bidfcl train` saved: value and cost are predicted from the columns that it was trained on",
    )
    _mask(allocate)
    allocate.add_argument("--min-spend", type=float, metavar="S", help="spend at least this much of the budget")
    allocate.add_argument(
        "--max-treated", type=_whole, metavar="N", help="at most so many rows get another treatment than the control"
    )
    allocate.add_argument(
        "--control", type=_whole, default=0, metavar="J", help="the treatment that means untreated (default: 0)"
    )
    allocate.add_argument("--proven", action="store_true", help="a proven integer optimum instead of a certified plan")
    allocate.add_argument(
        "--time-limit", type=float, metavar="S", help="seconds for the proof; then the best plan so far, and its gap"
    )
    allocate.add_argument(
        "--output",
        required=True,
        metavar="OUT",
        help="Parquet or CSV, by its ending; for a folder also a new folder, a file for each of the input's",
    )
    allocate.add_argument(
        "--stream", action="store_true", help="read the rows piece by piece, in bounded memory; folders always are"
    )
    allocate.add_argument(
        "--max-memory",
        type=_count,
        default=4000,
        metavar="MB",
        help="a Parquet file that would take more than this in memory is streamed (default: 4000)",
    )
    allocate.add_argument("--no-fill", action="store_true", help="stop at the first step that does not fit the budget")
    _common(allocate)

    frontier = commands.add_parser(
        "frontier",
        help="the best value at every budget at once",
        description="Breakpoints of the exact LP frontier: budget, value, and the value of one more unit of money "
        "from there on.",
    )
    frontier.add_argument("input", metavar="IN", help="Parquet or CSV, by its ending")
    frontier.add_argument("--output", required=True, metavar="OUT", help="Parquet or CSV, by its ending")
    _mask(frontier)
    frontier.add_argument("--plot", metavar="FIG", help="also draw it: png or svg, by its ending")
    _common(frontier)

    train = commands.add_parser(
        "train",
        help="learn value and cost from a trial, a log or both, and save the model",
        description="Each table is a Parquet or CSV file (or an .npz of a Table) with a row a person: treatment (0, 1, …), value and cost as "
        "observed, propensity or propensity_0 … where known; all other columns are features. `bidfcl allocate --model` uses the result.",
    )
    train.add_argument("method", metavar="METHOD", help="tsm-sl, dfcl-ppl, bidfcl-ppl, …: methods.names() lists them")
    train.add_argument("--rct", metavar="FILE", help="the trial")
    train.add_argument("--obs", metavar="FILE", help="the log")
    train.add_argument("--val", metavar="FILE", help="a held-out trial: early stopping, and the value of the decisions")
    train.add_argument(
        "--budget", type=float, nargs="+", action="extend", metavar="B", help="money a person, one or several"
    )
    train.add_argument("--output", required=True, metavar="MODEL", help="where the model goes; ends in .safetensors")
    train.add_argument("--features", nargs="+", metavar="COLUMN", help="only these columns are features")
    train.add_argument("--ignore", nargs="+", metavar="COLUMN", help="columns that are no features, such as an id")
    train.add_argument(
        "--option", action="append", metavar="NAME=VALUE", help="of the method, such as epochs=40; repeatable"
    )
    train.add_argument("--seed", type=_whole, default=0, help="fixes everything (default: 0)")
    train.add_argument("--checkpoint", metavar="FILE", help="keeps the state after every epoch, replaced whole")
    train.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint if it is there, to the same bits"
    )
    train.add_argument("--log", metavar="DIR", help="curves for TensorBoard")
    train.add_argument("--json", action="store_true", help="print JSON instead of text")
    train.add_argument("--quiet", action="store_true", help="no summary and no progress line")

    evaluate = commands.add_parser(
        "evaluate",
        help="every method on worlds whose truth is known and on real trials, with a report",
        description="Fits all recipes on simulated worlds and real trials, and reports true regret, paired differences, cost "
        "and what follows. Stopped at any moment, the same command goes on where it stood.",
    )
    evaluate.add_argument("--output", default="experiments", metavar="DIR", help="folder for results and report")
    evaluate.add_argument("--size", default="default", choices=("quick", "default", "full"), help="how much is run")
    evaluate.add_argument("--quick", action="store_true", help="the same as --size quick: some two minutes")
    evaluate.add_argument("--config", metavar="FILE", help="JSON with fields of the size to change")
    evaluate.add_argument("--study", nargs="+", metavar="NAME", help="only these: worlds, 'small trial', ablation, …")
    evaluate.add_argument("--data", metavar="DIR", help="folder with starbucks/ and hillstrom/, for the real rows")
    evaluate.add_argument(
        "--processes", type=_count, default=2, metavar="N", help="at a time, one thread each (default: 2)"
    )
    evaluate.add_argument("--report-only", action="store_true", help="write the report of what is there")
    evaluate.add_argument("--json", action="store_true", help="print the numbers of the report")
    evaluate.add_argument("--quiet", action="store_true", help="no summary and no progress line")

    hybrid = commands.add_parser(
        "hybrid",
        help="a small trial and a large biased log out of Criteo's uplift trial",
        description="Bi-DFCL's Hybrid construction: writes obs, rct, val and test as .npz files with the fields of a table.",
    )
    hybrid.add_argument("input", metavar="IN", help="Criteo's CSV file (gzip by its ending), or its folder")
    hybrid.add_argument("--output", required=True, metavar="DIR", help="folder for the four tables; made if absent")
    hybrid.add_argument("--rows", type=_count, metavar="N", help="read so many rows only")
    hybrid.add_argument(
        "--share", type=float, metavar="Q", help="share of users that the policy treats (default: 0.5007)"
    )
    hybrid.add_argument("--epochs", type=_count, default=5, metavar="N", help="of the policy's model (default: 5)")
    hybrid.add_argument("--seed", type=_whole, default=0, help="of the split and the model (default: 0)")
    hybrid.add_argument("--json", action="store_true", help="print JSON instead of text")

    bench = commands.add_parser(
        "bench",
        help="the comparison with peers, on this machine",
        description="Times solver, losses and curvature beside what one would write or install instead, every answer checked "
        "first; writes bench.html and bench.json. Under two minutes on an idle machine.",
    )
    bench.add_argument(
        "--output", default="bench-results", metavar="DIR", help="folder for both (default: bench-results)"
    )
    bench.add_argument(
        "--full", action="store_true", help="all sizes, more rounds, torch.compile: some fifteen minutes"
    )
    bench.add_argument("--part", nargs="+", choices=("solver", "losses", "curvature"), help="only these")
    bench.add_argument(
        "--users", type=_count, default=1_000_000, metavar="N", help="most rows of an instance (default: a million)"
    )
    bench.add_argument("--json", action="store_true", help="print the record instead of the tables")
    bench.add_argument("--quiet", action="store_true", help="no tables and no progress line")

    info = commands.add_parser("info", help="versions, backends, and why one is absent")
    info.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _mask(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--mask",
        metavar="NAME",
        help="columns NAME_0, NAME_1, … of true and false: which treatments are open to a row (default: all to all)",
    )


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--backend", metavar="NAME", help="cpp, numba or reference (default: the fastest that can run here)"
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of text")


def _count(text: str) -> int:
    count = int(text.replace("_", "").replace(",", ""))
    if count < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return count


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, got {text}")
    return number
