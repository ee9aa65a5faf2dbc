"""Other frameworks, one module each, imported only when asked for: `adapters.jax` (jax), `adapters.pyepo` (pyepo); `from_effects` (NumPy)."""

from __future__ import annotations

from .effects import from_effects

__all__ = ["from_effects"]
