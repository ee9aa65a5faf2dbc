"""`MLPCurvature`: Hessian and Gauss-Newton products of a squared error through a Sequential, linearised once."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import backends
from .._network import Layer, Point
from . import _cuda, _vectors
from ._mlp_torch import TorchCurvature
from .operator import LinearOperator

# Layers wider than this are BLAS's business: a tile's activations would no longer stay in cache.
_WIDEST = 1024


class MLPCurvature(LinearOperator):
    """The curvature of scale · Σ weight·(module(inputs) − targets)² in the module's parameters.

    The network is run once and its activations are kept; every product reuses them: no autograd graph, no second run
    of the forward pass. Memory does not grow with the number of products. An exact product costs about the arithmetic
    of two gradients, a Gauss-Newton product of one and a third (docs/curvature.md counts).

    Parameters
    ----------
    module
        `nn.Sequential` (nested ones too) of `nn.Linear`, each followed by at most one of ReLU, LeakyReLU, Tanh,
        Sigmoid, SiLU, GELU, Softplus, ELU; Identity anywhere, Dropout where it does nothing. The last layer may have an
        activation. All parameters take part, in the order of `module.parameters()`.
    inputs
        [n, d]
    kind
        "gauss_newton": positive semi-definite, whatever the targets. "hessian": exact; needs `targets`.
    targets
        [n, k]: the labels of the loss.
    weight
        [n, k] of every cell, [n] of every row, or None for ones; finite, >= 0. A bool mask leaves cells out.
    reduction
        "mean": the loss is the mean over rows of the weighted sum over cells (scale 1/n); "sum": the sum (scale 1).
    backend
        "cuda", "cpp", "numba" or "reference" (plain torch). None: on a CUDA device "cuda" where it is there; on the CPU the
        first that is there, but torch for layers wider than 1,024, where its BLAS is the better tool; torch on other devices. `backend` says which one it is.

    Raises
    ------
    ValueError, TypeError
        If the module has anything else in it, or shapes, dtypes or devices do not agree.
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: Tensor,
        *,
        kind: str = "gauss_newton",
        targets: Tensor | None = None,
        weight: Tensor | None = None,
        reduction: str = "mean",
        backend: str | None = None,
    ) -> None:
        if kind not in ("gauss_newton", "hessian"):
            raise ValueError(f"kind must be 'gauss_newton' or 'hessian', got {kind!r}")
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
        self.kind, self.reduction, self._module = kind, reduction, module
        self._layers, self._parameters = read(module)
        first = self._parameters[0]
        super().__init__(sum(p.numel() for p in self._parameters), first.dtype, first.device)
        widest = max(max(layer.inputs, layer.outputs) for layer in self._layers)
        if backend is None and self.device.type == "cuda" and "cuda" in backends.available():
            backend = "cuda"
        elif backend is None and (self.device.type != "cpu" or widest > _WIDEST):
            backend = "reference"
        self.backend = backends.resolve(backend).__name__.rpartition(".")[2]
        if self.backend == "cuda" and self.device.type == "cpu":
            raise ValueError("backend 'cuda' works on a CUDA device; the module is on the CPU")
        if self.device.type != "cpu" and self.backend not in ("reference", "cuda"):
            raise ValueError(f"backend {self.backend!r} works on the CPU; the module is on {self.device}")
        self._torch: TorchCurvature | None = None
        self._numpy: Any = None
        if self.backend == "reference":
            self._torch = TorchCurvature(self._layers, kind == "hessian")
        elif self.backend == "cuda":
            self._torch = _cuda.CudaCurvature(self._layers, kind == "hessian", _cuda.kernels())
        else:
            implementation = importlib.import_module(f"..backends.{self.backend}_mlp", __package__)
            dtype = np.dtype(str(self.dtype).removeprefix("torch."))
            self._numpy = implementation.Curvature(self._layers, dtype, kind == "hessian")
        self._data: tuple[Any, ...] = (inputs, targets, weight)
        self.refresh()

    def refresh(
        self, inputs: Tensor | None = None, *, targets: Tensor | None = None, weight: Tensor | None = None
    ) -> None:
        """Linearise again, at the module's parameters of now; new arrays replace the old ones, memory is reused."""
        old = self._data
        self._data = tuple(o if new is None else new for o, new in zip(old, (inputs, targets, weight), strict=True))
        self._arrays = self._checked(*self._data)
        self._linearise()

    def _linearise(self) -> None:
        x, y, w = self._arrays
        scale = 1 / len(x) if self.reduction == "mean" else 1.0
        self._theta = theta = _vectors.flatten(self._parameters).detach()
        if self._torch is not None:
            self._torch.linearise(x, theta, y, w, scale)
        else:
            labels, cells = (None if t is None else t.numpy() for t in (y, w))
            self._numpy.linearise(Point(x.numpy(), theta.numpy(), labels, cells, scale))

    def _checked(self, inputs: Any, targets: Any, weight: Any) -> tuple[Tensor, Tensor | None, Tensor | None]:
        x = self._matrix("inputs", inputs, None, self._layers[0].inputs)
        cells = (len(x), self._layers[-1].outputs)
        if len(x) == 0:
            raise ValueError("inputs must have at least one row")
        y = None if targets is None else self._matrix("targets", targets, *cells)
        if self.kind == "hessian" and y is None:
            raise ValueError("kind='hessian' needs targets: the exact Hessian depends on the residuals")
        if weight is None:
            return x, y if self.kind == "hessian" else None, None
        if isinstance(weight, Tensor) and weight.dtype == torch.bool:
            weight = weight.to(self.dtype)
        if isinstance(weight, Tensor) and weight.ndim == 1 and len(weight) == cells[0]:
            weight = weight.unsqueeze(1).expand(cells)
        w = self._matrix("weight", weight, *cells)
        if not bool((w >= 0).all()) or not bool(torch.isfinite(w).all()):
            raise ValueError("weight must be finite and not negative")
        return x, y if self.kind == "hessian" else None, w

    def _matrix(self, name: str, x: Any, rows: int | None, columns: int) -> Tensor:
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} must be a torch tensor, got {type(x).__name__}")
        if x.ndim != 2 or x.shape[1] != columns or (rows is not None and x.shape[0] != rows):
            raise ValueError(
                f"{name} must have shape [{'n' if rows is None else rows}, {columns}], got {list(x.shape)}"
            )
        if x.dtype != self.dtype or x.device != self.device:
            raise TypeError(
                f"{name} must be {self.dtype} on {self.device}, as the module is, got {x.dtype} on {x.device}"
            )
        return x.detach().contiguous()

    def _apply(self, v: Tensor) -> Tensor:
        if self._torch is not None:
            return self._torch.product(v.contiguous())
        out = torch.empty(v.shape, dtype=self.dtype)
        self._numpy.product(v.contiguous().numpy(), out.numpy())
        return out

    def outputs(self) -> Tensor:
        """[n, K]: what the module says of the inputs, without a way back."""
        if self._torch is not None:
            return self._torch.outputs.clone()
        out = self._cells()
        self._numpy.outputs(out.numpy())
        return out

    def push(self, v: Tensor) -> Tensor:
        """[n, K]: the derivative of the outputs along `v` [P], which is J·v."""
        rows = _vectors.rows("v", v, self.size, self.dtype, self.device)
        if len(rows) != 1:
            raise ValueError(f"v must be one direction, got {len(rows)}")
        v = rows[0]
        if self._torch is not None:
            return self._torch.push(v)
        out = self._cells()
        self._numpy.push(v.contiguous().numpy(), out.numpy())
        return out

    def gradient(self) -> Tensor:
        """[P]: the loss's gradient.

        Raises
        ------
        NotImplementedError
            For kind "gauss_newton", which does not know the targets.
        """
        if self.kind != "hessian":
            raise NotImplementedError("Gauss-Newton does not know the targets: take kind='hessian'")
        if self._torch is not None:
            return self._torch.gradient()
        out = torch.empty(self.size, dtype=self.dtype)
        self._numpy.gradient(out.numpy())
        return out

    def step(self, size: float) -> None:
        """One gradient step of the module's parameters, −size·gradient, in place; and linearised there.

        Raises
        ------
        NotImplementedError
            As `gradient`.
        """
        slope = self.gradient()
        with torch.no_grad():
            for p, g in zip(self._parameters, _vectors.unflatten(slope, self._parameters), strict=True):
                p.sub_(g, alpha=size)
        self._linearise()

    def is_at(self, module: nn.Module, inputs: Tensor) -> bool:
        """Whether this is the linearisation of `module` on the rows `inputs`, at its parameters of now."""
        own = self._data[0]
        same = own is inputs or (
            isinstance(inputs, Tensor)
            and (own.data_ptr(), own.shape, own.stride()) == (inputs.data_ptr(), inputs.shape, inputs.stride())
            and own.dtype == inputs.dtype
        )
        return same and module is self._module and torch.equal(self._theta, _vectors.flatten(self._parameters).detach())

    def _cells(self) -> Tensor:
        return torch.empty((self.rows, self._layers[-1].outputs), dtype=self.dtype)

    @property
    def rows(self) -> int:
        """n, of the inputs of now."""
        return len(self._data[0])

    def sample(self, rows: int, *, seed: int = 0) -> MLPCurvature:
        """Gauss-Newton on `rows` rows drawn without replacement (all, if there are no more), at the parameters of now.

        A rough picture of this operator at a fraction of its cost, for `NystromPreconditioner`; positive semi-definite
        whatever `kind` is here. Sums are scaled up to all rows.
        """
        inputs, _, weight = self._data
        count = min(_vectors.count("rows", rows, least=1), len(inputs))
        picked = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(seed))[:count].to(inputs.device)
        cells = None if weight is None else weight[picked]
        if self.reduction == "sum":
            cells = torch.ones(count, dtype=self.dtype, device=self.device) if cells is None else cells.to(self.dtype)
            cells = cells * (len(inputs) / count)
        return MLPCurvature(self._module, inputs[picked], weight=cells, reduction=self.reduction, backend=self.backend)

    def diagonal(self) -> Tensor:
        """[P]: Gauss-Newton's diagonal, exactly; it costs about a backward pass for every output.

        Raises
        ------
        NotImplementedError
            For kind "hessian".
        """
        if self.kind != "gauss_newton":
            raise NotImplementedError("the diagonal that is known is Gauss-Newton's: take kind='gauss_newton'")
        if self._torch is not None:
            return self._torch.diagonal()
        out = torch.empty(self.size, dtype=self.dtype)
        self._numpy.diagonal(out.numpy())
        return out


def read(module: nn.Module) -> tuple[list[Layer], list[Tensor]]:
    """The layers of a Sequential, and its parameters in order.

    Raises
    ------
    TypeError, ValueError
        If it is not what `MLPCurvature` takes; the message names the place.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch module, got {type(module).__name__}")
    layers: list[Layer] = []
    bare = False  # the last layer has no activation yet
    for name, part in _flat("", module):
        where = f"module{f'[{name}]' if name else ''}"
        if part._forward_hooks or part._forward_pre_hooks:
            raise ValueError(f"{where} has forward hooks, which cannot be seen through; take HessianOperator")
        if type(part) is nn.Linear:
            if layers and layers[-1].outputs != part.in_features:
                raise ValueError(f"{where} takes {part.in_features} inputs, but {layers[-1].outputs} come")
            layers.append(Layer(part.in_features, part.out_features, part.bias is not None, "identity", 1.0))
            bare = True
            continue
        if type(part) is nn.Identity or (type(part) is nn.Dropout and (part.p == 0 or not part.training)):
            continue
        activation, parameter = _activation(where, part)
        if not bare:
            raise ValueError(f"{where} ({type(part).__name__}) must follow a Linear layer directly")
        layers[-1] = layers[-1]._replace(activation=activation, parameter=parameter)
        bare = False
    if not 1 <= len(layers) <= 64:
        raise ValueError(f"module must have 1 to 64 Linear layers, got {len(layers)}")
    found = list(module.parameters())
    if len(found) != sum(2 if layer.bias else 1 for layer in layers):
        raise ValueError("layers of module share parameters; take HessianOperator")
    if not all(p.requires_grad for p in found):
        raise ValueError("some parameters of module are frozen, and MLPCurvature takes all; take HessianOperator")
    return layers, _vectors.parameters("module", module)


def _flat(name: str, module: Any) -> list[tuple[str, Any]]:
    if type(module) is not nn.Sequential:
        return [(name, module)]
    # Not named_children(), which passes over a module that stands in two places.
    return [pair for key, part in module._modules.items() for pair in _flat(f"{name}.{key}" if name else key, part)]


def _activation(where: str, part: nn.Module) -> tuple[str, float]:
    simple = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid", nn.SiLU: "silu"}
    if type(part) in simple:
        return simple[type(part)], 1.0
    if type(part) is nn.LeakyReLU and part.negative_slope > 0:
        return "leaky_relu", part.negative_slope
    if type(part) is nn.GELU:
        return ("gelu_tanh" if part.approximate == "tanh" else "gelu"), 1.0
    if type(part) is nn.Softplus and part.threshold == 20 and part.beta > 0:
        return "softplus", float(part.beta)
    if type(part) is nn.ELU:
        return "elu", part.alpha
    raise TypeError(
        f"{where} must be Linear, Sequential or an activation (ReLU, LeakyReLU with a positive slope, Tanh, Sigmoid, SiLU, "
        f"GELU, Softplus with threshold 20, ELU), got {part}; HessianOperator takes any module"
    )
