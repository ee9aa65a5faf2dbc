"""The closed form of a linear target: METHOD.md §6.5's numbers, and finite differences of the same maps in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from bidfcl_fast.bilevel import explicit_hypergradient, implicit_hypergradient  # noqa: E402
from bidfcl_fast.linalg import HessianOperator, MatrixOperator  # noqa: E402

X = np.array([1, 2, -1, 0.5])
T, Y = np.array([0, 1, 0, 1]), np.array([0.5, 2, -0.2, 0.9])
TEACHER = np.array([[0.4, 0.9], [0.8, 1.8], [-0.4, -0.9], [0.2, 0.45]])
START, PHI = np.array([0.3, 1.5]), np.array([0.2, -0.4])
UP_X, UP_T, UP_R = np.array([1, -0.5, 2, 1.5]), np.array([1, 0, 1, 0]), np.array([1, 0.6, 1.5, 0.4])
UP_COST = np.array([[0, 0.3], [0, 0.2], [0, 0.5], [0, 0.4]])


def labels(phi):
    gate = 1 / (1 + np.exp(-(phi[0] + phi[1] * X)))[:, None]
    out = gate * TEACHER + (1 - gate) * START * X[:, None]
    out[np.arange(4), T] = Y
    return out


def solved(phi):
    return (labels(phi) * X[:, None]).sum(0) / (X**2).sum()


def stepped(phi, steps, size=0.1):
    theta = START.copy()
    for _ in range(steps):
        theta = theta - size * 2 / 4 * ((theta * X[:, None] - labels(phi)) * X[:, None]).sum(0)
    return theta


def upper(theta):
    score = theta * UP_X[:, None] - 0.7 * UP_COST
    p = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    return -(UP_R / 2 * p[np.arange(4), UP_T]).sum()


def slope(function, eps=1e-6):
    unit = np.eye(2)
    return np.array([(function(PHI + eps * u) - function(PHI - eps * u)) / (2 * eps) for u in unit])


class Target(nn.Module):
    def __init__(self, theta):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta, dtype=torch.float64))

    def forward(self, x):
        return x[:, None] * self.theta


class Bridge(nn.Module):
    def __init__(self):
        super().__init__()
        self.phi = nn.Parameter(torch.tensor(PHI))

    def forward(self, x):
        return torch.sigmoid(self.phi[0] + self.phi[1] * x)[:, None]


@pytest.fixture
def problem():
    bridge, x = Bridge(), torch.tensor(X)

    def lower_loss(out):
        gate = bridge(x)
        mixed = gate * torch.tensor(TEACHER) + (1 - gate) * torch.tensor(START) * x[:, None]
        label = torch.where(torch.tensor(np.eye(2, dtype=bool)[T]), torch.tensor(Y)[:, None], mixed)
        return ((label - out) ** 2).sum(1).mean()

    def upper_loss(target):
        score = target(torch.tensor(UP_X)) - 0.7 * torch.tensor(UP_COST)
        policy = torch.softmax(score, 1)[torch.arange(4), torch.tensor(UP_T)]
        return -(torch.tensor(UP_R) / 2 * policy).sum()

    return bridge, lower_loss, upper_loss, x


CLOSE = {"rtol": 0, "atol": 2e-10}


def test_the_oracle_itself():
    np.testing.assert_allclose(solved(PHI), [0.3406779964, 1.0868010583], **CLOSE)
    assert upper(solved(PHI)) == pytest.approx(-1.132022362494512, abs=1e-13)
    np.testing.assert_allclose(stepped(PHI, 5), [0.3344302547, 1.1502643674], **CLOSE)


@pytest.mark.parametrize("curvature", ["gauss_newton", "hessian", "operator"])
def test_implicit(problem, curvature):
    bridge, lower_loss, upper_loss, x = problem
    target = Target(solved(PHI))
    if curvature == "operator":
        curvature = MatrixOperator(3.125 * torch.eye(2, dtype=torch.float64))
    found = implicit_hypergradient(target, bridge, lower_loss, upper_loss, x, curvature=curvature)
    np.testing.assert_allclose(found.gradient, [0.0223036691, 0.0114786285], **CLOSE)
    np.testing.assert_allclose(found.gradient, slope(lambda phi: upper(solved(phi))), rtol=1e-6)
    assert found.upper == pytest.approx(-1.132022362494512, abs=1e-13)
    assert found.stationarity < 1e-20
    assert found.solve.status == 0
    torch.testing.assert_close(
        HessianOperator(target, lambda net: lower_loss(net(x))).to_dense(), 3.125 * torch.eye(2).double()
    )


def test_explicit_one_step(problem):
    bridge, lower_loss, upper_loss, x = problem
    target = Target(START)
    found = explicit_hypergradient(target, bridge, lower_loss, upper_loss, x, step_size=0.1)
    np.testing.assert_allclose(found.target, [0.3127118739, 1.3708753307], **CLOSE)
    np.testing.assert_allclose(found.gradient, [0.0052796087, 0.0027171613], **CLOSE)
    np.testing.assert_allclose(found.gradient, slope(lambda phi: upper(stepped(phi, 1))), rtol=1e-6)
    assert np.array_equal(target.theta.detach(), START), "the target is left as it was"
    assert bridge.phi.grad is None


def test_explicit_five_steps(problem):
    bridge, lower_loss, upper_loss, x = problem
    found = explicit_hypergradient(Target(START), bridge, lower_loss, upper_loss, x, step_size=0.1, steps=5)
    np.testing.assert_allclose(found.target, [0.3344302547, 1.1502643674], **CLOSE)
    np.testing.assert_allclose(found.gradient, [0.0178477461, 0.0091853787], **CLOSE)
    np.testing.assert_allclose(found.gradient, slope(lambda phi: upper(stepped(phi, 5))), rtol=1e-6)
    np.testing.assert_allclose(found.gradient, 0.8464097977 * np.array([0.0210864124, 0.0108521649]), **CLOSE)


def test_implicit_after_five_steps_overstates_by_the_unfinished_share(problem):
    bridge, lower_loss, upper_loss, x = problem
    found = implicit_hypergradient(Target(stepped(PHI, 5)), bridge, lower_loss, upper_loss, x)
    np.testing.assert_allclose(found.gradient, [0.0210864124, 0.0108521649], **CLOSE)
    assert found.stationarity > 1e-2, "it says so"


def test_assign_writes_gradients(problem):
    bridge, lower_loss, upper_loss, x = problem
    found = implicit_hypergradient(Target(solved(PHI)), bridge, lower_loss, upper_loss, x)
    found.assign(bridge)
    assert torch.equal(bridge.phi.grad, found.gradient)
    with pytest.raises(ValueError, match="bridge has 4 parameters, the hypergradient 2"):
        found.assign([torch.zeros(4, requires_grad=True)])
