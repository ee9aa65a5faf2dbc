"""Kills a command at random moments: its output is whole or absent, and the next run goes on to the same bytes.

`python tests/reliability/kills.py COUNT [SEED]` kills so often, over allocate, train, evaluate and report in turn. A moment is
one of a command's own processor time, so that it means the same on a machine that is busy.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
EVALUATE = {
    "worlds": 1, "regimes": ["none", "severe"], "n_rct": 120, "n_obs": 150, "n_test": 150,
    "only": ["tsm-sl, both", "tsm-sl, trial"], "real": [], "options": {"epochs": 2, "hidden": [4]},
}  # fmt: skip
TRAIN = """
import sys
from pathlib import Path
import numpy as np
from bidfcl_fast import methods
from bidfcl_fast.data import Table

folder = Path(sys.argv[1])
rng = np.random.default_rng(0)
t = rng.integers(2, size=400)
table = Table(rng.normal(size=(400, 3)), t, rng.random(400) + t, 1.0 * t)
method = methods.create("tsm-sl", epochs=40, hidden=(8,), batch=64)
method.fit(rct=table, val=table, checkpoint=folder / "checkpoint.safetensors", resume=True, progress=False)
method.save(folder / "model.safetensors")
"""


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def bidfcl(*arguments: str) -> list[str]:
    return python("-m", "bidfcl_fast", *arguments)


def prepare(folder: Path) -> None:
    """Input for every command."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    rng = np.random.default_rng(0)
    cells = {f"{kind}_{j}": rng.random(60_000) for kind in ("value", "cost") for j in range(4)}
    cells["cost_0"][:] = 0
    parquet.write_table(pa.table({"id": np.arange(60_000), **cells}), folder / "in.parquet")
    (folder / "config.json").write_text(json.dumps(EVALUATE))


def commands(source: Path) -> dict[str, Callable[[Path], tuple[list[str], str]]]:
    """For each command: what to run in an output folder, and which files it must leave whole."""
    evaluate = ("evaluate", "--quick", "--quiet", "--processes", "1", "--config", str(source / "config.json"))
    return {
        "allocate": lambda out: (
            bidfcl("allocate", str(source / "in.parquet"), "--budget", "9000", "--output", str(out / "plan.parquet")),
            "plan.parquet",
        ),
        "train": lambda out: (python("-c", TRAIN, str(out)), "model.safetensors"),
        "evaluate": lambda out: (bidfcl(*evaluate, "--output", str(out)), "results/*.json"),
        "report": lambda out: (
            bidfcl(*evaluate, "--report-only", "--output", str(out)),
            "*.html",
        ),
    }


def digests(folder: Path, pattern: str) -> dict[str, str]:
    """The files of that name, by their content; times of day and of work are left out of results."""
    found = {}
    for path in sorted(folder.glob(pattern)):
        if path.name.startswith("."):
            continue
        content = path.read_bytes()
        if path.suffix == ".json":
            measured = json.loads(content)  # not half of one
            measured.get("measured", {}).pop("seconds", None)
            content = json.dumps({k: v for k, v in measured["measured"].items() if "second" not in k}).encode()
        found[path.name] = hashlib.sha256(content).hexdigest()
    return found


@contextmanager
def group(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command and all that it starts, in a group of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": "0"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def whole(command: list[str]) -> float:
    """Run it to its end; seconds of processor time it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with group(command) as process:
        _, said = process.communicate(timeout=900)
        assert process.returncode == 0, said.decode()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def used(leader: int) -> float:
    """Seconds of processor time that the group of this leader has had so far."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == leader:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def reach(process: subprocess.Popen[bytes], moment: float) -> bool:
    """Wait until it has used so many seconds of processor time; whether it has ended before."""
    while process.poll() is None and (left := moment - used(process.pid)) > 0:
        time.sleep(max(0.002, left / 4))
    return process.poll() is not None


def run(
    count: int,
    seed: int = 0,
    names: tuple[str, ...] = ("allocate", "train", "evaluate", "report"),
    say: Callable[[str], None] = lambda _: None,
) -> Counter[str]:
    """Kill `count` times; what happened, counted, and said of each command when it is through."""
    rng, seen = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as root:
        source = Path(root) / "source"
        source.mkdir()
        prepare(source)
        for name in names:
            kills = count // len(names) + (name == names[0]) * (count % len(names))
            make = commands(source)[name]
            good = Path(root) / f"{name} good"
            good.mkdir()
            if name == "report":
                whole(commands(source)["evaluate"](good)[0])
            command, pattern = make(good)
            took = whole(command)
            expected = digests(good, pattern)
            assert expected
            out = Path(root) / name
            while kills > 0:
                out.mkdir(exist_ok=True)
                if name == "report" and not (out / "results").exists():
                    subprocess.run(["cp", "-r", str(good / "results"), str(out / "results")], check=True)
                command, pattern = make(out)
                with group(command) as process:
                    ended = reach(process, rng.uniform(0.0, 1.1 * took))
                kills -= 1
                seen[f"{name}: {'ended before' if ended else 'killed'}"] += 1
                there = digests(out, pattern)
                assert there.items() <= expected.items() or name == "report", f"{name}: {there} is not of {expected}"
                for page in out.glob("*.html"):
                    assert page.read_text(encoding="utf-8").endswith("</html>\n"), "half a page"
                if ended or there.keys() == expected.keys() or kills == 0 or rng.random() < 0.2:
                    whole(command)
                    assert digests(out, pattern) == expected or name == "report"
                    left = [p.name for p in out.rglob(".writing-*")]
                    assert not left, f"{name} leaves {left}"
                    subprocess.run(["rm", "-r", str(out)], check=True)
                    seen[f"{name}: went on to the same bytes"] += 1
            say(str({what: n for what, n in seen.items() if what.startswith(f"{name}:")}))
    return seen


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0, say=partial(print, flush=True))
