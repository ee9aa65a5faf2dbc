"""The lower problem of a hypergradient: a target, its inputs, and a loss of its outputs that knows the bridge."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call

from ..linalg import LinearOperator
from ..linalg import _vectors as vectors
from .fused import Linearised

OutputLoss = Callable[[Tensor], Tensor]
UpperLoss = Callable[[nn.Module], Tensor]
Average = Callable[[Tensor], Tensor]  # a flat tensor → its mean over all processes that hold a part of the rows


def _alone(x: Tensor) -> Tensor:
    return x


class Averaged(LinearOperator):
    """The mean of every process's own operator."""

    def __init__(self, own: LinearOperator, average: Average) -> None:
        super().__init__(own.size, own.dtype, own.device)
        self._own, self._average = own, average

    def _apply(self, v: Tensor) -> Tensor:
        return self._average(self._own._apply(v))


class Lower:
    """The lower problem: a target, its inputs, a loss of its outputs that knows the bridge, and a ridge."""

    def __init__(
        self,
        target: nn.Module,
        bridge: nn.Module | Sequence[Tensor],
        inputs: Tensor,
        loss: OutputLoss,
        ridge: float,
        average: Average | None = None,
    ) -> None:
        if not isinstance(target, nn.Module):
            raise TypeError(f"target must be a torch module, got {type(target).__name__}")
        if not callable(loss):
            raise TypeError(f"lower_loss must be a function of the target's outputs, got {type(loss).__name__}")
        self.module, self.inputs, self.loss = target, inputs, loss
        self.ridge = vectors.number("ridge", ridge)
        self.average: Average = average or _alone
        self.names = [name for name, p in target.named_parameters() if p.requires_grad]
        self.parameters = vectors.parameters("target", target)
        self.bridge = vectors.parameters("bridge", bridge)
        shared = {id(p) for p in self.parameters} & {id(p) for p in self.bridge}
        if shared:
            raise ValueError("target and bridge share parameters; the lower problem must not move the bridge")

    def outputs(self, theta: Sequence[Tensor]) -> Tensor:
        return functional_call(self.module, dict(zip(self.names, theta, strict=True)), (self.inputs,))

    def value(self, outputs: Tensor, theta: Sequence[Tensor]) -> Tensor:
        return self.value_of(vectors.scalar("lower_loss", self.loss(outputs)), theta)

    def value_of(self, fit: Tensor, theta: Sequence[Tensor]) -> Tensor:
        if not self.ridge:
            return fit
        return fit + self.ridge / 2 * sum(t.square().sum() for t in theta)

    def gradient(self, theta: Sequence[Tensor]) -> tuple[float, Tensor]:
        """The lower loss at `theta`, and its gradient [P]."""
        with torch.enable_grad():
            leaves = [t.detach().requires_grad_() for t in theta]
            value = self.value(self.outputs(leaves), leaves)
            return float(value.detach()), self.average(vectors.flatten(vectors.gradients(value, leaves)))

    def gradient_now(self, now: Linearised) -> tuple[float, Tensor]:
        """The same at the target's parameters of now, by the graph that is there."""
        theta = [t.detach() for t in self.parameters]
        slopes = now.gradients(self.parameters)
        if self.ridge:
            slopes = [g + self.ridge * t for g, t in zip(slopes, theta, strict=True)]
        return float(self.value_of(now.value.detach(), theta)), self.average(vectors.flatten(slopes))

    def pull(self, theta: Sequence[Tensor], v: Tensor) -> Tensor:
        """[Q]: ∇_φ⟨v, ∇_θ ℓ⟩ at `theta`."""
        outputs, pushed = self.push(theta, v)
        return self.along(Linearised(outputs, self.loss), pushed)

    def push(self, theta: Sequence[Tensor], v: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs at `theta`, and their derivative along v."""
        tangents = vectors.unflatten(v, self.parameters)
        with torch.no_grad(), forward_ad.dual_level():
            along = [forward_ad.make_dual(t.detach(), d) for t, d in zip(theta, tangents, strict=True)]
            outputs, pushed = forward_ad.unpack_dual(self.outputs(along))
        if pushed is None:  # outputs that do not depend on the parameters
            pushed = torch.zeros_like(outputs)
        return outputs, pushed.detach()

    def along(self, now: Linearised, pushed: Tensor) -> Tensor:
        """[Q]: ∇_φ⟨v, ∇_θ ℓ⟩ from the outputs' derivative along v."""
        with torch.enable_grad():
            pulled = vectors.gradients((now.slope * pushed).sum(), self.bridge)
        return self.average(vectors.flatten(pulled).detach())

    def stationarity(self, value: float, gradient: Tensor, curvature: LinearOperator) -> float:
        """The share of the lower loss that the best step along the gradient takes off: ½(gᵀg)²/(gᵀHg) / ℓ."""
        square = float(gradient.double().square().sum())
        bend = float(gradient.double() @ (curvature @ gradient).double())
        if square == 0:
            return 0.0
        return square * square / (2 * bend * abs(value)) if bend > 0 and value else float("inf")
