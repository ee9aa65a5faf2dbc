"""What a backend is told of a network: its layers, and what it is linearised at."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

# Names and codes of the activations (csrc/core/activation.h).
ACTIVATIONS = {
    "identity": 0,
    "relu": 1,
    "leaky_relu": 2,
    "tanh": 3,
    "sigmoid": 4,
    "silu": 5,
    "gelu": 6,
    "gelu_tanh": 7,
    "softplus": 8,
    "elu": 9,
}

# Their second derivative is zero wherever it exists.
PIECEWISE_LINEAR = frozenset({"identity", "relu", "leaky_relu"})


class Layer(NamedTuple):
    """out = activation(x · weightᵀ + bias). `parameter`: LeakyReLU's slope, Softplus's β, ELU's α."""

    inputs: int
    outputs: int
    bias: bool
    activation: str
    parameter: float

    @property
    def size(self) -> int:
        """Its parameters: the weight [outputs, inputs], then the bias [outputs]."""
        return self.inputs * self.outputs + (self.outputs if self.bias else 0)


class Point(NamedTuple):
    """Where the loss scale · Σ weight·(output − target)² is linearised; arrays of one dtype, C-contiguous."""

    inputs: np.ndarray  # [n, inputs]
    parameters: np.ndarray  # [P]
    targets: np.ndarray | None  # [n, outputs]; None for Gauss-Newton, which does not depend on them
    weight: np.ndarray | None  # [n, outputs], or None for ones
    scale: float


class Curvature(Protocol):
    """A linearised network."""

    def linearise(self, point: Point) -> None: ...

    def product(self, v: np.ndarray, out: np.ndarray) -> None:
        """The curvature times every row of `v` [B, P], to `out` [B, P]."""

    def outputs(self, out: np.ndarray) -> None:
        """What the network says, to `out` [n, K]."""

    def push(self, v: np.ndarray, out: np.ndarray) -> None:
        """The derivative of its outputs along `v` [P], to `out` [n, K]."""

    def gradient(self, out: np.ndarray) -> None:
        """The loss's gradient, where the curvature is exact, to `out` [P]."""

    def diagonal(self, out: np.ndarray) -> None:
        """Gauss-Newton's diagonal, to `out` [P]."""
