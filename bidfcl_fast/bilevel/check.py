"""`check_hypergradient`: a hypergradient against finite differences of the whole map from bridge to upper loss."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..linalg import CGStatus, conjugate_gradient
from ..linalg import _vectors as vectors
from .hypergradient import Hypergradient, curvature_of, write
from .lower import Lower, OutputLoss, UpperLoss


class HypergradientWarning(UserWarning):
    """A hypergradient that should not be trusted."""


@dataclass(frozen=True)
class HypergradientCheck:
    """Slopes of the upper loss along D random directions of φ.

    Attributes
    ----------
    analytic, numeric
        [D]: from the hypergradient, and from central differences of the whole map.
    error
        |analytic − numeric| / max(|numeric|), the worst direction.
    stationarity
        The hypergradient's.
    ok
        Whether `error` is within the tolerance asked for.
    """

    analytic: Tensor
    numeric: Tensor
    error: float
    stationarity: float
    ok: bool


def check_hypergradient(
    hypergradient: Hypergradient,
    target: nn.Module,
    bridge: nn.Module | Sequence[Tensor],
    lower_loss: OutputLoss,
    upper_loss: UpperLoss,
    inputs: Tensor,
    *,
    ridge: float = 0.0,
    directions: int = 3,
    difference: float = 1e-4,
    tolerance: float = 1e-3,
    far: float = 1e-4,
    seed: int = 0,
) -> HypergradientCheck:
    """Move φ a little both ways, run everything again, and compare.

    For an explicit hypergradient "everything" is its own gradient steps; for an implicit one the lower problem is
    solved from the target's parameters to a minimum (damped Newton steps), twice a direction. Use
    float64; in float32 differences carry few digits. Target and bridge are left as they were.

    Warns (`HypergradientWarning`) if the two disagree, and if the lower problem was far from stationary where an
    implicit hypergradient was taken, which the formula does not forgive.

    Parameters
    ----------
    hypergradient
        What is checked.
    target, bridge, lower_loss, upper_loss, inputs, ridge
        As they were given to `implicit_hypergradient` or `explicit_hypergradient`.
    directions, seed
        How many directions of φ are tried, drawn at random by the seed.
    difference
        How far φ is moved, times its size: difference·max(1, |φ|).
    tolerance
        The largest `error` that is ok.
    far
        The largest `stationarity` that passes without a warning.

    Raises
    ------
    RuntimeError
        If the lower problem cannot be solved: then it has no solution for a hypergradient to be the gradient of.
    """
    lower = Lower(target, bridge, inputs, lower_loss, ridge)
    count = vectors.count("directions", directions, least=1)
    phi = vectors.flatten(lower.bridge).detach().clone()
    theta = vectors.flatten(lower.parameters).detach().clone()
    size = vectors.number("difference", difference) * max(1.0, float(phi.norm()))
    if size == 0:
        raise ValueError("difference must be greater than 0")
    if hypergradient.gradient.numel() != phi.numel():
        raise ValueError(f"bridge has {phi.numel()} parameters, the hypergradient {hypergradient.gradient.numel()}")

    def upper(moved: Tensor) -> float:
        write(lower.bridge, moved)
        end = _descend(lower, theta, hypergradient) if hypergradient.steps else _solve(lower, theta)
        write(lower.parameters, end)
        with torch.no_grad():
            return float(vectors.scalar("upper_loss", upper_loss(target)))

    generator = torch.Generator().manual_seed(seed)
    ways = torch.randn(count, phi.numel(), generator=generator, dtype=torch.float64)
    ways = (ways / ways.norm(dim=1, keepdim=True)).to(phi)
    try:
        slopes = [(upper(phi + size * way) - upper(phi - size * way)) / (2 * size) for way in ways]
    finally:
        write(lower.bridge, phi)
        write(lower.parameters, theta)
    numeric = torch.tensor(slopes, dtype=torch.float64)
    analytic = (ways @ hypergradient.gradient.to(ways)).double().cpu()
    worst = float((analytic - numeric).abs().max())
    scale = float(numeric.abs().max())
    error = worst / scale if scale else (0.0 if worst == 0 else math.inf)
    found = HypergradientCheck(analytic, numeric, error, hypergradient.stationarity, error <= tolerance)
    if not hypergradient.steps and not hypergradient.stationarity <= far:
        warnings.warn(
            f"the lower problem is far from stationary (one gradient step would still take off {found.stationarity:.1e} "
            "of its loss): the implicit hypergradient is that of a solved problem; train the target further, or take "
            "explicit_hypergradient",
            HypergradientWarning,
            stacklevel=2,
        )
    if not found.ok:
        warnings.warn(
            f"hypergradient and finite differences of the whole map disagree by {error:.1e} (tolerance {tolerance:.1e})",
            HypergradientWarning,
            stacklevel=2,
        )
    return found


def _descend(lower: Lower, theta: Tensor, of: Hypergradient) -> Tensor:
    for _ in range(of.steps):
        _, slope = lower.gradient(vectors.unflatten(theta, lower.parameters))
        theta = theta - of.step_size * slope
    return theta


def _solve(lower: Lower, theta: Tensor, most: int = 300) -> Tensor:
    """A minimum of the lower problem near `theta`: Newton steps, damped as Levenberg and Marquardt do."""
    value, slope = lower.gradient(vectors.unflatten(theta, lower.parameters))
    scale = max(float(slope.norm()), abs(value))
    eps = torch.finfo(theta.dtype).eps
    damping = 1e-3
    for _ in range(most):
        if float(slope.norm()) <= eps**0.75 * scale or damping > 1e12:
            break
        write(lower.parameters, theta)
        operator = curvature_of(lower, "hessian").damped(lower.ridge)
        step = conjugate_gradient(operator, -slope, rtol=1e-4, max_steps=500, damping=damping)
        moved = theta + step.x
        fresh, steep = lower.gradient(vectors.unflatten(moved, lower.parameters))
        # So near the bottom that the loss no longer resolves a step, its gradient still does.
        falls = fresh < value or (fresh <= value * (1 + 10 * eps) and float(steep.norm()) < float(slope.norm()))
        if step.status != CGStatus.NEGATIVE_CURVATURE and falls:
            theta, value, slope, damping = moved, fresh, steep, damping / 10
        else:
            damping *= 10
    if float(slope.norm()) <= eps**0.5 * scale:
        return theta
    raise RuntimeError(
        f"the lower problem could not be solved: its gradient is still {float(slope.norm()):.1e} after {most} steps; "
        "add a ridge, or check the k-step map with explicit_hypergradient"
    )
