"""A network's curvature without a compiler: NumPy's BLAS for products of matrices, Numba for all that goes between.

Tiles of rows go through all layers and back while they are in cache, as in C++ (csrc/cpu/curvature/mlp_tiles.h has the formulas);
between two products of matrices stands one compiled loop.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numba
import numpy as np

from .._network import ACTIVATIONS, PIECEWISE_LINEAR, Layer, Point

_TILE = 1024
_CODES = {name: numba.int64(code) for name, code in ACTIVATIONS.items()}


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _logistic(z: Any) -> Any:
    e = math.exp(-abs(z))
    whole = 1 / (1 + e)
    first = e * whole * whole
    second = first * (1 - e) * whole
    return (e * whole, first, second) if z < 0 else (whole, first, -second)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _activate(code: Any, parameter: Any, z: Any, value: Any, first: Any, second: Any) -> None:
    """σ, σ' and σ'' of every number of z [n, d]; the three outputs may be views, `value` may be z."""
    half, one = z.dtype.type(0.5), z.dtype.type(1)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            x = z[i, j]
            if code == 0:
                v, f, s = x, one, 0 * one
            elif code == 1 or code == 2:
                v, f, s = (x, one, 0 * one) if x > 0 else (parameter * x, parameter, 0 * one)
            elif code == 3:
                m = math.expm1(-2 * abs(x))
                size = -m / (2 + m)
                v = -size if x < 0 else size
                f = 4 * (1 + m) / ((2 + m) * (2 + m))
                s = -2 * v * f
            elif code == 4:
                v, f, s = _logistic(x)
            elif code == 5:
                g, gf, gs = _logistic(x)
                v, f, s = x * g, g + x * gf, 2 * gf + x * gs
            elif code == 6:
                below = half * math.erfc(-x * 0.7071067811865476)
                density = math.exp(-half * x * x) * 0.3989422804014327
                v, f, s = x * below, below + x * density, density * (2 - x * x)
            elif code == 7:
                c, a = 0.7978845608028654, 0.044715
                m = math.tanh(c * (x + a * x * x * x))
                slope = 1 - m * m
                inner = c * (1 + 3 * a * x * x)
                v = half * x * (1 + m)
                f = half * (1 + m) + half * x * slope * inner
                s = slope * inner + half * x * (-2 * m * slope * inner * inner + slope * 6 * a * c * x)
            elif code == 8:
                g, gf, gs = _logistic(parameter * x)
                if parameter * x > 20:
                    v, f, s = x, one, 0 * one
                else:
                    v = max(x, 0 * one) + math.log1p(math.exp(-abs(parameter * x))) / parameter
                    f, s = g, parameter * gf
            else:
                if x > 0:
                    v, f, s = x, one, 0 * one
                else:
                    m = parameter * math.expm1(x)
                    v, f, s = m, m + parameter, m + parameter
            value[i, j] = v
            first[i, j] = f
            second[i, j] = s


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _forward(z: Any, bias: Any, slope: Any, bend: Any, bent: Any, curved: bool) -> None:
    """z + bias → slope·(·), in place; where `curved`, bent = bend·(·)."""
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            x = z[i, j] + bias[j]
            if curved:
                bent[i, j] = bend[i, j] * x
            z[i, j] = slope[i, j] * x


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _backward(g: Any, slope: Any, bent: Any, curved: bool) -> None:
    """g → slope·g (+ bent), in place."""
    for i in range(g.shape[0]):
        for j in range(g.shape[1]):
            x = slope[i, j] * g[i, j]
            g[i, j] = x + bent[i, j] if curved else x


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_squares(x: Any, weight: Any, out: Any) -> None:
    """out += weight of the row · x²."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] += weight[i] * x[i, j] * x[i, j]


class Curvature:
    """See `_network.Curvature`."""

    def __init__(self, layers: Sequence[Layer], dtype: np.dtype, exact: bool) -> None:
        self._layers, self._dtype, self._exact = layers, dtype, exact
        self._curved = [exact and layer.activation not in PIECEWISE_LINEAR for layer in layers]

    def _parts(self, flat: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(weight [out, in], bias [out]) of every layer, views of `flat` [P]."""
        start = 0
        for layer in self._layers:
            middle = start + layer.inputs * layer.outputs
            weight = flat[start:middle].reshape(layer.outputs, layer.inputs)
            bias = flat[middle : middle + layer.outputs] if layer.bias else np.zeros(layer.outputs, self._dtype)
            start += layer.size
            yield weight, bias

    def linearise(self, point: Point) -> None:
        self._rows = len(point.inputs)
        self._weights = [weight.copy() for weight, _ in self._parts(point.parameters)]
        self._entering, self._slope, self._bend = [point.inputs.copy()], [], []
        for layer, weight, (_, bias) in zip(self._layers, self._weights, self._parts(point.parameters), strict=True):
            z = self._entering[-1] @ weight.T + bias
            value, first, second = (np.empty_like(z) for _ in range(3))
            code, parameter = _CODES[layer.activation], self._dtype.type(layer.parameter)
            _activate(code, parameter if layer.activation != "relu" else 0 * parameter, z, value, first, second)
            self._entering.append(value)
            self._slope.append(first)
            self._bend.append(second)
        self._last = output = self._entering.pop()
        twice = np.full_like(output, 2 * point.scale) if point.weight is None else 2 * point.scale * point.weight
        self._output = (twice * self._slope[-1] ** 2).astype(self._dtype, copy=False)
        self._delta: list[np.ndarray] = []
        if self._exact:
            g = twice * (output - point.targets)
            self._output += self._bend[-1] * g
            self._delta = [(self._slope[-1] * g).astype(self._dtype, copy=False)]
            for weight, slope, bend in zip(self._weights[:0:-1], self._slope[-2::-1], self._bend[-2::-1], strict=True):
                g = self._delta[0] @ weight
                bend *= g
                self._delta.insert(0, slope * g)

    def product(self, v: np.ndarray, out: np.ndarray) -> None:
        out[:] = 0
        for direction, total in zip(v, out, strict=True):
            along, sums = list(self._parts(direction)), list(self._parts(total))
            for start in range(0, self._rows, _TILE):
                self._tile(slice(start, start + _TILE), along, sums)

    def outputs(self, out: np.ndarray) -> None:
        out[:] = self._last

    def push(self, v: np.ndarray, out: np.ndarray) -> None:
        along = list(self._parts(v))
        for start in range(0, self._rows, _TILE):
            rows = slice(start, start + _TILE)
            out[rows] = self._along(rows, along, self._slope[-1][rows])[0][-1]

    def gradient(self, out: np.ndarray) -> None:
        for (total, offset), delta, entering in zip(self._parts(out), self._delta, self._entering, strict=True):
            np.matmul(delta.T, entering, out=total)
            np.sum(delta, 0, out=offset)

    def _along(self, rows: slice, along: list, end: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """ȧ of every layer along a direction, the last one's by the slope `end`; and σ''·g·ż where that counts."""
        last = len(self._layers) - 1
        moved: list[np.ndarray] = []
        bent: list[np.ndarray] = []
        for k, (weight, (v, c)) in enumerate(zip(self._weights, along, strict=True)):
            z = self._entering[k][rows] @ v.T
            if k:
                z += moved[-1] @ weight.T
            curved = self._curved[k] and k < last
            bent.append(np.empty_like(z) if curved else z)
            _forward(z, c, end if k == last else self._slope[k][rows], self._bend[k][rows], bent[-1], curved)
            moved.append(z)
        return moved, bent

    def _tile(self, rows: slice, along: list, sums: list) -> None:
        last = len(self._layers) - 1
        moved, bent = self._along(rows, along, self._output[rows])
        delta = moved[last]
        for k in range(last, -1, -1):
            total, offset = sums[k]
            total += delta.T @ self._entering[k][rows]
            offset += delta.sum(0)
            if k == 0:
                break
            g = delta @ self._weights[k]
            if self._exact:
                kept = self._delta[k][rows]
                total += kept.T @ moved[k - 1]
                g += kept @ along[k][0]
            _backward(g, self._slope[k - 1][rows], bent[k - 1], self._curved[k - 1])
            delta = g

    def diagonal(self, out: np.ndarray) -> None:
        out[:] = 0
        sums = list(self._parts(out))
        for start in range(0, self._rows, _TILE):
            rows = slice(start, start + _TILE)
            squares = [np.zeros_like(slope[rows]) for slope in self._slope]
            weight_of_row = self._output[rows]
            for k in range(self._layers[-1].outputs):
                up = np.zeros_like(squares[-1])
                up[:, k] = 1
                for index in range(len(self._layers) - 1, -1, -1):
                    _add_squares(up, weight_of_row[:, k], squares[index])
                    if index:
                        up = up @ self._weights[index]
                        _backward(up, self._slope[index - 1][rows], up, False)
            for (total, offset), square, entering in zip(sums, squares, self._entering, strict=True):
                total += square.T @ (entering[rows] ** 2)
                offset += square.sum(0)
