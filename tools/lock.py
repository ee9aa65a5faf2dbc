"""requirements.lock: the hashes of all that `make build` installs, so that nothing runs that has changed under its name.

`make lock` writes it anew from pyproject.toml and constraints.txt, for the Python versions and the platform of CI. Where
`find-links` offers a build that the package index does not have (torch without CUDA, as in 2.13.0+cpu), it is locked instead:
asked for hashes, pip prefers a file whose hash the index tells, and would take the one with CUDA.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
LEAST = "3.11.5"
WHERE = f"sys_platform == 'linux' and platform_machine == 'x86_64' and python_full_version >= '{LEAST}' and python_version < '3.14'"
CUDA = re.compile(
    r"nvidia-(?!cuda-cccl==)|cuda-|triton=="
)  # what torch from the index needs beside, and the build without CUDA does not; nvidia-cuda-cccl is the tests' own
ALONE = ["curvlinops-for-pytorch"]  # Makefile: without its dependencies
HEAD = """\
# Written by `make lock`: every file that may stand behind a pin of constraints.txt, for CPython 3.11 to 3.13 on Linux, x86-64.
# `make build HASHES=1` installs nothing else. torch is the build without CUDA, which a folder of `find-links` has to offer.
"""


def resolved() -> str:
    """What uv finds for the extras that `make build` installs, and for what it adds without dependencies."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        project = re.sub(r"^requires-python = .*$", f'requires-python = ">={LEAST}"', project, flags=re.MULTILINE)
        (folder / "pyproject.toml").write_text(f'{project}\n[tool.uv]\nenvironments = ["{WHERE}"]\n', encoding="utf-8")
        shutil.copy(ROOT / "constraints.txt", folder)
        command = [
            Path(sys.executable).with_name("uv"), "pip", "compile", "--quiet", "--universal", "--constraint", "constraints.txt",
            "--python-version", LEAST, "--no-python-downloads", "--generate-hashes", "--no-header", "--no-annotate",
        ]  # fmt: skip
        (folder / "alone.in").write_text("\n".join(ALONE), encoding="utf-8")
        whole = [*command, "pyproject.toml", "--extra", "all", "--extra", "dev", "--output-file", "whole"]
        alone = [*command, "alone.in", "--no-deps", "--output-file", "alone"]
        for each in (whole, alone):
            subprocess.run(each, cwd=folder, check=True)
        return "".join((folder / name).read_text(encoding="utf-8") for name in ("whole", "alone"))


def offered() -> dict[str, tuple[str, list[str]]]:
    """`name==version` of the wheels in pip's `find-links` folders, local versions aside; the version with it, and the hashes."""
    told = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found: dict[str, tuple[str, list[str]]] = {}
    for places in re.findall(r"find-links='(.*)'$", told.stdout, re.MULTILINE):
        for wheel in (wheel for place in places.split() for wheel in sorted(Path(place).glob("*+*.whl"))):
            name, version = wheel.name.split("-")[:2]
            name = name.lower().replace("_", "-")
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            _, known = found.setdefault(f"{name}=={version.partition('+')[0]}", (f"{name}=={version}", []))
            known += [digest] if digest not in known else []
    return found


def main() -> None:
    more = offered()
    lines: list[str] = []
    for part in re.findall(r"^\S.*(?:\n .*)*", resolved(), re.MULTILINE):
        pin, *hashes = re.findall(
            r"^[\w.-]+==[^ ]+|sha256:\w+", part
        )  # without the marker: it says where all of it holds
        if not CUDA.match(pin):
            if pin in more:
                pin, digests = more[pin]
                hashes = [f"sha256:{digest}" for digest in digests]
            lines.append(" \\\n    --hash=".join([pin, *sorted(hashes)]))
    lines.sort(key=lambda line: line.partition("==")[0].lower().replace("_", "-"))
    LOCK.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
