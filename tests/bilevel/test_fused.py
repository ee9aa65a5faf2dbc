"""The fused curvature and preconditioner that `implicit_hypergradient` finds by itself, against the general operators."""

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from bidfcl_fast.bilevel import implicit_hypergradient  # noqa: E402
from bidfcl_fast.bilevel.fused import Linearised, fused_curvature, own_preconditioner  # noqa: E402
from bidfcl_fast.linalg import (  # noqa: E402
    GaussNewtonOperator,
    HessianOperator,
    SamplePreconditioner,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def net(*sizes, activation=nn.Tanh):
    torch.manual_seed(0)
    parts = []
    for i, o in zip(sizes[:-1], sizes[1:], strict=True):
        parts += [nn.Linear(i, o), activation()]
    return nn.Sequential(*parts[:-1]).double()


def fused(module, x, loss, kind):
    return fused_curvature(module, x, Linearised(module(x), loss), kind)


X = torch.randn(40, 3, generator=torch.Generator().manual_seed(1)).double()
Y = torch.randn(40, 2, generator=torch.Generator().manual_seed(2)).double()
W = torch.rand(40, 2, generator=torch.Generator().manual_seed(3)).double()
W[::3, 0] = 0

CELLS = {
    "mean": lambda out: ((out - Y) ** 2).sum(1).mean(),
    "mse_loss": lambda out: nn.functional.mse_loss(out, Y),
    "weights and a mask": lambda out: (W * (out - Y) ** 2).sum(),
    "not squared": lambda out: (nn.functional.softplus(out) - Y * out).sum(),
}
OTHERS = {
    "outputs that meet": lambda out: (out.sum(1) - Y[:, 0]).square().mean(),
    "concave": lambda out: -((out - Y) ** 2).mean(),
    "straight": lambda out: out.mean(),
    "straight cells": lambda out: (out[:, 0] - Y[:, 0]).square().mean() + out[:, 1].mean(),
}


@pytest.mark.parametrize("kind", ["gauss_newton", "hessian"])
@pytest.mark.parametrize("name", CELLS)
def test_a_sum_over_cells_has_the_fused(name, kind):
    module, loss = net(3, 5, 2), CELLS[name]
    found = fused(module, X, loss, kind)
    if found is None:
        pytest.skip("no fast backend here")
    general = (
        GaussNewtonOperator(module, X, loss)
        if kind == "gauss_newton"
        else HessianOperator(module, lambda m: loss(m(X)))
    )
    torch.testing.assert_close(found.to_dense(), general.to_dense(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_sum_over_cells_has_none(name):
    assert fused(net(3, 5, 2), X, OTHERS[name], "hessian") is None


def test_modules_that_are_none_of_its_kind_have_none():
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = net(3, 5, 2)

        def forward(self, x):
            return self.inner(x)

    assert fused(Wrapped(), X, CELLS["mean"], "gauss_newton") is None


def upper_loss(target):
    return (target(X[:10]) ** 3).sum()


def problem(loss):
    torch.manual_seed(4)
    bridge = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    return net(3, 16, 16, 2), bridge, lambda out: loss(out, bridge(X)), upper_loss, X


@pytest.mark.parametrize("kind", ["gauss_newton", "hessian"])
def test_the_hypergradient_is_that_of_the_general_operators(kind):
    args = problem(lambda out, label: ((out - label) ** 2).sum(1).mean())
    options = {"ridge": 0.3, "damping": 4.0, "rtol": 1e-11, "max_steps": 400}
    found = implicit_hypergradient(*args, curvature=kind, **options)
    target, _, loss, _, x = args
    general = (
        GaussNewtonOperator(target, x, loss)
        if kind == "gauss_newton"
        else HessianOperator(target, lambda m: loss(m(x)))
    )
    want = implicit_hypergradient(*args, curvature=general, preconditioner=None, **options)
    assert found.solve.status == want.solve.status == 0
    torch.testing.assert_close(found.gradient, want.gradient, rtol=1e-7, atol=1e-11)
    assert found.stationarity == pytest.approx(want.stationarity, rel=1e-7)


def test_a_preconditioner_is_built_where_it_pays():
    torch.manual_seed(5)
    module = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))
    few, many = torch.randn(512, 12), torch.randn(4096, 12)

    def built(x, damping=0.1, steps=50):
        found = fused(module, x, lambda out: out.square().mean(), "gauss_newton")
        return None if found is None else own_preconditioner(found, damping, steps)

    if fused(module, few, lambda out: out.square().mean(), "gauss_newton") is None:
        pytest.skip("no fast backend here")
    assert isinstance(built(many), SamplePreconditioner)
    assert built(few) is None and built(many, steps=10) is None and built(many, damping=0.0) is None


def test_a_loss_taken_apart_has_the_gradient_of_the_whole():
    module, loss = net(3, 5, 2), CELLS["weights and a mask"]
    want = torch.autograd.grad(loss(module(X)), list(module.parameters()))
    now = Linearised(module(X), loss)
    torch.testing.assert_close(now.value, loss(module(X)))
    torch.testing.assert_close(now.gradients(list(module.parameters())), list(want))
    assert all((g == 0).all() for g in Linearised(module(X).detach(), loss).gradients(list(module.parameters())))


def test_misuse_is_named():
    with pytest.raises(ValueError, match="preconditioner must be 'auto'"):
        implicit_hypergradient(*problem(lambda out, y: ((out - y) ** 2).mean()), preconditioner="jacobi")
