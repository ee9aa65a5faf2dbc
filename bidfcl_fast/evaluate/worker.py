"""A process that runs jobs: one line of JSON in, one line out. It ends when its input does, so no worker outlives its runner."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

from .. import machine
from . import real, recipes, repeatability, simulated, store
from .jobs import Job


def measure(job: Job, data: Path | None = None) -> dict[str, Any]:
    """Do a job."""
    if "repeatability" in job.spec:
        return repeatability.run(job.data, job.seed)
    if "real" in job.data:
        return real.run(job.spec, job.data, job.seed, data)
    return simulated.run(job.spec, job.data, job.seed)


def perform(job: Job, folder: Path, data: Path | None) -> dict[str, str]:
    """Do a job, keep its result or its failure, and say in one line how it went."""
    try:
        store.save(folder, job, {**measure(job, data), "machine": machine.sentence()})
    except (recipes.NotHere, FileNotFoundError) as error:
        return {"skipped": str(error)}
    except Exception:
        why = traceback.format_exc()
        store.save_failure(folder, job, why)
        return {"failed": why.strip().rpartition("\n")[2]}
    return {}


def main() -> None:
    folder, data = Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a method prints must not be taken for an answer
    for line in sys.stdin:
        answer = perform(Job(**json.loads(line)), folder, data)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
