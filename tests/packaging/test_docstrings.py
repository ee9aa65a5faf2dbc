"""The docstrings of public names say what users need: every argument, and the shapes of arrays."""

from __future__ import annotations

import importlib
import inspect
import re
import types

import pytest

import bidfcl_fast as bf

MODULES = ["bidfcl_fast", *(f"bidfcl_fast.{n}" for n in bf.__all__ if isinstance(getattr(bf, n), types.ModuleType))]
ARRAYS = {
    "value", "cost", "value_hat", "cost_hat", "treatment", "outcome", "cost_outcome", "weight", "x", "choice", "true_value",
    "true_cost", "effect", "score", "offsets", "mask", "segments", "rhs", "x0",
}  # fmt: skip
SHAPE = re.compile(r"\[[A-Za-z][\w+−, ]*\]")


def public() -> list[tuple[str, object]]:
    """Functions and classes by name; those that need a package that is not here are left out."""
    found = {}
    for module in MODULES:
        try:
            loaded = importlib.import_module(module)
            names = {name: getattr(loaded, name) for name in loaded.__all__}
        except ImportError:
            continue
        found |= {f"{module.partition('.')[2] or 'bf'}.{n}": o for n, o in names.items() if callable(o)}
    return sorted(found.items())


PUBLIC = public()
BY_NAME = {full.rpartition(".")[2]: o for full, o in PUBLIC}


def text(given: object) -> str:
    """The docstring, and those of the public names that it refers to by `name`, and so on."""
    seen, left, out = {id(given)}, [given], []
    while left:
        own = inspect.getdoc(left.pop()) or ""
        out.append(own)
        for other in (BY_NAME[n] for n in re.findall(r"`(?:\w+\.)*(\w+)`", own) if n in BY_NAME):
            if id(other) not in seen:
                seen.add(id(other))
                left.append(other)
    return "\n".join(out)


def parameters(given: object) -> list[str]:
    try:
        found = inspect.signature(given).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return []
    found = [p for p in found if p.annotation not in (str, "str") or p.name not in ARRAYS]  # names of columns
    return [p.name for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name not in ("self", "cls")]


def missing(name: str, given: object) -> list[str]:
    """What the docstring does not say."""
    own = inspect.getdoc(given) or ""
    out = []
    first = own.split("\n\n")[0].strip()
    if not first.endswith((".", ":", ")")):
        out.append("a first sentence")
    if isinstance(given, type) and issubclass(given, (Exception, Warning, tuple, int)):
        return out  # made by the library; fields are in the first lines
    said = text(given)
    arguments = parameters(given)
    out += [f"argument {a}" for a in arguments if not re.search(rf"\b{re.escape(a)}\b", said)]
    if set(arguments) & ARRAYS and not SHAPE.search(said):
        out.append("a shape")
    return out


@pytest.mark.parametrize(("name", "given"), PUBLIC, ids=[n for n, _ in PUBLIC])
def test_it_says_what_users_need(name, given):
    assert not missing(name, given)


def test_the_test_can_fail():
    def undocumented(value, budget):
        """Solves"""

    assert missing("x", undocumented) == ["a first sentence", "argument value", "argument budget", "a shape"]


def test_every_public_module_lists_its_names():
    for module in MODULES:
        assert importlib.import_module(module).__all__, module
    assert sorted(bf.__all__) == sorted(bf._EXPORTS)
