"""Bilevel learning: gradients of an upper loss through the solution of a lower problem, and Bi-DFCL on top (torch)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .bridge import Bridge
from .check import HypergradientCheck, HypergradientWarning, check_hypergradient
from .correction import Correction, ridge_correction
from .hypergradient import Hypergradient, explicit_hypergradient, implicit_hypergradient
from .labels import Batch, Bridged, Labels, Part
from .step import BilevelStep

if TYPE_CHECKING:
    from ..methods._trial import TrialLoss
    from .trainer import BiDFCL

__all__ = [
    "Batch",
    "BiDFCL",
    "BilevelStep",
    "Bridge",
    "Bridged",
    "Correction",
    "Hypergradient",
    "HypergradientCheck",
    "HypergradientWarning",
    "Labels",
    "Part",
    "TrialLoss",
    "check_hypergradient",
    "explicit_hypergradient",
    "implicit_hypergradient",
    "ridge_correction",
]


if not TYPE_CHECKING:  # for type checkers, a name that is not there is a mistake

    def __getattr__(name: str) -> Any:
        # The trainer stands on the methods' fit loop; hypergradients alone do not need it.
        if name == "BiDFCL":
            from .trainer import BiDFCL

            return BiDFCL
        if name == "TrialLoss":
            from ..methods._trial import TrialLoss

            return TrialLoss
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
