"""Builds the source distribution, and from it wheels with and without a compiler, isolated as `pip install` does it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import bidfcl_fast as bf

ROOT = Path(__file__).parents[2]
CONSTRAINTS = str(ROOT / "constraints.txt")

pytestmark = pytest.mark.install


def run(*command: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("BIDFCL_", "CMAKE_", "PYTHONPATH"))}
    # Machine code for every GPU takes minutes, and `make cuda-compile` is about that.
    clean |= {"PIP_CONSTRAINT": CONSTRAINTS, "PIP_BUILD_CONSTRAINT": CONSTRAINTS, "BIDFCL_CUDA": "0", **env}
    return subprocess.run([str(c) for c in command], cwd=cwd, env=clean, capture_output=True, text=True)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    """The source distribution of what git would commit."""
    folder = tmp_path_factory.mktemp("sdist")
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    if run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, "pybind11", cwd=folder).returncode:
        pytest.skip("the package index cannot be reached")
    tree = folder / "tree"
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((ROOT / name).read_bytes())
    done = run(sys.executable, "-c", "from setuptools import build_meta as b; b.build_sdist('dist')", cwd=tree)
    assert done.returncode == 0, done.stderr
    (found,) = (tree / "dist").glob("*.tar.gz")
    return found


def wheel(sdist: Path, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "pip", "wheel", "-v", "--no-deps", "-w", folder, sdist, cwd=folder, **env)


@pytest.fixture(scope="module")
def native(sdist, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("native")
    # What is in the wheel is in question, not its speed: `make dist` compiles all instruction sets, with optimisation.
    quick = "-DBIDFCL_GENERIC=ON -DCMAKE_CXX_FLAGS_RELEASE=-O1"
    done = wheel(sdist, folder, BIDFCL_REQUIRE_NATIVE="1", CMAKE_ARGS=quick)
    assert done.returncode == 0, done.stdout[-3000:]
    (found,) = folder.glob("*.whl")
    # pip says on the one what it does, on the other what the build does
    (folder / "log").write_text(done.stdout + done.stderr)
    return found


@pytest.fixture(scope="module")
def pure(sdist, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pure")
    done = wheel(sdist, folder, CXX="/nonexistent")
    assert done.returncode == 0, done.stdout[-3000:]
    (found,) = folder.glob("*.whl")
    return found


def unpacked(wheel: Path) -> Path:
    site = wheel.parent / "site"
    if not site.exists():
        zipfile.ZipFile(wheel).extractall(site)
    return site


SOLVE = """
import json, sys
import numpy as np
sys.modules["torch"] = None     # importing it now fails
import bidfcl_fast as bf
plan = bf.solve_mckp(np.eye(4), np.ones((4, 4)) - np.eye(4)[0], 3.5)
print(json.dumps([bf.__file__, plan.stats["backend"], bf.backends.describe()]))
"""


def solved(wheel: Path) -> tuple[str, dict[str, str]]:
    """What solves a problem in a process that sees this wheel, and what its backends say of themselves."""
    site = unpacked(wheel)
    # -S: no .pth files, since that of an editable installation would offer its own _C where the wheel has none.
    path = os.pathsep.join([str(site), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    done = run(sys.executable, "-S", "-c", SOLVE, cwd=wheel.parent, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    file, backend, described = json.loads(done.stdout)
    assert file.startswith(str(site))
    return backend, described


def test_sdist_holds_all_it_needs(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for kept in ["csrc", "tests", "bidfcl_fast/data"]:
        files = {
            p.relative_to(ROOT).as_posix()
            for p in (ROOT / kept).rglob("*")
            if p.suffix in {".cpp", ".h", ".cu", ".cuh", ".gz", ".py"}
        }
        assert files <= names, sorted(files - names)
    assert names >= {"CMakeLists.txt", "Makefile", "constraints.txt", "LICENSE", "setup.py"}
    assert not [n for n in names if n.endswith((".so", "_build_info.json"))]


def test_wheel_is_compiled_once(native):
    log = (native.parent / "log").read_text()
    assert len(re.findall(r"cmake --build ", log)) == 1


def test_wheel_is_tagged_for_this_interpreter(native):
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert native.name == f"bidfcl_fast-{bf.__version__}-{tag}-{tag}-{platform}.whl"


def test_wheel_holds_the_package_and_nothing_else(native):
    names = set(zipfile.ZipFile(native).namelist())
    package = {
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / "bidfcl_fast").rglob("*")
        if p.suffix in {".py", ".gz", ".txt", ".typed"}
    }
    assert package <= names, sorted(package - names)
    extension = f"bidfcl_fast/_C{sysconfig.get_config_var('EXT_SUFFIX')}"
    assert extension in names
    assert {name.partition("/")[0] for name in names} == {"bidfcl_fast", f"bidfcl_fast-{bf.__version__}.dist-info"}
    binary = zipfile.ZipFile(native).read(extension)
    assert b"torch" not in binary
    assert b"libc10" not in binary


def test_wheel_requires_numpy_and_numba_only(native):
    metadata = zipfile.ZipFile(native).read(f"bidfcl_fast-{bf.__version__}.dist-info/METADATA").decode()
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert sorted(line.split()[1].partition(">")[0] for line in required) == ["numba", "numpy"]
    assert "License-Expression: MIT" in metadata


def test_wheel_solves_with_cpp(native):
    backend, described = solved(native)
    assert backend == "cpp"
    assert not described["cpp"].startswith("absent")


def test_without_a_compiler_the_wheel_is_pure(pure):
    assert pure.name == f"bidfcl_fast-{bf.__version__}-py3-none-any.whl"
    record = json.loads(zipfile.ZipFile(pure).read("bidfcl_fast/_build_info.json"))
    assert record["native"] is False
    assert "/nonexistent" in record["reason"]
    assert not [name for name in zipfile.ZipFile(pure).namelist() if name.endswith(".so")]


def test_without_a_compiler_numba_solves_and_the_reason_is_told(pure):
    backend, described = solved(pure)
    assert backend == "numba"
    assert described["cpp"].startswith("absent")
    assert "/nonexistent" in described["cpp"]


@pytest.mark.skipif(sys.platform != "linux", reason="the audit is of Linux wheels")
def test_the_wheel_needs_no_library_that_a_plain_linux_lacks(native, tmp_path):
    pytest.importorskip("auditwheel")
    spec = importlib.util.spec_from_file_location("dist", ROOT / "tools" / "dist.py")
    dist = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dist)
    assert "libc.so.6" in dist.libraries(native)
    made = dist.audited(native, tmp_path)
    assert re.search(r"-manylinux_2_\d+_x86_64|-manylinux_2_\d+_aarch64", made.name)


def test_the_contract_holds_for_the_wheel_without_torch(native, tmp_path):
    """A part of the suite, against the wheel's files and its C++; `make dist` runs all of it in empty environments, Numba too."""
    site = unpacked(native)
    blocked = "import sys\nfor name in ('torch', 'jax', 'pyarrow', 'econml'):\n    sys.modules[name] = None\n"
    (tmp_path / "torch_absent.py").write_text(blocked)
    path = os.pathsep.join([str(tmp_path), str(site), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    suite = ROOT / "tests" / "contract"
    done = run(
        sys.executable, "-S", "-m", "pytest", "-q", "-k", "not numba", "-p", "torch_absent", "-p", "no:cacheprovider", "-p", "no:xdist",
        suite / "test_mckp.py", suite / "test_errors.py", suite / "test_arrays.py", cwd=tmp_path, PYTHONPATH=path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]


def test_native_can_be_required(sdist, tmp_path):
    done = wheel(sdist, tmp_path, CXX="/nonexistent", BIDFCL_REQUIRE_NATIVE="1")
    assert done.returncode != 0
    assert "BIDFCL_REQUIRE_NATIVE is set and _C was not built" in done.stdout + done.stderr
