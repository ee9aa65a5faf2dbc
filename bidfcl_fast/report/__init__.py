"""How a `Demo` is shown: on a terminal, as JSON, as a page with figures, as a table of who gets what."""

from __future__ import annotations

from .page import page
from .results import plan_table, results
from .terminal import summary

__all__ = ["page", "plan_table", "results", "summary"]
