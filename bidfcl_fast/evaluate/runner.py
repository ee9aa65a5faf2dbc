"""Runs jobs in several processes of one thread each; what is done stays done, whenever it is stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..progress import Progress
from . import store
from .jobs import Job

# One thread for whatever a worker uses: its processor time is then its cost.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "BIDFCL_NUM_THREADS"), "1"
)


@dataclass
class Ran:
    """How many jobs were done before, how many now; why recipes were skipped (with counts), and which jobs failed."""

    before: int = 0
    now: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The same in words."""
        out = [f"{self.now} jobs done, {self.before} were done before"]
        out += [f"skipped {count}: {why}" for why, count in sorted(self.skipped.items())]
        out += [f"failed: {recipe}: {why}" for recipe, why in self.failed]
        return out


def run(
    jobs: Sequence[Job],
    folder: Any,
    *,
    processes: int = 2,
    data: Any = None,
    progress: bool = True,
) -> Ran:
    """Run the jobs that have no result in `folder` yet, in order, `processes` at a time.

    A job's result is one file, written at once: after a kill at any moment, calling this again goes on where it stood. A
    job that fails is noted beside the results and tried again next time; a recipe that needs something that is not there is
    skipped. `data` is the folder of the real data sets.
    """
    if processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    left = [job for job in jobs if not store.done(folder, job)]
    ran = Ran(before=len(jobs) - len(left))
    with Progress("running experiments", len(left), show=progress) as line:
        queue, lock, stop = iter(left), threading.Lock(), threading.Event()

        def take() -> Job | None:
            with lock:
                return None if stop.is_set() else next(queue, None)

        def note(job: Job, answer: dict[str, str]) -> None:
            with lock:
                if "skipped" in answer:
                    ran.skipped[f"{job.recipe}: {answer['skipped']}"] += 1
                elif "failed" in answer:
                    ran.failed.append((f"{job.study}, {job.recipe}", answer["failed"]))
                else:
                    ran.now += 1
                line.step(f"{job.study}: {job.recipe}")

        threads = [
            threading.Thread(target=_serve, args=(folder, data, take, note), daemon=True)
            for _ in range(min(processes, len(left)))
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            stop.set()
    return ran


def _serve(folder: Path, data: Any, take: Any, note: Any) -> None:
    """Feed one worker; start another if it dies."""
    worker = None
    try:
        while (job := take()) is not None:
            if worker is None or worker.poll() is not None:
                worker = _started(folder, data)
            assert worker.stdin is not None and worker.stdout is not None
            try:
                worker.stdin.write(json.dumps(asdict(job)) + "\n")
                worker.stdin.flush()
                answer = worker.stdout.readline()
            except OSError:
                answer = ""
            if not answer:
                why = f"the worker ended with status {worker.wait()}"
                store.save_failure(folder, job, why)
                note(job, {"failed": why})
                continue
            note(job, json.loads(answer))
    finally:
        if worker is not None:
            worker.kill() if worker.stdin is None else worker.stdin.close()
            worker.wait()


def _started(folder: Path, data: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"{__package__}.worker", str(folder), *([] if data is None else [str(data)])]
    environment = {**os.environ, **_ONE_THREAD}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
