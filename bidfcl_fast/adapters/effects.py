"""What causal models say, as the value and cost of an allocation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import to_numpy

Array = NDArray[Any]


def from_effects(effect: Any, cost: Any) -> tuple[Array, Array]:
    """Effects against a control, and what the treatments cost, as [N, M] value and cost; treatment 0 is the control, worth and costing 0.

    Parameters
    ----------
    effect
        [N] or [N, 1] (one treatment), [N, M−1] or [N, 1, M−1]: the expected gain in value over the control. What EconML's
        `const_marginal_effect(X)`, CausalML's `predict(X)` and scikit-uplift's `predict(X)` return.
    cost
        Money beyond the control's: a number (the same for all), [M−1] (for each treatment) or [N, M−1] (for each user too).

    Returns
    -------
    float64 value and cost, [N, M] each, for `solve_mckp`.

    Raises
    ------
    ValueError
        If a shape is none of these, or a number is not finite.
    """
    gain = np.asarray(to_numpy("effect", effect), np.float64)
    shape = gain.shape
    if gain.ndim == 3 and gain.shape[1] == 1:
        gain = gain[:, 0]
    gain = gain[:, None] if gain.ndim == 1 else gain
    if gain.ndim != 2 or not gain.size:
        raise ValueError(f"effect must be [N], [N, M−1] or [N, 1, M−1], got shape {list(shape)}")
    price = np.asarray(cost, np.float64)
    if price.shape not in ((), gain.shape[1:], gain.shape):
        raise ValueError(
            f"cost must be a number, [{gain.shape[1]}] or {list(gain.shape)}, got shape {list(price.shape)}"
        )
    for name, given in (("effect", gain), ("cost", price)):
        if not np.isfinite(given).all():
            raise ValueError(f"{name} must be finite")
    nothing = np.zeros((len(gain), 1))
    return np.hstack([nothing, gain]), np.hstack([nothing, np.broadcast_to(price, gain.shape)])
