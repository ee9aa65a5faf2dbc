"""Tables of what was offered, gained and paid, and the trial that ships with the package. NumPy only."""

from __future__ import annotations

from .table import Table
from .thornton import load_thornton

__all__ = ["Table", "load_thornton"]
