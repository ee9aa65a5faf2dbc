"""A local cluster of two executors decides as one process does, also when one of them is killed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.spark

# One cluster serves all that is asked: starting one takes longer than the questions.
PROGRAM = Path(__file__).with_name("spark_cluster.py")


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> dict[str, str]:
    pytest.importorskip("pyspark")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("PySpark needs Java")
    folder = tmp_path_factory.mktemp("spark")
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder)], capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)


@pytest.mark.parametrize(
    "name",
    [
        "files",
        "small traffic",
        "alike, shuffled, without fill",
        "an empty partition",
        "several budgets",
        "shared jobs",
        "a mask",
        "without throwing",
    ],
)
def test_the_plan_is_that_of_one_process(said, name):
    assert said[name] == "same"


def test_misuse_and_outcomes(said):
    assert said["infeasible"] == "InfeasibleBudget"
    assert "partition" in said["not finite"] and "finite number, got nan" in said["not finite"]
    assert said["missing"] == "column cost_2 is missing: there is value_2"
    assert "has other rows than when the plan was made" in said["other rows"]


def test_misuse_of_masks_and_budgets(said):
    assert re.search(r"partition \d: row 1322 .*: open_0 to open_2 are all false", said["none open"])
    assert said["mask missing"].startswith("column open_1 is missing: the mask needs open_0 to open_2")
    assert said["mask of numbers"] == "column open_0 must hold true and false, got int"
    assert said["twice"].endswith("choice_at_500 comes twice")
    assert said["one infeasible"].startswith("budget[1] = -1.0 is infeasible")


def test_the_block_of_the_documents_runs(said):
    assert said["documents"] == "same"


def test_a_killed_executor_changes_nothing(said):
    assert said["executor killed"] == "same"
    assert int(said["executors lost"]) >= 1
