"""The gradient of an upper loss with respect to a bridge, through the target that the bridge's labels train.

The lower problem is θ(φ) = argmin ℓ(f_θ(inputs), φ) + ridge/2·|θ|², the upper one min L(θ(φ)). Nothing here ever
holds the P×Q Jacobian ∂θ/∂φ: with u = J_f·v, the derivative of the network's outputs along v,

    ∇_φ⟨v, ∇_θ ℓ⟩ = ∇_φ⟨∂ℓ/∂outputs, u⟩,

one forward derivative of the target and one backward pass through the bridge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..linalg import (
    CGResult,
    GaussNewtonOperator,
    HessianOperator,
    LinearOperator,
    MLPCurvature,
    conjugate_gradient,
)
from ..linalg import _vectors as vectors
from .fused import Linearised, fused_curvature, own_preconditioner
from .lower import Average, Averaged, Lower, OutputLoss, UpperLoss


@dataclass(frozen=True)
class Hypergradient:
    """A hypergradient and how it was come by.

    Attributes
    ----------
    gradient
        [Q]: dL/dφ, flat, in the order of the bridge's parameters.
    upper
        L, where its gradient was taken: at θ (implicit) or after the steps (explicit).
    stationarity
        How far the lower problem is from solved, free of scale: the share of the lower loss that one steepest-descent
        step of the best length would take off. Implicit: at θ, where it should be about 0, since the formula holds at
        a minimum. Explicit: NaN.
    solve
        The `CGResult` of H·v = ∇L; None where nothing was solved. Its x is a warm start for the next outer step.
    target
        [P]: the target's parameters where `upper` was taken.
    steps, step_size
        Of the assumed gradient steps; 0 where the lower problem is taken as solved.
    """

    gradient: Tensor
    upper: float
    stationarity: float
    solve: CGResult | None
    target: Tensor
    steps: int = 0
    step_size: float = float("nan")

    def assign(self, bridge: nn.Module | Sequence[Tensor]) -> None:
        """Write it to the `.grad` of the bridge's parameters, for any torch optimiser."""
        found = vectors.parameters("bridge", bridge)
        size = sum(p.numel() for p in found)
        if size != self.gradient.numel():
            raise ValueError(f"bridge has {size} parameters, the hypergradient {self.gradient.numel()}")
        for p, g in zip(found, vectors.unflatten(self.gradient, found), strict=True):
            p.grad = g.to(p.dtype).clone()


def implicit_hypergradient(
    target: nn.Module,
    bridge: nn.Module | Sequence[Tensor],
    lower_loss: OutputLoss,
    upper_loss: UpperLoss,
    inputs: Tensor,
    *,
    curvature: str | LinearOperator = "gauss_newton",
    ridge: float = 0.0,
    damping: float = 0.0,
    rtol: float = 1e-6,
    max_steps: int = 50,
    x0: Tensor | None = None,
    preconditioner: Callable[[Tensor], Tensor] | str | None = "auto",
    stationarity: bool = True,
    average: Average | None = None,
) -> Hypergradient:
    """dL/dφ where the target's parameters are the lower problem's solution: −∇_φ⟨v, ∇_θ ℓ⟩ with H·v = ∇_θ L.

    Exact at a stationary point of the lower problem; `stationarity` says how near that is (after a few steps from
    elsewhere it is not, and the formula overstates: METHOD §6.5). Memory does not depend on how the target got there.

    Parameters
    ----------
    target
        The module trained below, at its parameters now.
    bridge
        The module (or tensors) whose parameters φ [Q] are learned above.
    lower_loss
        `lower_loss(outputs)` → one number. It runs the bridge itself, so that its result depends on φ.
    upper_loss
        `upper_loss(target)` → one number.
    inputs
        What the target is run on: `target(inputs)`.
    curvature
        "gauss_newton" (always safe to solve with), "hessian" (exact; may be indefinite), or an operator [P, P] of the
        lower loss without ridge. The two names mean the fused `MLPCurvature` where target and loss allow it (a
        `Sequential` of Linear layers on the CPU, a loss that is a sum over cells), and kept graphs elsewhere. To use
        memory again from one outer step to the next, keep an `MLPCurvature` and refresh it.
    ridge
        The lower loss is `lower_loss(outputs)` + ridge/2·|θ|²; it is added to the curvature.
    damping
        Added to the curvature in the solve alone: it makes the answer an approximation.
    rtol, max_steps, x0
        Of `conjugate_gradient`; `x0` is the last outer step's `solve.x`.
    preconditioner
        Of `conjugate_gradient`. "auto": what makes a solve from nothing faster, where something does: a
        `SamplePreconditioner` for a fused curvature of 4,096 rows or more, with damping or a ridge. None: none.
    stationarity
        False: do not work it out (one more gradient and one product); it is NaN then.
    average
        Where several processes hold parts of the rows: a flat tensor → its mean over all of them. The problem solved is then
        that of the means of their losses, lower and upper; every process gets the whole answer, and `upper` is its own part.

    Raises
    ------
    ValueError, TypeError
        On arguments that do not fit together; how the solve went is in `solve.status`.

    Source: Bi-DFCL (arXiv 2510.19517) equation 18, in adjoint form.
    """
    lower = Lower(target, bridge, inputs, lower_loss, ridge, average)
    theta = lower.parameters
    if isinstance(preconditioner, str) and preconditioner != "auto":
        raise ValueError(f"preconditioner must be 'auto', a function or None, got {preconditioner!r}")
    known = curvature if isinstance(curvature, MLPCurvature) and curvature.is_at(target, inputs) else None
    if known is not None and not stationarity:
        now = Linearised(known.outputs(), lower_loss)
    else:
        with torch.enable_grad():
            now = Linearised(target(inputs), lower_loss)
    fused = fused_curvature(target, inputs, now, curvature) if isinstance(curvature, str) else None
    operator = curvature_of(lower, curvature) if fused is None else fused
    known = known or fused
    if isinstance(preconditioner, str):
        shift = lower.ridge + vectors.number("damping", damping)
        preconditioner = own_preconditioner(operator, shift, max_steps) if x0 is None and average is None else None
    if average is not None and not isinstance(operator, Averaged):
        operator = Averaged(operator, average)
    operator = operator.damped(lower.ridge) if lower.ridge else operator
    with torch.enable_grad():
        upper = vectors.scalar("upper_loss", upper_loss(target))
        slope = lower.average(vectors.flatten(vectors.gradients(upper, theta)).detach())
    solve = conjugate_gradient(
        operator, slope, x0=x0, rtol=rtol, max_steps=max_steps, damping=damping, preconditioner=preconditioner
    )
    far = lower.stationarity(*lower.gradient_now(now), operator) if stationarity else float("nan")
    pushed = lower.push(theta, solve.x)[1] if known is None else known.push(solve.x)
    return Hypergradient(
        gradient=-lower.along(now, pushed),
        upper=float(upper.detach()),
        stationarity=far,
        solve=solve,
        target=vectors.flatten(theta).detach().clone(),
    )


def curvature_of(lower: Lower, kind: Any) -> LinearOperator:
    if isinstance(kind, LinearOperator):
        size = sum(p.numel() for p in lower.parameters)
        if kind.size != size:
            raise ValueError(f"curvature must be an operator on the target's {size} parameters, got {kind.size}")
        return kind
    if kind == "gauss_newton":
        return GaussNewtonOperator(lower.module, lower.inputs, lower.loss)
    if kind == "hessian":
        return HessianOperator(lower.module, lambda net: lower.loss(net(lower.inputs)))
    raise ValueError(f"curvature must be 'gauss_newton', 'hessian' or a LinearOperator, got {kind!r}")


def explicit_hypergradient(
    target: nn.Module,
    bridge: nn.Module | Sequence[Tensor],
    lower_loss: OutputLoss,
    upper_loss: UpperLoss,
    inputs: Tensor,
    *,
    step_size: float,
    steps: int = 1,
    ridge: float = 0.0,
    average: Average | None = None,
) -> Hypergradient:
    """dL(θ_k)/dφ, exactly, where θ_k is the target after `steps` gradient steps on the lower loss from where it is.

    One step gives −α·∇_φ⟨∇L(θ_1), ∇_θ ℓ(θ_0)⟩. More are walked back one at a time with an exact Hessian product each;
    what is kept is θ_0 … θ_k (k·P numbers) and one step's graph, never the whole unrolled graph. The target is left as
    it was; `Hypergradient.target` is θ_k.

    Parameters
    ----------
    target, bridge, lower_loss, upper_loss, inputs, ridge, average
        As in `implicit_hypergradient`.
    step_size
        α > 0.
    steps
        k >= 1.

    Source: Bi-DFCL (arXiv 2510.19517) appendix A.5.
    """
    lower = Lower(target, bridge, inputs, lower_loss, ridge, average)
    alpha = vectors.number("step_size", step_size)
    if alpha == 0:
        raise ValueError("step_size must be greater than 0, got 0")
    path = [vectors.flatten(lower.parameters).detach()]
    for _ in range(vectors.count("steps", steps, least=1)):
        _, slope = lower.gradient(vectors.unflatten(path[-1], lower.parameters))
        path.append(path[-1] - alpha * slope)
    upper, adjoint = _upper_at(lower, upper_loss, path[-1])
    total = torch.zeros(sum(p.numel() for p in lower.bridge), dtype=adjoint.dtype, device=adjoint.device)
    for k, theta in reversed(list(enumerate(path[:-1]))):
        total -= alpha * lower.pull(vectors.unflatten(theta, lower.parameters), adjoint)
        if k:
            adjoint = adjoint - alpha * _hessian_product(lower, theta, adjoint)
    return Hypergradient(total, upper, float("nan"), None, path[-1], steps, alpha)


def _upper_at(lower: Lower, upper_loss: UpperLoss, theta: Tensor) -> tuple[float, Tensor]:
    """The upper loss with the target at `theta`, and its gradient [P]; the target is as before afterwards."""
    before = vectors.flatten(lower.parameters).detach().clone()
    write(lower.parameters, theta)
    try:
        with torch.enable_grad():
            value = vectors.scalar("upper_loss", upper_loss(lower.module))
            slope = vectors.flatten(vectors.gradients(value, lower.parameters)).detach()
            return float(value.detach()), lower.average(slope)
    finally:
        write(lower.parameters, before)


def _hessian_product(lower: Lower, theta: Tensor, v: Tensor) -> Tensor:
    with torch.enable_grad():
        leaves = [t.detach().requires_grad_() for t in vectors.unflatten(theta, lower.parameters)]
        slope = vectors.gradients(lower.value(lower.outputs(leaves), leaves), leaves, graph=True)
        return lower.average(vectors.flatten(vectors.gradients((vectors.flatten(slope) * v).sum(), leaves)).detach())


@torch.no_grad()
def write(parameters: Sequence[Tensor], flat: Tensor) -> None:
    """Copy `flat` [P] into the parameters."""
    for p, value in zip(parameters, vectors.unflatten(flat, parameters), strict=True):
        p.copy_(value)
