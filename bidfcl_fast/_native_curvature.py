"""Curvature's arrays to addresses: a linearised network, and the state of conjugate gradient, as C++ sees them."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np

from ._native import _DTYPE, _address, module


class Network:
    """A network's curvature held by C++. Arrays are C-contiguous and of `dtype`, but for rows of `inputs`."""

    def __init__(self, dtype: np.dtype, layers: Sequence[tuple[int, int, bool, int, float]], exact: bool) -> None:
        c = module()
        self._handle = c.mlp_new(_DTYPE[dtype], [tuple(layer) for layer in layers], exact)
        self._free = weakref.finalize(self, c.mlp_free, self._handle)
        self._product = c.mlp_product

    def linearise(
        self,
        inputs: np.ndarray,
        parameters: np.ndarray,
        targets: np.ndarray | None,
        weight: np.ndarray | None,
        scale: float,
        threads: int,
    ) -> None:
        stride = inputs.strides[0] // inputs.itemsize
        module().mlp_linearise(
            self._handle,
            len(inputs),
            _address(inputs),
            stride,
            _address(parameters),
            _address(targets),
            _address(weight),
            scale,
            threads,
        )

    def product(self, v: np.ndarray, out: np.ndarray, threads: int) -> None:
        """The curvature times every row of `v` [B, P], to `out` [B, P]."""
        self._product(self._handle, v.ctypes.data, out.ctypes.data, len(v), threads)

    def outputs(self, out: np.ndarray) -> None:
        """What the network says, to `out` [n, K]."""
        module().mlp_outputs(self._handle, out.ctypes.data)

    def push(self, v: np.ndarray, out: np.ndarray, threads: int) -> None:
        """The derivative of its outputs along `v` [P], to `out` [n, K]."""
        module().mlp_push(self._handle, v.ctypes.data, out.ctypes.data, threads)

    def gradient(self, out: np.ndarray, threads: int) -> None:
        """The loss's gradient, of an exact one, to `out` [P]."""
        module().mlp_gradient(self._handle, out.ctypes.data, threads)

    def diagonal(self, out: np.ndarray, threads: int) -> None:
        """The diagonal of Gauss-Newton, to `out` [P]."""
        module().mlp_diagonal(self._handle, out.ctypes.data, threads)


class ConjugateGradient:
    """Solves side by side on NumPy arrays, changed in place: x, r and p [B, P], rz and goal [B] float64.

    Preconditioned by `inverse` [P], a diagonal, or by `low_rank`, (along [rank, P], stretch [rank]), or by neither.
    """

    def __init__(
        self,
        x: np.ndarray,
        r: np.ndarray,
        p: np.ndarray,
        inverse: np.ndarray | None,
        low_rank: tuple[np.ndarray, np.ndarray] | None,
        *,
        rz: np.ndarray,
        goal: np.ndarray,
        room: np.ndarray,
        damping: float,
        threads: int,
    ) -> None:
        count, size = x.shape
        along, stretch = low_rank or (None, None)
        turned = None if along is None else np.empty(size, x.dtype)
        self.state = np.where(room > 0, 1, -1).astype(np.int64)
        self.running = int((self.state == 1).sum())
        self.steps, self.curvature = np.zeros(count, np.int64), np.full(count, np.nan)
        room = np.ascontiguousarray(room, np.int64)
        small = (goal, room, rz, self.curvature, self.steps, self.state)
        self._keep = (x, r, p, inverse, along, stretch, turned, *small)
        c = module()
        self._state = c.CgState(
            _DTYPE[x.dtype],
            count,
            size,
            *map(_address, (x, r, p, inverse, along, stretch)),
            0 if along is None else len(along),
            _address(turned),
            damping,
            *map(_address, small),
        )
        self._step, self._turn, self._threads = c.cg_step, c.cg_turn, threads

    def step(self, products: int, turn: bool) -> int:
        """One step of those that run, from the address of their products; how many go on."""
        self.running = self._step(self._state, products, turn, self._threads)
        return self.running

    def turn(self, preconditioned: int, before: int) -> None:
        """New directions of those that run, from the addresses of their preconditioned residuals and of r [B, P] as it
        was before the step."""
        self._turn(self._state, preconditioned, before)
