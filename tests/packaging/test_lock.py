"""requirements.lock knows, by version and hash, all that CI installs, and says what constraints.txt says."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINS = re.findall(r"^([\w.-]+)==([^ ]+)", LOCK, re.MULTILINE)
LOCKED = {canonicalize_name(name): Version(version).public for name, version in PINS}
# What torch's build with CUDA brings: CI's has none.
CUDA = re.compile(r"nvidia-(?!cuda-cccl$)|cuda-|triton$")


def pins() -> dict[str, str]:
    """constraints.txt, as Python 3.11 and newer read it."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and line[0] != "#"]
    held = [pin for pin in found if pin.marker is None or pin.marker.evaluate({"python_version": "3.12"})]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in held}


def installed() -> dict[str, str]:
    """Versions of all that the extras of `make build` ask for, and of what that asks for in turn."""
    found: dict[str, str] = {}
    todo = [("bidfcl-fast", "all"), ("bidfcl-fast", "dev")]
    seen = set()
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            there = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found[name] = Version(there.version).public
        for wanted in map(Requirement, there.requires or ()):
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(wanted.name), more) for more in ("", *wanted.extras)]
    return found


def test_the_lock_is_of_the_pins():
    assert len(LOCKED) > 100
    held = pins()
    assert {name: held.get(name) for name in LOCKED} == LOCKED, "make lock"


def test_torch_is_the_build_without_cuda():
    """pip would take the one with CUDA, whose libraries are not locked, if its hashes stood here too."""
    assert Version(dict(PINS)["torch"]).local == "cpu"
    assert not [name for name in LOCKED if CUDA.match(name)]


def test_every_pin_of_the_lock_has_hashes():
    for part in re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.MULTILINE)[1:]:
        name, *hashes = part.replace("\\", "").split()
        assert hashes and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", h) for h in hashes), name


@pytest.mark.skipif(not (3, 11) <= sys.version_info[:2] < (3, 14), reason="the lock is for Python 3.11 to 3.13")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the lock is for Linux")
def test_what_is_installed_is_locked():
    there = {name: version for name, version in installed().items() if not CUDA.match(name)}
    del there["bidfcl-fast"]
    if "ruff" not in there:
        pytest.skip("not a development install")
    assert {name: LOCKED.get(name) for name in there} == there, "make lock, or make build"
