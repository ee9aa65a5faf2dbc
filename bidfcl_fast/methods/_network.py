"""The methods' networks: one shape for all, and several of them trained as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..data.table import Table
from ._ranks import Shares

Array = NDArray[Any]


def mlp(features: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """Linear layers with ReLU between them, by torch's own draw; the last one starts at zero."""
    sizes = [features, *hidden]
    layers: list[nn.Module] = []
    for a, b in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(a, b), nn.ReLU()]
    last = nn.Linear(sizes[-1], outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


def start_at(module: nn.Sequential, outputs: Any) -> nn.Sequential:
    """Let a network whose last layer is zero predict `outputs` [K] for everybody: what it learns is who differs."""
    last = module[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.bias.copy_(torch.as_tensor(outputs, dtype=last.bias.dtype))
    return module


def arm_means(y: Array, treatment: Array, treatments: int, shares: Shares | None = None) -> Array:
    """[M] means of y; a treatment without anybody gets the mean of all. `shares`: over all ranks."""
    if shares is not None:
        here = shares.here()
        y, treatment = y[here], treatment[here]
    count = np.bincount(treatment, minlength=treatments)
    total = np.bincount(treatment, weights=y, minlength=treatments)
    overall = y.mean() if y.size else 0.0
    if shares is not None:
        count, total = shares.ranks.total(np.stack([count, total]))
        overall = total.sum() / max(count.sum(), 1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), overall))


def outcome_means(outcomes: Tensor, table: Table, shares: Shares | None = None) -> Array:
    """[2M]: the mean outcome of each treatment, values then costs, from standardised outcomes [N, 2]."""
    y = outcomes.double().cpu().numpy()
    return np.concatenate([arm_means(y[:, h], table.treatment, table.treatments, shares) for h in (0, 1)])


class Engine(Protocol):
    """Something that can be trained: outputs [T, n, K] of x [T, n, F], and their pull-back into `.grad`."""

    members: int
    parameters: list[nn.Parameter]
    modules: list[nn.Module]
    decayed: list[Tensor | None]  # for each parameter 1 where weight decay works; None: everywhere

    def outputs(self, x: Tensor) -> Tensor: ...

    def pull(self, slope: Tensor) -> None: ...

    def predict(self, x: Tensor) -> Tensor:
        """Outputs [T, n, K] without a way back, x [n, F]."""


class Stack:
    """T networks of one shape, Linear layers with ReLU between, trained side by side.

    Their parameters are views of one flat tensor: one multiplication serves all of them, one call updates them, and no
    autograd graph is built. The modules stay ordinary ones and show every change.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        layers = [linear_layers(module) for module in modules]
        first = layers[0]
        if first is None or any(
            other is None or [a.weight.shape for a in other] != [b.weight.shape for b in first] for other in layers
        ):
            raise ValueError("a Stack takes Sequentials of Linear and ReLU of one shape")
        self.members, self.modules = len(modules), list(modules)
        pieces = [[layer.weight for layer in other or ()] + [layer.bias for layer in other or ()] for other in layers]
        shapes = [p.shape for p in pieces[0]]
        flat = torch.cat([torch.stack([piece[k].detach() for piece in pieces]).reshape(-1) for k in range(len(shapes))])
        self.flat = nn.Parameter(flat)
        self.flat.grad = torch.zeros_like(flat)
        views, slopes = self._views(self.flat.data, shapes), self._views(self.flat.grad, shapes)
        depth = len(first)
        self.weights, self.biases = views[:depth], [b.unsqueeze(1) for b in views[depth:]]
        self._weight_slopes, self._bias_slopes = slopes[:depth], [b.unsqueeze(1) for b in slopes[depth:]]
        for t, piece in enumerate(pieces):
            for k, p in enumerate(piece):
                p.data = views[k][t]
        decayed = torch.zeros_like(flat)
        decayed[: sum(w.numel() for w in self.weights)] = 1
        self.parameters: list[nn.Parameter] = [self.flat]
        self.decayed: list[Tensor | None] = [decayed]
        self._kept: list[Tensor] = []

    def _views(self, flat: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
        out, start = [], 0
        for shape in shapes:
            size = self.members * shape.numel()
            out.append(flat[start : start + size].view(self.members, *shape))
            start += size
        return out

    def outputs(self, x: Tensor) -> Tensor:
        a, self._kept = x, []
        last = len(self.weights) - 1
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            self._kept.append(a)
            a = torch.baddbmm(bias, a, weight.transpose(1, 2))
            if k < last:
                a.relu_()
        return a

    def pull(self, slope: Tensor) -> None:
        for k in range(len(self.weights) - 1, -1, -1):
            a = self._kept[k]
            torch.bmm(slope.transpose(1, 2), a, out=self._weight_slopes[k])
            torch.sum(slope, 1, keepdim=True, out=self._bias_slopes[k])
            if k:
                slope = torch.ops.aten.threshold_backward(torch.bmm(slope, self.weights[k]), a, 0)
        self._kept = []

    def predict(self, x: Tensor) -> Tensor:
        out = self.outputs(x.expand(self.members, *x.shape))
        self._kept = []
        return out


class Module:
    """One module of any kind, through autograd."""

    members = 1

    def __init__(self, module: nn.Module) -> None:
        self.modules: list[nn.Module] = [module]
        self.module = module
        named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        if not named:
            raise ValueError("target has no parameter that requires a gradient")
        self.parameters = [p for _, p in named]
        self.decayed: list[Tensor | None] = [torch.zeros(()) if name.endswith("bias") else None for name, _ in named]
        self._out: Tensor | None = None

    def outputs(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            self._out = self.module(x[0])
        return self._out.detach().unsqueeze(0)

    def pull(self, slope: Tensor) -> None:
        assert self._out is not None
        for p in self.parameters:
            p.grad = None
        torch.autograd.backward(self._out, slope[0], inputs=self.parameters)
        self._out = None

    def predict(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            out: Tensor = self.module(x)
        return out.unsqueeze(0)


def engine(modules: Sequence[nn.Module]) -> Engine:
    """The fast one where it can be had."""
    if all(linear_layers(module) is not None for module in modules):
        return Stack(modules)
    if len(modules) != 1:
        raise ValueError("several modules train together only if they are Sequentials of Linear and ReLU")
    return Module(modules[0])


def linear_layers(module: nn.Module) -> list[nn.Linear] | None:
    """The Linear layers of a Sequential Linear, ReLU, …, Linear with biases and no hooks; None for anything else."""
    if type(module) is not nn.Sequential or len(module) % 2 == 0:
        return None
    found: list[nn.Linear] = []
    for k, part in enumerate(module):
        if type(part) is not (nn.Linear, nn.ReLU)[k % 2] or part._forward_hooks or part._forward_pre_hooks:
            return None
        if isinstance(part, nn.Linear):
            if part.bias is None or part.weight.dtype != torch.float32 or not part.weight.requires_grad:
                return None
            found.append(part)
    return found


def forward(module: nn.Module, x: Tensor) -> Tensor:
    """`module(x)`; where no way back is asked for, a Sequential of Linear and ReLU runs in place."""
    layers = None if torch.is_grad_enabled() else linear_layers(module)
    if layers is None:
        out: Tensor = module(x)
        return out
    for k, layer in enumerate(layers):
        x = torch.addmm(layer.bias, x, layer.weight.t())
        if k < len(layers) - 1:
            x.relu_()
    return x


class Average(nn.Module):
    """The mean of several modules' outputs."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(modules)

    def forward(self, x: Tensor) -> Tensor:
        if len(self.members) == 1:
            out: Tensor = self.members[0](x)
            return out
        return torch.stack([module(x) for module in self.members]).mean(0)
