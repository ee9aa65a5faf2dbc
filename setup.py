"""Hands csrc/ to CMake; all else about the package stands in pyproject.toml.

A machine without a C++ compiler gets the package without `_C`, and `_build_info.json` beside it says why. Set
BIDFCL_REQUIRE_NATIVE=1 to make that an error, BIDFCL_PURE=1 to leave `_C` out on purpose. CMAKE_ARGS is passed on to CMake.

Where there is a CUDA compiler, `_C_cuda` is built too, by itself: if that fails, the rest is as it was, and the record says why.
BIDFCL_CUDA=0 does not try, BIDFCL_CUDA=1 makes a failure an error; BIDFCL_CUDA_ARCHITECTURES is CMake's list, as in 90 or native.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
# Where pip puts the build's requirements, then where `pip install --no-build-isolation` leaves them.
TOOLS = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])


class NoNative(Exception):
    """Why there is no extension module."""


def wants(variable):
    return os.environ.get(variable, "0") not in ("", "0")


def tool(name):
    found = shutil.which(name, path=TOOLS)
    if found is None:
        raise NoNative(f"{name} was not found")
    return found


def run(*command, **env):
    print("+", shlex.join(command), flush=True)
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | env)
    print(done.stdout, flush=True)
    if done.returncode:
        raise NoNative(first_error(done.stdout))


def first_error(log):
    """The compiler's first error line, else what CMake says first, on one line."""
    found = re.search(r"^(.*\berror: .*)$", log, re.MULTILINE)
    found = found or re.search(r"^CMake Error[^\n]*:\n(.*?)(?=\n\S|\Z)", log, re.MULTILINE | re.DOTALL)
    found = found or re.search(r"^CMake Error(?: at [^\n]*?)?: ?(.*)$", log, re.MULTILINE)
    return " ".join((found.group(1) if found else log[-400:]).split())[:400]


def cmake(build, prefix):
    """Configure, build and install `_C` and its record into `prefix`/bidfcl_fast."""
    if wants("BIDFCL_PURE"):
        raise NoNative("this is the wheel without C++ (BIDFCL_PURE)")
    try:
        import pybind11
    except ImportError as error:
        raise NoNative("pybind11 is not installed") from error
    run(
        tool("cmake"), "-S", str(ROOT), "-B", str(build), "-G", "Ninja",
        f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
        f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        *shlex.split(os.environ.get("CMAKE_ARGS", "")),
    )  # fmt: skip
    run(tool("cmake"), "--build", str(build))
    # A process that has the old one loaded keeps it; written over, it would crash.
    (prefix / "bidfcl_fast" / f"_C{sysconfig.get_config_var('EXT_SUFFIX')}").unlink(missing_ok=True)
    bare = [] if "BIDFCL_SANITIZE" in os.environ.get("CMAKE_ARGS", "") else ["--strip"]  # a finding needs its names
    run(tool("cmake"), "--install", str(build), "--prefix", str(prefix), *bare)


def nvcc():
    """The CUDA compiler, or NoNative."""
    asked = os.environ.get("CUDACXX")
    homes = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    wheels = sorted(Path(sysconfig.get_path("purelib")).glob("nvidia/*/bin/nvcc"), reverse=True)
    for path in [
        asked,
        shutil.which("nvcc", path=TOOLS),
        *(str(Path(home) / "bin" / "nvcc") for home in homes),
        *map(str, wheels),
    ]:
        if path and os.access(path, os.X_OK):
            return path
    raise NoNative(
        "no CUDA compiler (nvcc) was found on PATH, in CUDACXX, in CUDA_HOME or among the wheels of nvidia-cuda-nvcc"
    )


def cuda(build, prefix):
    """Build and install `_C_cuda` into `prefix`/bidfcl_fast."""
    import pybind11

    architectures = os.environ.get("BIDFCL_CUDA_ARCHITECTURES")
    compiler = nvcc()
    # nvcc looks for its runtime in lib64, the wheels have it in lib.
    env = {
        "LIBRARY_PATH": os.pathsep.join(
            filter(None, [os.environ.get("LIBRARY_PATH"), str(Path(compiler).parents[1] / "lib")])
        )
    }
    run(
        tool("cmake"), "-S", str(ROOT / "csrc" / "cuda"), "-B", str(build), "-G", "Ninja",
        f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
        f"-DCMAKE_CUDA_COMPILER={compiler}",
        f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        *([f"-DBIDFCL_CUDA_ARCHITECTURES={architectures}"] if architectures else []),
        *shlex.split(os.environ.get("CMAKE_ARGS", "")),
        **env,
    )  # fmt: skip
    run(tool("cmake"), "--build", str(build), **env)
    (prefix / "bidfcl_fast" / f"_C_cuda{sysconfig.get_config_var('EXT_SUFFIX')}").unlink(missing_ok=True)  # as above
    run(tool("cmake"), "--install", str(build), "--prefix", str(prefix), "--strip")


class BuildNative(build_ext):
    def cuda(self, in_place, prefix, package):
        """`_C_cuda`, if it can be had; the record says so, or why not."""
        asked = os.environ.get("BIDFCL_CUDA", "auto")
        try:
            if asked == "0":
                raise NoNative("BIDFCL_CUDA=0 was set")
            nvcc()
            if in_place:
                cuda(ROOT / "build" / f"cuda-{sysconfig.get_config_var('SOABI')}", prefix)
            else:
                with tempfile.TemporaryDirectory() as build:
                    cuda(Path(build), prefix)
            found = {"cuda": True}
        except NoNative as why:
            if asked == "1":
                raise SystemExit(f"BIDFCL_CUDA=1 is set and _C_cuda was not built: {why}") from None
            print(f"bidfcl_fast: installing without _C_cuda: {why}", file=sys.stderr)
            (package / f"_C_cuda{sysconfig.get_config_var('EXT_SUFFIX')}").unlink(missing_ok=True)
            found = {"cuda": False, "cuda_reason": str(why)}
        record = package / "_build_info.json"
        record.write_text(json.dumps(json.loads(record.read_text()) | found, indent=2) + "\n")

    def run(self):
        in_place = self.inplace or self.editable_mode
        prefix = ROOT if in_place else Path(self.build_lib).resolve()
        package = prefix / "bidfcl_fast"
        package.mkdir(parents=True, exist_ok=True)
        try:
            if in_place:  # kept, so that the next build compiles only what changed
                cmake(ROOT / "build" / f"cmake-{sysconfig.get_config_var('SOABI')}", prefix)
            else:
                with tempfile.TemporaryDirectory() as build:
                    cmake(Path(build), prefix)
            self.cuda(in_place, prefix, package)
        except NoNative as why:
            if wants("BIDFCL_REQUIRE_NATIVE") and not wants("BIDFCL_PURE"):
                raise SystemExit(f"BIDFCL_REQUIRE_NATIVE is set and _C was not built: {why}") from None
            print(f"bidfcl_fast: installing without _C: {why}", file=sys.stderr)
            (package / f"_C{sysconfig.get_config_var('EXT_SUFFIX')}").unlink(missing_ok=True)
            record = {"native": False, "reason": str(why)}
            (package / "_build_info.json").write_text(json.dumps(record, indent=2) + "\n")
            self.distribution.ext_modules = self.extensions = []


class Wheel(bdist_wheel):
    """Builds first, from nothing, so that a wheel without `_C` is tagged for what it is: pure Python."""

    def run(self):
        shutil.rmtree(self.get_finalized_command("build").build_lib, ignore_errors=True)
        self.run_command("build")
        self.skip_build = True  # what follows has forgotten that the extension is built, and would compile it once more
        self.root_is_pure = not self.distribution.has_ext_modules()
        super().run()


setup(
    ext_modules=[Extension("bidfcl_fast._C", sources=[])],
    cmdclass={"build_ext": BuildNative, "bdist_wheel": Wheel},
)
