"""MLPCurvature on every backend against automatic differentiation in float64."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import bidfcl_fast as bf  # noqa: E402
from bidfcl_fast.linalg import JacobiPreconditioner, MLPCurvature, conjugate_gradient  # noqa: E402

ACTIVATIONS = {
    "none": nn.Identity,
    "relu": nn.ReLU,
    "leaky": lambda: nn.LeakyReLU(0.2),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
    "softplus": lambda: nn.Softplus(beta=1.7),
    "elu": lambda: nn.ELU(0.8),
}


def build(sizes, activation="tanh", *, rows=9, bias=True, last="none", dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    parts = []
    for k, (i, o) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        parts.append(nn.Linear(i, o, bias=bias))
        parts.append(ACTIVATIONS[activation if k < len(sizes) - 2 else last]())
    net = nn.Sequential(*parts).double()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(1.5)  # activations well into their bends
    x, y = torch.randn(rows, sizes[0]).double(), torch.randn(rows, sizes[-1]).double()
    return net.to(dtype), x.to(dtype), y.to(dtype)


def loss(net, x, y, weight=None, scale=None):
    w = torch.ones_like(y) if weight is None else weight
    return (1 / len(x) if scale is None else scale) * (w * (net(x) - y) ** 2).sum()


def hessian_rows(net, value, v):
    """[B, P]: autograd's products, one backward pass each."""
    params = list(net.parameters())
    grads = torch.autograd.grad(value, params, create_graph=True)
    flat = torch.cat([g.reshape(-1) for g in grads])
    out = []
    for row in v:
        found = torch.autograd.grad(flat @ row, params, retain_graph=True, allow_unused=True)
        out.append(
            torch.cat(
                [
                    torch.zeros(p.numel()).to(v) if g is None else g.reshape(-1)
                    for g, p in zip(found, params, strict=True)
                ]
            )
        )
    return torch.stack(out)


def jacobian(net, x):
    """[n·k, P] of the outputs."""
    params = dict(net.named_parameters())
    parts = torch.func.jacrev(lambda p: torch.func.functional_call(net, p, (x,)))(params)
    return torch.cat([j.detach().reshape(j.shape[0] * j.shape[1], -1) for j in parts.values()], dim=1)


def along(net, x, v):
    """[n, k]: the outputs' derivative along v, by forward differentiation."""
    params, tangents, start = dict(net.named_parameters()), {}, 0
    for name, p in params.items():
        tangents[name] = v[start : start + p.numel()].view_as(p)
        start += p.numel()
    return torch.func.jvp(lambda p: torch.func.functional_call(net, p, (x,)), (params,), (tangents,))[1].detach()


def gauss_newton(net, x, weight=None, scale=None):
    j = jacobian(net, x)
    w = torch.ones(len(j)).to(j) if weight is None else weight.reshape(-1)
    return 2 * (1 / len(x) if scale is None else scale) * (j.T * w) @ j


def directions(count, size, dtype=torch.float64):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(9), dtype=torch.float64).to(dtype)


def close(found, expected, relative=1e-11):
    scale = float(expected.abs().max())
    assert float((found - expected).abs().max()) <= relative * scale + 1e-300


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(backend, activation):
    """Inside the network and at its end; and with inputs far out in both tails."""
    for last in ("none", activation):
        net, x, y = build([3, 5, 4, 2], activation, rows=11, last=last)
        x[0] *= 30
        exact = MLPCurvature(net, x, kind="hessian", targets=y, backend=backend)
        v = directions(2, exact.size)
        close(exact @ v, hessian_rows(net, loss(net, x, y), v))
        close(MLPCurvature(net, x, backend=backend) @ v, v @ gauss_newton(net, x))


SHAPES = [[1, 1], [3, 2], [2, 1, 3], [5, 17, 3], [16, 33, 8, 1], [12, 64, 32, 32, 4], [70, 65, 34, 20, 5]]


@pytest.mark.parametrize("sizes", SHAPES, ids=lambda s: "-".join(map(str, s)))
@pytest.mark.parametrize("rows", [1, 2, 47, 48, 49, 203])
def test_every_shape(backend, sizes, rows):
    net, x, y = build(sizes, "silu", rows=rows, last="tanh")
    exact = MLPCurvature(net, x, kind="hessian", targets=y, backend=backend)
    v = directions(1, exact.size)
    close(exact @ v, hessian_rows(net, loss(net, x, y), v))
    rough = MLPCurvature(net, x, backend=backend)
    flat = torch.zeros_like(y)  # with residuals of zero the Hessian is Gauss-Newton
    at_zero = MLPCurvature(net, x, kind="hessian", targets=net(x).detach() + flat, backend=backend)
    close(rough @ v, at_zero @ v, 1e-10)
    close(rough @ v, hessian_rows(net, loss(net, x, net(x).detach()), v))


@pytest.mark.parametrize("rows", [2500, 7000])
def test_many_tiles_and_chunks(backend, rows):
    net, x, y = build([6, 20, 9, 3], "tanh", rows=rows)
    exact = MLPCurvature(net, x, kind="hessian", targets=y, backend=backend)
    v = directions(2, exact.size)
    close(exact @ v, hessian_rows(net, loss(net, x, y), v))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_outputs_their_derivatives_and_the_gradient(backend, activation):
    """What one linearisation knows beside its products: f, J·v and ∇ℓ."""
    for rows, last, bias in ((1, "none", True), (203, activation, True), (2500, "none", False)):
        net, x, y = build([5, 17, 9, 3], activation, rows=rows, last=last, bias=bias)
        weight = torch.rand(rows, 3, generator=torch.Generator().manual_seed(1)).double()
        exact = MLPCurvature(net, x, kind="hessian", targets=y, weight=weight, backend=backend)
        v = directions(1, exact.size)[0]
        close(exact.outputs(), net(x).detach(), 1e-14)
        expected = along(net, x, v)
        close(exact.push(v), expected)
        close(MLPCurvature(net, x, backend=backend).push(v), expected)
        slope = torch.autograd.grad(loss(net, x, y, weight), list(net.parameters()))
        close(exact.gradient(), torch.cat([g.reshape(-1) for g in slope]))


def test_steps_go_down_the_loss_and_linearise_there(backend):
    net, x, y = build([4, 8, 8, 2], "tanh", rows=300)
    other, _, _ = build([4, 8, 8, 2], "tanh", rows=300)
    exact = MLPCurvature(net, x, kind="hessian", targets=y, backend=backend)
    for _ in range(3):
        exact.step(0.2)
        slope = torch.autograd.grad(loss(other, x, y), list(other.parameters()))
        with torch.no_grad():
            for p, g in zip(other.parameters(), slope, strict=True):
                p -= 0.2 * g
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        close(a.detach(), b.detach())
    v = directions(1, exact.size)
    close(exact @ v, hessian_rows(other, loss(other, x, y), v))


def test_it_knows_where_it_was_linearised(backend):
    net, x, y = build([4, 8, 2], "tanh", rows=30)
    exact = MLPCurvature(net, x, kind="hessian", targets=y, backend=backend)
    assert exact.is_at(net, x) and exact.is_at(net, x[:])
    assert not exact.is_at(net, x.clone()) and not exact.is_at(net, x[:20]) and not exact.is_at(nn.Sequential(net), x)
    with torch.no_grad():
        net[0].weight[0, 0] += 1e-9
    assert not exact.is_at(net, x)
    exact.refresh()
    assert exact.is_at(net, x)


def test_gauss_newton_has_no_gradient(backend):
    net, x, _ = build([4, 8, 2])
    rough = MLPCurvature(net, x, backend=backend)
    with pytest.raises(NotImplementedError, match="take kind='hessian'"):
        rough.gradient()
    with pytest.raises(ValueError, match="v must be one direction, got 2"):
        rough.push(directions(2, rough.size))


def test_float32_is_as_good_as_float32(backend):
    for activation in ACTIVATIONS:
        net, x, y = build([12, 64, 32, 4], activation, rows=300)
        v = directions(1, sum(p.numel() for p in net.parameters()))
        expected = hessian_rows(net, loss(net, x, y), v)
        net, x, y = net.float(), x.float(), y.float()
        found = MLPCurvature(net, x, kind="hessian", targets=y, backend=backend) @ v.float()
        close(found.double(), expected, 1e-5)


def test_no_biases(backend):
    net, x, y = build([4, 6, 3], "gelu", bias=False)
    exact = MLPCurvature(net, x, kind="hessian", targets=y, backend=backend)
    assert exact.size == 42
    close(exact @ directions(2, 42), hessian_rows(net, loss(net, x, y), directions(2, 42)))
    net[0].bias = nn.Parameter(torch.randn(6).double())  # one layer with, one without
    mixed = MLPCurvature(net, x, kind="hessian", targets=y, backend=backend)
    close(mixed @ directions(2, 48), hessian_rows(net, loss(net, x, y), directions(2, 48)))


def test_weights_masks_and_sums(backend):
    net, x, y = build([4, 6, 3], "tanh", rows=13, last="sigmoid")
    cells = torch.rand(13, 3).double()
    mask = cells > 0.4
    rows = torch.rand(13).double()
    v = directions(1, 51)
    for weight, dense in ((cells, cells), (mask, mask.double()), (rows, rows[:, None].expand(13, 3))):
        exact = MLPCurvature(net, x, kind="hessian", targets=y, weight=weight, backend=backend)
        close(exact @ v, hessian_rows(net, loss(net, x, y, dense), v))
        rough = MLPCurvature(net, x, weight=weight, reduction="sum", backend=backend)
        close(rough @ v, v @ gauss_newton(net, x, dense, 1.0))
    nothing = MLPCurvature(net, x, weight=torch.zeros(13, 3).bool(), backend=backend)
    assert torch.equal(nothing @ v, torch.zeros_like(v))


def test_dense_forms_symmetry_and_sign(backend):
    net, x, y = build([3, 6, 2], "softplus", rows=8)
    exact = MLPCurvature(net, x, kind="hessian", targets=y, backend=backend).to_dense()
    close(exact, hessian_rows(net, loss(net, x, y), torch.eye(len(exact)).double()))
    close(exact, exact.T, 1e-13)
    rough = MLPCurvature(net, x, backend=backend).to_dense()
    close(rough, rough.T, 1e-13)
    assert torch.linalg.eigvalsh(rough).min() > -1e-14
    assert torch.linalg.eigvalsh(exact).min() < -1e-6, "or the test above says nothing"


def test_gauss_newton_is_never_negative_in_float32(backend):
    net, x, _ = build([12, 64, 32, 32, 4], "relu", rows=500, dtype=torch.float32)
    operator = MLPCurvature(net, x, backend=backend)
    v = directions(20, operator.size, torch.float32)
    bend = ((operator @ v).double() * v.double()).sum(1)
    assert (bend >= 0).all()


def test_diagonal(backend):
    for sizes, activation, last in (
        ([5, 7, 6, 3], "silu", "sigmoid"),
        ([3, 2], "none", "none"),
        ([20, 33, 17], "relu", "none"),
    ):
        net, x, _ = build(sizes, activation, rows=60, last=last)
        weight = torch.rand(60, sizes[-1]).double()
        found = MLPCurvature(net, x, weight=weight, backend=backend).diagonal()
        close(found, gauss_newton(net, x, weight).diagonal())


def test_right_hand_sides_together_are_those_apart(backend):
    net, x, y = build([6, 20, 9, 3], "tanh", rows=100)
    for kind in ("hessian", "gauss_newton"):
        operator = MLPCurvature(net, x, kind=kind, targets=y, backend=backend)
        v = directions(5, operator.size)
        assert torch.equal(operator @ v, torch.stack([operator @ row for row in v]))


def test_refresh_follows_parameters_and_data(backend):
    net, x, y = build([4, 6, 3], "tanh", rows=9)
    operator = MLPCurvature(net, x, kind="hessian", targets=y, backend=backend)
    v = directions(1, operator.size)
    before = operator @ v
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1)
    assert torch.equal(operator @ v, before), "linearised once: it does not move by itself"
    operator.refresh()
    close(operator @ v, hessian_rows(net, loss(net, x, y), v))
    for rows in (300, 5):
        more, labels = torch.randn(rows, 4).double(), torch.randn(rows, 3).double()
        operator.refresh(more, targets=labels)
        close(operator @ v, hessian_rows(net, loss(net, more, labels), v))


def test_inputs_may_change_afterwards(backend):
    net, x, y = build([4, 6, 3], "tanh", rows=9)
    operator = MLPCurvature(net, x, kind="hessian", targets=y, backend=backend)
    v = directions(1, operator.size)
    before = operator @ v
    x.zero_()
    assert torch.equal(operator @ v, before)


def test_layouts(backend):
    net, x, y = build([4, 6, 3], "tanh", rows=9)
    expected = MLPCurvature(net, x, kind="hessian", targets=y, backend=backend) @ directions(1, 51)
    wide, labels = torch.randn(9, 11).double(), torch.randn(3, 18).double()
    wide[:, 2:6], labels[:, ::2] = x, y.T
    operator = MLPCurvature(net, wide[:, 2:6], kind="hessian", targets=labels[:, ::2].T, backend=backend)
    assert torch.equal(operator @ directions(1, 51), expected)
    spread = torch.zeros(1, 102).double()
    spread[:, ::2] = directions(1, 51)
    assert torch.equal(operator @ spread[:, ::2], expected)


def test_nested_modules_and_bystanders(backend):
    net, x, _ = build([4, 6, 3], "tanh")
    nested = nn.Sequential(nn.Identity(), nn.Sequential(net[0], nn.Dropout(0.3)), nn.Sequential(net[1], net[2])).eval()
    v = directions(1, 51)
    first = MLPCurvature(net, x, backend=backend) @ v
    assert torch.equal(MLPCurvature(nested, x, backend=backend) @ v, first)
    assert MLPCurvature(nn.Linear(4, 2).double(), x, backend=backend).size == 10


def test_one_activation_module_in_two_places(backend):
    net, x, _ = build([4, 6, 5, 3], "tanh")
    shared = nn.Tanh()
    v = directions(1, sum(p.numel() for p in net.parameters()))
    twice = nn.Sequential(net[0], shared, net[2], shared, net[4])
    assert torch.equal(MLPCurvature(twice, x, backend=backend) @ v, MLPCurvature(net, x, backend=backend) @ v)


def test_solves_of_the_criteo_network():
    """4,100 parameters, damped, against a dense factorisation; with and without Jacobi, two right-hand sides."""
    net, x, _ = build([12, 64, 32, 32, 4], "relu", rows=256)
    operator = MLPCurvature(net, x)
    assert operator.size == 4100
    dense = gauss_newton(net, x)
    b = directions(2, 4100)
    delta = 1e-2 * float(dense.diagonal().mean()) + 1e-3
    expected = torch.linalg.solve(dense + delta * torch.eye(4100).double(), b.T).T
    plain = conjugate_gradient(operator, b, damping=delta, rtol=1e-9, max_steps=3000)
    assert (plain.status == 0).all()
    close(plain.x, expected, 1e-6)
    jacobi = JacobiPreconditioner(operator, delta)
    scaled = conjugate_gradient(operator, b, damping=delta, rtol=1e-9, max_steps=3000, preconditioner=jacobi)
    close(scaled.x, expected, 1e-6)
    close(operator.diagonal(), dense.diagonal())


def test_exact_solves_of_the_criteo_network():
    """The exact Hessian, damped until it is positive definite, against a dense factorisation."""
    net, x, y = build([12, 64, 32, 32, 4], "relu", rows=64)
    operator = MLPCurvature(net, x, kind="hessian", targets=y)
    dense, delta = operator.to_dense(512), 6.0
    close(dense[:3], hessian_rows(net, loss(net, x, y), torch.eye(4100).double()[:3]))
    factor = torch.linalg.cholesky(dense + delta * torch.eye(4100).double())
    b = directions(1, 4100)
    found = conjugate_gradient(operator, b, damping=delta, rtol=1e-9, max_steps=3000)
    assert found.status.tolist() == [0]
    close(found.x, torch.cholesky_solve(b.T, factor).T, 1e-6)


def test_gauss_newton_of_a_linear_network_is_exact(backend):
    net, x, _ = build([5, 7, 3], "none", rows=20)
    single = nn.Sequential(net[0])
    labels = torch.randn(20, 7).double()
    exact = MLPCurvature(single, x, kind="hessian", targets=labels, backend=backend)
    v = directions(2, exact.size)
    close(exact @ v, MLPCurvature(single, x, backend=backend) @ v)


def test_products_are_differences_of_gradients():
    net, x, y = build([4, 6, 3], "gelu", rows=13)
    operator = MLPCurvature(net, x, kind="hessian", targets=y)
    v = directions(1, operator.size)[0]
    at = nn.utils.parameters_to_vector(net.parameters()).detach()

    def slope(theta):
        nn.utils.vector_to_parameters(theta.clone(), net.parameters())
        grads = torch.autograd.grad(loss(net, x, y), list(net.parameters()))
        return torch.cat([g.reshape(-1) for g in grads])

    close(operator @ v, (slope(at + 1e-5 * v) - slope(at - 1e-5 * v)) / 2e-5, 1e-7)


@pytest.mark.skipif("cpp" not in bf.backends.available(), reason="installed without _C")
def test_same_bits_for_any_number_of_threads(monkeypatch):
    net, x, y = build([12, 64, 32, 4], "gelu", rows=3000, dtype=torch.float32)
    found = []
    for threads in ("1", "2", "7"):
        monkeypatch.setenv("BIDFCL_NUM_THREADS", threads)
        exact = MLPCurvature(net, x, kind="hessian", targets=y, backend="cpp")
        rough = MLPCurvature(net, x, backend="cpp")
        v = directions(3, exact.size, torch.float32)
        found.append(torch.cat([exact @ v, rough @ v, rough.diagonal()[None]]))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.skipif("cpp" not in bf.backends.available(), reason="installed without _C")
def test_products_from_several_threads_at_once():
    net, x, y = build([12, 40, 4], "tanh", rows=2000)
    operator = MLPCurvature(net, x, kind="hessian", targets=y, backend="cpp")
    v = directions(6, operator.size)
    expected, found = operator @ v, [None] * 6

    def work(k):
        for _ in range(20):
            found[k] = operator @ v[k]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(torch.stack(found), expected)


OTHER_TARGET = """
import sys
sys.path.insert(0, {tests!r})
import numpy as np
from linalg.test_mlp import build, directions, hessian_rows, loss, close
import bidfcl_fast as bf
from bidfcl_fast.linalg import MLPCurvature, conjugate_gradient
import torch
assert {target!r} in bf.backends.describe()["cpp"]
for activation in ("relu", "tanh", "silu", "gelu", "softplus", "elu"):
    for dtype, relative in ((torch.float64, 1e-11), (torch.float32, 1e-4)):
        for sizes in ([5, 17, 3], [12, 64, 32, 32, 4]):
            net, x, y = build(sizes, activation, rows=61, dtype=dtype)
            exact = MLPCurvature(net, x, kind="hessian", targets=y, backend="cpp")
            v = directions(1, exact.size, dtype)
            close(exact @ v, hessian_rows(net, loss(net, x, y), v), relative)
result = conjugate_gradient(MLPCurvature(net, x), v[0], damping=0.1, rtol=1e-5, max_steps=200)
assert result.status == 0
"""


@pytest.mark.skipif("cpp" not in bf.backends.available(), reason="installed without _C")
@pytest.mark.parametrize("target", ["generic", "avx2"])
def test_narrower_instruction_sets(target):
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if target != "generic" and f" {target} " not in flags:
        pytest.skip(f"this processor has no {target}")
    code = OTHER_TARGET.format(tests=str(Path(__file__).parents[1]), target=target)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "BIDFCL_ARCH": target, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_memory_is_flat():
    """Products, solves and refreshes leave nothing behind."""
    resource = pytest.importorskip("resource")
    net, x, y = build([12, 64, 32, 4], "tanh", rows=1000, dtype=torch.float32)
    operator = MLPCurvature(net, x, kind="hessian", targets=y)
    v = directions(1, operator.size, torch.float32)[0]

    def work():
        for _ in range(300):
            operator @ v
        for _ in range(30):
            operator.refresh()
            conjugate_gradient(operator, v, max_steps=3, damping=1.0)
            MLPCurvature(net, x)

    work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        work()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4_000  # kB; one leaked linearisation is 1,500


def test_what_it_is_made_of():
    net, x, _ = build([4, 6, 3])
    assert MLPCurvature(net, x).backend in bf.backends.available()[:1]
    assert MLPCurvature(net, x, backend="reference").backend == "reference"
    with bf.backends.use("numba"):
        assert MLPCurvature(net, x).backend == "numba"
    wide = nn.Sequential(nn.Linear(4, 1025), nn.ReLU(), nn.Linear(1025, 3)).double()
    assert MLPCurvature(wide, x).backend == "reference"


def test_misuse_is_named(backend):
    net, x, y = build([4, 6, 3])
    linear, relu = nn.Linear(4, 4).double(), nn.ReLU()

    def refused(error, message, module=net, inputs=x, **options):
        with pytest.raises(error, match=message):
            MLPCurvature(module, inputs, backend=backend, **options)

    refused(ValueError, "kind must be 'gauss_newton' or 'hessian', got 'exact'", kind="exact")
    refused(ValueError, "reduction must be", reduction="none")
    refused(ValueError, "needs targets", kind="hessian")
    refused(ValueError, r"inputs must have shape \[n, 4\], got \[9, 3\]", inputs=y)
    refused(ValueError, "at least one row", inputs=x[:0])
    refused(TypeError, "inputs must be a torch tensor, got ndarray", inputs=x.numpy())
    refused(TypeError, "inputs must be torch.float64", inputs=x.float())
    refused(ValueError, r"targets must have shape \[9, 3\], got \[9, 4\]", targets=x)
    refused(ValueError, r"weight must have shape \[9, 3\]", weight=torch.ones(9, 2).double())
    refused(ValueError, "weight must be finite and not negative", weight=-torch.ones(9, 3).double())
    refused(ValueError, "weight must be finite", weight=torch.full((9, 3), np.inf).double())
    refused(TypeError, r"module\[1\] must be Linear.*got Conv1d", nn.Sequential(linear, nn.Conv1d(1, 1, 1)))
    refused(TypeError, r"module\[0\] must be Linear.*got Softplus", nn.Sequential(nn.Softplus(threshold=5)))
    refused(ValueError, r"module\[0\] \(ReLU\) must follow a Linear", nn.Sequential(relu, linear))
    refused(ValueError, r"module\[2\] \(ReLU\) must follow", nn.Sequential(linear, relu, relu))
    refused(ValueError, r"module\[1\] takes 6 inputs, but 4 come", nn.Sequential(linear, nn.Linear(6, 2).double()))
    refused(ValueError, "share parameters", nn.Sequential(linear, relu, linear))
    refused(ValueError, "1 to 64 Linear layers, got 0", nn.Sequential())
    refused(TypeError, "must be a torch module, got function", lambda x: x)
    refused(TypeError, r"module\[0\] must be Linear", nn.Sequential(nn.Dropout(0.5), linear))
    frozen = nn.Sequential(nn.Linear(4, 2).double())
    frozen[0].bias.requires_grad_(False)
    refused(ValueError, "frozen", frozen)
    hooked = nn.Sequential(nn.Linear(4, 2).double())
    hooked[0].register_forward_hook(lambda *a: None)
    refused(ValueError, "forward hooks", hooked)
    exact = MLPCurvature(net, x, kind="hessian", targets=y, backend=backend)
    with pytest.raises(NotImplementedError, match="kind='gauss_newton'"):
        exact.diagonal()
