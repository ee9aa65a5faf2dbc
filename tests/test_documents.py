"""Every Python block of the documents runs, and every `bidfcl` command line in their shell blocks.

Blocks of one document share a process, in order. Those for many processes run in tests/scale/test_documents.py, those for a
cluster in tests/scale/spark_cluster.py; any other that needs what a test cannot have is preceded by `<!-- not run: why -->`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(<!-- not run: [^>]+-->\n)?^```(python|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)

MANY_PROCESSES = re.compile("torch.distributed|spark")
NEEDS = {"torch": "losses|bilevel|methods|linalg", "pyepo": "pyepo", "jax": "jax", "pyarrow": "parquet|bidfcl "}
# What makes a million users of a document's example few enough for a test.
FEWER = {"docs/training.md": [("simulate(20_000, 60_000, 20_000", "simulate(1_500, 2_000, 500")]}


def blocks(document: Path, language: str) -> list[str]:
    found = BLOCK.findall(document.read_text(encoding="utf-8"))
    here = [code for skipped, kind, code in found if kind == language and not skipped]
    return [code for code in here if not MANY_PROCESSES.search(code)]


def name(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


PYTHON = [d for d in DOCUMENTS if blocks(d, "python")]
COMMANDS = sorted(
    {
        (name(d), line.strip())
        for d in DOCUMENTS
        for b in blocks(d, "sh")
        for line in b.splitlines()
        if line.startswith("bidfcl ")
    }
)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """The files that the documents' examples read."""
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    folder = tmp_path_factory.mktemp("documents")
    rng = np.random.default_rng(0)
    cost = np.sort(rng.uniform(0, 10, (2000, 3)), axis=1) * [0, 1, 1]
    value = np.sqrt(cost) * rng.uniform(0, 2, (2000, 1))
    cells = {f"{kind}_{j}": a[:, j] for kind, a in (("value", value), ("cost", cost)) for j in range(3)}
    predictions = pa.table(
        {"user": np.arange(2000), **cells, **{f"open_{j}": rng.random(2000) < 0.8 + (j == 0) for j in range(3)}}
    )
    (folder / "predictions").mkdir()
    parquet.write_table(predictions, folder / "predictions.parquet")
    parquet.write_table(predictions, folder / "predictions" / "part.parquet")
    x = {f"x{k}": rng.normal(size=2000) for k in range(3)}
    t = rng.integers(3, size=2000)
    seen = {
        "user": np.arange(2000),
        **x,
        "treatment": t,
        "value": rng.random(2000) + t,
        "cost": 0.3 * t + 0.1 * (t > 0),
    }
    for file in ("trial.parquet", "log.parquet"):
        parquet.write_table(pa.table(seen), folder / file)
    parquet.write_table(pa.table({"user": np.arange(2000), **x}), folder / "people.parquet")
    return folder


def clean() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("document", PYTHON, ids=name)
def test_python_runs(document, files):
    code = "\n".join(blocks(document, "python"))
    for package, pattern in NEEDS.items():
        if re.search(pattern, code):
            pytest.importorskip(package)
    for long, short in FEWER.get(name(document), []):
        assert long in code
        code = code.replace(long, short)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=files, env=clean())
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    ("document", "line"), [c for c in COMMANDS if not re.search("evaluate|hybrid|demo|bench", c[1])]
)
def test_commands_run(document, line, files):
    """`evaluate`, `hybrid`, `demo` and `bench` have tests of their own; the others take seconds."""
    pytest.importorskip("pyarrow")
    if "train" in line or "--model" in line:
        pytest.importorskip("safetensors")
    if "--model" in line and not (files / "model.safetensors").exists():
        _run(["train", "tsm-sl", "--rct", "trial.parquet", "--ignore", "user", "--output", "model.safetensors"], files)
    _run(shlex.split(line, comments=True)[1:], files)


def _run(arguments: list[str], folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bidfcl_fast", *arguments], capture_output=True, text=True, cwd=folder, env=clean()
    )
    assert done.returncode == 0, done.stderr


def test_blocks_for_many_processes_stand_where_they_are_run():
    elsewhere = {
        name(d)
        for d in DOCUMENTS
        for _, kind, code in BLOCK.findall(d.read_text(encoding="utf-8"))
        if kind == "python" and MANY_PROCESSES.search(code)
    }
    assert elsewhere == {"docs/scale.md"}


def test_there_is_something_to_run():
    assert len(PYTHON) > 8 and len(COMMANDS) > 4
