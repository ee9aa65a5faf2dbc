"""`LinearOperator`: a symmetric linear map on flat vectors, its algebra, and its exchange with SciPy and curvlinops."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import _vectors


class LinearOperator(abc.ABC):
    """A symmetric linear map A on flat vectors of length P, of one dtype on one device.

    `A @ v` takes [P] or [B, P] (B vectors, one a row) and returns the same shape. `A + B`, `s * A` and
    `A.damped(delta)` are operators too. A subclass supplies `_apply` on [B, P], and `diagonal` if it knows it. That A
    is symmetric is the subclass's promise; conjugate gradient rests on it.

    Parameters
    ----------
    size
        P.
    dtype
        float32 or float64.
    """

    def __init__(self, size: int, dtype: torch.dtype, device: torch.device | str = "cpu") -> None:
        self.size = _vectors.count("size", size, least=1)
        if dtype not in _vectors.FLOATS:
            raise TypeError(f"dtype must be torch.float32 or torch.float64, got {dtype}")
        self.dtype, self.device = dtype, torch.device(device)

    @property
    def shape(self) -> tuple[int, int]:
        """(P, P)."""
        return self.size, self.size

    @abc.abstractmethod
    def _apply(self, v: Tensor) -> Tensor:
        """A times every row of `v` [B, P], as a new tensor [B, P]."""

    def diagonal(self) -> Tensor:
        """[P]: the diagonal of A.

        Raises
        ------
        NotImplementedError
            If this operator only knows how to multiply.
        """
        raise NotImplementedError(f"{type(self).__name__} knows no diagonal; MLPCurvature(kind='gauss_newton') does")

    def __matmul__(self, v: Any) -> Tensor:
        out = self._apply(_vectors.rows("the vector", v, self.size, self.dtype, self.device))
        return out[0] if v.ndim == 1 else out

    __call__ = __matmul__

    def to_dense(self, chunk: int = 64) -> Tensor:
        """[P, P]: A as a matrix, `chunk` columns a product."""
        parts = []
        for start in range(0, self.size, _vectors.count("chunk", chunk, least=1)):
            wide = min(chunk, self.size - start)
            unit = torch.zeros(wide, self.size, dtype=self.dtype, device=self.device)
            unit[torch.arange(wide), start + torch.arange(wide)] = 1
            parts.append(self._apply(unit))
        return torch.cat(parts).T

    # --- algebra ------------------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> LinearOperator:
        return Sum(self, other) if isinstance(other, LinearOperator) else NotImplemented

    def __mul__(self, scalar: Any) -> LinearOperator:
        return Scaled(self, scalar) if isinstance(scalar, (int, float)) else NotImplemented

    __rmul__ = __mul__

    def __neg__(self) -> LinearOperator:
        return Scaled(self, -1.0)

    def __sub__(self, other: Any) -> LinearOperator:
        return self + (-other) if isinstance(other, LinearOperator) else NotImplemented

    def damped(self, delta: float) -> LinearOperator:
        """A + delta·I, delta >= 0."""
        delta = _vectors.number("delta", delta)
        return self + ScaledIdentity(self.size, delta, self.dtype, self.device)

    # --- exchange -----------------------------------------------------------------------------------------------------

    def to_scipy(self) -> Any:
        """A `scipy.sparse.linalg.LinearOperator` of the same map, on NumPy arrays (CPU operators only)."""
        from scipy.sparse.linalg import LinearOperator as Scipy

        if self.device.type != "cpu":
            raise ValueError(f"SciPy works on the CPU; this operator is on {self.device}")
        kind = np.dtype(str(self.dtype).removeprefix("torch."))

        def columns(x: np.ndarray) -> np.ndarray:
            v = torch.from_numpy(np.ascontiguousarray(x.reshape(self.size, -1).T, kind))
            return self._apply(v).numpy().T.reshape(x.shape)

        return Scipy(self.shape, matvec=columns, rmatvec=columns, matmat=columns, rmatmat=columns, dtype=kind)

    def to_curvlinops(self) -> Any:
        """A `curvlinops` operator of the same map, on one flat block of P."""
        from curvlinops._torch_base import PyTorchLinearOperator

        ours = self

        class Exported(PyTorchLinearOperator):  # type: ignore[misc]
            SELF_ADJOINT = True
            dtype, device = ours.dtype, ours.device

            def _matmat(self, blocks: list[Tensor]) -> list[Tensor]:
                return [ours._apply(blocks[0].detach().T.contiguous()).T]

        return Exported([(self.size,)], [(self.size,)])


def _agree(first: LinearOperator, other: LinearOperator) -> None:
    if (first.size, first.dtype, first.device) != (other.size, other.dtype, other.device):
        raise ValueError(
            "operators of a sum must agree in size, dtype and device: "
            f"[{first.size}] {first.dtype} on {first.device}, [{other.size}] {other.dtype} on {other.device}"
        )


class Sum(LinearOperator):
    """A + B + ..., of operators that agree in size, dtype and device."""

    def __init__(self, *terms: LinearOperator) -> None:
        super().__init__(terms[0].size, terms[0].dtype, terms[0].device)
        for term in terms[1:]:
            _agree(terms[0], term)
        self.terms: list[LinearOperator] = [
            inner for term in terms for inner in (term.terms if isinstance(term, Sum) else [term])
        ]

    def _apply(self, v: Tensor) -> Tensor:
        out = self.terms[0]._apply(v)
        for term in self.terms[1:]:
            out = out.add_(v, alpha=term.scale) if isinstance(term, ScaledIdentity) else out.add_(term._apply(v))
        return out

    def diagonal(self) -> Tensor:
        return torch.stack([term.diagonal() for term in self.terms]).sum(0)


class Scaled(LinearOperator):
    """s·A."""

    def __init__(self, of: LinearOperator, scale: float) -> None:
        super().__init__(of.size, of.dtype, of.device)
        self.of, self.scale = of, _vectors.number("the factor", scale, least=-float("inf"))

    def _apply(self, v: Tensor) -> Tensor:
        return self.of._apply(v).mul_(self.scale)

    def diagonal(self) -> Tensor:
        return self.of.diagonal() * self.scale


class ScaledIdentity(LinearOperator):
    """s·I on vectors [P] (P is `size`, s is `scale`) of that dtype and device: damping, or the Hessian of a ridge penalty s/2·|θ|²."""

    def __init__(
        self, size: int, scale: float, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> None:
        super().__init__(size, dtype, device)
        self.scale = _vectors.number("scale", scale, least=-float("inf"))

    def _apply(self, v: Tensor) -> Tensor:
        return v * self.scale

    def diagonal(self) -> Tensor:
        return torch.full((self.size,), self.scale, dtype=self.dtype, device=self.device)


class MatrixOperator(LinearOperator):
    """A dense symmetric matrix [P, P]."""

    def __init__(self, matrix: Tensor) -> None:
        if not isinstance(matrix, Tensor) or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            got = list(matrix.shape) if isinstance(matrix, Tensor) else type(matrix).__name__
            raise ValueError(f"matrix must be a tensor [P, P], got {got}")
        super().__init__(matrix.shape[0], matrix.dtype, matrix.device)
        self.matrix = matrix.detach()

    def _apply(self, v: Tensor) -> Tensor:
        return v @ self.matrix.T

    def diagonal(self) -> Tensor:
        return self.matrix.diagonal().clone()


class FunctionOperator(LinearOperator):
    """A function as an operator: `function(v)` maps [P] to [P], or with `batched=True` [B, P] to [B, P]. P is `size`; dtype and device are the vectors'."""

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        size: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        *,
        batched: bool = False,
    ) -> None:
        if not callable(function):
            raise TypeError(f"function must be callable, got {type(function).__name__}")
        super().__init__(size, dtype, device)
        self.function, self.batched = function, batched

    def _apply(self, v: Tensor) -> Tensor:
        parts = [self.function(v)] if self.batched else [self.function(row) for row in v]
        for part in parts:
            expected = v.shape if self.batched else v.shape[1:]
            if not isinstance(part, Tensor) or part.shape != expected or part.dtype != v.dtype:
                got = f"{list(part.shape)} {part.dtype}" if isinstance(part, Tensor) else type(part).__name__
                raise ValueError(f"the operator's function must return {list(expected)} {v.dtype}, got {got}")
        # A function may return its own buffer, or its argument: sums add in place, so they need a copy.
        return parts[0].detach().clone() if self.batched else torch.stack([part.detach() for part in parts])


def as_operator(source: Any, like: Tensor) -> LinearOperator:
    """`source` as an operator on vectors like `like` [..., P].

    Taken: a `LinearOperator`; a tensor or NumPy matrix [P, P]; a SciPy operator or sparse matrix; a curvlinops
    operator; any function [P] → [P].

    Raises
    ------
    TypeError, ValueError
        If it is none of these, or its shape is not [P, P].
    """
    size, dtype, device = like.shape[-1], like.dtype, like.device
    if isinstance(source, LinearOperator):
        return source
    if isinstance(source, np.ndarray):
        source = torch.from_numpy(source)
    shape = getattr(source, "shape", None)
    if shape is not None and tuple(shape) != (size, size):
        raise ValueError(f"operator must be [{size}, {size}], as right-hand sides have {size}, got {list(shape)}")
    if isinstance(source, Tensor):
        return MatrixOperator(source)
    root = type(source).__module__.partition(".")[0]
    of_curvlinops = any(base.__module__.partition(".")[0] == "curvlinops" for base in type(source).__mro__)
    if of_curvlinops:
        return FunctionOperator(lambda v: (source @ v.T).T.contiguous(), size, dtype, device, batched=True)
    if shape is not None and (root == "scipy" or hasattr(source, "matvec")):
        if device.type != "cpu":
            raise ValueError(f"a SciPy operator works on the CPU; the right-hand side is on {device}")
        kind = np.dtype(str(dtype).removeprefix("torch."))
        return FunctionOperator(
            lambda v: torch.from_numpy(np.ascontiguousarray((source @ v.numpy().T).T, kind)),
            size,
            dtype,
            device,
            batched=True,
        )
    if callable(source):
        return FunctionOperator(source, size, dtype, device)
    raise TypeError(
        "operator must be a LinearOperator, a matrix, a SciPy or curvlinops operator or a function, "
        f"got {type(source).__name__}"
    )
