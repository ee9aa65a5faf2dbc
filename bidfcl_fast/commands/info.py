"""`bidfcl info`."""

from __future__ import annotations

import argparse
import json
import platform
from typing import Any

from .. import __version__, _build, backends, machine

_PACKAGES = ("numpy", "numba", "torch", "pyarrow", "matplotlib")


def run(args: argparse.Namespace) -> None:
    facts = gather()
    if args.json:
        print(json.dumps(facts, indent=2))
        return
    print(f"bidfcl_fast {facts['version']}, Python {facts['python']}, {facts['platform']}")
    print(f"{facts['cpu']}, {facts['threads']} thread{'s' * (facts['threads'] != 1)}")
    print("\nbackends")
    _lines(facts["backends"])
    if facts["native_build"]:
        print(f"  native build: {facts['native_build']}")
    print(f"  default: {facts['default_backend']}")
    print("\npackages")
    _lines({name: version or "absent" for name, version in facts["packages"].items()})


def gather() -> dict[str, Any]:
    """Everything `info` shows; nothing heavy is imported for it."""
    try:
        default = backends.resolve().__name__.rpartition(".")[2]
    except (RuntimeError, ValueError) as error:
        default = f"none: {error}"
    described = backends.describe()
    return {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": machine.processor(),
        "threads": backends.threads(),
        "backends": described,
        "default_backend": default,
        # Worth reading only where the native backend is missing.
        "native_build": _build.why_no_native() if described.get("cpp", "absent").startswith("absent") else None,
        "packages": {name: machine.version(name) for name in _PACKAGES},
    }


def _lines(facts: dict[str, str]) -> None:
    width = max(map(len, facts))
    for name, text in facts.items():
        print(f"  {name.ljust(width)}  {text}")
