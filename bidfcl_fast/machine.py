"""What a measurement was made on: processor, cores, versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from . import __version__


def processor() -> str:
    """The model as the system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float:
    """Processes that wanted to run, the mean of the last minute; 0 where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return 0.0


def version(package: str) -> str | None:
    """Of an installed package; None if it is absent. Nothing is imported."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Python, this package, and those of `packages` that are installed."""
    found = {"python": platform.python_version(), "bidfcl_fast": __version__}
    return found | {name: known for name in packages if (known := version(name)) is not None}


def sentence() -> str:
    """All of it in one line."""
    packages = ", ".join(f"{name} {known}" if (known := version(name)) else f"no {name}" for name in ("numpy", "torch"))
    return (
        f"{processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, bidfcl_fast {__version__}, {packages}"
    )
