"""The Python of docs/curvature.md runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]


def test_python_in_the_document_runs():
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/curvature.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    code = "import warnings; warnings.simplefilter('error', UserWarning)\n" + "\n".join(blocks)
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("converged")
