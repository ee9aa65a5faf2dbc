"""Preconditioners from sketches and samples: they save steps, change no answer, and mean the same in every loop."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from bidfcl_fast.linalg import (  # noqa: E402
    FunctionOperator,
    MatrixOperator,
    MLPCurvature,
    NystromPreconditioner,
    SamplePreconditioner,
    conjugate_gradient,
)


def normal(*shape, seed=1, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def decaying(size, dtype=torch.float64):
    """Eigenvalues 100/k²: a few large ones, then a tail."""
    q = torch.linalg.qr(normal(size, size, seed=2))[0]
    return (q * (100 / torch.arange(1.0, size + 1).double() ** 2) @ q.T).to(dtype)


def network(rows=1500, dtype=torch.float64):
    torch.manual_seed(4)
    net = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 3)).to(dtype)
    return net, torch.randn(rows, 6).to(dtype)


def dense(operator, damping):
    return operator.to_dense() + damping * torch.eye(operator.size, dtype=operator.dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_low_rank_form_is_orthonormal_and_inverts_what_it_caught(dtype):
    a = decaying(300, dtype)
    pre = NystromPreconditioner(MatrixOperator(a), 20, 0.1, power=2)
    eye = torch.eye(20, dtype=dtype)
    torch.testing.assert_close(pre.along @ pre.along.T, eye, rtol=0, atol=1e-3 if dtype == torch.float32 else 1e-8)
    torch.testing.assert_close(
        pre.eigenvalues[:10].double(), 100 / torch.arange(1.0, 11).double() ** 2, rtol=1e-2, atol=0
    )
    caught = pre.along[:5]
    expected = caught * ((pre.eigenvalues[-1] + 0.1) / (pre.eigenvalues[:5] + 0.1)).unsqueeze(1)
    torch.testing.assert_close(pre(caught), expected, rtol=1e-3, atol=1e-4)


def test_power_iterations_catch_more_with_the_same_rank():
    a = decaying(300)
    exact = 100 / torch.arange(1.0, 9).double() ** 2
    error = [
        float((NystromPreconditioner(MatrixOperator(a), 8, 0.1, power=power).eigenvalues - exact).abs().max())
        for power in (0, 2)
    ]
    assert error[1] < error[0] / 3


def test_an_operator_of_zeros_and_one_that_breaks():
    zero = NystromPreconditioner(MatrixOperator(torch.zeros(5, 5).double()), 3, 1.0, power=1)
    v = normal(2, 5)
    assert torch.equal(zero(v), v)
    assert conjugate_gradient(torch.eye(5).double(), v, preconditioner=zero).status.tolist() == [0, 0]
    broken = FunctionOperator(lambda v: v * math.nan, 5, torch.float64)
    with pytest.raises(ValueError, match="not finite"):
        NystromPreconditioner(broken, 3, 1.0)


@pytest.mark.parametrize("size", [5, 300, 9001])
def test_compiled_low_rank_step_is_the_plain_one(size):
    """The kernel's two passes, pieces and tails included, against the same preconditioner as a function."""
    diagonal = 1 + 50 * torch.linspace(0, 1, size).double() ** 8
    a = FunctionOperator(lambda v: v * diagonal, size, torch.float64, batched=True)
    pre = NystromPreconditioner(a, 11, 0.1, power=1)
    b = normal(2, size)
    options = {"rtol": 1e-7, "max_steps": 12, "damping": 0.1}
    compiled = conjugate_gradient(a, b, preconditioner=pre, **options)
    for other in (
        conjugate_gradient(a, b, preconditioner=lambda v: pre(v), **options),
        conjugate_gradient(a, b, preconditioner=pre, look_every=1, **options),
    ):
        assert compiled.steps.tolist() == other.steps.tolist()
        torch.testing.assert_close(compiled.x, other.x, rtol=1e-7, atol=1e-9)


def test_preconditioned_bits_do_not_depend_on_threads(monkeypatch):
    net, x = network(rows=3000, dtype=torch.float32)
    found = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("BIDFCL_NUM_THREADS", threads)
        operator = MLPCurvature(net, x)
        b = normal(operator.size, dtype=torch.float32)
        pre = NystromPreconditioner(operator.sample(200), 8, 1e-2)
        found.append(conjugate_gradient(operator, b, rtol=1e-4, damping=1e-2, max_steps=40, preconditioner=pre).x)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_a_sample_is_gauss_newton_on_those_rows(backend):
    net, x = network(rows=90)
    y = torch.zeros(90, 3).double()
    v = normal(2, sum(p.numel() for p in net.parameters()))
    cells = torch.rand(90, 3).double()
    for weight in (None, cells, cells > 0.5, cells[:, 0]):
        for reduction in ("mean", "sum"):
            options = {"weight": weight, "reduction": reduction, "backend": backend}
            exact = MLPCurvature(net, x, kind="hessian", targets=y, **options)
            everything = exact.sample(1000, seed=3)  # no more rows than there are: all of them
            torch.testing.assert_close(everything @ v, MLPCurvature(net, x, **options) @ v)
            few = exact.sample(30, seed=3)
            picked = torch.randperm(90, generator=torch.Generator().manual_seed(3))[:30]
            scale = 3.0 if reduction == "sum" else 1.0
            part = MLPCurvature(
                net, x[picked], weight=None if weight is None else weight[picked], reduction=reduction, backend=backend
            )
            torch.testing.assert_close(few @ v, scale * (part @ v))
    with pytest.raises(ValueError, match="rows must be at least 1"):
        exact.sample(0)


@pytest.mark.parametrize("look", [None, 1, 7], ids=["host", "torch", "torch-looks-7"])
def test_a_sample_saves_steps_and_changes_no_answer(look):
    net, x = network()
    operator = MLPCurvature(net, x)
    delta = 1e-3 * float(operator.diagonal().max())
    b = normal(2, operator.size)
    expected = torch.linalg.solve(dense(operator, delta), b.T).T
    options = {"rtol": 1e-8, "max_steps": 2000, "damping": delta, "look_every": look}
    plain = conjugate_gradient(operator, b, **options)
    for pre in (
        SamplePreconditioner(operator.sample(400), delta),
        NystromPreconditioner(operator.sample(400), 40, delta, power=1),
    ):
        result = conjugate_gradient(operator, b, preconditioner=pre, **options)
        assert (result.status == 0).all()
        assert (result.steps < plain.steps / 2).all()
        torch.testing.assert_close(result.x, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("look", [None, 1], ids=["host", "torch"])
def test_a_rough_inner_solve_is_borne(look):
    """The inner solve is no linear map; turning by what changed keeps conjugate gradient converging all the same."""
    net, x = network(rows=600)
    operator = MLPCurvature(net, x)
    delta = 1e-4 * float(operator.diagonal().max())
    pre = SamplePreconditioner(operator, delta, rank=2, power=0, rtol=0.5)
    result = conjugate_gradient(
        operator, normal(operator.size), rtol=1e-6, max_steps=60, damping=delta, preconditioner=pre, look_every=look
    )
    assert result.status == 0
    assert pre.products > result.steps


def test_kept_between_outer_steps():
    """The network moves; the sample is linearised anew, the sketch stays, and steps stay few."""
    net, x = network()
    operator = MLPCurvature(net, x)
    delta = 1e-3 * float(operator.diagonal().max())
    pre, b = SamplePreconditioner(operator.sample(400), delta), normal(operator.size)
    for _ in range(3):
        with torch.no_grad():
            for p in net.parameters():
                p.mul_(1.03)
        operator.refresh()
        pre.sample.refresh()
        plain = conjugate_gradient(operator, b, rtol=1e-6, max_steps=2000, damping=delta)
        kept = conjugate_gradient(operator, b, rtol=1e-6, max_steps=2000, damping=delta, preconditioner=pre)
        assert kept.status == 0 and kept.steps < plain.steps / 2


def test_misuse_is_named():
    net, x = network(rows=50)
    operator = MLPCurvature(net, x)
    for options, message in (
        ({"damping": 0.0}, "damping must be greater than 0"),
        ({"damping": 1.0, "rank": 0}, "rank must be at least 1"),
        ({"damping": 1.0, "power": -1}, "power must be at least 0"),
        ({"damping": 1.0, "rtol": -1.0}, "rtol must be finite"),
        ({"damping": 1.0, "max_steps": 0}, "max_steps must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            SamplePreconditioner(operator, **options)
    pre = NystromPreconditioner(operator, 4, 1.0)
    with pytest.raises(ValueError, match="the preconditioner is for"):
        conjugate_gradient(torch.eye(7).double(), normal(7), preconditioner=pre)
