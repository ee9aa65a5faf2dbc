"""A user's script under `mypy --strict`: the package's names have types, the lazily loaded ones too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bidfcl_fast as bf

pytest.importorskip("mypy")

SCRIPT = """
import numpy as np
import bidfcl_fast as bf
from bidfcl_fast import metrics
from bidfcl_fast.data import Table, simulate
from bidfcl_fast.scale import parquet, spark

value, cost = np.ones((3, 2)), np.ones((3, 2))
plan: bf.Plan = bf.solve_mckp(value, cost, 3.0)
frontier: bf.Frontier = bf.budget_frontier(value, cost)
got = bf.loss_and_grad("ppl", value, cost, np.zeros(3, np.int64), np.ones(3), np.ones(3), 0.5)
number: float = got.loss
table: Table = simulate(10, 10, 10).rct
worth = metrics.ipw_value(plan.choice, table)
names: list[str] = bf.methods.names()
method = bf.methods.create("tsm-sl")
described: dict[str, str] = bf.backends.describe()
written: parquet.WrittenPlan = parquet.allocate("in", "out", [1.0, 2.0], mask="open", throw=False)
numbers: parquet.WrittenPlan = spark.plan_of(spark.allocate(object(), [1.0], keys=["user"], mask="open"))
pair = bf.adapters.from_effects(value, 1.0)
price: float = bf.InfeasibleBudget.__doc__ is not None and 1.0 or 0.0
"""

WRONG = """
import bidfcl_fast as bf
bf.solve_mckp(1)                    # no cost
bf.solve_mckpp                      # no such name
text: str = bf.methods.names()      # a list
"""


def test_a_script_of_a_user_is_clean_and_its_mistakes_are_found(tmp_path):
    names = "\n".join(["import bidfcl_fast as bf", *(f"bf.{name}" for name in bf.__all__), ""])
    for file, code in (("right.py", SCRIPT), ("names.py", names), ("wrong.py", WRONG)):
        (tmp_path / file).write_text(code)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--ignore-missing-imports"]
    command += ["--cache-dir", str(tmp_path / "cache"), "right.py", "names.py", "wrong.py"]
    here = {**os.environ, "MYPYPATH": str(Path(bf.__file__).parents[1])}  # an editable install is not on mypy's path
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=here).stdout
    assert "right.py" not in said and "names.py" not in said, said
    assert said.count("wrong.py:") == 3, said
    for mark in ("call-arg", "attr-defined", "assignment"):
        assert mark in said
    assert (Path(bf.__file__).parent / "py.typed").exists()
