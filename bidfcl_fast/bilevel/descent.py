"""Gradient steps of a target towards labels that are held: what a copy of it does before the upper level looks at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..linalg import _vectors as vectors
from .labels import Labels


def descend(
    target: nn.Module,
    theta: Sequence[Tensor],
    x: Tensor,
    labels: Labels,
    steps: int,
    step_size: float,
    average: Callable[[Tensor], Tensor] | None = None,
) -> None:
    """`steps` plain gradient steps of the parameters `theta` of `target`, in place; `average` as in `BilevelStep`.

    A Sequential of Linear and ReLU takes them without an autograd graph, which saves a third of their time.
    """
    from ..methods._network import linear_layers  # hypergradients alone need no methods

    layers = linear_layers(target) if average is None else None
    for _ in range(steps):
        if layers is not None:
            _by_hand(layers, x, labels, step_size)
            continue
        with torch.enable_grad():
            slope = torch.autograd.grad(labels.loss(target(x)), theta)
        if average is not None:
            slope = tuple(vectors.unflatten(average(vectors.flatten(slope)), slope))
        with torch.no_grad():
            for p, g in zip(theta, slope, strict=True):
                p.sub_(g, alpha=step_size)


@torch.no_grad()
def _by_hand(layers: Sequence[nn.Linear], x: Tensor, labels: Labels, step_size: float) -> None:
    inputs, out = [], x
    for k, layer in enumerate(layers):
        inputs.append(out)
        out = torch.addmm(layer.bias, out, layer.weight.t())
        if k < len(layers) - 1:
            out.relu_()
    slope = out.sub_(labels.label).mul_(labels.weight).mul_(2 / len(x))
    for k in range(len(layers) - 1, -1, -1):
        layer, before = layers[k], slope
        if k:
            slope = torch.ops.aten.threshold_backward(before @ layer.weight, inputs[k], 0)
        layer.weight.addmm_(before.t(), inputs[k], alpha=-step_size)
        layer.bias.sub_(before.sum(0), alpha=step_size)
