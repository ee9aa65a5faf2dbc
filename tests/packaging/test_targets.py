"""One library for many instruction sets: the right code runs, and nothing of a wide target leaks into the rest."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import bidfcl_fast as bf
from bidfcl_fast import _build

ROOT = Path(__file__).parents[2]
TARGETS = _build.info().get("instruction_sets", [])
NM = shutil.which("nm")
QEMU = shutil.which("qemu-x86_64")

pytestmark = pytest.mark.skipif("cpp" not in bf.backends.available(), reason="installed without _C")


def test_every_x86_machine_gets_all_targets():
    x86 = platform.machine() in {"x86_64", "AMD64"}
    assert TARGETS == (["generic", "avx2", "avx512"] if x86 else ["generic"])


def runs(target: str) -> bool:
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return target == "generic" or {"avx2": " avx2 ", "avx512": " avx512vl "}[target] in flags


@pytest.mark.parametrize("target", TARGETS)
def test_forced_target_is_the_one_that_runs(target):
    if not runs(target):
        pytest.skip(f"this processor has no {target}")
    said = subprocess.run(
        [sys.executable, "-c", "import bidfcl_fast as bf; print(bf.backends.describe()['cpp'])"],
        env={**os.environ, "BIDFCL_ARCH": target}, capture_output=True, text=True, check=True, cwd=ROOT,
    ).stdout  # fmt: skip
    assert target in said


PLAN = """
import hashlib
import numpy as np
import bidfcl_fast as bf

rng = np.random.default_rng(0)
cost = rng.uniform(0, 10, (2000, 5)).astype("float32")
value = rng.uniform(0, 2, cost.shape).astype("float32")
plan, frontier = bf.solve_mckp(value, cost, 4000, backend="cpp"), bf.budget_frontier(value, cost, backend="cpp")
print(bf.backends.describe()["cpp"])
print(hashlib.sha256(plan.choice.tobytes() + frontier.value.tobytes()).hexdigest())
"""


@pytest.mark.skipif(QEMU is None or platform.machine() != "x86_64", reason="qemu-x86_64 (qemu-user) is not installed")
@pytest.mark.parametrize(("processor", "target"), [("Nehalem", "generic"), ("Haswell", "avx2")])
def test_older_processor_runs_its_own_code_to_the_same_bits(processor, target):
    """An emulated processor stops at the first instruction that it does not have."""
    path = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    env |= {"PYTHONPATH": path, "BIDFCL_ARCH": ""}
    python = os.path.realpath(sys.executable)

    def plan(*command: str) -> list[str]:
        done = subprocess.run([*command, "-c", PLAN], env=env, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    here, there = plan(python), plan(QEMU, "-cpu", processor, python)
    assert f"{target} kernels" in there[0]
    assert there[1] == here[1]


@pytest.mark.skipif(NM is None, reason="nm (binutils) is not installed")
@pytest.mark.parametrize("target", TARGETS)
def test_target_shares_no_symbol(target):
    """A symbol that two targets define could be linked from the wider one, and stop a machine that lacks it."""
    objects = sorted(ROOT.glob(f"build/cmake-*/CMakeFiles/bidfcl_{target}.dir/**/*.o"))
    if not objects:
        pytest.skip("no development build here (make build)")
    for file in objects:
        table = subprocess.run([NM, "-g", "--defined-only", file], capture_output=True, text=True, check=True).stdout
        symbols = [line.split()[-1] for line in table.splitlines()]
        assert symbols
        shared = [name for name in symbols if target not in name and not name.startswith("DW.ref.")]
        assert not shared, f"{file.name} for {target} defines symbols outside its namespace: {shared}"
