"""The backend `cuda_emulated`: the sources in csrc/cuda as plain C++, built when a test first asks for them.

Beside a C++ compiler it needs the headers of CCCL: the nvidia-cuda-cccl package's, or those of a CUDA toolkit.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NAME = "cuda_emulated"


def cccl() -> Path | None:
    """The folder that holds thrust/."""
    nvcc = shutil.which("nvcc")
    homes = [os.environ.get("CUDA_HOME", ""), "/usr/local/cuda", str(Path(nvcc).resolve().parents[1]) if nvcc else ""]
    places = [p / "include" / "cccl" for p in Path(sysconfig.get_path("purelib")).glob("nvidia/*")]
    places += [Path(home) / "include" / "cccl" for home in homes if home]
    places += sorted(Path("/usr/local").glob("cuda-*/include/cccl"), reverse=True)
    return next((p for p in places if (p / "thrust" / "version.h").exists()), None)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Tests run in several processes: one builds, the others wait."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(folder: Path, *options: str) -> Path:
    """Configure and compile into `folder`; the path of the module."""
    import pybind11

    headers = cccl()
    if headers is None:
        raise RuntimeError("no headers of CCCL: pip install nvidia-cuda-cccl, or a CUDA toolkit")
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    launcher = shutil.which("ccache")
    commands = [
        [
            "cmake", "-S", ROOT / "csrc" / "cuda", "-B", folder, "-G", "Ninja",
            "-DBIDFCL_EMULATED=ON", "-DBIDFCL_DEVELOPER=ON", f"-DBIDFCL_CCCL={headers}",
            f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            *([f"-DCMAKE_CXX_COMPILER_LAUNCHER={launcher}"] if launcher else []),
            *options,
        ],
        ["cmake", "--build", folder],
    ]  # fmt: skip
    for command in commands:
        done = subprocess.run(
            [str(c) for c in command], capture_output=True, text=True, env={**os.environ, "PATH": tools}
        )
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
    return folder / f"_C_cuda_emulated{sysconfig.get_config_var('EXT_SUFFIX')}"


def load(path: Path) -> Any:
    loader = importlib.machinery.ExtensionFileLoader("_C_cuda_emulated", str(path))
    spec = importlib.util.spec_from_loader("_C_cuda_emulated", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@functools.cache
def module() -> Any:
    sanitize = os.environ.get("BIDFCL_EMULATED_SANITIZE", "")
    name = f"emulated-{sysconfig.get_config_var('SOABI')}"
    folder = ROOT / "build" / (f"{name}-sanitized" if sanitize else name)
    with _alone(folder):
        # Most of its time is spent in being compiled.
        flags = "-O1 -g" if sanitize else "-O1"
        options = ["-DCMAKE_BUILD_TYPE=Emulated", f"-DCMAKE_CXX_FLAGS_EMULATED={flags}"]
        return load(build(folder, *options, f"-DBIDFCL_SANITIZE={sanitize}"))


@functools.cache
def register() -> str | None:
    """Make `backend="cuda_emulated"` known to this process; why it cannot be."""
    try:
        made = module()
    except (RuntimeError, ImportError, FileNotFoundError) as error:  # of a compiler, pybind11, CMake
        return str(error)
    from bidfcl_fast import backends
    from bidfcl_fast._native_cuda import CudaOps

    class Emulated(CudaOps):
        __name__ = f"bidfcl_fast.backends.{NAME}"
        TAKES_DEVICE_ARRAYS = True

        def probe(self) -> str | None:
            return None

        def describe(self) -> str:
            return str(self.module.describe())

    backends._able[NAME] = Emulated(made)  # type: ignore[assignment]
    return None
