"""Losses, curvature and conjugate gradient on a device: those of the CPU, without waiting."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bidfcl_fast import losses  # noqa: E402
from bidfcl_fast.linalg import MLPCurvature, _cg_torch, _cuda  # noqa: E402
from bidfcl_fast.linalg._mlp_torch import TorchCurvature  # noqa: E402
from bidfcl_fast.linalg.mlp import read  # noqa: E402


def _batch(n=200, m=5, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    v, c = rng.normal(size=(n, m)).astype(dtype), rng.random((n, m)).astype(dtype)
    t = rng.integers(m, size=n)
    y, x, w = ((rng.random(n) * (rng.random(n) < 0.7)).astype(dtype) for _ in range(3))
    return v, c, t, y, x, w


def _call(name, arrays, multiplier, backend):
    v, c, t, y, x, w = arrays
    if name == "implicit":
        return losses.ppl_loss(
            v, c, t, y, w, multiplier, cost_outcome=x, multiplier_grad="implicit", temperature=0.7, backend=backend
        )
    if name == "dpl":
        return losses.dpl_loss(v, c, t, y, x, w, multiplier, temperature=0.7, backend=backend)
    if name == "pifd":
        return losses.pifd_loss(v, c, t, y, w, multiplier, temperature=0.7, min_gap=0.05, backend=backend)
    if name == "drp":
        return losses.drp_loss(v[:, 1:], t, y, x, weight=w, backend=backend)
    return losses.ppl_loss(v, c, t, y, w, multiplier, temperature=0.7, backend=backend)


def _derivatives(name, arrays, multiplier, backend):
    v, c = (a.clone().requires_grad_() for a in arrays[:2])
    value = _call(name, (v, c, *arrays[2:]), multiplier, backend)
    wanted = (v,) if name == "drp" else (v, c)
    grads = torch.autograd.grad(value, wanted, create_graph=True)
    turn = sum((g * torch.cos(g.detach())).sum() for g in grads)
    return value, *grads, *torch.autograd.grad(turn, wanted)


@pytest.mark.parametrize("name", ["ppl", "pifd", "dpl", "implicit", "drp"])
def test_three_orders_are_those_of_cpp(gpu, dtype, name):
    arrays = _batch(dtype=dtype)
    there = [gpu(a) for a in arrays]
    multiplier = [0.3, 0.9] if name == "dpl" else 0.6
    got = _derivatives(name, there, multiplier, gpu.name)
    expected = _derivatives(name, [torch.as_tensor(a) for a in arrays], multiplier, "cpp")
    _within_ulps(gpu, got, expected)


def _within_ulps(gpu, got, expected):
    """Of the largest number of each array. The direction of the second derivative is made of the first, whose ulps it carries on."""
    for k, (a, b) in enumerate(zip(got, expected, strict=True)):
        assert a.device == gpu.device
        scale = max(float(b.detach().abs().max()), 1e-6)
        ulps = 16 if k <= len(got) // 2 else 256
        room = ulps * torch.finfo(a.dtype).eps
        np.testing.assert_allclose(a.detach().cpu() / scale, b.detach() / scale, rtol=0, atol=room)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("multipliers", [0.6, [0.3, 0.9]])
def test_halves_are_rounded_once(gpu, half, multipliers):
    v, c, t, y, _x, w = _batch(dtype=np.float32)
    for backend, place in ((gpu.name, gpu), ("cpp", torch.as_tensor)):
        a, b = (place(z).to(half).requires_grad_() for z in (v, c))
        losses.ppl_loss(a, b, place(t), place(y), place(w), multipliers, backend=backend).backward()
        if backend != "cpp":
            got = a.grad.cpu().float()
    np.testing.assert_allclose(got, a.grad.float(), atol=2.0**-8 * float(a.grad.float().abs().max()))


def test_the_same_bits_every_time(gpu):
    arrays = [gpu(a) for a in _batch(n=5_000, dtype=np.float32)]
    first = _derivatives("pifd", arrays, 0.6, gpu.name)
    for a, b in zip(first, _derivatives("pifd", arrays, 0.6, gpu.name), strict=True):
        assert torch.equal(a, b)


def test_a_treatment_out_of_range_makes_the_loss_no_number(gpu):
    arrays = [gpu(a) for a in _batch()]
    arrays[2][3] = 9
    assert torch.isnan(_call("ppl", arrays, 0.6, gpu.name))


def test_losses_are_captured_in_a_graph(gpu):
    if not gpu.real:
        pytest.skip("no GPU")
    arrays = [gpu(a) for a in _batch(dtype=np.float32)]
    leaves = [a.clone().requires_grad_() for a in arrays[:2]]

    def step():
        loss = _call("ppl", (*leaves, *arrays[2:]), 0.6, "cuda")
        return (loss, *torch.autograd.grad(loss, leaves))

    expected = [x.clone() for x in step()]
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = step()
    graph.replay()
    torch.cuda.synchronize()
    for a, b in zip(made, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_losses_do_not_wait(gpu):
    if not gpu.real:
        pytest.skip("no GPU")
    arrays = [gpu(a) for a in _batch(dtype=np.float32)]
    multiplier = gpu(np.array(0.6))
    torch.cuda.set_sync_debug_mode("error")
    try:
        _derivatives("ppl", arrays, multiplier, "cuda")
    finally:
        torch.cuda.set_sync_debug_mode("default")


ACTIVATIONS = [torch.nn.Tanh(), torch.nn.GELU(), torch.nn.SiLU(), torch.nn.Softplus(), torch.nn.ReLU(), torch.nn.ELU()]


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: type(a).__name__)
def test_a_networks_curvature_is_torchs(gpu, exact, activation):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 6), activation, torch.nn.Linear(6, 3), activation).double()
    net = net.to(gpu.device)
    x, y = gpu(np.random.default_rng(0).normal(size=(40, 4))), gpu(np.ones((40, 3)))
    layers, parameters = read(net)
    flat = torch.cat([p.detach().reshape(-1) for p in parameters])
    v = torch.linspace(-1, 1, 2 * len(flat), dtype=torch.float64, device=gpu.device).view(2, -1)
    made = []
    for curvature in (_cuda.CudaCurvature(layers, exact, gpu.ops), TorchCurvature(layers, exact)):
        curvature.linearise(x, flat, y if exact else None, None, 0.1)
        made.append((curvature.product(v), curvature.diagonal()))
    for a, b in zip(*made, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)
    if gpu.real:
        assert MLPCurvature(net, x).backend == "cuda"


class _Solve:
    """What `advance` is given."""

    def __init__(self, matrix, preconditioner, damping=0.01, look=1):
        self.matrix, self.preconditioner, self.damping, self.look = matrix, preconditioner, damping, look

    def product(self, v):
        return v @ self.matrix


@pytest.mark.parametrize("kind", ["none", "jacobi", "nonlinear"])
def test_conjugate_gradient_is_torchs(gpu, kind):
    from bidfcl_fast.linalg import JacobiPreconditioner

    rng = np.random.default_rng(0)
    half = rng.normal(size=(300, 300)) / 17
    matrix = gpu(half @ half.T + np.diag(rng.uniform(0.5, 2, 300)))
    matrix[0, 0] = 3.0
    b = gpu(rng.normal(size=(3, 300)))
    apply = {
        "none": None,
        "jacobi": JacobiPreconditioner(matrix.diagonal(), damping=0.01),
        "nonlinear": lambda r: r / (1 + 0.1 * torch.tanh(r.abs())),
    }[kind]
    ends = []
    for advance in (lambda *a: _cuda.advance(*a, ops=gpu.ops), _cg_torch.advance):
        x, r = torch.zeros_like(b), b.clone()
        target = 1e-9 * torch.linalg.vector_norm(b, dim=1)
        room = np.array([200, 3, 200])
        end = advance(_Solve(matrix, apply), x, r, target, room)
        ends.append((x, end))
    torch.testing.assert_close(ends[0][0], ends[1][0], rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(ends[0][1].status, ends[1][1].status)
    assert list(ends[0][1].status) == [0, -1, 0]
    assert (np.abs(ends[0][1].steps - ends[1][1].steps) <= 1).all()


def test_negative_curvature_stops_one_solve_alone(gpu):
    matrix = gpu(np.diag([1.0, -2.0, 3.0]))
    b = gpu(np.array([[1.0, 0, 0], [0, 1.0, 0]]))
    x, r = torch.zeros_like(b), b.clone()
    end = _cuda.advance(_Solve(matrix, None, damping=0.0), x, r, gpu(np.full(2, 1e-9)), np.array([9, 9]), ops=gpu.ops)
    assert list(end.status) == [0, -2] and end.curvature[1] == -2.0
    assert not x[1].any() and x[0, 0] == 1.0
