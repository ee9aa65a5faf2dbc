"""Curvature beside automatic differentiation: single products, and whole hypergradients of one damped system.

Every answer is checked before it is timed. Ratios are medians of the rounds' own ratios.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .. import backends
from ..bilevel import implicit_hypergradient
from ..linalg import GaussNewtonOperator, HessianOperator, MLPCurvature, conjugate_gradient
from ..tables import missing
from .peers import betty_cg, plain_cg, torchopt_cg
from .timing import kept, take_turns

SIZES = [((12, 64, 32, 32, 4), 8192), ((192, 128, 64, 32, 10), 8192), ((12, 64, 32, 32, 4), 512)]
RTOL, MOST = 1e-3, 500
SAMPLE = 512
GRADIENT = "one plain gradient"
EXACT = "kept-graph autograd, exact"
PLAIN = "conjugate gradient as one would write it"
TORCHOPT = "TorchOpt's conjugate gradient"
ALONE = "bidfcl_fast, no preconditioner"
BETTY = "Betty's, as many steps"


class Problem:
    """A target trained on labels that a bridge mixes, as in the lower level of Bi-DFCL; an upper loss on other rows."""

    def __init__(self, sizes: tuple[int, ...], rows: int, activation: type[nn.Module] = nn.ReLU) -> None:
        torch.manual_seed(0)
        parts: list[nn.Module] = []
        for k, (i, o) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            parts += [nn.Linear(i, o)] + [activation()] * (k < len(sizes) - 2)
        self.target = nn.Sequential(*parts)
        self.bridge = nn.Sequential(nn.Linear(sizes[0], 16), nn.Tanh(), nn.Linear(16, sizes[-1]))
        self.x, self.up_x = torch.randn(rows, sizes[0]), torch.randn(rows, sizes[0])
        truth = torch.randn(sizes[0], sizes[-1]) / sizes[0] ** 0.5
        self.first = torch.sin(self.x @ truth) + 0.1 * torch.randn(rows, sizes[-1])
        self.second = self.x @ truth + 0.1 * torch.randn(rows, sizes[-1])
        self.up_y = torch.randn(rows, sizes[-1])
        optimiser = torch.optim.Adam(self.target.parameters(), 2e-3)
        for _ in range(150):
            optimiser.zero_grad()
            self.lower_loss(self.target(self.x)).backward()
            optimiser.step()
        self.bridge.zero_grad()
        self.parameters = list(self.target.parameters())

    def labels(self) -> Tensor:
        gate = torch.sigmoid(self.bridge(self.x))
        return gate * self.first + (1 - gate) * self.second

    def lower_loss(self, out: Tensor) -> Tensor:
        return ((self.labels() - out) ** 2).sum(1).mean()

    def upper_loss(self, target: nn.Module) -> Tensor:
        return (torch.softmax(target(self.up_x), 1) * self.up_y).sum(1).mean()

    def shaped(self, flat: Tensor) -> list[Tensor]:
        parts = flat.split([p.numel() for p in self.parameters])
        return [part.view(p.shape) for part, p in zip(parts, self.parameters, strict=True)]


def flat(tensors: Any) -> Tensor:
    return torch.cat([t.detach().reshape(-1) for t in tensors])


def summarise(times: dict[str, list[float]], base: str) -> list[dict[str, Any]]:
    out = []
    for name, seconds in times.items():
        entry = {"contender": name, "median_s": kept(statistics.median(seconds)), "best_s": kept(min(seconds))}
        entry["ratio"] = kept(statistics.median(b / s for b, s in zip(times[base], seconds, strict=True)))
        if GRADIENT in times:
            entry["gradients"] = kept(statistics.median(s / b for b, s in zip(times[GRADIENT], seconds, strict=True)))
        out.append(entry)
    return out


def products(problem: Problem, rounds: int, inner: int, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """One product each; `ratio` is kept-graph autograd over the contender. `names`: of backends, all where empty."""
    x, y = problem.x, problem.labels().detach()
    graph = HessianOperator(problem.target, lambda net: ((net(x) - y) ** 2).sum(1).mean())
    rough = GaussNewtonOperator(problem.target, x, lambda out: ((out - y) ** 2).sum(1).mean())
    v = torch.randn(1, graph.size)
    shaped = problem.shaped(v[0])

    def gradient() -> Any:
        return torch.autograd.grad(((problem.target(x) - y) ** 2).sum(1).mean(), problem.parameters)

    contenders: dict[str, Callable[[], Any]] = {
        EXACT: lambda: torch.autograd.grad(graph._gradients, problem.parameters, shaped, retain_graph=True),
        "kept-graph autograd, Gauss-Newton": lambda: rough._apply(v),
        GRADIENT: gradient,
    }
    for backend in names or backends.available():
        for kind, judge in (("hessian", graph), ("gauss_newton", rough)):
            ours = MLPCurvature(problem.target, x, kind=kind, targets=y, backend=backend)
            expected = judge._apply(v)
            assert float((ours._apply(v) - expected).norm() / expected.norm()) < 1e-4
            short = "exact" if kind == "hessian" else "Gauss-Newton"
            contenders[f"bidfcl_fast, {backend}, {short}"] = partial(ours._apply, v)
            contenders[f"bidfcl_fast, {backend}, {short}, linearised anew"] = ours.refresh
    return summarise(take_turns(contenders, rounds, inner), EXACT)


def hypergradients(problem: Problem, rounds: int) -> list[dict[str, Any]]:
    """Whole hypergradients of one damped system each, from nothing; `ratio` is the first contender's time over each one's."""
    out = []
    for kind in ("gauss_newton", "hessian"):
        system = _System(problem, kind)
        contenders, steps = system.contenders()
        # Beside calls this short, another contender's threads that still look out for work would count.
        in_a_row = 2 if len(problem.x) < 1000 else 1
        for entry in summarise(take_turns(contenders, rounds, in_a_row), next(iter(contenders))):
            more = {
                "system": kind,
                "steps": steps.get(entry["contender"], ""),
                "damping": float(f"{system.damping:.3g}"),
            }
            out.append(entry | more)
    return out


class _System:
    """(curvature + damping·I)·v = slope, the damping so large that the curvature is positive definite."""

    def __init__(self, problem: Problem, kind: str) -> None:
        self.problem, self.kind = problem, kind
        self.bridge = list(problem.bridge.parameters())
        self.ours = MLPCurvature(problem.target, problem.x, kind=kind, targets=problem.labels().detach())
        self.damping = 0.5 * float(MLPCurvature(problem.target, problem.x).diagonal().mean())
        slope = flat(torch.autograd.grad(problem.upper_loss(problem.target), problem.parameters))
        while conjugate_gradient(self.ours, slope, damping=self.damping, rtol=RTOL, max_steps=MOST).status:
            self.damping *= 2  # the exact Hessian needs more

    def fused(self, preconditioned: bool = True) -> Any:
        """By the names alone, as one calls it; or without the preconditioner that is then the default."""
        p = self.problem
        return implicit_hypergradient(
            p.target, p.bridge, p.lower_loss, p.upper_loss, p.x, curvature=self.kind,
            damping=self.damping, rtol=RTOL, max_steps=MOST, preconditioner="auto" if preconditioned else None,
        )  # fmt: skip

    def graph(self) -> tuple[list[Tensor], list[Tensor]]:
        p = self.problem
        slope = torch.autograd.grad(p.upper_loss(p.target), p.parameters)
        loss = p.lower_loss(p.target(p.x))
        return list(slope), list(torch.autograd.grad(loss, p.parameters, create_graph=True))

    def by_autograd(self, solve: Callable[..., Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
        """The hypergradient and v, with products by automatic differentiation."""
        p = self.problem
        slope, graph = self.graph()

        def exact(v: Any) -> Any:
            return torch.autograd.grad(graph, p.parameters, v, retain_graph=True)

        product = exact
        if self.kind == "gauss_newton":
            rough = GaussNewtonOperator(p.target, p.x, p.lower_loss)
            product = lambda v: p.shaped(rough._apply(flat(v)[None])[0])  # noqa: E731
        v = solve(product, slope, self.damping, RTOL, MOST)
        return flat(torch.autograd.grad(graph, self.bridge, [-t for t in v])), flat(v)

    def betty(self, steps: int) -> Tensor:
        p = self.problem
        slope, _ = self.graph()
        loss = lambda: p.lower_loss(p.target(p.x))  # noqa: E731
        return flat(betty_cg.hypergradient(loss, p.parameters, self.bridge, slope, self.damping, steps))

    def contenders(self) -> tuple[dict[str, Callable[[], Any]], dict[str, Any]]:
        """Those that can run here, each checked; and how many steps ours took."""
        out: dict[str, Callable[[], Any]] = {}
        if not missing("torchopt"):
            out[TORCHOPT] = lambda: self.by_autograd(torchopt_cg.solve)
        out[PLAIN] = lambda: self.by_autograd(plain_cg.solve)
        first, alone = self.fused(), self.fused(preconditioned=False)
        rhs = flat(self.graph()[0])
        for found in (first, alone):
            assert found.solve.status == 0, (self.kind, found.solve.sentence)
        assert _alike(first.gradient, alone.gradient)
        for theirs in out.values():
            hypergradient, v = theirs()
            residual = float((rhs - self.ours @ v - self.damping * v).norm() / rhs.norm())
            assert residual < 1.1 * RTOL, (self.kind, residual)
            assert _alike(first.gradient, hypergradient)
        out["bidfcl_fast"] = self.fused
        out[ALONE] = lambda: self.fused(preconditioned=False)
        steps: dict[str, Any] = {"bidfcl_fast": first.solve.steps, ALONE: alone.solve.steps}
        if self.kind == "hessian" and not missing("betty"):
            out[BETTY] = lambda: self.betty(alone.solve.steps)
            steps[BETTY] = alone.solve.steps
        return out, steps


def _alike(a: Tensor, b: Tensor) -> bool:
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0)) > 0.99
