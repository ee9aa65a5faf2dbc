"""Bilevel learning: gradients of an upper loss through the solution of a lower problem (torch)."""

from .check import HypergradientCheck, HypergradientWarning, check_hypergradient
from .hypergradient import Hypergradient, explicit_hypergradient, implicit_hypergradient

__all__ = [
    "Hypergradient",
    "HypergradientCheck",
    "HypergradientWarning",
    "check_hypergradient",
    "explicit_hypergradient",
    "implicit_hypergradient",
]
