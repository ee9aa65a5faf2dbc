"""Compile csrc/cuda for every architecture, warnings as errors, and hold registers, spills and shared memory of each kernel against
bench/results/ptxas.json. Needs no GPU, and no CUDA: where nvcc is missing, the compiler comes from PyPI.

    python bench/ptxas.py [--architectures sm_90 ...] [--write]
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "bench" / "results" / "ptxas.json"
ARCHITECTURES = ("sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
WHEELS = ("nvidia-cuda-nvcc", "nvidia-cuda-crt", "nvidia-nvvm", "nvidia-cuda-runtime", "nvidia-cuda-cccl")
FLAGS = (
    "-std=c++17", "-O3", "--fmad=false", "--expt-relaxed-constexpr", "--resource-usage", "-Werror=all-warnings",
    "-Xcompiler=-Wall,-Wextra,-Wno-psabi",
)  # fmt: skip


def compiler() -> Path:
    """nvcc: of the machine, or from wheels in build/cuda-compiler."""
    found = shutil.which("nvcc")
    if found:
        return Path(found)
    folder = ROOT / "build" / "cuda-compiler"
    nvcc = next(folder.glob("nvidia/*/bin/nvcc"), None)
    if nvcc is None:
        print(f"no nvcc on PATH: its wheels go to {folder.relative_to(ROOT)}", flush=True)
        pins = ["--constraint", ROOT / "constraints.txt"]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *pins, "--target", folder, *WHEELS]
        subprocess.run([str(c) for c in command], check=True)
        nvcc = next(folder.glob("nvidia/*/bin/nvcc"))
    for tool in (*nvcc.parent.iterdir(), *(nvcc.parents[1] / "nvvm" / "bin").glob("*")):
        tool.chmod(tool.stat().st_mode | 0o111)  # pip --target forgets it
    return nvcc


def version_of(nvcc: Path) -> str:
    out = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"V([\d.]+)", out)[1]  # type: ignore[index]


def headers(nvcc: Path) -> list[str]:
    """Where CCCL is, if nvcc does not know it itself: in wheels."""
    return [f"-isystem={p}" for p in nvcc.parents[1].glob("include/cccl")]


def name_of(mangled: str) -> str:
    full = subprocess.run(["c++filt", mangled], capture_output=True, text=True).stdout.strip()
    full = re.sub(r"bidfcl::|\(anonymous namespace\)::", "", full)
    depth = 0
    for at, c in enumerate(full):  # up to the arguments
        depth += (c == "<") - (c == ">")
        if c == "(" and depth == 0:
            full = full[:at]
            break
    full = re.sub(r"\(LossOrder\)(\d)", lambda m: ("kValue", "kGradient", "kHessian")[int(m[1])], full)
    return full.removeprefix("void ")


def code_bytes(cubin: bytes) -> dict[str, int]:
    """Bytes of machine code of each kernel: the sizes of an ELF file's sections .text.<kernel>."""
    (table,) = struct.unpack_from("<Q", cubin, 0x28)
    size, count, names = struct.unpack_from("<HHH", cubin, 0x3A)

    def section(k: int) -> tuple[int, int, int]:
        (name,) = struct.unpack_from("<I", cubin, table + k * size)
        return (name, *struct.unpack_from("<QQ", cubin, table + k * size + 24))

    strings = section(names)[1]
    found = {}
    for name, _, length in map(section, range(count)):
        text = cubin[strings + name : cubin.index(b"\0", strings + name)].decode()
        if text.startswith(".text."):
            found[text.removeprefix(".text.")] = length
    return found


def compiled(nvcc: Path, source: Path, architecture: str, whole: bool) -> dict[str, dict[str, int]]:
    """What ptxas says of each kernel of one file; raises what nvcc says if it fails. `whole`: the host's side is compiled too."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            nvcc,
            *FLAGS,
            *(("-c", "--keep", f"--keep-dir={folder}") if whole else ("-cubin",)),
            f"-arch={architecture}",
            "-I",
            ROOT / "csrc",
            *headers(nvcc),
            "-o",
            f"{folder}/out.o" if whole else f"{folder}/out.cubin",
            source,
        ]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        code = {} if done.returncode else code_bytes(next(Path(folder).glob("*.cubin")).read_bytes())
    if done.returncode:
        raise RuntimeError(f"{source.relative_to(ROOT)}, {architecture}:\n{done.stdout}{done.stderr}")
    kernels = {}
    for block in re.split(r"Compiling entry function", done.stderr)[1:]:
        mangled = re.search(r"'(\w+)'", block)[1]  # type: ignore[index]
        if "6bidfcl12thread_a_row" not in mangled and "6bidfcl10warp_a_row" not in mangled:
            continue  # CCCL's own

        def number(pattern: str, block: str = block) -> int:
            match = re.search(pattern, block)
            return int(match[1]) if match else 0

        kernels[name_of(mangled)] = {
            "registers": number(r"Used (\d+) registers"),
            "shared": number(r"(\d+) bytes smem"),
            "stack": number(r"(\d+) bytes stack frame"),
            "spilled": number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads"),
            "instructions": code[mangled] // 16,
        }
    return kernels


def as_text(version: str, architectures: dict[str, dict[str, dict[str, int]]]) -> str:
    """JSON, a kernel a line."""
    parts = []
    for name, kernels in architectures.items():
        rows = ",\n".join(f"   {json.dumps(kernel)}: {json.dumps(numbers)}" for kernel, numbers in kernels.items())
        parts.append(f"  {json.dumps(name)}: {{\n{rows}\n  }}")
    return f'{{\n "nvcc": {json.dumps(version)},\n "architectures": {{\n' + ",\n".join(parts) + "\n }\n}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", default=ARCHITECTURES)
    parser.add_argument("--write", action="store_true", help="make what is found the table")
    options = parser.parse_args()
    nvcc = compiler()
    version = version_of(nvcc)
    sources = sorted((ROOT / "csrc" / "cuda").rglob("*.cu"))
    jobs = [(architecture, source) for architecture in options.architectures for source in sources]
    found: dict[str, dict] = {architecture: {} for architecture in options.architectures}
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        done = pool.map(lambda job: compiled(nvcc, job[1], job[0], job[0] == options.architectures[0]), jobs)
        for (architecture, source), kernels in zip(jobs, done, strict=True):
            stem = source.relative_to(ROOT / "csrc" / "cuda").with_suffix("").as_posix()
            found[architecture] |= {f"{stem}: {name}": numbers for name, numbers in kernels.items()}
    faults = [
        f"{architecture} {name} spills {numbers['spilled']} bytes"
        for architecture, kernels in found.items()
        for name, numbers in kernels.items()
        if numbers["spilled"]
    ]
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {"nvcc": version, "architectures": {}}
    if options.write:
        kept = table["architectures"] if table["nvcc"] == version else {}
        merged = {k: dict(sorted(v.items())) for k, v in (kept | found).items()}
        ordered = dict(sorted(merged.items(), key=lambda item: int(item[0].removeprefix("sm_"))))
        TABLE.write_text(as_text(version, ordered))
    elif table["nvcc"] == version:
        for architecture, kernels in found.items():
            known = table["architectures"].get(architecture, {})
            for name in sorted(kernels.keys() | known.keys()):
                if kernels.get(name) != known.get(name):
                    faults.append(f"{architecture} {name}: {kernels.get(name)}, and the table says {known.get(name)}")
    else:
        print(f"nvcc {version} is not the table's {table['nvcc']}: only spills are judged")
    most = max((n["registers"] for kernels in found.values() for n in kernels.values()), default=0)
    print(f"nvcc {version}: {sum(map(len, found.values()))} kernels for {', '.join(found)}; at most {most} registers")
    for fault in faults:
        print(f"fault: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
