"""Tables of what was offered, gained and paid; loaders of public trials; simulated worlds. NumPy only, but for `read_table`."""

from __future__ import annotations

from .checks import check
from .columnar import read_table
from .criteo import Hybrid, hybrid, load_criteo
from .files import load_table, save_table
from .open_bandit import load_open_bandit
from .retail import load_hillstrom, load_starbucks
from .sampling import observational_sample
from .simulation import REGIMES, SIZES, Simulation, Source, simulate
from .table import Table
from .thornton import load_thornton
from .world import BIASES, RESPONSES

__all__ = [
    "BIASES",
    "REGIMES",
    "RESPONSES",
    "SIZES",
    "Hybrid",
    "Simulation",
    "Source",
    "Table",
    "check",
    "hybrid",
    "load_criteo",
    "load_hillstrom",
    "load_open_bandit",
    "load_starbucks",
    "load_table",
    "load_thornton",
    "observational_sample",
    "read_table",
    "save_table",
    "simulate",
]
