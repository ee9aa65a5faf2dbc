"""Random functions of a user's features, each with mean 0 and standard deviation 1 over the users. NumPy only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Function = Callable[[Array], Array]

# How many of the features a function looks at; with fewer features, all of them.
_ACTIVE = 6


def smooth(rng: np.random.Generator, features: int) -> Function:
    """A sum of eight soft steps across random directions: what a small network learns easily."""
    look = _looked_at(rng, features)
    direction = rng.normal(size=(8, len(look))) / np.sqrt(len(look))
    offset, height = rng.normal(size=8), rng.normal(size=8)

    def function(x: Array) -> Array:
        # einsum and not @: the bits must not depend on a BLAS or on its threads.
        return np.tanh(1.5 * np.einsum("nf,hf->nh", x[:, look], direction) + offset) @ height

    return function


def steps(rng: np.random.Generator, features: int) -> Function:
    """Six boxes with hard walls, each on two features: jumps, and constant between them."""
    look = _looked_at(rng, features)
    pair = np.stack([rng.permutation(len(look))[np.arange(2) % len(look)] for _ in range(6)])
    wall, side, height = rng.normal(0, 0.6, (6, 2)), rng.choice([-1.0, 1.0], (6, 2)), rng.normal(size=6)

    def function(x: Array) -> Array:
        seen = x[:, look][:, pair]
        return (side * (seen - wall) > 0).all(2) @ height

    return function


def products(rng: np.random.Generator, features: int) -> Function:
    """Four products of two features each, bounded: no feature says anything by itself."""
    look = _looked_at(rng, features)
    pair = np.stack([rng.permutation(len(look))[np.arange(2) % len(look)] for _ in range(4)])
    height = rng.normal(size=4)

    def function(x: Array) -> Array:
        seen = x[:, look][:, pair]
        return np.tanh(seen[:, :, 0] * seen[:, :, 1]) @ height

    return function


KINDS = {"smooth": smooth, "steps": steps, "products": products}


def standardised(kind: str, rng: np.random.Generator, pilot: Array) -> Function:
    """A random function of that kind, shifted and scaled by the users `pilot` [N, F]."""
    function = KINDS[kind](rng, pilot.shape[1])
    seen = function(pilot)
    mean, sd = float(seen.mean()), float(seen.std())
    if sd < 1e-9:  # a box that nobody is in: draw another
        return standardised(kind, rng, pilot)
    return lambda x: (function(x) - mean) / sd


def _looked_at(rng: np.random.Generator, features: int) -> Array:
    return rng.permutation(features)[:_ACTIVE]
