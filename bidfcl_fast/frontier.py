"""The exact budget frontier: the best value at every budget at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _check, backends
from ._arrays import like, to_numpy
from ._device import back_to, on_device, on_host, view
from ._problems import Problems
from .errors import Status


@dataclass(frozen=True)
class Frontier:
    """The concave LP frontier of one instance, by its breakpoints; straight in between.

    Attributes
    ----------
    budget, value
        float64 [E+1], rising: the cheapest plan first, then one breakpoint for each distinct hull slope.
    multiplier
        float64 [E+1], falling to 0: value per unit of money from this breakpoint to the next.
    """

    budget: Any
    value: Any
    multiplier: Any

    def value_at(self, budget: Any) -> Any:
        """LP optimum (the `dual_bound` of `solve_mckp`) at one budget or several; -inf below the least budget."""
        b, back = self._asked(budget)
        x, y = _host(self.budget), _host(self.value)
        return back(np.where(b < x[0], -np.inf, np.interp(b, x, y)))

    def multiplier_at(self, budget: Any) -> Any:
        """Lagrangian multiplier at one budget or several; inf below the least budget, 0 where money is left over."""
        b, back = self._asked(budget)
        k = np.searchsorted(_host(self.budget), b, side="right") - 1
        return back(np.where(k < 0, np.inf, _host(self.multiplier)[np.maximum(k, 0)]))

    def _asked(self, budget: Any) -> tuple[np.ndarray, Any]:
        b = np.asarray(to_numpy("budget", budget), np.float64)
        if np.isnan(b).any():
            raise ValueError("budget must not be NaN")
        return b, (float if b.ndim == 0 else back_to(self.budget) if on_device(self.budget) else like(self.budget))

    def plot(self, ax: Any = None) -> Any:
        """Draw value against budget on `ax` (a new matplotlib figure if None); returns the axes."""
        if ax is None:
            try:
                import matplotlib.pyplot as plt
            except ImportError as error:
                raise RuntimeError("Frontier.plot needs matplotlib: pip install 'bidfcl_fast[plot]'") from error
            ax = plt.subplots(figsize=(7, 4.2))[1]
        ax.plot(_host(self.budget), _host(self.value), color="#2c6e8f", linewidth=1.8)
        ax.set_xlabel("budget")
        ax.set_ylabel("value")
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def __repr__(self) -> str:
        b, v = _host(self.budget), _host(self.value)
        return f"Frontier({len(b)} breakpoints, budget {b[0]:.6g} to {b[-1]:.6g}, value {v[0]:.6g} to {v[-1]:.6g})"


def _host(x: Any) -> np.ndarray:
    return np.asarray(on_host(view("x", x)))


def budget_frontier(value: Any, cost: Any, *, mask: Any = None, backend: str | None = None) -> Frontier:
    """The best value at every budget, exactly: every hull edge of every user, sorted by slope and summed.

    Parameters
    ----------
    value, cost
        [N, M] floats, as in `solve_mckp`.
    mask
        [N, M] bool; False closes a treatment to a user.
    backend
        As in `solve_mckp`.

    Raises
    ------
    ValueError, TypeError
        As in `solve_mckp`.
    """
    problems = _check.instance(value, cost, mask, device=True)
    return frontier_of(problems, back_to(value) if problems.on_device else like(value), backend)


def frontier_of(problems: Problems, back: Callable[[np.ndarray], Any], backend: str | None) -> Frontier:
    """The frontier of one checked problem; `back` makes its arrays the caller's kind."""
    raw = backends.resolve(backend, on_device=problems.on_device).frontier(problems)
    finite = all(np.isfinite(_host(x)).all() for x in (raw.budget, raw.value, raw.multiplier))
    status = raw.status if finite or raw.status < 0 else Status.OUT_OF_RANGE
    _check.raise_for(int(status), problems, 0, np.nan, True)
    return Frontier(back(raw.budget), back(raw.value), back(raw.multiplier))
