"""The evidence: every method on worlds whose truth is known and on real trials, resumable, and what follows from it."""

from __future__ import annotations

from .jobs import Job, Size, size
from .runner import Ran, run
from .store import load

__all__ = ["Job", "Ran", "Size", "load", "run", "size"]
