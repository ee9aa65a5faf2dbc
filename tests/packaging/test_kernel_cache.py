"""Numba keeps machine code on disk and looks only at the file a function stands in: that file must depend on no other."""

from __future__ import annotations

import ast
from pathlib import Path

import numba
import numpy as np
import pytest

import bidfcl_fast as bf
from bidfcl_fast import _decisions, _network, _spec

BACKENDS = Path(bf.__file__).parent / "backends"
SOURCES = sorted(BACKENDS.glob("numba*.py"))


def names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def borrowed(tree: ast.Module) -> set[str]:
    """Top-level names that come from another file of the package, or are computed from one that does."""
    foreign: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.level or str(node.module).startswith("bidfcl_fast")):
            foreign |= {alias.asname or alias.name for alias in node.names}
    for node in tree.body:  # in the order of the file, as Python runs it
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None and names(node.value) & foreign:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            foreign |= set().union(*(names(t) for t in targets))
    return foreign


def compiled(tree: ast.Module) -> list[ast.FunctionDef]:
    """The functions that Numba compiles: those with a decorator that is, or ends in, one of these names."""
    decorators = ("jit", "njit", "inner", "inlined", "intrinsic")
    found = []
    for node in ast.walk(tree):
        for decorator in getattr(node, "decorator_list", []):
            call = decorator.func if isinstance(decorator, ast.Call) else decorator
            if ast.unparse(call).rpartition(".")[2] in decorators:
                found.append(node)
    return found


def test_there_is_something_to_look_at():
    count = {p.stem: len(compiled(ast.parse(p.read_text(encoding="utf-8")))) for p in SOURCES}
    assert count["numba_kernels"] > 20 and count["numba_loss_kernels"] > 10 and count["numba_mlp"] > 3


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_kernels_use_nothing_of_another_file(path):
    """What came from elsewhere would stay what it was when the machine code was made, after an upgrade too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    foreign = borrowed(tree)
    for function in compiled(tree):
        used = set().union(*map(names, function.body)) & foreign
        assert not used, f"{path.name}: {function.name} uses {used}"


def test_constants_written_again_are_those_of_the_spec():
    kernels = pytest.importorskip("bidfcl_fast.backends.numba_kernels")
    assert (kernels.FIXED_POINT_BITS, kernels.FILL_WINDOW) == (_spec.FIXED_POINT_BITS, _spec.FILL_WINDOW)
    for status in ("SOLVED", "INFEASIBLE_BUDGET", "NOT_FINITE", "NO_OPEN_TREATMENT"):
        assert getattr(kernels, status) == bf.Status[status]


def test_codes_written_again_are_those_of_the_losses():
    kernels = pytest.importorskip("bidfcl_fast.backends.numba_loss_kernels")
    assert [o.name for o in _decisions.Order] == ["VALUE", "GRADIENT", "HESSIAN"]
    for code in (*_decisions.Order, *_decisions.Family):
        assert getattr(kernels, code.name) == code
    for total in _decisions.Total:
        assert getattr(kernels, total.name.removesuffix("_ROWS")) == total


def test_codes_written_again_are_those_of_the_activations():
    """numba_mlp's loop knows them as numbers."""
    order = ["identity", "relu", "leaky_relu", "tanh", "sigmoid", "silu", "gelu", "gelu_tanh", "softplus", "elu"]
    assert sorted(_network.ACTIVATIONS, key=_network.ACTIVATIONS.__getitem__) == order


def test_no_form_of_call_compiles_the_solver_once_more():
    """Arrays that may not be written to are another type to Numba: each would cost a compilation of half a minute."""
    from bidfcl_fast.backends import numba_kernels

    rng = np.random.default_rng(0)
    value, cost = (rng.random((60, 4)).astype(np.float32) for _ in range(2))
    pair, budgets = [np.stack([x, x]) for x in (value, cost)], [20.0, 25.0]
    with bf.backends.use("numba"):
        bf.solve_mckp(value, cost, 20.0)
        bf.solve_mckp(value, cost, budgets)
        bf.solve_mckp(*pair, budgets)
        bf.solve_mckp(*pair, 20.0, warm_start=0.5)
        bf.solve_mckp(value, cost, budgets, segments=[0, 30, 60], throw=False)
        bf.solve_mckp_ragged(value.ravel(), cost.ravel(), np.arange(0, 241, 4), 20.0)
    arrays = [t for given in numba_kernels.solve_several.signatures for t in given if isinstance(t, numba.types.Array)]
    assert arrays and all(t.mutable for t in arrays)
