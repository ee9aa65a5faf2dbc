"""Methods that learn value and cost from data and then allocate: `create(name)`, fit, predict, allocate.

Importing this folder does not import torch; creating a method does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .base import Method
from .crossfit import CrossFit, crossfit, folds

if TYPE_CHECKING:
    from ._job import TrainingWarning
    from ._learner import load
    from .ensemble import Ensemble

_HERE = "bidfcl_fast.methods."
_DFCL = (_HERE + "dfcl", "DFCL")
_BI = ("bidfcl_fast.bilevel.trainer", "BiDFCL")

# name -> (module, class, arguments that the name stands for)
_METHODS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "tsm-sl": (_HERE + "two_stage", "TwoStage", {}),
    "tsm-ft": (_HERE + "two_stage", "FineTuned", {}),
    "tsm-cf": (_HERE + "forest", "CausalForest", {}),
    "dhcl": (_HERE + "dhcl", "DHCL", {}),
    "dfcl-dpl": (*_DFCL, {"loss": "dpl"}),
    "dfcl-mer": (*_DFCL, {"loss": "mer"}),
    "dfcl-difd": (*_DFCL, {"loss": "difd"}),
    "dfcl-ppl": (*_DFCL, {"loss": "ppl"}),
    "dfcl-pifd": (*_DFCL, {"loss": "pifd"}),
    "fixed-gate": (*_BI, {"preset": "fixed-gate"}),
    "bidfcl-ppl": (*_BI, {"upper": "ppl"}),
    "bidfcl-pifd": (*_BI, {"upper": "pifd"}),
    "bidfcl-ppl-explicit": (*_BI, {"upper": "ppl", "differentiation": "explicit"}),
    "bidfcl-pifd-explicit": (*_BI, {"upper": "pifd", "differentiation": "explicit"}),
}

# names that need torch -> where they stand
_LAZY = {"Ensemble": "ensemble", "TrainingWarning": "_job", "load": "_learner"}

__all__ = ["CrossFit", "Ensemble", "Method", "TrainingWarning", "create", "crossfit", "folds", "load", "names"]


def names() -> list[str]:
    """The names that `create` knows."""
    return list(_METHODS)


def create(name: str, **options: Any) -> Method:
    """A new, unfitted method; `options` are its constructor's arguments.

    Raises
    ------
    ValueError
        If no method has that name.
    RuntimeError
        If torch, which the methods need, is not installed.
    """
    if name not in _METHODS:
        raise ValueError(f"unknown method {name!r}; expected one of {', '.join(_METHODS)}")
    module, cls, arguments = _METHODS[name]
    try:
        made: Method = getattr(importlib.import_module(module), cls)(**{**arguments, **options})
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise RuntimeError(f"method {name!r} needs torch: pip install 'bidfcl_fast[torch]'") from error
    return made


if not TYPE_CHECKING:  # for type checkers, a name that is not there is a mistake

    def __getattr__(name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
