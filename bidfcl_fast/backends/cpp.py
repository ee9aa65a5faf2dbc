"""The C++ backend: AVX-512, AVX2 or plain kernels, chosen when the library is loaded, and threads of its own."""

from __future__ import annotations

import numpy as np

from .. import _native
from .._problems import Contested, FrontierResult, MckpResult, Problems
from . import threads


def probe() -> str | None:
    try:
        _native.module()
    except ImportError as error:
        return _why(error)
    return None


def _why(error: ImportError) -> str:
    from .._build import why_no_native

    return why_no_native() or f"the extension module does not load: {error}"


def describe() -> str:
    c = _native.module()
    return f"{c.compiler_name()}, {c.arch_name()} kernels, up to {threads()} threads"


def mckp(problems: Problems, *, fill: bool, warm_start: np.ndarray | None = None) -> MckpResult:
    return _native.mckp(problems, fill, threads(), warm_start)


def decide(problems: Problems, multiplier: np.ndarray) -> MckpResult:
    return _native.decide(problems, multiplier, threads())


def contested(problems: Problems, multiplier: float, margin: float, units: tuple[float, float]) -> Contested:
    return _native.contested(problems, multiplier, margin, units, threads())


def frontier(problems: Problems) -> FrontierResult:
    return _native.frontier(problems, threads())
