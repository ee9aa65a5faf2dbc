"""The list of promises names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.findall(
    r"`(tests/[\w/]+\.(?:py|cpp))::(\w+)`", (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
)


def test_there_are_promises():
    assert len(NAMED) > 30


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_named_tests_exist(file, name):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^(?:def|void) {name}\(", text, re.MULTILINE), f"{file} has no {name}"


def test_every_file_of_reliability_is_named():
    """What is tested in this folder is a promise, so it is on the list."""
    here = Path(__file__).parent
    tested = {f"tests/reliability/{path.name}" for path in here.glob("test_*.py") if path.name != Path(__file__).name}
    assert tested <= {file for file, _ in NAMED}
