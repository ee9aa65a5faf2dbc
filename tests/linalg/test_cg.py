"""Conjugate gradient against dense solves, and every way it can end."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from bidfcl_fast.linalg import (  # noqa: E402
    CGStatus,
    FunctionOperator,
    JacobiPreconditioner,
    MatrixOperator,
    NystromPreconditioner,
    conjugate_gradient,
)

# The loop of one call a step, and the loop without branches.
LOOPS = pytest.mark.parametrize("look", [None, 1, 7], ids=["host", "torch", "torch-looks-7"])


def spd(size, condition=100.0, dtype=torch.float64, seed=0):
    """A symmetric matrix with eigenvalues from 1 to `condition`."""
    q = torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))[0]
    return (q * torch.logspace(0, math.log10(condition), size, dtype=torch.float64) @ q.T).to(dtype)


def normal(*shape, dtype=torch.float64, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@LOOPS
@pytest.mark.parametrize("size", [1, 2, 33, 200])
def test_reaches_the_dense_solution_within_size_steps(size, look):
    a, b = spd(size, 20.0), normal(size)
    result = conjugate_gradient(a, b, rtol=1e-8, max_steps=size, look_every=look)
    assert result.status == CGStatus.CONVERGED
    torch.testing.assert_close(result.x, torch.linalg.solve(a, b), rtol=1e-6, atol=1e-8)
    assert result.residual_norm == pytest.approx(float((b - a @ result.x).norm()), rel=1e-4, abs=1e-15)
    assert result.residual_norm <= 1e-8 * float(b.norm())


@LOOPS
def test_identity_takes_one_step(look):
    result = conjugate_gradient(3 * torch.eye(50, dtype=torch.float64), normal(50), look_every=look)
    assert (result.steps, result.status) == (1, CGStatus.CONVERGED)


@LOOPS
def test_rows_stop_on_their_own(look):
    """Row 0 is zero, row 1 an eigenvector, row 2 hard, row 3 NaN: each has its own end and its own steps."""
    a = spd(40)
    vector = torch.linalg.eigh(a)[1][:, 5]
    b = torch.stack([torch.zeros(40, dtype=torch.float64), vector, normal(40), torch.full((40,), math.nan).double()])
    result = conjugate_gradient(a, b, rtol=1e-9, max_steps=60, look_every=look)
    assert result.status.tolist() == [0, 0, 0, CGStatus.NOT_FINITE]
    assert result.steps[0] == 0 and result.steps[1] <= 2 and 30 < result.steps[2] <= 60 and result.steps[3] == 0
    torch.testing.assert_close(result.x[:3], torch.linalg.solve(a, b[:3].T).T, rtol=1e-7, atol=1e-9)
    assert torch.equal(result.x[3], torch.zeros(40).double())
    assert result.sentence.startswith("right-hand side 3: NaN")
    alone = [conjugate_gradient(a, row, rtol=1e-9, max_steps=60, look_every=look) for row in b]
    # A product with one row may round otherwise than one with four, and take a step more.
    assert all(abs(r.steps - steps) <= 1 for r, steps in zip(alone, result.steps.tolist(), strict=True))
    assert [int(r.status) for r in alone] == result.status.tolist()


@LOOPS
def test_damping_and_warm_start(look):
    a, b = spd(60, 1e4), normal(3, 60)
    exact = torch.linalg.solve(a + 0.5 * torch.eye(60, dtype=torch.float64), b.T).T
    cold = conjugate_gradient(a, b, rtol=1e-8, max_steps=300, damping=0.5, look_every=look)
    torch.testing.assert_close(cold.x, exact, rtol=1e-5, atol=1e-7)
    near = cold.x + 1e-7 * normal(3, 60, seed=2)
    warm = conjugate_gradient(a, b, rtol=1e-8, max_steps=300, damping=0.5, x0=near, look_every=look)
    torch.testing.assert_close(warm.x, exact, rtol=1e-5, atol=1e-7)
    assert (warm.steps < cold.steps).all()
    there = conjugate_gradient(a, b, rtol=1e-6, damping=0.5, x0=cold.x, look_every=look)
    assert there.steps.tolist() == [0, 0, 0] and torch.equal(there.x, cold.x)


@LOOPS
def test_step_limit_and_no_steps(look):
    a, b = spd(60, 1e5), normal(60)
    result = conjugate_gradient(a, b, max_steps=3, look_every=look)
    assert (result.status, result.steps) == (CGStatus.STEP_LIMIT, 3)
    assert result.residual_norm == pytest.approx(float((b - a @ result.x).norm()))
    none = conjugate_gradient(a, b, max_steps=0, look_every=look)
    assert (none.status, none.steps) == (CGStatus.STEP_LIMIT, 0) and torch.equal(none.x, torch.zeros(60).double())
    with pytest.raises(RuntimeError, match="max_steps were taken"):
        conjugate_gradient(a, b, max_steps=3, throw=True, look_every=look)


@LOOPS
def test_negative_curvature_is_reported_with_its_size(look):
    a = torch.diag(torch.tensor([4.0, 2.0, 1.0, -0.25])).double()
    b = torch.tensor([1.0, 1.0, 1.0, 4.0]).double()
    result = conjugate_gradient(a, b, rtol=1e-12, look_every=look)
    assert result.status == CGStatus.NEGATIVE_CURVATURE
    assert -0.25 <= result.curvature <= 0
    assert torch.isfinite(result.x).all()
    assert result.residual_norm == pytest.approx(float((b - a @ result.x).norm()))
    damped = conjugate_gradient(a, b, damping=0.3, look_every=look)
    assert damped.status == CGStatus.CONVERGED
    flat = conjugate_gradient(torch.zeros(4, 4).double(), b, look_every=look)
    assert flat.status == CGStatus.NEGATIVE_CURVATURE and flat.curvature == 0


@LOOPS
def test_a_product_that_turns_to_nan_leaves_the_last_finite_x(look):
    a, calls = spd(30), []

    def broken(v):
        calls.append(1)
        return a @ v * (math.nan if len(calls) > 3 else 1.0)

    result = conjugate_gradient(broken, normal(30), rtol=1e-12, look_every=look)
    assert result.status == CGStatus.NOT_FINITE
    assert torch.isfinite(result.x).all() and result.x.abs().sum() > 0
    assert math.isnan(result.residual_norm)


@LOOPS
def test_rounding_floor_is_said_not_hidden(look):
    """The recursion's residual goes on falling in float32 long after the true one has stopped."""
    a, b = spd(100, 1e5, torch.float32), normal(100, dtype=torch.float32)
    result = conjugate_gradient(a, b, rtol=1e-9, max_steps=5000, look_every=look)
    assert result.status == CGStatus.STALLED
    assert result.residual_norm > 1e-9 * float(b.norm())
    assert "float64" in result.sentence


@LOOPS
def test_drift_is_repaired_by_a_restart(look):
    """An operator that rounds coarsely drifts; where a restart still halves the residual, the solve goes on."""
    a, b = spd(200, 3e3, torch.float32), normal(200, dtype=torch.float32)
    result = conjugate_gradient(a, b, rtol=1e-5, max_steps=5000, look_every=look)
    true = float((b.double() - a.double() @ result.x.double()).norm() / b.double().norm())
    assert result.status in (CGStatus.CONVERGED, CGStatus.STALLED)
    assert (result.status == CGStatus.CONVERGED) == (result.residual_norm <= 1e-5 * float(b.norm()))
    assert true < 1e-4


@LOOPS
def test_numpy_comes_back_as_numpy(look):
    a, b = spd(20).numpy(), normal(2, 20).numpy()
    for operator in (a, lambda v: a @ v):
        result = conjugate_gradient(operator, b, rtol=1e-9, look_every=look)
        assert isinstance(result.x, np.ndarray)
        np.testing.assert_allclose(result.x, np.linalg.solve(a, b.T).T, rtol=1e-6, atol=1e-9)


@LOOPS
def test_inputs_are_left_alone(look):
    a, b, x0 = spd(20), normal(20), normal(20, seed=3)
    before = [t.clone() for t in (a, b, x0)]
    conjugate_gradient(a, b, x0=x0, look_every=look)
    assert all(torch.equal(t, s) for t, s in zip((a, b, x0), before, strict=True))


@LOOPS
def test_preconditioners_save_steps_and_change_nothing_else(look):
    scales = torch.logspace(0, 4, 300, dtype=torch.float64)
    a = spd(300, 10.0) * scales.sqrt() * scales.sqrt().unsqueeze(1)
    b = normal(2, 300)
    exact = torch.linalg.solve(a + 0.1 * torch.eye(300, dtype=torch.float64), b.T).T
    options = {"rtol": 1e-9, "max_steps": 2000, "damping": 0.1, "look_every": look}
    plain = conjugate_gradient(a, b, **options)
    jacobi = JacobiPreconditioner(a.diagonal(), 0.1)
    nystrom = NystromPreconditioner(MatrixOperator(a), 250, 0.1)
    for preconditioner in (jacobi, nystrom, lambda v: v * jacobi.inverse):
        result = conjugate_gradient(a, b, preconditioner=preconditioner, **options)
        assert (result.status == 0).all()
        assert (result.steps < plain.steps / 2).all()
        torch.testing.assert_close(result.x, exact, rtol=1e-5, atol=1e-9)


def test_nystrom_finds_a_low_rank_exactly():
    """With rank r the sketch of rank r is the operator itself, and conjugate gradient needs a step or two."""
    root = normal(8, 100)
    a = root.T @ root
    preconditioner = NystromPreconditioner(MatrixOperator(a), 12, 1e-2)
    torch.testing.assert_close(
        preconditioner.eigenvalues[:8], torch.linalg.eigvalsh(a).flip(0)[:8], rtol=1e-8, atol=1e-8
    )
    result = conjugate_gradient(a, normal(100), damping=1e-2, preconditioner=preconditioner, rtol=1e-8)
    assert result.status == 0 and result.steps <= 3


def test_host_and_torch_loops_agree():
    """While rounding has not yet grown: the same steps to the same x."""
    a, b = spd(150, 1e3), normal(3, 150)
    for preconditioner in (None, JacobiPreconditioner(a.diagonal()), lambda v: 2 * v):
        options = {"rtol": 1e-9, "max_steps": 20, "damping": 0.1, "preconditioner": preconditioner}
        host, loop = conjugate_gradient(a, b, **options), conjugate_gradient(a, b, look_every=1, **options)
        assert host.steps.tolist() == loop.steps.tolist() == [20] * 3
        torch.testing.assert_close(host.x, loop.x, rtol=1e-9, atol=1e-11)


class Syncs(TorchDispatchMode):
    """Counts the calls that make a host wait for its device."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket._qualified_op_name
        self.count += name in {"aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero"}
        return func(*args, **(kwargs or {}))


def test_no_wait_for_the_device_between_looks():
    """The loop of a GPU, run here: as many waits in 10 steps as in 60, but for one look every ten."""
    a, b = spd(80, 1e8), normal(4, 80)
    preconditioner = JacobiPreconditioner(a.diagonal())
    waits = []
    for steps in (10, 60):
        with Syncs() as mode:
            result = conjugate_gradient(
                a, b, rtol=1e-14, max_steps=steps, look_every=10, preconditioner=preconditioner, damping=1e-9
            )
        assert result.steps.tolist() == [steps] * 4
        waits.append(mode.count)
    assert waits[1] - waits[0] == 5


def test_misuse_is_named():
    a, b = spd(5), normal(5)
    for bad, error, message in (
        ({"rhs": [1.0]}, TypeError, "rhs must be a torch tensor or a NumPy array, got list"),
        ({"rhs": b.to(torch.int64)}, TypeError, "rhs must be float32 or float64, got torch.int64"),
        ({"rhs": b.reshape(1, 1, 5)}, ValueError, r"rhs must have shape \[P\] or \[B, P\]"),
        ({"operator": MatrixOperator(spd(6))}, ValueError, r"rhs must have shape \[6\]"),
        ({"operator": MatrixOperator(a.float())}, TypeError, "rhs must have the operator's dtype"),
        ({"x0": normal(2, 5)}, ValueError, "x0 must have the shape of rhs"),
        ({"x0": normal(4)}, ValueError, r"x0 must have shape \[5\]"),
        ({"rtol": -1.0}, ValueError, "rtol must be finite and at least 0"),
        ({"damping": math.nan}, ValueError, "damping must be finite"),
        ({"max_steps": 2.5}, TypeError, "max_steps must be an integer, got float"),
        ({"max_steps": -1}, ValueError, "max_steps must be at least 0"),
        ({"look_every": -1}, ValueError, "look_every must be at least 1"),
        ({"preconditioner": a}, TypeError, "preconditioner must be callable"),
    ):
        with pytest.raises(error, match=message):
            conjugate_gradient(**{"operator": a, "rhs": b, **bad})
    with pytest.raises(ValueError, match="must not be negative"):
        JacobiPreconditioner(torch.tensor([1.0, -1.0]))
    with pytest.raises(ValueError, match="damping must be greater than 0"):
        NystromPreconditioner(MatrixOperator(a), 3, 0.0)
    with pytest.raises(ValueError, match="not positive semi-definite"):
        NystromPreconditioner(MatrixOperator(-a), 3, 1.0)
    with pytest.raises(TypeError, match="must be a LinearOperator"):
        NystromPreconditioner(a, 3, 1.0)


def test_every_status_has_a_sentence():
    assert len({status.sentence for status in CGStatus}) == len(CGStatus)


def test_function_operators_may_return_their_argument():
    result = conjugate_gradient(FunctionOperator(lambda v: v, 5, torch.float64), normal(5))
    assert result.steps == 1 and torch.equal(result.x, normal(5))
