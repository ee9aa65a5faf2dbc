"""What a backend is given for a decision loss, and what it hands back."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np


class Family(enum.IntEnum):
    """Which pattern g of a row's loss Σ_j g_j·P_j (the codes of csrc/capi.h)."""

    PPL = 0  # the treatment received
    PIFD = 1  # frozen finite differences, Algorithm 3 as printed
    PIFD_EXACT = 2  # the same, true black-box differences
    DECISION = 3  # the hard decision; value only


class Order(enum.IntEnum):
    """Which derivative."""

    VALUE = 0
    GRADIENT = 1
    HESSIAN = 2


class Total(enum.IntEnum):
    """Columns of the totals [B, K, 5].

    Order.VALUE fills all of them; GRADIENT only LOSS; HESSIAN the derivative of the loss along the direction (LOSS) and
    that of its derivative in the multiplier (VALUE_SLOPE).
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


@dataclass(frozen=True)
class Decisions:
    """B problems of N users, M treatments, K multipliers.

    The arrays are NumPy's, or torch's on the CPU: whatever has strides and an address. A row's weight at multiplier k is
    scale·weight·(outcome − price[k]·cost_outcome). In half precision (of value, cost and the directions) the labels are
    float32.
    """

    value: Any  # [B, N, M] float32, float64, float16 or bfloat16
    cost: Any  # [B, N, M] same dtype
    treatment: Any  # [B, N] int64
    weight: Any  # [B, N] float32 or float64
    outcome: Any  # [B, N], or None: 0
    cost_outcome: Any  # [B, N], or None: 0
    multiplier: Any  # [B, K] float64, side by side, as below
    rule: Rule
    mask: Any = None  # [B, N, M] bool
    price: Any = None  # [B, K], None: 0
    turn: Any = None  # [B, K], None: 0. How the multipliers move along the direction of the Hessian
    scale: Any = None  # [B], None: 1
    value_turn: Any = None  # [B, N, M] direction of the Hessian
    cost_turn: Any = None


class Derived(NamedTuple):
    """Totals, and the gradient or Hessian-vector product (None at Order.VALUE)."""

    totals: np.ndarray  # [B, K, 5] float64
    value: Any  # [B, N, M]
    cost: Any


def stray_treatment(treatment: Any, items: int) -> ValueError:
    """The error for treatments that are not 0 to M − 1, found by a backend while it read them."""
    t = np.asarray(treatment)
    bad = np.argwhere((t < 0) | (t >= items))[0]
    where = ", ".join(map(str, bad if t.shape[0] > 1 else bad[-1:]))
    return ValueError(f"treatment must be 0 to {items - 1}, got {t[tuple(bad)]} at treatment[{where}]")


def as_numpy(x: Any) -> np.ndarray:
    """A float array of NumPy or torch as float64 of NumPy."""
    if isinstance(x, np.ndarray):
        return x.astype(np.float64)
    return np.asarray(x.detach().double().numpy())
