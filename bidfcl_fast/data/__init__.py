"""Tables of what was offered, gained and paid; the trial that ships with the package; simulated worlds. NumPy only."""

from __future__ import annotations

from .simulation import REGIMES, SIZES, Simulation, Source, simulate
from .table import Table
from .thornton import load_thornton
from .world import BIASES, RESPONSES

__all__ = [
    "BIASES",
    "REGIMES",
    "RESPONSES",
    "SIZES",
    "Simulation",
    "Source",
    "Table",
    "load_thornton",
    "simulate",
]
