"""Hypergradients of small networks against finite differences of the whole map, and the self-check itself."""

from __future__ import annotations

import math
import warnings

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from bidfcl_fast.bilevel import (  # noqa: E402
    HypergradientWarning,
    check_hypergradient,
    explicit_hypergradient,
    implicit_hypergradient,
)
from bidfcl_fast.linalg import JacobiPreconditioner  # noqa: E402

RIDGE = 0.05


class World:
    """A ridge-regularised network below, gates that mix two label sets in between, a linear score above."""

    def __init__(self, activation=nn.Tanh):
        torch.manual_seed(3)
        self.x = torch.randn(30, 3).double()
        self.first, self.second = torch.randn(30, 2).double(), torch.randn(30, 2).double()
        self.target = nn.Sequential(nn.Linear(3, 5), activation(), nn.Linear(5, 2)).double()
        self.bridge = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
        self.up_x, self.up_y = torch.randn(20, 3).double(), torch.randn(20, 2).double()

    def lower_loss(self, out):
        gate = torch.sigmoid(self.bridge(self.x))
        return ((gate * self.first + (1 - gate) * self.second - out) ** 2).sum(1).mean()

    def upper_loss(self, target):
        return (torch.softmax(target(self.up_x), 1) * self.up_y).sum()

    @property
    def args(self):
        return self.target, self.bridge, self.lower_loss, self.upper_loss, self.x

    def solve(self):
        """Below to convergence, by L-BFGS and then Newton steps with a dense Hessian; nothing of the package's."""
        names = list(dict(self.target.named_parameters()))

        def loss(theta):
            parts = theta.split([p.numel() for p in self.target.parameters()])
            shaped = {n: t.view(p.shape) for n, t, p in zip(names, parts, self.target.parameters(), strict=True)}
            out = torch.func.functional_call(self.target, shaped, (self.x,))
            return self.lower_loss(out) + RIDGE / 2 * theta.square().sum()

        theta = nn.utils.parameters_to_vector(self.target.parameters()).detach().requires_grad_()
        optimiser = torch.optim.LBFGS([theta], max_iter=200, line_search_fn="strong_wolfe")

        def closure():
            optimiser.zero_grad()
            value = loss(theta)
            (theta.grad,) = torch.autograd.grad(value, theta)
            return value

        optimiser.step(closure)
        point = theta.detach()
        for _ in range(4):
            point = point - torch.linalg.solve(torch.func.hessian(loss)(point), torch.func.grad(loss)(point))
        nn.utils.vector_to_parameters(point.detach(), self.target.parameters())

    def numeric(self, direction, run, eps=1e-4):
        """Central difference of run() along `direction` of the bridge's parameters."""
        values = []
        phi = nn.utils.parameters_to_vector(self.bridge.parameters()).detach()
        theta = nn.utils.parameters_to_vector(self.target.parameters()).detach()
        for sign in (1, -1):
            nn.utils.vector_to_parameters(phi + sign * eps * direction, self.bridge.parameters())
            nn.utils.vector_to_parameters(theta.clone(), self.target.parameters())
            values.append(float(run().detach()))
        nn.utils.vector_to_parameters(phi, self.bridge.parameters())
        nn.utils.vector_to_parameters(theta, self.target.parameters())
        return (values[0] - values[1]) / (2 * eps)


@pytest.fixture
def world():
    return World()


def directions(size):
    return torch.randn(2, size, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def test_implicit_against_the_converged_problem(world):
    world.solve()
    found = implicit_hypergradient(*world.args, curvature="hessian", ridge=RIDGE, rtol=1e-10, max_steps=200)
    assert found.solve.status == 0 and found.stationarity < 1e-12

    def run():
        world.solve()
        return world.upper_loss(world.target)

    for way in directions(found.gradient.numel()):
        assert float(found.gradient @ way) == pytest.approx(world.numeric(way, run), rel=1e-5)


def test_gauss_newton_is_an_approximation_that_says_nothing_wrong_about_its_solve(world):
    world.solve()
    exact = implicit_hypergradient(*world.args, curvature="hessian", ridge=RIDGE, rtol=1e-10, max_steps=200)
    rough = implicit_hypergradient(*world.args, ridge=RIDGE, rtol=1e-10, max_steps=200)
    assert rough.solve.status == 0
    cosine = torch.nn.functional.cosine_similarity(exact.gradient, rough.gradient, dim=0)
    assert 0.9 < cosine < 1 - 1e-9


@pytest.mark.parametrize("steps", [1, 4])
def test_explicit_against_its_own_steps(world, steps):
    found = explicit_hypergradient(*world.args, step_size=0.2, steps=steps, ridge=RIDGE)

    def run():
        optimiser = torch.optim.SGD(world.target.parameters(), lr=0.2, weight_decay=RIDGE)
        for _ in range(steps):
            optimiser.zero_grad()
            world.lower_loss(world.target(world.x)).backward()
            optimiser.step()
        return world.upper_loss(world.target)

    for way in directions(found.gradient.numel()):
        assert float(found.gradient @ way) == pytest.approx(world.numeric(way, run), rel=1e-6)


def test_warm_start_and_preconditioner_change_only_the_steps(world):
    world.solve()
    options = {"curvature": "hessian", "ridge": RIDGE, "rtol": 1e-9, "max_steps": 200}
    cold = implicit_hypergradient(*world.args, **options)
    warm = implicit_hypergradient(*world.args, **options, x0=cold.solve.x)
    assert warm.solve.steps < cold.solve.steps
    scaled = implicit_hypergradient(
        *world.args, **options, preconditioner=JacobiPreconditioner(torch.rand(32).double() + 0.5)
    )
    for other in (warm, scaled):
        torch.testing.assert_close(other.gradient, cold.gradient, rtol=1e-6, atol=1e-10)


def test_a_damped_hypergradient_against_the_dense_system(world):
    """At any target: −Jᵀ(H + δI)⁻¹g, every matrix of it taken entry by entry; J is ∂(∇_θ ℓ)/∂φ, [P, Q]."""
    parameters, bridge = list(world.target.parameters()), list(world.bridge.parameters())
    slope = torch.autograd.grad(world.lower_loss(world.target(world.x)), parameters, create_graph=True)
    rows = torch.cat([g.reshape(-1) for g in slope])

    def jacobian(of):
        parts = [torch.autograd.grad(row, of, retain_graph=True, allow_unused=True) for row in rows]
        return torch.stack(
            [
                torch.cat(
                    [
                        torch.zeros(p.numel()).double() if g is None else g.reshape(-1)
                        for g, p in zip(part, of, strict=True)
                    ]
                )
                for part in parts
            ]
        )

    h, j = jacobian(parameters), jacobian(bridge)
    g = torch.autograd.grad(world.upper_loss(world.target), parameters)
    delta = 0.1 - min(0.0, 1.5 * float(torch.linalg.eigvalsh(h).min()))
    v = torch.linalg.solve(h + delta * torch.eye(len(h)).double(), torch.cat([t.reshape(-1) for t in g]))
    found = implicit_hypergradient(*world.args, curvature="hessian", damping=delta, rtol=1e-10, max_steps=300)
    torch.testing.assert_close(found.gradient, -j.T @ v, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("gate", [-40.0, 40.0])
def test_a_gate_that_is_shut_or_open_has_nothing_to_learn(world, gate):
    """w → 0 and w → 1: the labels stop moving with φ, as w(1 − w) → 0."""
    with torch.no_grad():
        world.bridge[2].bias.fill_(gate)
    found = implicit_hypergradient(*world.args, ridge=RIDGE, max_steps=100)
    assert found.gradient.abs().max() < 1e-12 * max(1.0, float(found.solve.x.abs().max()))


def test_check_accepts_what_is_right_and_leaves_everything_as_it_was(world):
    world.solve()
    right = implicit_hypergradient(*world.args, curvature="hessian", ridge=RIDGE, rtol=1e-10, max_steps=200)
    before = [p.detach().clone() for p in [*world.target.parameters(), *world.bridge.parameters()]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = check_hypergradient(right, *world.args, ridge=RIDGE)
        stepped = explicit_hypergradient(*world.args, step_size=0.2, steps=3, ridge=RIDGE)
        assert check_hypergradient(stepped, *world.args, ridge=RIDGE).ok
    assert found.ok and found.error < 1e-4
    after = [*world.target.parameters(), *world.bridge.parameters()]
    assert all(torch.equal(p, q) for p, q in zip(before, after, strict=True))


def test_check_sees_a_wrong_hypergradient(world):
    right = explicit_hypergradient(*world.args, step_size=0.2, steps=2)
    wrong = type(right)(**{**right.__dict__, "gradient": right.gradient * 1.1})
    with pytest.warns(HypergradientWarning, match="disagree by"):
        assert not check_hypergradient(wrong, *world.args).ok


def test_check_warns_far_from_stationary(world):
    """The formula at a random target is not the gradient of anything; the check knows and says why."""
    far = implicit_hypergradient(*world.args, ridge=RIDGE, max_steps=200)
    assert far.stationarity > 1e-2
    with pytest.warns(HypergradientWarning) as caught:
        check_hypergradient(far, *world.args, ridge=RIDGE, directions=1)
    assert any("far from stationary" in str(w.message) for w in caught)


def test_check_refuses_a_problem_without_a_solution(world):
    right = implicit_hypergradient(*world.args, max_steps=5)
    lower = world.lower_loss
    world.args_without = (world.target, world.bridge, lambda out: -lower(out), world.upper_loss, world.x)
    with pytest.raises(RuntimeError, match="could not be solved"):
        check_hypergradient(right, *world.args_without)


def test_bridge_may_be_tensors_and_losses_may_ignore_them(world):
    gate = torch.zeros(30, 2, dtype=torch.float64, requires_grad=True)

    def lower_loss(out):
        return ((torch.sigmoid(gate) * world.first - out) ** 2).sum(1).mean()

    found = explicit_hypergradient(world.target, [gate], lower_loss, world.upper_loss, world.x, step_size=0.1)
    assert found.gradient.shape == (60,) and found.gradient.abs().sum() > 0
    blind = explicit_hypergradient(
        world.target, [gate], lambda out: out.square().sum(), world.upper_loss, world.x, step_size=0.1
    )
    assert torch.equal(blind.gradient, torch.zeros(60).double())
    assert math.isnan(found.stationarity)


def test_misuse_is_named(world):
    target, bridge, lower_loss, upper_loss, x = world.args
    with pytest.raises(TypeError, match="target must be a torch module, got function"):
        implicit_hypergradient(lambda x: x, bridge, lower_loss, upper_loss, x)
    with pytest.raises(TypeError, match="lower_loss must be a function"):
        implicit_hypergradient(target, bridge, 1.0, upper_loss, x)
    with pytest.raises(ValueError, match="share parameters"):
        implicit_hypergradient(target, target, lower_loss, upper_loss, x)
    with pytest.raises(
        ValueError, match="curvature must be 'gauss_newton', 'hessian' or a LinearOperator, got 'exact'"
    ):
        implicit_hypergradient(*world.args, curvature="exact")
    with pytest.raises(ValueError, match="step_size must be greater than 0"):
        explicit_hypergradient(*world.args, step_size=0.0)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        explicit_hypergradient(*world.args, step_size=0.1, steps=0)
    with pytest.raises(ValueError, match="lower_loss must return one number"):
        explicit_hypergradient(target, bridge, lambda out: out, upper_loss, x, step_size=0.1)
    with pytest.raises(ValueError, match="ridge must be finite"):
        explicit_hypergradient(*world.args, step_size=0.1, ridge=-1)
