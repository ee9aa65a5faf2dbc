"""A network's curvature in plain torch calls: the reference, and what serves other devices and wide layers.

Formulas as in Pearlmutter (1994); a dot is a derivative along the direction (V, c):
  ż = ȧ·Wᵀ + a·Vᵀ + c,  ȧ = σ'·ż     forward, layer by layer, from ȧ = 0
  δ̇ = σ'·ġ + σ''·g·ż,  ġ = δ̇·W + δ·V     back, from the loss, with product = δ̇ᵀ·a + δᵀ·ȧ
where δ = ∂loss/∂z and g = ∂loss/∂a. Gauss-Newton is the same without δ and σ''.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from .._network import PIECEWISE_LINEAR, Layer


def bend(layer: Layer, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """σ(z), σ'(z), σ''(z); where a derivative jumps, the value from the left."""
    kind, p = layer.activation, layer.parameter
    one, zero = torch.ones_like(z), torch.zeros_like(z)
    if kind == "identity":
        return z, one, zero
    if kind == "relu":
        return torch.relu(z), (z > 0).to(z), zero
    if kind == "leaky_relu":
        return functional.leaky_relu(z, p), torch.where(z > 0, one, p), zero
    if kind == "tanh":
        t = torch.tanh(z)
        first = 1 - t * t
        return t, first, -2 * t * first
    if kind == "elu":
        e = p * torch.exp(z.clamp_max(0))
        return functional.elu(z, p), torch.where(z > 0, one, e), torch.where(z > 0, zero, e)
    if kind == "gelu":
        below, density = torch.special.ndtr(z), torch.exp(-z * z / 2) * 0.3989422804014327
        return z * below, below + z * density, density * (2 - z * z)
    if kind == "gelu_tanh":
        c, a = 0.7978845608028654, 0.044715
        t, inner = torch.tanh(c * (z + a * z**3)), c * (1 + 3 * a * z * z)
        slope = 1 - t * t
        first = (1 + t) / 2 + z * slope * inner / 2
        return z * (1 + t) / 2, first, slope * inner + z / 2 * slope * (6 * a * c * z - 2 * t * inner * inner)
    s = torch.sigmoid(p * z if kind == "softplus" else z)
    first = s * torch.sigmoid(-(p * z if kind == "softplus" else z))
    second = first * (1 - 2 * s)
    if kind == "sigmoid":
        return s, first, second
    if kind == "silu":
        return z * s, s + z * first, 2 * first + z * second
    straight = p * z > 20  # where Softplus is the identity by definition
    return functional.softplus(z, p), torch.where(straight, one, s), torch.where(straight, zero, p * first)


class TorchCurvature:
    """A linearised network on tensors of any device; see `_network.Curvature`."""

    def __init__(self, layers: Sequence[Layer], exact: bool) -> None:
        self._layers, self._exact = layers, exact

    def _parts(self, flat: Tensor) -> list[tuple[Tensor, Tensor | None]]:
        """(weight [out, in], bias [out]) of every layer, views of `flat` [P]."""
        out, start = [], 0
        for layer in self._layers:
            middle = start + layer.inputs * layer.outputs
            weight = flat[start:middle].view(layer.outputs, layer.inputs)
            out.append((weight, flat[middle : middle + layer.outputs] if layer.bias else None))
            start += layer.size
        return out

    # What happens to numbers one by one; a device may have kernels for it.

    def _activate(self, layer: Layer, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return bend(layer, z)

    def _slide(self, z: Tensor, slope: Tensor, curve: Tensor | None) -> Tensor | None:
        """z becomes slope·z; returns curve·z as it was."""
        bent = None if curve is None else curve * z
        z.mul_(slope)
        return bent

    def _return(self, g: Tensor, slope: Tensor, bent: Tensor | None) -> Tensor:
        g.mul_(slope)
        return g if bent is None else g.add_(bent)

    def linearise(
        self, inputs: Tensor, parameters: Tensor, targets: Tensor | None, weight: Tensor | None, scale: float
    ) -> None:
        self._weights = [w for w, _ in self._parts(parameters)]
        self._entering, self._slope, self._bend = [inputs.clone()], [], []
        for layer, (w, b) in zip(self._layers, self._parts(parameters), strict=True):
            value, first, second = self._activate(layer, functional.linear(self._entering[-1], w, b))
            self._entering.append(value)
            self._slope.append(first)
            self._bend.append(second)
        self.outputs = output = self._entering.pop()
        twice = torch.full_like(output, 2 * scale) if weight is None else 2 * scale * weight
        self._output = twice * self._slope[-1].square()
        self._delta: list[Tensor] = []
        if self._exact:
            assert targets is not None
            g = twice * (output - targets)
            self._output += self._bend[-1] * g
            self._delta = [self._slope[-1] * g]
            for k in range(len(self._layers) - 1, 0, -1):
                g = self._delta[0] @ self._weights[k]
                self._bend[k - 1] *= g
                self._delta.insert(0, self._slope[k - 1] * g)

    def product(self, v: Tensor) -> Tensor:
        """The curvature times every row of `v` [B, P]."""
        return torch.stack([self._row(row) for row in v])

    def push(self, v: Tensor) -> Tensor:
        """The derivative of the outputs along `v` [P]: [n, K]."""
        return self._along(self._parts(v), self._slope[-1])[0][-1]

    def gradient(self) -> Tensor:
        """The loss's gradient [P], where the curvature is exact."""
        out = []
        for layer, delta, entering in zip(self._layers, self._delta, self._entering, strict=True):
            out.append((delta.T @ entering).reshape(-1))
            if layer.bias:
                out.append(delta.sum(0))
        return torch.cat(out)

    def _along(
        self, along: list[tuple[Tensor, Tensor | None]], end: Tensor
    ) -> tuple[list[Tensor], list[Tensor | None]]:
        """ȧ of every layer along a direction, the last one's by the slope `end`; and σ''·g·ż where that counts."""
        last = len(self._layers) - 1
        moved: list[Tensor] = []
        bent: list[Tensor | None] = []
        for k, (v, c) in enumerate(along):
            z = functional.linear(self._entering[k], v, c)
            if k:
                z.addmm_(moved[-1], self._weights[k].T)
            curved = self._exact and k < last and self._layers[k].activation not in PIECEWISE_LINEAR
            bent.append(self._slide(z, end if k == last else self._slope[k], self._bend[k] if curved else None))
            moved.append(z)
        return moved, bent

    def _row(self, flat: Tensor) -> Tensor:
        along, last = self._parts(flat), len(self._layers) - 1
        moved, bent = self._along(along, self._output)
        delta, out = moved[last], []
        for k in range(last, -1, -1):
            total = delta.T @ self._entering[k]
            if self._layers[k].bias:
                out.append(delta.sum(0))
            if self._exact and k:
                total.addmm_(self._delta[k].T, moved[k - 1])
            out.append(total.reshape(-1))
            if k == 0:
                break
            g = delta @ self._weights[k]
            if self._exact:
                g.addmm_(self._delta[k], along[k][0])
            delta = self._return(g, self._slope[k - 1], bent[k - 1])
        return torch.cat(out[::-1])

    def diagonal(self) -> Tensor:
        """Gauss-Newton's diagonal [P]: for every output, its derivatives squared and weighted as the loss weighs it."""
        squares = [torch.zeros_like(slope) for slope in self._slope]
        for k in range(self._layers[-1].outputs):
            up = torch.zeros_like(squares[-1])
            up[:, k] = 1
            for index in range(len(self._layers) - 1, -1, -1):
                squares[index] += self._output[:, k : k + 1] * up.square()
                if index:
                    up = (up @ self._weights[index]).mul_(self._slope[index - 1])
        out = []
        for layer, square, entering in zip(self._layers, squares, self._entering, strict=True):
            out.append((square.T @ entering.square()).reshape(-1))
            if layer.bias:
                out.append(square.sum(0))
        return torch.cat(out)
