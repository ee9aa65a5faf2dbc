"""Which implementations exist, which can run here, and which one a call uses.

A backend is a module of this folder with the ops of `_spec.OPS` and a `probe()`; its name is the string that users
type. `auto` (the default) is the first available of `ORDER`; an explicit name is never replaced by another.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from types import ModuleType

from ..errors import BackendUnavailable

# Best first. `auto` chooses by where the arrays are: `cuda` for those on a device, and for all others the first fast one on
# the CPU. `reference` is never chosen: it is plain on purpose, and thousands of times slower.
ORDER = ("cuda", "cpp", "numba", "reference")
_AUTO = ("cpp", "numba")

__all__ = ["BackendUnavailable", "available", "describe", "resolve", "threads", "use"]

_default: str | None = None

# Those found able to run: what can run once can run again, and a small call has no time to ask each time.
_able: dict[str, ModuleType] = {}


def _absent(name: str) -> str | None:
    """Why backend `name` cannot run here, or None if it can."""
    if name in _able:
        return None
    try:
        module = _module(name)
        why: str | None = module.probe()
    except ImportError as error:
        return f"{type(error).__name__}: {error}"
    if why is None:
        _able[name] = module
    return why


def _module(name: str) -> ModuleType:
    if name in _able:
        return _able[name]
    if name not in ORDER:
        raise ValueError(f"unknown backend {name!r}; expected one of {', '.join(ORDER)}")
    return importlib.import_module(f".{name}", __name__)


def available() -> list[str]:
    """Names of the backends that can run here, best first."""
    return [name for name in ORDER if _absent(name) is None]


def describe() -> dict[str, str]:
    """For every backend, what it is made of (compiler, instruction set, version) or why it is absent."""
    out = {}
    for name in ORDER:
        why = _absent(name)
        out[name] = f"absent: {why}" if why else _module(name).describe()
    return out


class _Use(contextlib.AbstractContextManager["_Use"]):
    def __init__(self, before: str | None) -> None:
        self._before = before

    def __exit__(self, *_: object) -> None:
        global _default
        _default = self._before


def use(name: str | None) -> _Use:
    """Make `name` the default backend of this process; as a context manager, only until the block ends.

    None goes back to the environment's BIDFCL_BACKEND, and without one to the first available.

    Raises
    ------
    ValueError
        If no backend has that name.
    BackendUnavailable
        If it exists but cannot run here.
    """
    global _default
    before = _default
    if name is not None:
        _require(name)
    _default = name
    return _Use(before)


def _require(name: str) -> ModuleType:
    module = _module(name)
    why = _absent(name)
    if why:
        raise BackendUnavailable(f"backend {name!r} cannot run here: {why}. Available: {', '.join(available())}")
    return module


def resolve(name: str | None = None, *, on_device: bool = False) -> ModuleType:
    """The module that serves a call: `name`, its own `backend=`, else that of `use()`, else BIDFCL_BACKEND, else the first available.

    `on_device`: the call's arrays lie on a CUDA device; a backend for the CPU, asked for by name, is then refused.
    """
    chosen = name or _default or os.environ.get("BIDFCL_BACKEND") or None
    if chosen is not None and chosen != "auto":
        module = _require(chosen)
        if on_device and not getattr(module, "TAKES_DEVICE_ARRAYS", False):
            raise TypeError(
                f"value is on a CUDA device, and backend {chosen!r} takes arrays on the CPU: call value.cpu()"
            )
        return module
    if on_device:
        return _require("cuda")
    for candidate in _AUTO:
        if _absent(candidate) is None:
            return _module(candidate)
    raise BackendUnavailable("no fast backend can run here: " + "; ".join(f"{n}: {_absent(n)}" for n in _AUTO))


def threads() -> int:
    """How many threads the fast backends use: BIDFCL_NUM_THREADS, else every processor this process may run on."""
    asked = os.environ.get("BIDFCL_NUM_THREADS")
    if asked is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    try:
        count = int(asked)
    except ValueError:
        count = 0
    if count < 1:
        raise ValueError(f"BIDFCL_NUM_THREADS must be a positive integer, got {asked!r}")
    return count
