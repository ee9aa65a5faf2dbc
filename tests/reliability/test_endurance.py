"""Some of what `make endurance` runs for long: memory, files and threads stay where they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GROWTH = {"solves": 6 << 20, "training": 24 << 20, "soak": 16 << 20}  # bytes: what allocators keep for later


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
@pytest.mark.parametrize(("name", "count"), [("solves", 4_000), ("training", 200), ("soak", 48_000)])
def test_nothing_grows(name, count):
    if name == "training":
        pytest.importorskip("torch")
    script = [sys.executable, str(Path(__file__).parent / "endurance.py"), name, str(count)]
    done = subprocess.run(script, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    before, after = found["before"], found["after"]
    assert after["memory"] - before["memory"] < GROWTH[name], found
    assert after["files"] <= before["files"] and after["threads"] <= before["threads"], found
