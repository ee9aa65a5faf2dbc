"""The losses under everything torch does to a function."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.autograd import gradcheck, gradgradcheck  # noqa: E402

import bidfcl_fast as bf  # noqa: E402
from bidfcl_fast import losses, ops  # noqa: E402


def world(*lead, n=7, m=3, dtype=torch.float64, seed=0):
    g = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(*shape, generator=g, dtype=torch.float64).to(dtype)

    labels = dtype if dtype.itemsize > 2 else torch.float32
    value = torch.randn(*lead, n, m, generator=g, dtype=torch.float64).to(dtype)
    t = torch.randint(m, (n,), generator=g)
    y, x, w = (uniform(n).to(labels) for _ in range(3))
    return value, uniform(*lead, n, m), t, y, x, w


def named(t, y, x, w, multiplier=0.8):
    """Every differentiable loss as a function of (value_hat, cost_hat)."""
    mask = torch.rand(len(t), 3, generator=torch.Generator().manual_seed(1)) < 0.8
    implicit = {"multiplier_grad": "implicit", "cost_outcome": x, "temperature": 0.6}
    return {
        "ppl": lambda v, c: losses.ppl_loss(v, c, t, y, w, multiplier),
        "ppl-masked": lambda v, c: losses.ppl_loss(v, c, t, y, w, multiplier, mask=mask.expand(v.shape)),
        "ppl-implicit": lambda v, c: losses.ppl_loss(v, c, t, y, w, multiplier, **implicit),
        "ppl-centred": lambda v, c: losses.ppl_loss(v, c, t, y, w, multiplier, centre=True, **implicit),
        "dpl": lambda v, c: losses.dpl_loss(v, c, t, y, x, w, [0.1, 0.5, 1.0]),
        "mer": lambda v, c: losses.mer_loss(v, c, t, y, x, w, 0.5, temperature=2.0),
        "pifd": lambda v, c: losses.pifd_loss(v, c, t, y, w, multiplier, min_gap=0.1),
        "pifd-exact": lambda v, c: losses.pifd_loss(v, c, t, y, w, multiplier, variant="exact", window=0.5),
        "pifd-implicit": lambda v, c: losses.pifd_loss(v, c, t, y, w, multiplier, min_gap=0.1, centre=True, **implicit),
        "drp": lambda v, c: losses.drp_loss(v + 0 * c, 2 * t - (t > 1).long(), y, x, weight=w),
        "drp-shares": lambda v, c: losses.drp_loss(v + 0 * c, t, y, x, shares=[0.1, 0.2, 0.3, 0.4]),
        "difd": lambda v, c: losses.difd_loss(v, c, t, y, x, w, [0.3, 0.8], min_gap=0.1, mask=mask.expand(v.shape)),
    }


NAMES = list(named(*world()[2:]))
FROZEN = [name for name in NAMES if "ifd" in name]  # a difference quotient sees their g move: tests below


@pytest.mark.parametrize("name", [name for name in NAMES if name not in FROZEN])
@pytest.mark.parametrize("lead", [(), (2,)], ids=["NM", "BNM"])
def test_gradcheck_and_gradgradcheck(name, lead):
    v, c, *labels = world(*lead)
    f = named(*labels)[name]
    v.requires_grad_()
    c.requires_grad_()
    if "implicit" in name or "centred" in name:
        # First order moves λ along, which a difference quotient at fixed λ does not see: test_implicit_* below. Second order is
        # checked to be symmetric here.
        g = torch.autograd.grad(f(v, c).sum(), (v, c), create_graph=True)
        u, z = ([torch.randn_like(v), torch.randn_like(v)] for _ in range(2))
        hu = torch.autograd.grad(g, (v, c), u, retain_graph=True)
        hz = torch.autograd.grad(g, (v, c), z)
        left, right = (sum((a * b).sum() for a, b in zip(h, d, strict=True)) for h, d in ((hu, z), (hz, u)))
        torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)
        return
    assert gradcheck(f, (v, c))
    assert gradgradcheck(f, (v, c))


@pytest.mark.parametrize("loss", ["pifd", "pifd-exact", "difd"])
def test_finite_differences_are_frozen(loss):
    """g is a constant: the derivatives are those of Σ g·P in P alone."""
    v, c, t, y, x, w = world(n=40, m=4)
    options = {"variant": "exact"} if loss == "pifd-exact" else {}

    def f(v, c):
        if loss == "difd":
            return losses.difd_loss(v, c, t, y, x, w, [0.3, 0.8], temperature=0.7)
        return losses.pifd_loss(v, c, t, y, w, 0.8, temperature=0.7, **options)

    def patterns(lam):
        """g of every row at weight 1, solved from the gradient at one row: P(g − ḡ)/τ, fixed up to a constant that P removes."""
        a = v.clone().requires_grad_()
        one = torch.ones_like(y)
        out = losses.pifd_loss(a, c, t, one, one, lam, temperature=0.7, **options)
        p = torch.softmax((v - lam * c) / 0.7, 1)
        return 0.7 * torch.autograd.grad(out, a)[0] / p

    def frozen(v, c):
        lams = (0.3, 0.8) if loss == "difd" else (0.8,)
        total = 0.0
        for lam in lams:
            label = w * (y - lam * x) if loss == "difd" else w * y
            total = total + (label[:, None] * patterns(lam) * torch.softmax((v - lam * c) / 0.7, 1)).sum()
        return total

    def derivatives(f):
        a = v.clone().requires_grad_(), c.clone().requires_grad_()
        g = torch.autograd.grad(f(*a), a, create_graph=True)
        return *g, *torch.autograd.grad(g, a, [torch.cos(v), torch.sin(v)])

    for got, want in zip(derivatives(f), derivatives(frozen), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-9)


def solved(spend, at, reach=0.2):
    """The multiplier near `at` where a falling function is 0, by bisection."""
    low, high = at - reach, at + reach
    rising = spend(low) < 0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if (spend(middle) < 0) == rising else (low, middle)
    return (low + high) / 2


@pytest.mark.parametrize("centre", [False, True])
def test_implicit_is_the_derivative_of_the_whole_pipeline(centre):
    """The budget solved again at every step: first and second differences along a direction."""
    v, c, t, y, x, w = world(n=30, m=4, seed=3)
    tau, lam0 = 0.3, 0.8
    if centre:
        label, spent = y - (w * y).sum() / w.sum(), x - (w * x).sum() / w.sum()
    else:
        label, spent = y, x

    def received(v, c, lam):
        return torch.softmax((v - lam * c) / tau, 1).gather(1, t[:, None])[:, 0]

    budget = float((w * spent * received(v, c, lam0)).sum())

    def pipeline(v, c):
        lam = solved(lambda lam: float((w * spent * received(v, c, lam)).sum()) - budget, lam0)
        return -float((w * label * received(v, c, lam)).sum())

    a = v.clone().requires_grad_(), c.clone().requires_grad_()
    loss = losses.ppl_loss(
        *a, t, y, w, lam0, temperature=tau, multiplier_grad="implicit", cost_outcome=x, centre=centre
    )
    g = torch.autograd.grad(loss, a, create_graph=True)
    u = torch.randn(2, 30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    h = torch.autograd.grad(g, a, list(u))
    e = 1e-4
    ahead, here, back = (pipeline(v + s * u[0], c + s * u[1]) for s in (e, 0.0, -e))
    first = sum(float((p * q).detach().sum()) for p, q in zip(g, u, strict=True))
    second = sum(float((p * q).sum()) for p, q in zip(h, u, strict=True))
    assert (ahead - back) / (2 * e) == pytest.approx(first, rel=1e-5)
    assert (ahead - 2 * here + back) / e**2 == pytest.approx(second, rel=1e-4, abs=1e-5)
    stop = torch.autograd.grad(losses.ppl_loss(*a, t, y, w, lam0, temperature=tau), a)
    assert not np.isclose(sum(float((p * q).sum()) for p, q in zip(stop, u, strict=True)), first, rtol=0.05)


def test_implicit_pifd_is_the_derivative_of_its_own_pipeline():
    """g frozen, the multiplier solved again for the same spend Σ weight·cost_outcome·(−Σ_j g_j·P_j), at every step."""
    v, c, t, y, x, w = world(n=30, m=4, seed=5)
    tau, lam0, one = 0.3, 0.8, torch.ones(30, dtype=torch.float64)

    def policy(v, c, lam):
        return torch.softmax((v - lam * c) / tau, 1)

    options = {"temperature": tau, "min_gap": 0.1}
    unit = v.clone().requires_grad_()
    (slope,) = torch.autograd.grad(losses.pifd_loss(unit, c, t, one, one, lam0, **options), unit)
    g = tau * slope / policy(v, c, lam0)  # of every row at weight 1, but for a constant, which P removes

    def units(v, c, lam):
        return (g * policy(v, c, lam)).sum(1)

    paid = float((w * x * units(v, c, lam0)).sum())

    def pipeline(v, c):
        lam = solved(lambda lam: float((w * x * units(v, c, lam)).sum()) - paid, lam0)
        return float((w * y * units(v, c, lam)).sum())

    a = v.clone().requires_grad_(), c.clone().requires_grad_()
    loss = losses.pifd_loss(*a, t, y, w, lam0, multiplier_grad="implicit", cost_outcome=x, **options)
    grads = torch.autograd.grad(loss, a)
    u = torch.randn(2, 30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    e = 1e-5
    ahead, back = (pipeline(v + s * u[0], c + s * u[1]) for s in (e, -e))
    first = sum(float((p * q).sum()) for p, q in zip(grads, u, strict=True))
    assert (ahead - back) / (2 * e) == pytest.approx(first, rel=1e-4)
    stop = torch.autograd.grad(losses.pifd_loss(*a, t, y, w, lam0, **options), a)
    assert not np.isclose(sum(float((p * q).sum()) for p, q in zip(stop, u, strict=True)), first, rtol=0.05)


def test_the_price_is_clamped_and_logged(caplog):
    v, c, t, y, x, w = world(n=30, m=4)
    v.requires_grad_()

    def run(bounds):
        loss = losses.ppl_loss(v, c, t, y, w, 0.8, multiplier_grad="implicit", cost_outcome=x, price_bounds=bounds)
        return torch.autograd.grad(loss, v)[0]

    price = losses.implied_price(v, c, t, y, x, w, 0.8)
    with caplog.at_level(logging.WARNING):
        torch.testing.assert_close(run((-1e9, 1e9)), run(None))
        assert not caplog.records
        clamped = run((float(price) + 1, float(price) + 2))
    assert "clamped" in caplog.text
    held = losses.ppl_loss(v, c, t, y - (price + 1) * x, w, 0.8)
    torch.testing.assert_close(clamped, torch.autograd.grad(held, v)[0])
    with pytest.raises(ValueError, match="price_bounds"):
        run((1.0, 0.0))


def test_where_money_is_left_over_the_multiplier_stays(caplog):
    v, c, t, y, x, w = world(n=30, m=4)
    v.requires_grad_()
    implicit = {"multiplier_grad": "implicit", "cost_outcome": x}
    grads = [torch.autograd.grad(losses.ppl_loss(v, c, t, y, w, 0.0, **o), v)[0] for o in ({}, implicit)]
    torch.testing.assert_close(*grads)
    assert not caplog.records


def test_numpy_callers_get_the_same():
    v, c, t, y, x, w = world(n=30, m=4)
    a = v.clone().requires_grad_(), c.clone().requires_grad_()
    implicit = {"multiplier_grad": "implicit", "cost_outcome": x}
    want = torch.autograd.grad(losses.pifd_loss(*a, t, y, w, [0.2, 0.8], variant="exact", **implicit), a)
    arrays = [z.numpy() for z in (v, c, t, y, w)]
    implicit["cost_outcome"] = x.numpy()
    got = bf.loss_and_grad("pifd", *arrays, [0.2, 0.8], variant="exact", **implicit)
    np.testing.assert_allclose(got.value, want[0].numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(got.cost, want[1].numpy(), rtol=1e-10, atol=1e-12)
    options = {"centre": True, "price_bounds": (0.1, 0.2)}
    want = torch.autograd.grad(losses.ppl_loss(*a, t, y, w, 0.8, **options, **(implicit | {"cost_outcome": x})), a)
    got = bf.loss_and_grad("ppl", *arrays, 0.8, **options, **implicit)
    np.testing.assert_allclose(got.value, want[0].numpy(), rtol=1e-10, atol=1e-12)


def test_several_budgets_are_summed_and_problems_kept_apart():
    v, c, t, y, x, w = world(3, n=20, m=4)
    for options in ({}, {"multiplier_grad": "implicit", "cost_outcome": x}):
        each = torch.stack(
            [losses.ppl_loss(v[b], c[b], t, y, w, lam, **options) for b, lam in enumerate((0.2, 0.5, 0.9))]
        )
        torch.testing.assert_close(losses.ppl_loss(v, c, t, y, w, torch.tensor([0.2, 0.5, 0.9]), **options), each)
        together = losses.ppl_loss(v[0], c[0], t, y, w, [0.2, 0.5], **options)
        torch.testing.assert_close(
            together, sum(losses.ppl_loss(v[0], c[0], t, y, w, lam, **options) for lam in (0.2, 0.5))
        )
    both = losses.dpl_loss(v, c, t, y, x, w, [0.1, 0.4])
    torch.testing.assert_close(both[1], losses.dpl_loss(v[1], c[1], t, y, x, w, [0.1, 0.4]))
    own = losses.dpl_loss(v, c, t.expand(3, -1), y, x, w, torch.tensor([[0.1, 0.4]] * 3))
    torch.testing.assert_close(own, both)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_halves_are_stored_and_floats_computed(dtype):
    v, c, t, y, _, w = world(n=1100, m=5, dtype=dtype)
    v[:20] *= 1e-6  # subnormal in float16
    a, b = (x.clone().requires_grad_() for x in (v, c))
    wide = [x.float().requires_grad_() for x in (v, c)]
    loss, want = losses.ppl_loss(a, b, t, y, w, 0.8), losses.ppl_loss(*wide, t, y, w, 0.8)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, want, rtol=1e-6, atol=0)
    for got, x in zip(torch.autograd.grad(loss, (a, b)), torch.autograd.grad(want, wide), strict=True):
        assert got.dtype == dtype
        torch.testing.assert_close(got, x.to(dtype), rtol=0, atol=0)
    for backend in ("numba", "reference"):
        torch.testing.assert_close(losses.ppl_loss(v[:50], c[:50], t[:50], y[:50], w[:50], 0.8, backend=backend),
                                   losses.ppl_loss(v[:50], c[:50], t[:50], y[:50], w[:50], 0.8), rtol=1e-5, atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_autocast_leaves_the_loss_alone(name):
    """A bfloat16 layer below; the loss itself is float32, the same as without autocast."""
    v, c, *labels = world(dtype=torch.float32)
    f = named(*labels)[name]
    net = torch.nn.Linear(3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        predicted = net(v)
        assert predicted.dtype == torch.bfloat16
        loss = f(predicted, c.bfloat16())
    loss.backward()
    assert loss.dtype == torch.float32 and net.weight.grad.abs().sum() > 0
    torch.testing.assert_close(loss, f(predicted.detach(), c.bfloat16()), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_compile_forward_and_backward_in_one_graph(name):
    v, c, *labels = world(dtype=torch.float32)
    f = named(*labels)[name]
    grads = []
    for run in (f, torch.compile(f, fullgraph=True, backend="aot_eager")):
        a, b = v.clone().requires_grad_(), c.clone().requires_grad_()
        (2 * run(a, b)).backward()
        grads += [a.grad, b.grad]
    torch.testing.assert_close(grads[:2], grads[2:])


@pytest.mark.parametrize("name", NAMES)
def test_compiled_hessian_vector_products(name):
    """Both ways to one, in one graph. A compiler that looks into a Function may record it without its second derivative."""
    v, c, *labels = world()
    f, u = named(*labels)[name], torch.cos(v)
    torch.compiler.reset()  # so many losses in one function are more than it recompiles

    def products(v, c, u):
        def grad(v):
            return torch.func.grad(f)(v, c)

        return torch.func.jvp(grad, (v,), (u,))[1], torch.func.vjp(grad, v)[1](u)[0]

    want = torch.autograd.functional.vhp(lambda v: f(v, c), v, u)[1]
    for got in torch.compile(products, fullgraph=True, backend="aot_eager")(v, c, u):
        torch.testing.assert_close(got, want)


def test_compile_takes_a_tensor_twice():
    v, _, t, y, *_ = world()

    def f(v):
        return losses.dpl_loss(v, v, t, y, y, y, torch.tensor([0.1, 0.8]))

    torch.testing.assert_close(torch.compile(f, fullgraph=True, backend="aot_eager")(v), f(v))


@pytest.mark.parametrize("name", NAMES)
def test_func_transforms(name):
    v, c, *labels = world()
    f = named(*labels)[name]
    a = v.clone().requires_grad_()
    grad = torch.autograd.grad(f(a, c), a)[0]
    hessian = torch.autograd.functional.hessian(lambda a: f(a, c), v)
    torch.testing.assert_close(torch.func.grad(f)(v, c), grad)
    torch.testing.assert_close(torch.func.vjp(f, v, c)[1](torch.tensor(3.0, dtype=v.dtype))[0], 3 * grad)
    torch.testing.assert_close(torch.func.jvp(lambda a: f(a, c), (v,), (v,))[1], (grad * v).sum())
    torch.testing.assert_close(torch.func.hessian(f)(v, c), hessian)  # forward over reverse
    torch.testing.assert_close(torch.func.jacrev(torch.func.grad(f))(v, c), hessian)
    many = torch.stack([v, v + 1, v * 2])
    torch.testing.assert_close(torch.func.vmap(f, (0, None))(many, c), torch.stack([f(x, c) for x in many]))
    torch.testing.assert_close(
        torch.func.vmap(torch.func.vmap(torch.func.grad(f), (0, None)), (None, 0))(many, torch.stack([c, c * 2])),
        torch.stack([torch.stack([torch.func.grad(f)(x, d) for x in many]) for d in (c, c * 2)]),
    )


def test_vmap_over_labels_and_batches():
    v, c, t, y, _, w = world(2)
    ys = torch.stack([y, 2 * y])
    got = torch.func.vmap(lambda y: losses.ppl_loss(v, c, t, y, w, torch.tensor([0.1, 0.7])))(ys)
    want = torch.stack([losses.ppl_loss(v, c, t, y, w, torch.tensor([0.1, 0.7])) for y in ys])
    torch.testing.assert_close(got, want)


def test_third_order_and_raw_ops_refuse():
    v, c, t, y, x, w = world()
    a = v.clone().requires_grad_()
    for f in named(t, y, x, w).values():
        g = torch.autograd.grad(f(a, c), a, create_graph=True)[0]
        h = torch.autograd.grad(g.sum(), a, create_graph=True)[0]
        with pytest.raises(RuntimeError, match="no third"):
            h.sum().backward()
    with pytest.raises(RuntimeError, match=r"bidfcl_fast\.losses"):
        torch.ops.bidfcl.policy_loss(*arguments(a, c, t, y, x, w))


def arguments(v, c, t, y, x, w):
    return (v, c, None, t, w, y, x, torch.tensor([0.8], dtype=torch.float64), None, 1, 0.5, 0.1, False, "")


def test_opcheck():
    v, c, t, y, x, w = world()
    args = arguments(v, c, t, y, x, w)
    ops = torch.ops.bidfcl
    torch.library.opcheck(ops.policy_loss.default, args)
    torch.library.opcheck(ops.policy_loss_grad.default, (*args, torch.tensor(2.0)))
    torch.library.opcheck(ops.policy_loss_hvp.default, (*args, v, c, None, None))
    drp = (*args[:6], None, *args[7:9], 4, *args[10:])
    torch.library.opcheck(ops.policy_loss.default, drp)
    torch.library.opcheck(ops.policy_loss_grad.default, (*drp, torch.tensor(2.0)))
    torch.library.opcheck(ops.policy_loss_hvp.default, (*drp, v, c, None, None))
    torch.library.opcheck(ops.policy_loss.default, (torch.stack([v, v]), torch.stack([c, c]), *args[2:7],
                                                    torch.ones(2, 1, dtype=torch.float64), *args[8:]))  # fmt: skip


def test_a_gradient_given_away_is_nobody_elses():
    """The fused backward hands its memory over: what happens to it there must not reach a second backward."""
    v, c, t, y, _, w = world(n=300_000 // 3)
    v.requires_grad_()
    loss = losses.ppl_loss(v, c, t, y, w, 0.8)
    loss.backward(retain_graph=True)
    want = v.grad.clone()
    v.grad.zero_()
    loss.backward(retain_graph=True)
    torch.testing.assert_close(v.grad, want)
    v.grad = None
    (3 * loss).backward()
    torch.testing.assert_close(v.grad, 3 * want)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_weighted_loss_uses_the_gradient_that_is_there(dtype, monkeypatch):
    """The gradient made with the value is scaled, not made again (but for halves, which would be rounded twice)."""
    v, c, t, y, _, w = world(2, n=50, m=4, dtype=dtype)
    wide = [x.float().requires_grad_() for x in (v, c)]
    v.requires_grad_()
    scale = torch.tensor([0.3, -2.0])
    want = torch.autograd.grad(losses.ppl_loss(*wide, t, y, w, 0.8) @ scale, wide)[0]
    loss = losses.ppl_loss(v, c, t, y, w, 0.8) @ scale
    if dtype == torch.float32:
        monkeypatch.setattr(ops, "gradient_of", None)
    (got,) = torch.autograd.grad(loss, v)
    torch.testing.assert_close(got, want.to(dtype), rtol=1e-6 if dtype == torch.float32 else 0, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_deterministic(name):
    """The same bits every time, and nothing that torch's deterministic mode refuses."""
    v, c, *labels = world(n=5_000, dtype=torch.float32)
    f = named(*labels)[name]
    found = []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(2):
            a, b = v.clone().requires_grad_(), c.clone().requires_grad_()
            loss = f(a, b)
            grads = torch.autograd.grad(loss, (a, b), create_graph=True)
            found.append([loss, *grads, *torch.autograd.grad(grads, (a, b), (v, c))])
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(x, y) for x, y in zip(*found, strict=True))


def test_the_hard_loss_has_no_gradient_and_compiles():
    v, c, t, y, _, w = world(dtype=torch.float32)

    def f(v, c):
        return losses.decision_loss(v, c, t, y, w, 0.5)

    assert not f(v.clone().requires_grad_(), c).requires_grad
    want = f(v, c)
    torch.testing.assert_close(torch.compile(f, fullgraph=True, backend="aot_eager")(v, c), want)
    with torch.autocast("cpu", torch.bfloat16):
        assert f(v, c) == want


def test_clipped_share():
    v = torch.tensor([[1.0, 0.95, 0.0], [1.0, 0.5, 0.0], [0.0, 1.0, 0.99]])
    args = (v, torch.zeros(3, 3), torch.tensor([0, 0, 2]), torch.tensor([1.0, 1.0, 1.0]), torch.ones(3), 0.0)
    assert losses.clipped_share(*args, min_gap=0.1) == pytest.approx(2 / 3)
    assert losses.clipped_share(*args, window=0.6) == 1
    assert losses.clipped_share(*args) == 0


def test_drp_finds_the_return_on_investment():
    """One cell: lifts of .03 in value and .10 in cost; zero gradient at ROI .3 (METHOD.md §2.7)."""
    t = torch.tensor([1] * 100 + [0] * 100)
    value, cost = torch.zeros(200, dtype=torch.float64), torch.zeros(200, dtype=torch.float64)
    value[:5], value[100:102], cost[:15], cost[100:105] = 1, 1, 1, 1
    s = torch.full((200,), math.log(0.3 / 0.7), dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(losses.drp_loss(s, t, value, cost), s, create_graph=True)
    assert float(g.detach().sum()) == pytest.approx(0, abs=1e-15)
    assert float(torch.autograd.grad(g.sum(), s)[0].sum()) == pytest.approx(0.1 * 0.3 * 0.7)
    three = torch.zeros(200, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="nobody received treatment 2"):
        losses.drp_loss(three, t, value, cost)
    pair = losses.drp_loss(three, t + (torch.arange(200) % 2), value, cost)
    assert torch.isfinite(pair)


def plain_drp(s, t, y, x, w):
    """The formula in torch, every step of every user."""
    step = torch.arange(s.shape[-1])
    own = w[:, None] * ((t[:, None] == step + 1).to(s.dtype) - (t[:, None] == step).to(s.dtype))
    return -(own * (y[:, None] * s + x[:, None] * torch.nn.functional.logsigmoid(-s))).sum((-2, -1))


@pytest.mark.parametrize("backend", bf.backends.available())
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_drp_and_its_derivatives_are_those_of_plain_torch(backend, dtype):
    g = torch.Generator().manual_seed(4)
    n, arms = 1300, 5
    labels = torch.float64 if dtype == torch.float64 else torch.float32
    s = (8 * torch.randn(n, arms - 1, generator=g, dtype=torch.float64)).to(dtype)
    s[:4] = torch.tensor([0.0, -90.0, 90.0, -800.0]).to(dtype)
    t = torch.randint(arms, (n,), generator=g)
    y, x, w = (torch.rand(n, generator=g, dtype=torch.float64).to(labels) for _ in range(3))
    y[::3] = x[::3] = 0
    turn = torch.randn(n, arms - 1, generator=g, dtype=torch.float64).to(dtype)

    def derivatives(f, s, turn):
        s = s.clone().requires_grad_()
        loss = f(s)
        (grad,) = torch.autograd.grad(loss, s, create_graph=True)
        return loss, grad, torch.autograd.grad(grad, s, turn)[0]

    got = derivatives(lambda s: losses.drp_loss(s, t, y, x, weight=w, backend=backend), s, turn)
    want = derivatives(lambda s: plain_drp(s, t, *(z.double() for z in (y, x, w))), s.double(), turn.double())
    rtol = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 8e-3}[dtype]
    assert got[1].dtype == dtype
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=rtol, atol=1e-12 if dtype == torch.float64 else 3e-7)
    problems = losses.drp_loss(torch.stack([s, 2 * s]), t, y, x, weight=w, backend=backend)
    torch.testing.assert_close(problems[0], got[0])


def test_drp_weighs_by_shares_by_counts_or_as_told():
    _, _, t, y, x, _ = world(n=60, m=3)
    s = torch.randn(60, 2, dtype=torch.float64)
    counts = torch.bincount(t, minlength=3)
    told = losses.drp_loss(s, t, y, x, weight=1 / counts[t].double())
    torch.testing.assert_close(losses.drp_loss(s, t, y, x), told)
    torch.testing.assert_close(losses.drp_loss(s, t, y, x, shares=counts / 60), told)
    two = losses.drp_loss(s[:, 0], (t > 0).long(), y, x)
    torch.testing.assert_close(losses.drp_loss(s[:, :1], (t > 0).long(), y, x), two)
    both = torch.stack([s, -s])
    each = torch.stack([losses.drp_loss(s, t, y, x), losses.drp_loss(-s, t.flip(0), y, x)])
    torch.testing.assert_close(losses.drp_loss(both, torch.stack([t, t.flip(0)]), y, x), each)
    for bad, match in [
        (lambda: losses.drp_loss(s, t + 1, y, x, weight=y), "treatment must be 0 to 2, got 3"),
        (lambda: losses.drp_loss(s, t, y, x, weight=y, shares=[1, 1, 1]), "not both"),
        (lambda: losses.drp_loss(s, t, y, x, shares=[0.5, 0.5]), r"shares must be \[3\]"),
        (lambda: losses.drp_loss(s, t, y[:3], x), "value must be a tensor"),
        (lambda: losses.drp_loss(s[:, :0], t, y, x), "no steps"),
    ]:
        with pytest.raises(ValueError, match=match):
            bad()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"value_hat": torch.ones(4, 3, dtype=torch.int32)}, "value_hat must be a float tensor"),
        ({"cost_hat": torch.ones(4, 2)}, "cost_hat must be like value_hat"),
        ({"treatment": torch.zeros(4)}, "treatment must be int64"),
        ({"treatment": torch.tensor([0, 1, 2, 3])}, r"treatment must be 0 to 2, got 3 at treatment\[3\]"),
        ({"outcome": torch.ones(5)}, "outcome must be a tensor"),
        ({"weight": torch.ones(4, dtype=torch.float64)}, "weight must be torch.float32"),
        ({"multiplier": torch.tensor(0.5, requires_grad=True)}, "detach it"),
        ({"multiplier": -0.1}, "at least 0"),
        ({"multiplier": torch.ones(2, 2)}, "one number or"),
        ({"temperature": float("inf")}, "temperature"),
        ({"mask": torch.ones(4, 3)}, "mask must be bool"),
        ({"multiplier_grad": "implicit"}, "needs cost_outcome"),
        ({"backend": "opencl"}, "unknown backend"),
    ],
)
def test_misuse_is_named(change, match):
    given = {
        "value_hat": torch.ones(4, 3), "cost_hat": torch.ones(4, 3), "treatment": torch.tensor([0, 1, 2, 0]),
        "outcome": torch.ones(4), "weight": torch.ones(4), "multiplier": 0.5,
    } | change  # fmt: skip
    with pytest.raises((ValueError, TypeError), match=match):
        losses.ppl_loss(**given)
