"""Operators: their algebra against dense matrices, their exchange with SciPy and curvlinops, their refusals."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bidfcl_fast.linalg import (  # noqa: E402
    FunctionOperator,
    LinearOperator,
    MatrixOperator,
    MLPCurvature,
    ScaledIdentity,
    as_operator,
    conjugate_gradient,
)

P = 7


@pytest.fixture
def matrix():
    root = torch.randn(P, P, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return root @ root.T + torch.eye(P, dtype=torch.float64)


def vectors(*shape):
    return torch.randn(*shape, P, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_algebra_is_that_of_matrices(matrix):
    a, b = MatrixOperator(matrix), MatrixOperator(matrix.square())
    eye = torch.eye(P, dtype=torch.float64)
    for operator, dense in (
        (a + b, matrix + matrix.square()),
        (2 * a - b, 2 * matrix - matrix.square()),
        (-(a * 0.5), -matrix / 2),
        (a.damped(0.3) + b, matrix + 0.3 * eye + matrix.square()),
        (ScaledIdentity(P, 0.3, torch.float64) + a, matrix + 0.3 * eye),
    ):
        torch.testing.assert_close(operator.to_dense(chunk=3), dense)
        torch.testing.assert_close(operator.diagonal(), dense.diagonal())
        for v in (vectors(), vectors(1), vectors(4)):
            torch.testing.assert_close(operator @ v, v @ dense)
            torch.testing.assert_close(operator(v), v @ dense)


def test_sums_leave_their_terms_and_arguments_alone(matrix):
    buffer = vectors()
    same = FunctionOperator(lambda v: v, P, torch.float64)  # returns its argument
    total = same + MatrixOperator(matrix)
    v = buffer.clone()
    torch.testing.assert_close(total @ v, buffer + matrix @ buffer)
    torch.testing.assert_close(2.0 * same @ v, 2 * buffer)
    assert torch.equal(v, buffer)


def test_batched_functions(matrix):
    rows = FunctionOperator(lambda v: v @ matrix, P, torch.float64, batched=True)
    one = FunctionOperator(lambda v: matrix @ v, P, torch.float64)
    torch.testing.assert_close(rows @ vectors(3), one @ vectors(3))


def test_scipy_both_ways(matrix):
    linalg = pytest.importorskip("scipy.sparse.linalg")
    sparse = pytest.importorskip("scipy.sparse")
    ours = MatrixOperator(matrix)
    theirs = ours.to_scipy()
    v = vectors(3)
    np.testing.assert_allclose(theirs @ v[0].numpy(), (matrix @ v[0]).numpy())
    np.testing.assert_allclose(theirs @ v.T.numpy(), (matrix @ v.T).numpy())
    x, info = linalg.cg(theirs, v[0].numpy(), rtol=1e-12)
    assert info == 0
    np.testing.assert_allclose(x, torch.linalg.solve(matrix, v[0]).numpy(), rtol=1e-8)
    for source in (linalg.aslinearoperator(matrix.numpy()), sparse.csr_matrix(matrix.numpy()), matrix.numpy(), matrix):
        torch.testing.assert_close(as_operator(source, v) @ v, v @ matrix)


def test_curvlinops_both_ways(matrix):
    pytest.importorskip("curvlinops")
    theirs = MatrixOperator(matrix).to_curvlinops()
    v = vectors(3)
    torch.testing.assert_close(theirs @ v[0], matrix @ v[0])
    torch.testing.assert_close((2.0 * theirs) @ v.T, 2 * matrix @ v.T)
    torch.testing.assert_close(as_operator(theirs, v) @ v, v @ matrix)
    assert conjugate_gradient(theirs, v[0]).status == 0


def test_curvlinops_finds_the_same_curvature():
    """Theirs, of the summed squared error over 40 rows, through autograd; ours is of the mean, without."""
    curvlinops = pytest.importorskip("curvlinops")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)).double()
    x, y = torch.randn(40, 3).double(), torch.randn(40, 2).double()
    theirs = curvlinops.GGNLinearOperator(net, torch.nn.MSELoss(reduction="sum"), list(net.parameters()), [(x, y)])
    ours = MLPCurvature(net, x, kind="gauss_newton")
    v = torch.randn(3, ours.size).double()
    torch.testing.assert_close(40 * (ours @ v), (theirs @ v.T).T, rtol=1e-10, atol=1e-10)
    found = conjugate_gradient(theirs, v[0], damping=1.0, max_steps=200, rtol=1e-12)
    expected = conjugate_gradient(ours, v[0] / 40, damping=1 / 40, max_steps=200, rtol=1e-12)
    torch.testing.assert_close(found.x, expected.x, rtol=1e-8, atol=1e-8)


def test_misuse_is_named(matrix):
    a = MatrixOperator(matrix)
    with pytest.raises(ValueError, match=r"shape \[7\] or \[B, 7\], got \[6\]"):
        a @ torch.zeros(6, dtype=torch.float64)
    with pytest.raises(TypeError, match=r"dtype, torch.float64, got torch.float32"):
        a @ torch.zeros(P)
    with pytest.raises(TypeError, match="must be a torch tensor, got ndarray"):
        a @ np.zeros(P)
    with pytest.raises(ValueError, match="agree in size"):
        a + ScaledIdentity(P + 1, 1.0, torch.float64)
    with pytest.raises(ValueError, match="delta must be finite and at least 0, got -1"):
        a.damped(-1)
    with pytest.raises(ValueError, match=r"tensor \[P, P\], got \[7\]"):
        MatrixOperator(torch.zeros(P))
    with pytest.raises(ValueError, match=r"must be \[6, 6\]"):
        as_operator(matrix, torch.zeros(6, dtype=torch.float64))
    with pytest.raises(TypeError, match="got str"):
        as_operator("hessian", vectors())
    with pytest.raises(NotImplementedError, match="knows no diagonal"):
        FunctionOperator(lambda v: v, P).diagonal()
    with pytest.raises(ValueError, match=r"must return \[7\]"):
        FunctionOperator(lambda v: v[:3], P, torch.float64) @ vectors()
    with pytest.raises(TypeError):
        LinearOperator(P, torch.float64)  # abstract
