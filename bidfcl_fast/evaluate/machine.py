"""What a result was made on: processor, Python, packages."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

from .. import __version__


def name() -> str:
    """One line."""
    packages = []
    for package in ("numpy", "torch"):
        try:
            packages.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            packages.append(f"no {package}")
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"bidfcl_fast {__version__}, {', '.join(packages)}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.processor() or "unknown processor"
