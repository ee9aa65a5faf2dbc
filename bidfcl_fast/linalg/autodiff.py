"""Curvature of any module and loss, through torch: a graph kept once, multiplied from then on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from . import _vectors
from .operator import LinearOperator


class FunctionHessian(LinearOperator):
    """The Hessian of `function(*inputs)` with respect to `inputs`, at their values now.

    `function` returns one number and must have a second derivative (`create_graph=True`), as every loss of
    `bidfcl_fast.losses` does. The gradient's graph is built once and kept; a product is one backward pass through it,
    about two gradients' work.

    Parameters
    ----------
    inputs
        Tensors that require gradients, of any shapes; P is their number of elements, end to end.
    """

    def __init__(self, function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> None:
        self._function, self._inputs = function, _vectors.parameters("inputs", inputs)
        first = self._inputs[0]
        super().__init__(sum(t.numel() for t in self._inputs), first.dtype, first.device)
        self.refresh()

    def refresh(self) -> None:
        """Take the graph again, at the inputs' values of now."""
        with torch.enable_grad():
            loss = _vectors.scalar("the function", self._function(*self._inputs))
            self._gradients = _vectors.gradients(loss, self._inputs, graph=True)
        self.value, self.gradient = loss.detach(), _vectors.flatten(g.detach() for g in self._gradients)

    def _apply(self, v: Tensor) -> Tensor:
        out = torch.zeros_like(v)
        # A gradient without a graph is linear in nothing: its rows of the Hessian are zero.
        kept = [k for k, g in enumerate(self._gradients) if g.requires_grad]
        for row, result in zip(v, out, strict=True):
            if not kept:
                continue
            parts = _vectors.unflatten(row, self._inputs)
            found = torch.autograd.grad(
                [self._gradients[k] for k in kept],
                self._inputs,
                [parts[k] for k in kept],
                retain_graph=True,
                allow_unused=True,
            )
            start = 0
            for g, t in zip(found, self._inputs, strict=True):
                if g is not None:
                    result[start : start + t.numel()] = g.detach().reshape(-1)
                start += t.numel()
        return out


class HessianOperator(FunctionHessian):
    """The exact Hessian of `loss_fn(module)` with respect to the module's trainable parameters.

    Any module and any twice differentiable loss, on any device. `refresh()` after the parameters have changed;
    `gradient` [P] and `value` are those of the last refresh.

        H = HessianOperator(net, lambda net: ((net(x) - y) ** 2).mean())
    """

    def __init__(self, module: nn.Module, loss_fn: Callable[[Any], Tensor]) -> None:
        super().__init__(lambda *_: loss_fn(module), _vectors.parameters("module", module))


class GaussNewtonOperator(LinearOperator):
    """Jᵀ·(∂²loss/∂outputs²)·J: the Hessian of `output_loss(module(inputs))` without the network's own curvature.

    Positive semi-definite wherever the loss is convex in the outputs, so conjugate gradient is safe on it. For a
    squared error through a `Sequential`, `MLPCurvature` is the fast form.

    J·v comes from two backward passes (the derivative of u ↦ Jᵀu is J), so any module that torch can
    differentiate twice will do.
    """

    def __init__(self, module: nn.Module, inputs: Tensor, output_loss: Callable[[Tensor], Tensor]) -> None:
        self._parameters = _vectors.parameters("module", module)
        first = self._parameters[0]
        super().__init__(sum(p.numel() for p in self._parameters), first.dtype, first.device)
        self._module, self._inputs, self._loss = module, inputs, output_loss
        self.refresh()

    def refresh(self) -> None:
        """Run the module again, at its parameters of now."""
        with torch.enable_grad():
            self._outputs = self._module(self._inputs)
            self._cotangent = torch.zeros_like(self._outputs, requires_grad=True)
            self._pulled = torch.autograd.grad(
                self._outputs, self._parameters, self._cotangent, create_graph=True, allow_unused=True
            )
            self._leaf = self._outputs.detach().requires_grad_()
            (self._slope,) = _vectors.gradients(
                _vectors.scalar("output_loss", self._loss(self._leaf)), [self._leaf], graph=True
            )

    def _apply(self, v: Tensor) -> Tensor:
        out = torch.zeros_like(v)
        for row, result in zip(v, out, strict=True):
            tangents = _vectors.unflatten(row, self._parameters)
            used = [(p, t) for p, t in zip(self._pulled, tangents, strict=True) if p is not None]
            (pushed,) = torch.autograd.grad(
                [p for p, _ in used], self._cotangent, [t for _, t in used], retain_graph=True
            )
            if not self._slope.requires_grad:
                continue
            (bent,) = torch.autograd.grad(self._slope, self._leaf, pushed, retain_graph=True)
            found = torch.autograd.grad(self._outputs, self._parameters, bent, retain_graph=True, allow_unused=True)
            start = 0
            for g, t in zip(found, self._parameters, strict=True):
                if g is not None:
                    result[start : start + t.numel()] = g.reshape(-1)
                start += t.numel()
        return out
