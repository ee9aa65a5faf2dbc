"""Constants of the method that every backend shares (their C++ twins stand in csrc/core)."""

from __future__ import annotations

# A fixed-point number has this many bits below the power of two that bounds the largest magnitude, so that the
# difference of two fits in 63 bits and the product of two differences in 127.
FIXED_POINT_BITS = 61

# `fill` looks at this many edges, from the first one that does not fit on. A bound makes the plan independent of how
# much of the data a backend happened to keep; 64 edges leave next to no money.
FILL_WINDOW = 64

# The ops that every backend module offers, in the order of docs/architecture.md.
OPS = (
    "mckp",
    "decide",
    "contested",
    "core",
    "magnitudes",
    "costs_rounded",
    "edges_between",
    "frontier",
    "decision_loss",
    "received_intervals",
)
