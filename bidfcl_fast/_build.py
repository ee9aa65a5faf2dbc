"""What the installation recorded about the extension module: how it was built, or why it was not."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

_RECORD = Path(__file__).with_name("_build_info.json")


@functools.cache
def info() -> dict[str, Any]:
    """The record that the build left beside this file; empty in a checkout that was never built."""
    try:
        record: dict[str, Any] = json.loads(_RECORD.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return record


def why_no_native() -> str | None:
    """Why the installed package has no `_C`, or None if it was built."""
    record = info()
    if not record:
        return "bidfcl_fast was never installed from this folder: run make build, or pip install ."
    if not record["native"]:
        return f"_C was not built: {record['reason']}"
    return None


def why_no_cuda() -> str | None:
    """Why the installed package has no `_C_cuda`, or None if it was built."""
    record = info()
    if not record.get("native"):
        return why_no_native()
    if not record.get("cuda"):
        return f"_C_cuda was not built: {record.get('cuda_reason', 'this build knows no CUDA')}"
    return None
