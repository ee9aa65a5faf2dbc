"""Betty's conjugate-gradient hypergradient, called as its engine calls it: a fixed number of steps, no residual.

0.1.1 is the newest release that installs as a wheel. Its recurrence turns the direction with the residual of the step
before, which is not conjugate gradient; the residual it reaches stands beside its time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

from torch import Tensor


def hypergradient(
    lower_loss: Callable[[], Tensor],
    parameters: Sequence[Tensor],
    bridge: Sequence[Tensor],
    rhs: Sequence[Tensor],
    damping: float,
    steps: int,
) -> list[Tensor]:
    """−∇_φ⟨v, ∇_θ ℓ⟩ with v after `steps` steps; the damping enters as a ridge on the parameters."""
    from betty.hypergradient.cg import cg

    def damped(_batch: None) -> Tensor:
        centre = [p.detach() for p in parameters]
        ridge = sum((p - c).square().sum() for p, c in zip(parameters, centre, strict=True))
        return lower_loss() + damping / 2 * ridge

    lower = SimpleNamespace(
        paths=[],
        config=SimpleNamespace(cg_iterations=steps, cg_alpha=1.0),
        training_step_exec=damped,
        cur_batch=None,
        trainable_parameters=lambda: list(parameters),
        parameters=lambda: list(parameters),
    )
    return cg(list(rhs), lower, SimpleNamespace(trainable_parameters=lambda: list(bridge)))
