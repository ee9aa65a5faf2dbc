"""A network's curvature in C++: tiles of rows that stay in cache through all layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import _native_curvature
from .._network import ACTIVATIONS, Layer, Point
from . import threads


class Curvature:
    """See `_network.Curvature`."""

    def __init__(self, layers: Sequence[Layer], dtype: np.dtype, exact: bool) -> None:
        coded = [(n.inputs, n.outputs, n.bias, ACTIVATIONS[n.activation], n.parameter) for n in layers]
        self._network = _native_curvature.Network(dtype, coded, exact)
        self._threads = threads()

    def linearise(self, point: Point) -> None:
        self._threads = threads()
        self._network.linearise(*point, self._threads)

    def product(self, v: np.ndarray, out: np.ndarray) -> None:
        self._network.product(v, out, self._threads)

    def outputs(self, out: np.ndarray) -> None:
        self._network.outputs(out)

    def push(self, v: np.ndarray, out: np.ndarray) -> None:
        self._network.push(v, out, self._threads)

    def gradient(self, out: np.ndarray) -> None:
        self._network.gradient(out, self._threads)

    def diagonal(self, out: np.ndarray) -> None:
        self._network.diagonal(out, self._threads)
