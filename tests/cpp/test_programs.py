"""The C++ test programs, each one pytest item; and again under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = sorted(p.stem for p in Path(__file__).parent.glob("test_*.cpp"))
COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")

# Headers alone: these programs need no library and compile in a second or two each.
FLAVOURS = {
    "plain": ["-O2"],
    "sanitized": ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "threads": ["-O1", "-g", "-fsanitize=thread"],
}
# The rows that CPU and GPU share, by the other compiler as well.
SHARED_ROWS = {"test_fixed", "test_hull", "test_plan", "test_warp", "test_loss_rows", "test_activation"}
CLANG = shutil.which("clang++")


# The one program with threads runs under their sanitizer as well.
RUNS = [(p, f, COMPILER) for p in PROGRAMS for f in FLAVOURS if f != "threads" or p == "test_threads"]
RUNS += [(p, "sanitized", CLANG) for p in PROGRAMS if CLANG and p in SHARED_ROWS]


@pytest.mark.parametrize(("program", "flavour", "compiler"), RUNS, ids=lambda x: Path(x).name)
def test_program(program: str, flavour: str, compiler: str, tmp_path: Path) -> None:
    source, binary = ROOT / "tests" / "cpp" / f"{program}.cpp", tmp_path / program
    include = ["-I", ROOT / "tests" / "emulated", "-I", ROOT / "csrc"]
    flags = ["-std=c++17", "-pthread", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", *FLAVOURS[flavour]]
    built = subprocess.run([compiler, *flags, *include, source, "-o", binary], capture_output=True, text=True)
    if flavour != "plain" and built.returncode and "cannot find" in built.stderr:
        pytest.skip("the compiler has no sanitizer runtime")
    assert built.returncode == 0, built.stderr
    run = subprocess.run([binary], capture_output=True, text=True)
    if "unexpected memory mapping" in run.stderr:
        pytest.skip("this kernel's address layout is too new for the compiler's thread sanitizer")
    assert run.returncode == 0, run.stdout + run.stderr
    assert " 0 failed" in run.stdout
    assert int(run.stdout.split()[0]) > 100, "the program checked next to nothing"
