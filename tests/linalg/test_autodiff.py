"""Curvature through torch against Hessians taken entry by entry."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from bidfcl_fast.linalg import FunctionHessian, GaussNewtonOperator, HessianOperator, conjugate_gradient  # noqa: E402
from bidfcl_fast.losses import ppl_loss  # noqa: E402


def small(seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    return net, torch.randn(9, 3).double(), torch.randn(9, 2).double()


def dense(loss, parameters):
    """Rows of second derivatives, one scalar at a time."""
    grads = torch.autograd.grad(loss, parameters, create_graph=True)
    flat = torch.cat([g.reshape(-1) for g in grads])
    rows = []
    for entry in flat:
        row = torch.autograd.grad(entry, parameters, retain_graph=True, allow_unused=True)
        rows.append(
            torch.cat(
                [torch.zeros(p.numel()) if g is None else g.reshape(-1) for g, p in zip(row, parameters, strict=True)]
            )
        )
    return torch.stack(rows)


def test_hessian_of_a_module():
    net, x, y = small()
    operator = HessianOperator(net, lambda net: ((net(x) - y) ** 2).mean())
    expected = dense(((net(x) - y) ** 2).mean(), list(net.parameters()))
    torch.testing.assert_close(operator.to_dense(), expected)
    assert operator.size == 26
    torch.testing.assert_close(operator.value, ((net(x) - y) ** 2).mean().detach())
    grads = torch.autograd.grad(((net(x) - y) ** 2).mean(), list(net.parameters()))
    torch.testing.assert_close(operator.gradient, torch.cat([g.reshape(-1) for g in grads]))


def test_refresh_follows_the_parameters():
    net, x, y = small()
    operator = HessianOperator(net, lambda net: ((net(x) - y) ** 2).mean())
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(1.7)
    operator.refresh()
    torch.testing.assert_close(operator.to_dense(), dense(((net(x) - y) ** 2).mean(), list(net.parameters())))


def test_gauss_newton_of_a_module_and_any_output_loss():
    net, x, _ = small()

    def loss(out):
        return torch.logsumexp(out, dim=1).mean() + 0.1 * out[:, 0].square().mean()

    operator = GaussNewtonOperator(net, x, loss)
    jacobians = torch.func.jacrev(lambda p: torch.func.functional_call(net, p, (x,)))(dict(net.named_parameters()))
    j = torch.cat([g.detach().reshape(18, -1) for g in jacobians.values()], dim=1)
    h = torch.func.hessian(loss)(net(x).detach()).reshape(18, 18)
    torch.testing.assert_close(operator.to_dense(), j.T @ h @ j)
    v = torch.randn(3, 26).double()
    assert ((operator @ v) * v).sum(1).min() >= 0


def test_hessian_of_a_function_of_several_tensors():
    a = torch.randn(2, 3).double().requires_grad_()
    b = torch.randn(4).double().requires_grad_()
    unused = torch.randn(2).double().requires_grad_()
    operator = FunctionHessian(lambda a, b, _: (a.sum() * b.sin().sum()) + a.pow(3).sum(), [a, b, unused])
    expected = dense((a.sum() * b.sin().sum()) + a.pow(3).sum() + 0 * unused.sum(), [a, b, unused])
    torch.testing.assert_close(operator.to_dense(), expected)


def test_a_decision_loss_is_an_operator_like_any_other():
    """The loss kernels' own second derivatives, against differences of their gradients; damped, summed and solved."""
    generator = torch.Generator().manual_seed(0)
    value, cost = (torch.rand(20, 3, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    treatment = torch.randint(0, 3, (20,), generator=generator)
    outcome, weight = torch.rand(2, 20, generator=generator, dtype=torch.float64)

    def total(value, cost):
        return ppl_loss(value, cost, treatment, outcome, weight, 0.7, temperature=0.8)

    def slope(flat):
        parts = [t.view(20, 3).detach().requires_grad_() for t in flat.split(60)]
        return torch.cat([g.reshape(-1) for g in torch.autograd.grad(total(*parts), parts)])

    operator = FunctionHessian(total, [value, cost])
    at, v = torch.cat([value.reshape(-1), cost.reshape(-1)]).detach(), torch.randn(120, generator=generator).double()
    torch.testing.assert_close(operator @ v, (slope(at + 1e-5 * v) - slope(at - 1e-5 * v)) / 2e-5, rtol=1e-6, atol=1e-9)
    matrix = operator.to_dense()
    assert float(matrix.abs().max()) > 0
    torch.testing.assert_close(matrix, matrix.T)
    lift = 1 - 2 * float(torch.linalg.eigvalsh(matrix).min())
    result = conjugate_gradient(operator + operator, v, damping=lift, rtol=1e-10, max_steps=200)
    eye = torch.eye(120, dtype=torch.float64)
    torch.testing.assert_close(result.x, torch.linalg.solve(2 * matrix + lift * eye, v), rtol=1e-7, atol=1e-9)


def test_a_linear_function_has_no_curvature():
    a = torch.randn(3).double().requires_grad_()
    assert torch.equal(FunctionHessian(lambda a: 2 * a.sum(), [a]).to_dense(), torch.zeros(3, 3).double())
    assert torch.equal(FunctionHessian(lambda a: torch.tensor(1.0), [a]).to_dense(), torch.zeros(3, 3).double())


def test_frozen_parameters_are_left_out():
    net, x, y = small()
    net[0].weight.requires_grad_(False)
    operator = HessianOperator(net, lambda net: ((net(x) - y) ** 2).mean())
    assert operator.size == 14
    torch.testing.assert_close(
        operator.to_dense(), dense(((net(x) - y) ** 2).mean(), [p for p in net.parameters() if p.requires_grad])
    )


def test_solves_with_a_ridge():
    net, x, y = small()
    operator = GaussNewtonOperator(net, x, lambda out: ((out - y) ** 2).mean())
    b = torch.randn(26).double()
    result = conjugate_gradient(operator, b, damping=0.1, rtol=1e-10, max_steps=100)
    eye = torch.eye(26, dtype=torch.float64)
    torch.testing.assert_close(result.x, torch.linalg.solve(operator.to_dense() + 0.1 * eye, b), rtol=1e-7, atol=1e-9)


def test_misuse_is_named():
    net, x, y = small()
    with pytest.raises(ValueError, match=r"must return one number as a tensor, got shape \[9, 2\]"):
        HessianOperator(net, lambda net: net(x) - y)
    with pytest.raises(ValueError, match="no parameter that requires a gradient"):
        HessianOperator(nn.ReLU(), lambda net: x.sum())
    with pytest.raises(TypeError, match="require gradients"):
        FunctionHessian(lambda a: a.sum(), [torch.zeros(3)])
    with pytest.raises(ValueError, match="one dtype and one device"):
        FunctionHessian(
            lambda a, b: a.sum(), [torch.zeros(2, requires_grad=True), torch.zeros(2).double().requires_grad_()]
        )
    with pytest.raises(TypeError, match="module or a sequence of tensors"):
        FunctionHessian(lambda a: a.sum(), torch.zeros(2, requires_grad=True))
