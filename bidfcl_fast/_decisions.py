"""What a backend is given for a decision loss, and what it hands back."""

from __future__ import annotations

import enum
import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np


class Family(enum.IntEnum):
    """Which pattern g of a row's loss Σ_j g_j·P_j (the codes of csrc/capi.h)."""

    PPL = 0  # the treatment received
    PIFD = 1  # frozen finite differences, Algorithm 3 as printed
    PIFD_EXACT = 2  # the same, true black-box differences
    DECISION = 3  # the hard decision; value only
    DRP = 4  # return on investment: `value` holds scores [B, N, M−1] of the steps between M arms; there is no cost


class Order(enum.IntEnum):
    """Which derivative."""

    VALUE = 0
    GRADIENT = 1
    HESSIAN = 2


class Total(enum.IntEnum):
    """Columns of the totals [B, K, 5].

    Order.VALUE fills all of them; GRADIENT only LOSS; HESSIAN the derivative of the loss along the direction (LOSS, without
    the scale) and that of its derivative in the multiplier (VALUE_SLOPE).
    """

    LOSS = 0
    VALUE_SLOPE = 1  # Σ weight·outcome·d, d the derivative of a row's unit loss in the multiplier
    COST_SLOPE = 2  # Σ weight·cost_outcome·d. For DECISION these two are Σ weight·outcome and ·cost_outcome matched
    CLIPPED_ROWS = 3  # rows whose own gap `bound` changed, among
    WEIGHTED_ROWS = 4  # those that weigh anything


@dataclass(frozen=True)
class Rule:
    """What turns scores into a loss."""

    family: Family = Family.PPL
    temperature: float = 1.0
    bound: float = 0.0  # of score gaps; 0: none
    window: bool = False  # the bound is a boxcar window, not a floor


def positive(name: str, x: Any) -> float:
    """`x` as a float; ValueError unless it is positive and finite."""
    if not 0 < float(x) < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {x}")
    return float(x)


def gap_rule(variant: str, temperature: Any, min_gap: Any, window: Any) -> Rule:
    """The rule of a finite-difference loss: which differences, and what bounds their gaps (neither: nothing does)."""
    if variant not in ("paper", "exact"):
        raise ValueError(f"variant must be 'paper' or 'exact', got {variant!r}")
    if min_gap is not None and window is not None:
        raise ValueError("give min_gap or window, not both")
    bounds = [positive(name, x) for name, x in (("min_gap", min_gap), ("window", window)) if x is not None]
    family = Family.PIFD if variant == "paper" else Family.PIFD_EXACT
    return Rule(family, positive("temperature", temperature), bounds[0] if bounds else 0.0, window is not None)


def price_range(bounds: Any) -> tuple[float, float]:
    """The clamp on the price of money; none without bounds."""
    if bounds is None:
        return -math.inf, math.inf
    low, high = map(float, bounds)
    if not low <= high:
        raise ValueError(f"price_bounds must be (low, high) with low <= high, got {bounds}")
    return low, high


def log_price(prices: list[float]) -> None:
    logging.getLogger("bidfcl_fast.losses").warning(
        "price of money %s: clamped, or nobody's soft decision moves; the multiplier counts as constant there", prices
    )


@dataclass(slots=True)  # not frozen: that makes one take as long as a small batch
class Decisions:
    """B problems of N users, M treatments, K multipliers.

    The arrays are NumPy's, or torch's on the CPU: whatever has strides and an address. Where B is missing, all problems
    share an array (and without it in `value` there is one problem). A row's weight at multiplier k is
    scale·weight·(outcome − price[k]·cost_outcome). In half precision (of value, cost and the directions) the labels are
    float32.
    """

    value: Any  # [B, N, M] float32, float64, float16 or bfloat16
    cost: Any  # [B, N, M] same dtype; None for DRP
    treatment: Any  # [B, N] int64
    weight: Any  # [B, N] float32 or float64
    outcome: Any  # [B, N], or None: 0
    cost_outcome: Any  # [B, N], or None: 0
    multiplier: Any  # [B, K] float64, side by side, as below
    rule: Rule
    mask: Any = None  # [B, N, M] bool
    price: Any = None  # [B, K], None: 0
    turn: Any = None  # [B, K], None: 0; with B wherever value has it, like multiplier, price and scale. How the multipliers move along the direction of the Hessian
    scale: Any = None  # [B], None: 1
    value_turn: Any = None  # [B, N, M] direction of the Hessian
    cost_turn: Any = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """B, N, M, K."""
        *lead, users, items = self.value.shape
        return (lead[0] if lead else 1, users, items, self.multiplier.shape[-1])

    def widened(self) -> Decisions:
        """All arrays NumPy's and with a leading B; numbers in float64."""
        count, users, items, multipliers = self.shape

        def wide(x: Any, *shape: int) -> Any:
            return None if x is None else np.broadcast_to(as_numpy(x), (count, *shape))

        grids = {name: wide(getattr(self, name), users, items) for name in _GRIDS}
        labels = {name: wide(getattr(self, name), users) for name in ("treatment", "weight", "outcome", "cost_outcome")}
        small = {name: wide(getattr(self, name), multipliers) for name in ("multiplier", "price", "turn")}
        return Decisions(**grids, **labels, **small, scale=wide(self.scale), rule=self.rule)


_GRIDS = ("value", "cost", "mask", "value_turn", "cost_turn")


def arms(rule: Rule, items: int) -> int:
    """M: how many treatments there may be."""
    return items + (rule.family is Family.DRP)


def stray_treatment(treatment: Any, items: int) -> ValueError:
    """The error for treatments that are not 0 to M − 1, found by a backend while it read them."""
    t = np.asarray(treatment)
    bad = np.argwhere((t < 0) | (t >= items))[0]
    where = ", ".join(map(str, bad))
    return ValueError(f"treatment must be 0 to {items - 1}, got {t[tuple(bad)]} at treatment[{where}]")


def as_numpy(x: Any) -> np.ndarray:
    """An array of NumPy or torch as one of NumPy: integers and bool as they are, numbers in float64."""
    if not isinstance(x, np.ndarray):
        x = x.detach()
        x = (x.double() if x.is_floating_point() else x).numpy()
    return x.astype(np.float64) if x.dtype.kind == "f" else x
