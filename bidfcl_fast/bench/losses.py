"""The decision losses beside eager torch and torch.compile on the same tensors.

Every contender's gradients are held against the first's before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .. import losses
from .timing import medians

MULTIPLIER, TEMPERATURE = 0.5, 0.3
FLOOR = "floor"

Loss = Callable[[], torch.Tensor]


class Case:
    """A conversion-like trial; `share` of the rows have an outcome."""

    def __init__(self, users: int, treatments: int, share: float = 1.0) -> None:
        g = torch.Generator().manual_seed(0)
        self.value = torch.rand(users, treatments, generator=g)
        self.cost = torch.rand(users, treatments, generator=g)
        self.treatment = torch.randint(treatments, (users,), generator=g)
        self.outcome = torch.rand(users, generator=g) * (torch.rand(users, generator=g) < share)
        self.weight = torch.full((users,), treatments / users)
        self.inputs = [self.value.requires_grad_(), self.cost.requires_grad_()]

    def ours(self, loss: Callable[..., torch.Tensor], **options: Any) -> Loss:
        labels = (self.treatment, self.outcome, self.weight, MULTIPLIER)
        return lambda: loss(*self.inputs, *labels, temperature=TEMPERATURE, **options)

    def plain(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """The formula as one would write it."""
        labels, received = self.weight * self.outcome, self.treatment[:, None]

        def loss(value: torch.Tensor, cost: torch.Tensor) -> torch.Tensor:
            policy = torch.softmax((value - MULTIPLIER * cost) / TEMPERATURE, 1)
            return -(labels * policy.gather(1, received)[:, 0]).sum()

        return loss

    def backward(self, loss: Loss) -> Callable[[], None]:
        def call() -> None:
            for x in self.inputs:
                x.grad = None
            loss().backward()

        return call

    def twice(self, loss: Loss) -> Callable[[], Any]:
        """Loss, gradient, and the Hessian times a vector."""
        turns = [x.detach() for x in self.inputs]

        def call() -> Any:
            grads = torch.autograd.grad(loss(), self.inputs, create_graph=True)
            return torch.autograd.grad(grads, self.inputs, turns)

        return call

    def copies(self) -> Callable[[], None]:
        """The traffic floor: read value and cost, write two arrays of their size."""
        sources = [x.detach() for x in self.inputs]
        targets = [torch.empty_like(x) for x in sources]

        def call() -> None:
            for a, b in zip(targets, sources, strict=True):
                a.copy_(b)

        return call


def same(case: Case, calls: dict[str, Loss]) -> None:
    found = {}
    for name, call in calls.items():
        case.backward(call)()
        found[name] = [x.grad.clone() for x in case.inputs if x.grad is not None]
    first = next(iter(found.values()))
    for name, grads in found.items():
        for a, b in zip(grads, first, strict=True):
            assert torch.allclose(a, b, rtol=1e-3, atol=1e-5 * float(b.abs().max())), f"{name} disagrees"


def measure(users: int, treatments: int, rounds: int, *, compiled: bool = True) -> dict[str, float]:
    """Median seconds: forward and backward, and after "twice:" also a Hessian-vector product. `compiled`: torch.compile too."""
    case = Case(users, treatments)
    plain = case.plain()
    contenders: dict[str, Loss] = {
        "ppl_loss, cpp": case.ours(losses.ppl_loss, backend="cpp"),
        "eager torch": lambda: plain(*case.inputs),
    }
    if compiled:
        faster = torch.compile(plain)
        contenders["torch.compile"] = lambda: faster(*case.inputs)
    contenders["ppl_loss, numba"] = case.ours(losses.ppl_loss, backend="numba")
    contenders = {name: call for name, call in contenders.items() if _runs(name)}
    same(case, contenders)
    calls: dict[str, Callable[[], Any]] = {FLOOR: case.copies()}
    calls |= {name: case.backward(call) for name, call in contenders.items()}
    implicit = {"multiplier_grad": "implicit", "cost_outcome": case.outcome}
    sparse = Case(users, treatments, share=0.01)
    more = {
        "pifd_loss, cpp": case.backward(case.ours(losses.pifd_loss, backend="cpp")),
        "pifd_loss exact, cpp": case.backward(case.ours(losses.pifd_loss, variant="exact", backend="cpp")),
        "ppl_loss implicit, cpp": case.backward(case.ours(losses.ppl_loss, backend="cpp", **implicit)),
        "ppl_loss, cpp, 1 % with an outcome": sparse.backward(sparse.ours(losses.ppl_loss, backend="cpp")),
        "pifd_loss, numba": case.backward(case.ours(losses.pifd_loss, backend="numba")),
        "pifd_loss exact, numba": case.backward(case.ours(losses.pifd_loss, variant="exact", backend="numba")),
        "twice: ppl_loss, cpp": case.twice(case.ours(losses.ppl_loss, backend="cpp")),
        "twice: eager torch": case.twice(contenders["eager torch"]),
    }
    calls |= {name: call for name, call in more.items() if _runs(name)}
    return medians(calls, rounds, in_a_row=2)


def _runs(name: str) -> bool:
    """Whether what a contender names can run here."""
    from .. import backends

    here = backends.available()
    return all(backend in here for backend in ("cpp", "numba") if f", {backend}" in name)
