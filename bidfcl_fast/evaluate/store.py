"""Results in a folder: one file for each job, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import tables
from .jobs import Job


def done(folder: Path, job: Job) -> bool:
    """Whether the job has a result there."""
    return _result(folder, job).exists()


def save(folder: Path, job: Job, measured: dict[str, Any]) -> None:
    """Keep a result, and forget that the job ever failed."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"job": asdict(job), "measured": measured}, allow_nan=False)
    tables.write_text(_result(folder, job), text + "\n")
    _failure(folder, job).unlink(missing_ok=True)


def save_failure(folder: Path, job: Job, why: str) -> None:
    """Keep why a job failed; it is tried again next time."""
    folder.mkdir(parents=True, exist_ok=True)
    tables.write_text(_failure(folder, job), json.dumps({"job": asdict(job), "why": why}) + "\n")


def load(folder: Any) -> list[dict[str, Any]]:
    """All results of a folder: {"job": …, "measured": …} each, in order of study, recipe and seed."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in _files(Path(folder), "*.json")]
    return sorted(
        found, key=lambda r: json.dumps([r["job"]["study"], r["job"]["data"], r["job"]["recipe"]], sort_keys=True)
    )


def failures(folder: Any) -> list[dict[str, Any]]:
    """All failures of a folder: {"job": …, "why": …} each."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in _files(Path(folder), "*.failed")]


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    return (path for path in sorted(folder.glob(pattern)) if not path.name.startswith("."))


def _result(folder: Path, job: Job) -> Path:
    return folder / f"{job.key}.json"


def _failure(folder: Path, job: Job) -> Path:
    return folder / f"{job.key}.failed"
