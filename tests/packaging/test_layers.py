"""Who may import whom, in C++ and in Python. A new module needs a line in LAYERS; nothing else is edited by hand."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "bidfcl_fast"

# --- C++ --------------------------------------------------------------------------------------------------------------

STANDARD = re.compile(r"<[a-z_0-9]+>")  # <cmath>, <vector>
MACHINE = re.compile(r"<(unistd|immintrin|arm_neon)\.h>")  # what a CPU or a compiler brings along

# file or folder -> what it may include besides the standard library
MAY_INCLUDE = {
    "core": ("core/",),
    "cpu/machine": ("core/", "cpu/machine/"),
    "cpu/solver": (
        "core/",
        "cpu/machine/",
        "cpu/solver/",
        "status.h",
        "capi.h",
        "shapes.h",
    ),  # they define what capi.h declares
    "cpu/decide": ("core/", "cpu/machine/", "cpu/solver/", "cpu/decide/", "status.h", "capi.h", "shapes.h"),
    "cpu/proven": ("core/", "cpu/proven/", "capi.h"),
    "cpu/losses": ("core/", "cpu/machine/", "cpu/losses/", "capi.h"),
    "cpu/curvature": ("core/", "cpu/machine/", "cpu/curvature/", "capi.h"),
    "cuda/bindings.cpp": ("capi.h", "arguments.h", "cuda/api.h", "cuda/device.h"),
    "cuda": ("core/", "cuda/", "status.h", "capi.h", "shapes.h", "<thrust/"),
    "cuda/machine": ("core/", "cuda/machine/", "cuda/device.h", "cuda/api.h", "<thrust/", "<cuda_runtime.h>"),
    "status.h": (),
    "shapes.h": ("capi.h", "core/"),
    "arguments.h": ("capi.h", "<pybind11/"),
    "capi.h": ("status.h",),
    "capi.cpp": ("capi.h", "status.h", "core/", "cpu/machine/"),
    "outside.h": ("<unistd.h>",),
    "bindings.cpp": ("capi.h", "outside.h", "arguments.h"),
}

SOURCES = sorted(p for p in CSRC.rglob("*") if p.suffix in {".h", ".cpp", ".cu", ".cuh"})


def includes(source: Path) -> Iterator[str]:
    """Standard headers as `<name>`, the project's own by their path below csrc/."""
    for name in re.findall(r'^\s*#\s*include\s*(<[^>]+>|"[^"]+")', source.read_text(), re.MULTILINE):
        if name.startswith("<"):
            yield name
            continue
        beside = (source.parent / name.strip('"')).resolve()
        found = beside if beside.exists() else CSRC / name.strip('"')
        assert found.exists(), f"{source.name} includes {name}, which does not exist"
        yield found.resolve().relative_to(CSRC.resolve()).as_posix()


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.relative_to(CSRC).as_posix())
def test_cpp_includes_only_what_its_layer_may(source):
    path = source.relative_to(CSRC)
    top = "/".join(path.parts[:2]) if "/".join(path.parts[:2]) in MAY_INCLUDE else path.parts[0]
    assert top in MAY_INCLUDE, f"csrc/{top} has no line in MAY_INCLUDE"
    for name in includes(source):
        allowed = STANDARD.fullmatch(name) or name.startswith(MAY_INCLUDE[top])
        if path.parts[0] == "cpu":
            allowed = allowed or MACHINE.fullmatch(name)
        assert allowed, f"csrc/{source.relative_to(CSRC)} must not include {name}"


# --- Python -----------------------------------------------------------------------------------------------------------

# Lowest first. A module imports from its own layer and from earlier ones, never from a later one.
LAYERS = [
    {"errors", "_spec", "_build", "_pool", "_network", "progress", "machine", "_whole", "_fixed", "_totals", "_core"},
    {"_arrays"},
    {"_half", "_device"},
    {"_problems", "_decisions", "data.table", "data.checks"},
    {"_ragged"},
    {"_precision"},
    {"_check", "_native", "_native_cuda", "_native_curvature", "backends"},
    {"_window", "_proven"},
    {"_treated"},
    {"mckp", "frontier", "ops"},
    {"allocator", "ragged"},
    {"autograd", "_wire"},
    {"losses"},
    {"linalg"},
    {"bilevel", "methods", "metrics", "estimates", "labelled", "ranking", "regret", "resampling", "gradients"},
    {"adapters"},
    {"data", "_cells", "tables", "scale", "scale_up"},
    {"known_truth"},
    {"demo", "evaluate", "bench"},
    {"report"},
    {"cli", "commands"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def level(module: str) -> int:
    """The layer of a module or of the nearest package that has one."""
    name = module
    while name and name not in LEVEL:
        name = name.rpartition(".")[0]
    assert name, f"{module} has no place in LAYERS"
    return LEVEL[name]


# third party -> who may import it at the top of a file, and who inside a function as well
AT_TOP = {
    "numpy": lambda module: True,
    "numba": lambda module: module.startswith(("backends.numba", "bench.")),
    "llvmlite": lambda module: module == "backends.numba_kernels",  # Numba's own
    "torch": lambda module: (
        module.split(".")[0] in {"ops", "autograd", "losses", "linalg", "bilevel", "methods", "bench"}
        or module in {"_wire", "scale.torch_distributed"}
    ),
    "highspy": lambda module: module == "bench.peers.highs_lp",
    "jax": lambda module: module == "adapters.jax",
    "pyepo": lambda module: module == "adapters.pyepo",
}
IN_FUNCTION = {
    **AT_TOP,
    "matplotlib": lambda module: module.split(".")[0] in {"frontier", "report"},
    "pyarrow": lambda module: module.split(".")[0] in {"data", "_cells", "tables", "scale"},
    "pyspark": lambda module: module in {"scale.spark", "scale._spark_tasks"},
    "highspy": lambda module: module in {"mckp", "bench.peers.highs_lp"},
    "torchopt": lambda module: module == "bench.peers.torchopt_cg",
    "betty": lambda module: module == "bench.peers.betty_cg",
    "scipy": lambda module: module == "linalg.operator",
    "curvlinops": lambda module: module == "linalg.operator",
    "safetensors": lambda module: module == "methods._store",
    "econml": lambda module: module == "methods.forest",
    "sklearn": lambda module: module in {"methods.forest", "methods.base"},
    "numba": lambda module: module.startswith(("backends.numba", "bench.")) or module == "cli",
}

MODULES = sorted(p for p in PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every imported module as (absolute name, whether at the top of the file), but for what only type checkers see."""
    package = ["bidfcl_fast", *path.relative_to(PACKAGE).parts[:-1]]

    def visit(node: ast.AST, top: bool) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            yield from ((alias.name, top) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            full = ".".join([*base, *([node.module] if node.module else [])])
            if full == "bidfcl_fast":
                yield from ((f"{full}.{alias.name}", top) for alias in node.names)
            else:
                yield full, top
        inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            yield from visit(child, top and not inside)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), True)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: module_name(p) or "__init__")
def test_python_imports_only_what_its_layer_may(path):
    module = module_name(path)
    if module in {"", "__main__"}:
        return  # the package itself re-exports lazily; see test_laws.py
    for name, at_top in imports(path):
        root, _, rest = name.partition(".")
        if root == "bidfcl_fast":
            if rest not in {"", "__version__", "_C", "_C_cuda"}:
                assert level(rest) <= level(module), f"{module} must not import {name}: it stands above"
        elif root not in sys.stdlib_module_names:
            allowed = (AT_TOP if at_top else IN_FUNCTION).get(root, lambda module: False)
            assert allowed(module), f"{module} must not import {name}" + (" at the top of the file" if at_top else "")


def test_only_native_imports_the_extension():
    importers = set()
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = {n for n, _ in imports(path)} | {
            f"{node.module or ''}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        if any(name.rpartition(".")[2] in {"_C", "_C_cuda"} for name in named):
            importers.add(module_name(path))
    assert importers <= {"_native"}
