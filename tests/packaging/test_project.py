"""The project's files agree with each other, and speak of nothing but the project."""

from __future__ import annotations

import doctest
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import bidfcl_fast as bf

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_version_has_one_source():
    assert "version" in PYPROJECT["project"]["dynamic"]
    assert PYPROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "bidfcl_fast.__version__"}
    assert importlib.metadata.version("bidfcl_fast") == bf.__version__, "installed from older sources: make build"


def test_every_requirement_is_pinned():
    pins = [
        Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"
    ]
    pinned = {pin.name.lower() for pin in pins if pin.marker is None or pin.marker.evaluate()}
    assert all(str(pin.specifier).startswith("==") for pin in pins)
    wanted = [
        *PYPROJECT["build-system"]["requires"],
        *PYPROJECT["project"]["dependencies"],
        *(line for extra in EXTRAS.values() for line in extra),
    ]
    missing = {Requirement(line).name.lower() for line in wanted} - pinned - {"bidfcl_fast"}
    assert not missing


def test_development_has_what_the_build_requires():
    assert set(PYPROJECT["build-system"]["requires"]) <= set(EXTRAS["dev"])


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_commands_in_documents_exist(document):
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:^|`)make (?:[A-Z_]+=\S+ )*([a-z-]+)", document.read_text(), re.MULTILINE)
    assert set(named) <= targets


def test_subcommands_in_documents_exist():
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    for name in sorted(set(re.findall(r"(?:^|`)bidfcl ([a-z]+)", text, re.MULTILINE))):
        done = subprocess.run([sys.executable, "-m", "bidfcl_fast", name, "--help"], capture_output=True, cwd=ROOT)
        assert done.returncode == 0, f"bidfcl {name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_links_in_documents_lead_somewhere(document):
    for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text()):
        assert (document.parent / link).exists(), link


def test_examples_in_documents_print_what_they_say():
    found = doctest.testfile(str(ROOT / "docs" / "constraints.md"), module_relative=False, encoding="utf-8")
    assert found.attempted > 10 and found.failed == 0


# Each pattern is written so that it does not match itself.
FOREIGN = re.compile(
    r"/(?:work|root|opt|Users)/\w|/home/\w|/tmp/(?:dev|pk)\b"  # somebody's machine
    r"|pypi[.]org|pythonhosted[.]org|://[\w.-]*(?:mirror|artifactory|nexus)"  # where packages come from
    r"|(?i:\btool[ ]library|\b(?:this|next|last|earlier)[ ](?:session|issue)\b)"  # how the work was organised
)


def test_files_speak_of_the_project_alone():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    found = []
    for name in listed.stdout.splitlines():
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
        found += [f"{name}: {match.group()}" for match in FOREIGN.finditer(text)]
    assert not found
