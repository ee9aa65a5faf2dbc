"""Methods that learn value and cost from data and then allocate: `create(name)`, fit, predict, allocate.

Importing this folder does not import torch; creating a method does.
"""

from __future__ import annotations

import importlib
from typing import Any

from .base import Method
from .crossfit import CrossFit, crossfit, folds

# name -> (module, class)
_METHODS = {"tsm-sl": ("two_stage", "TwoStage")}

__all__ = ["CrossFit", "Method", "create", "crossfit", "folds", "names"]


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
    module, cls = _METHODS[name]
    try:
        made: Method = getattr(importlib.import_module(f".{module}", __name__), cls)(**options)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise RuntimeError(f"method {name!r} needs torch: pip install 'bidfcl_fast[torch]'") from error
    return made
