"""The losses' kernels on every backend against oracles: the paper's golden values, plain torch autograd, deciding again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import bidfcl_fast as bf
from bidfcl_fast import backends
from bidfcl_fast._decisions import Decisions, Family, Order, Rule

torch = pytest.importorskip("torch")

from bidfcl_fast import losses  # noqa: E402

# METHOD.md §6.2
VALUE = np.array([[0.2, 0.5, 0.9], [0.1, 0.4, 0.3], [0.6, 0.7, 1.1], [0.3, 0.2, 0.8], [0, 0.6, 0.5]])
COST = np.array([[0, 0.2, 0.6], [0, 0.3, 0.4], [0, 0.1, 0.7], [0, 0.2, 0.5], [0, 0.4, 0.9]])
RECEIVED = np.array([0, 1, 2, 1, 2])
OUTCOME, SPENT = np.array([0.5, 1, 2, 0, 1.5]), np.array([0, 0.5, 1, 0.25, 0.75])
WEIGHT = 1 / np.array([1, 2, 2])[RECEIVED]
GOLDEN = np.array(
    [
        [-0.103871245, 0.0498593048, 0.0540119401],
        [0.061059003, -0.1152134806, 0.0541544776],
        [0.1073451013, 0.1095136162, -0.2168587175],
        [0, 0, 0],
        [0.061607867, 0.0815152054, -0.1431230724],
    ]
)


def paper(backend, **kwargs):
    return bf.loss_and_grad(
        kwargs.pop("loss", "ppl"), VALUE, COST, RECEIVED, OUTCOME, WEIGHT, 0.8, backend=backend, **kwargs
    )


def test_ppl_has_the_papers_values(backend):
    got = paper(backend)
    assert got.loss == pytest.approx(-0.837782074065965, abs=1e-14)
    np.testing.assert_allclose(got.value, GOLDEN, atol=5e-10)
    np.testing.assert_allclose(got.cost, -0.8 * got.value, atol=1e-15)
    soft = paper(backend, temperature=0.5)
    assert soft.loss == pytest.approx(-0.7676842481885856, abs=1e-14)
    np.testing.assert_allclose(soft.value[0], [-0.1914402515, 0.0880788102, 0.1033614413], atol=5e-10)


def test_pifd_has_the_papers_values(backend):
    got = paper(backend, loss="pifd")
    assert got.loss == pytest.approx(1.4062651978741538, abs=1e-13)
    np.testing.assert_allclose(got.value[1], [2.6019752804, -3.2387329343, 0.6367576538], atol=5e-10)


# METHOD.md §6.3, ∂L/∂z' at λ = .8. Where t is not the runner-up the true difference of the decision is 0.
PIFD = np.array(
    [
        [-2.2727272727, 0, 2.2727272727],
        [8.3333333333, -8.3333333333, 2.7777777778],
        [0, 12.5, -12.5],
        [0, 0, 0],
        [0, 1.5, -1.5],
    ]
)


@pytest.mark.parametrize("variant", ["paper", "exact"])
def test_pifd_has_the_papers_differences(backend, variant):
    g = PIFD.copy()
    if variant == "exact":
        g[[0, 2, 4], [2, 1, 1]] = 0
    p = np.exp(VALUE - 0.8 * COST)
    p /= p.sum(1, keepdims=True)
    got = paper(backend, loss="pifd", variant=variant)
    assert got.loss == pytest.approx((g * p).sum(), abs=1e-9)
    np.testing.assert_allclose(got.value, p * (g - (g * p).sum(1, keepdims=True)), atol=1e-9)


def case(rng, dtype, B, N, M, K, **rule):
    def label(share):
        return (rng.random((B, N)) * (rng.random((B, N)) < share)).astype(dtype)

    return Decisions(
        rng.normal(size=(B, N, M)).astype(dtype),
        rng.random((B, N, M)).astype(dtype),
        rng.integers(M, size=(B, N)),
        rng.random((B, N)).astype(dtype),
        label(0.5),
        label(0.5),
        rng.random((B, K)),
        Rule(**rule),
        rng.random((B, N, M)) < 0.8 if N % 2 else None,
        price=rng.random((B, K)),
        turn=rng.normal(size=(B, K)),
        scale=rng.random(B),
        value_turn=rng.normal(size=(B, N, M)).astype(dtype),
        cost_turn=rng.normal(size=(B, N, M)).astype(dtype),
    )


SHAPES = [
    (1, 5, 3, 1),
    (2, 37, 1, 2),
    (2, 70, 2, 1),
    (1, 1100, 6, 1),
    (3, 33, 17, 2),
    (1, 50, 4, 1),
    (0, 5, 3, 1),
    (1, 0, 3, 1),
]
RULES = [{}, {"bound": 0.05}, {"bound": 0.3, "window": True}]


# More than one run of 1,024 users is the same to all families, and slow in the reference for PIFD.
CASES = [(f, s) for f in Family for s in SHAPES if f is not Family.DRP and (s[1] <= 1000 or f is Family.PPL)]


@pytest.mark.parametrize(("family", "shape"), CASES, ids=lambda x: getattr(x, "name", None) or str(x))
def test_every_order_is_the_references(fast, dtype, shape, family):
    rng = np.random.default_rng(shape[1])
    for rule in RULES if family in (Family.PIFD, Family.PIFD_EXACT) else RULES[:1]:
        d = case(rng, dtype, *shape, family=family, temperature=0.7, **rule)
        for order in Order if family is not Family.DECISION else [Order.VALUE]:
            made = {}
            for name in (fast, "reference"):
                outs = [np.full(d.value.shape, np.nan, dtype) for _ in range(2)] if order else []
                totals = backends.resolve(name).decision_loss(d, order, *outs)
                made[name] = [totals[..., : {0: 5, 1: 1, 2: 2}[order]], *outs]
            for got, want in zip(made[fast], made["reference"], strict=True):
                scale = max(np.abs(want).max(initial=0), 1e-6)
                np.testing.assert_allclose(got / scale, want / scale, atol=1e-12 if dtype is np.float64 else 2e-4)


@pytest.mark.parametrize("name", ["ppl", "dpl"])
def test_gradient_and_hessian_are_those_of_plain_autograd(backend, name):
    """An oracle that shares nothing: the formula in torch, differentiated by torch."""
    rng = np.random.default_rng(1)
    v, c = torch.tensor(rng.normal(size=(40, 5))), torch.tensor(rng.random((40, 5)))
    t = torch.tensor(rng.integers(5, size=40))
    y, x, w = (torch.tensor(rng.random(40)) for _ in range(3))
    u = [torch.tensor(rng.normal(size=(40, 5))) for _ in range(2)]

    def plain(v, c):
        out = 0.0
        for lam in (0.3, 0.9):
            label = y - lam * x if name == "dpl" else y
            out = out - (w * label * torch.softmax((v - lam * c) / 0.6, 1).gather(1, t[:, None])[:, 0]).sum()
        return out

    def ours(v, c):
        options = {"temperature": 0.6, "backend": backend}
        if name == "dpl":
            return losses.dpl_loss(v, c, t, y, x, w, [0.3, 0.9], **options)
        return losses.ppl_loss(v, c, t, y, w, [0.3, 0.9], **options)

    def derivatives(f):
        a = v.clone().requires_grad_(), c.clone().requires_grad_()
        value = f(*a)
        grad = torch.autograd.grad(value, a, create_graph=True)
        return value, *grad, *torch.autograd.grad(grad, a, u)

    for got, want in zip(derivatives(ours), derivatives(plain), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-13)


def decide(a, c):
    return min(range(len(a)), key=lambda j: (-a[j], c[j], j))


def test_pifd_exact_is_the_black_box_and_paper_differs_where_it_must(backend):
    """§2.4: brute force moves one score just across the boundary and decides again."""
    rng = np.random.default_rng(2)
    n, m, lam = (600, 4, 0.7) if backend == "reference" else (3000, 4, 0.7)
    v, c = rng.normal(size=(n, m)), rng.random((n, m))
    t = rng.integers(m, size=n)
    want, named = np.zeros((n, m)), np.zeros((n, m), bool)
    a = v - lam * c
    for i in range(n):
        k = decide(a[i], c[i])
        order = np.argsort(-a[i])
        named[i, k] = t[i] not in (k, order[1])
        for j in range(m):
            target = a[i, order[1]] if j == k else a[i, k]
            h = target - a[i, j]
            moved = a[i].copy()
            moved[j] += h * (1 + 1e-9)
            want[i, j] = (float(k == t[i]) - float(decide(moved, c[i]) == t[i])) / h
    # g is read off the value: with P given, g·P over one-hot-like directions is g itself at the gradient's defining formula.
    p = np.exp(a - a.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)

    def gradient(g):
        return p * (g - (g * p).sum(1, keepdims=True))

    ones = np.ones(n)
    exact = bf.loss_and_grad("pifd", v, c, t, ones, ones, lam, variant="exact", backend=backend)
    np.testing.assert_allclose(exact.value, gradient(want), rtol=1e-6, atol=1e-8)
    printed = bf.loss_and_grad("pifd", v, c, t, ones, ones, lam, backend=backend)
    algorithm3 = want.copy()
    rows, columns = np.nonzero(named)
    algorithm3[rows, columns] = 1 / (a[rows, columns] - a[rows, t[rows]])
    np.testing.assert_allclose(printed.value, gradient(algorithm3), rtol=1e-6, atol=1e-8)
    assert named.any(1).mean() > 0.3


def test_estimates_are_unbiased_with_unequal_arms(backend):
    """All assignments of three users, each with its chance: forgetting the weight would show."""
    rng = np.random.default_rng(3)
    shares = np.array([0.7, 0.2, 0.1])
    v, c, true, spent = rng.normal(size=(3, 3)), *rng.random((3, 3, 3))
    expected_soft = expected_dual = expected_hard = 0.0
    for draw in itertools.product(range(3), repeat=3):
        t = np.array(draw)
        chance = shares[t].prod()
        weight, y = 1 / (3 * shares[t]), true[np.arange(3), t]
        expected_soft += chance * bf.loss_and_grad("ppl", v, c, t, y, weight, 0.5, backend=backend).loss
        dual = bf.loss_and_grad("dpl", v, c, t, y, weight, 0.5, cost_outcome=spent[np.arange(3), t], backend=backend)
        expected_dual += chance * dual.loss
        args = (torch.tensor(x) for x in (v, c, t, y, weight))
        expected_hard += chance * float(losses.decision_loss(*args, 0.5, backend=backend))
    a = v - 0.5 * c
    p = np.exp(a) / np.exp(a).sum(1, keepdims=True)
    assert expected_soft == pytest.approx(-(p * true).sum() / 3, rel=1e-12)
    assert expected_dual == pytest.approx(-(p * (true - 0.5 * spent)).sum() / 3, rel=1e-12)
    assert expected_hard == pytest.approx(-true[np.arange(3), a.argmax(1)].mean(), rel=1e-12)


def test_estimates_are_unbiased_by_monte_carlo():
    rng = np.random.default_rng(4)
    n, shares = 200_000, np.array([0.85, 0.1, 0.05])
    v, c, true = rng.normal(size=(n, 3)), rng.random((n, 3)), rng.random((n, 3))
    t = rng.choice(3, size=n, p=shares)
    args = [torch.tensor(x) for x in (v, c, t, true[np.arange(n), t], 1 / (n * shares[t]))]
    want = -true[np.arange(n), (v - 0.5 * c).argmax(1)].mean()
    assert float(losses.decision_loss(*args, 0.5)) == pytest.approx(want, abs=0.02)
    unweighted = torch.full((n,), 1 / n, dtype=torch.float64)
    assert abs(float(losses.decision_loss(*args[:4], unweighted, 0.5)) - want) > 0.1


def test_decision_is_the_limit_of_small_temperatures_and_ties_follow_the_rule(backend):
    v = np.array([[1.0, 1.0, 0.5], [2.0, 1.0, 1.5], [0.0, 0.0, 0.0]])
    c = np.array([[0.5, 0.2, 0.1], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    one = torch.ones(3, dtype=torch.float64)
    matched = []
    for t in range(3):
        received = torch.full((3,), t)
        rows = [
            float(
                losses.decision_loss(
                    *(torch.tensor(x[[i]]) for x in (v, c)), received[:1], one[:1], one[:1], 0.0, backend=backend
                )
            )
            for i in range(3)
        ]
        matched.append([-r for r in rows])
    # user 0: a tie of 0 and 1, the cheaper; user 2: all equal, the first
    np.testing.assert_array_equal(np.array(matched).T, [[0, 1, 0], [1, 0, 0], [1, 0, 0]])
    rng = np.random.default_rng(5)
    v, c = rng.normal(size=(200, 4)), rng.random((200, 4))
    t, w = rng.integers(4, size=200), np.full(200, 0.01)
    soft = bf.loss_and_grad("ppl", v, c, t, np.ones(200), w, 0.5, temperature=1e-6, backend=backend)
    hard = losses.decision_loss(*(torch.tensor(x) for x in (v, c, t, np.ones(200), w)), 0.5, backend=backend)
    assert soft.loss == pytest.approx(float(hard), rel=1e-9)


@pytest.mark.parametrize("temperature", [1e-6, 1e6])
@pytest.mark.parametrize("loss", ["ppl", "pifd"])
def test_extreme_temperatures_stay_finite(backend, dtype, temperature, loss):
    rng = np.random.default_rng(6)
    v, c = (100 * rng.normal(size=(50, 6)).astype(dtype) for _ in range(2))
    v[:5] = 1.0
    c[:5] = 0.0  # ties
    args = (v, c, rng.integers(6, size=50), np.ones(50, dtype), np.ones(50, dtype), 0.5)
    got = bf.loss_and_grad(loss, *args, temperature=temperature, backend=backend)
    assert np.isfinite(got.loss) and np.isfinite(got.value).all() and np.isfinite(got.cost).all()


def test_one_treatment_has_nothing_to_learn(backend):
    for loss in ("ppl", "pifd"):
        got = bf.loss_and_grad(
            loss, np.ones((4, 1)), np.ones((4, 1)), np.zeros(4, int), np.ones(4), np.ones(4), 1.0, backend=backend
        )
        assert not got.value.any() and not got.cost.any()


def test_invariances(backend):
    """§6.6: scale, row shifts, order of the rows and of the arms."""
    rng = np.random.default_rng(7)
    v, c = rng.normal(size=(30, 4)), rng.random((30, 4))
    t, y, w = rng.integers(4, size=30), rng.random(30), rng.random(30)

    def run(loss, v, c, t, y, w, lam, tau=0.5):
        return bf.loss_and_grad(loss, v, c, t, y, w, lam, temperature=tau, backend=backend)

    for loss in ("ppl", "pifd"):
        base = run(loss, v, c, t, y, w, 0.8)
        np.testing.assert_allclose(base.value.sum(1), 0, atol=1e-12)
        np.testing.assert_allclose(run(loss, v, c / 3, t, y, w, 2.4).value, base.value, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(
            run(loss, v + rng.normal(size=(30, 1)), c, t, y, w, 0.8).value, base.value, rtol=1e-6, atol=1e-9
        )
        rows, arms = rng.permutation(30), rng.permutation(4)
        again = run(loss, v[rows][:, arms], c[rows][:, arms], np.argsort(arms)[t[rows]], y[rows], w[rows], 0.8)
        np.testing.assert_allclose(again.value, base.value[rows][:, arms], rtol=1e-9, atol=1e-12)
    big = run("ppl", 2 * v, c, t, y, w, 1.6, 1.0)
    np.testing.assert_allclose(2 * big.value, run("ppl", v, c, t, y, w, 0.8).value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("family", [Family.PPL, Family.PIFD, Family.PIFD_EXACT])
@pytest.mark.parametrize("m", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17])
def test_every_width_of_row_with_outcomes_everywhere(fast, dtype, m, family):
    """Whole packs of neighbours at one multiplier, which have kernels of their own, and a rest."""
    rng = np.random.default_rng(m)
    d = case(rng, dtype, 1, 90, m, 1, family=family, temperature=0.4)
    for name in ("outcome", "cost_outcome"):
        setattr(d, name, (rng.random((1, 90)) + 0.5).astype(dtype))
    for order in (Order.VALUE, Order.GRADIENT):
        made = {}
        for name in (fast, "reference"):
            outs = [np.full(d.value.shape, np.nan, dtype) for _ in range(2)] if order else []
            totals = backends.resolve(name).decision_loss(d, order, *outs)
            made[name] = [totals[..., : {0: 5, 1: 1}[order]], *outs]
        for got, want in zip(made[fast], made["reference"], strict=True):
            scale = max(np.abs(want).max(initial=0), 1e-6)
            np.testing.assert_allclose(got / scale, want / scale, atol=1e-12 if dtype is np.float64 else 2e-4)


@pytest.mark.parametrize("loss", ["ppl", "pifd"])
@pytest.mark.parametrize("m", [2, 5, 7, 10])
def test_any_strides_any_threads_same_bits(monkeypatch, m, loss):
    if "cpp" not in bf.backends.available():
        pytest.skip("installed without _C")
    rng = np.random.default_rng(8)
    v, c = (rng.random((20_000, m), dtype=np.float32) for _ in range(2))
    t, y, w = rng.integers(m, size=20_000), rng.random(20_000, dtype=np.float32), np.full(20_000, 1e-3, np.float32)
    want = bf.loss_and_grad(loss, v, c, t, y, w, 0.5, backend="cpp")
    for threads in ("1", "3"):
        monkeypatch.setenv("BIDFCL_NUM_THREADS", threads)
        wide = np.asfortranarray(np.repeat(v, 2, axis=1))[:, ::2]
        got = bf.loss_and_grad(loss, wide, c[::-1][::-1], t, y, w, 0.5, backend="cpp")
        assert got.loss == want.loss
        np.testing.assert_array_equal(got.value, want.value)
    # A user's gradient does not know who else is listed, nor in which lane.
    some = rng.random(20_000) < 0.5
    got = bf.loss_and_grad(loss, v, c, t, np.where(some, y, np.float32(0)), w, 0.5, backend="cpp")
    np.testing.assert_array_equal(got.value[some], want.value[some])
    assert not got.value[~some].any()


def test_outputs_written_past_the_caches_are_the_same_bits():
    if "cpp" not in bf.backends.available():
        pytest.skip("installed without _C")
    rng = np.random.default_rng(9)
    for loss, m, n in (("ppl", 10, 650_000), ("ppl", 3, 2_200_000), ("pifd", 12, 550_000)):
        v, c = (rng.random((n, m), dtype=np.float32) for _ in range(2))
        t, y, w = rng.integers(m, size=n), rng.random(n, dtype=np.float32), np.full(n, 1e-3, np.float32)
        large = bf.loss_and_grad(loss, v, c, t, y, w, 0.5, backend="cpp")
        for rows in (slice(0, 20_000), slice(n - 20_001, n)):
            small = bf.loss_and_grad(loss, v[rows], c[rows], t[rows], y[rows], w[rows], 0.5, backend="cpp")
            np.testing.assert_array_equal(large.value[rows], small.value)
            np.testing.assert_array_equal(large.cost[rows], small.cost)


def test_rows_without_outcome_are_not_read(backend):
    v, c = np.ones((6, 3)), np.ones((6, 3))
    v[2:], c[2:] = np.nan, np.inf
    y = np.array([1.0, 2, 0, 0, 0, 0])
    got = bf.loss_and_grad("ppl", v, c, np.zeros(6, int), y, np.ones(6), 0.5, backend=backend)
    assert np.isfinite(got.loss) and not got.value[2:].any() and got.value[:2].all()
    y[5] = 1
    assert np.isnan(bf.loss_and_grad("ppl", v, c, np.zeros(6, int), y, np.ones(6), 0.5, backend=backend).loss)


def test_halves_take_float32_labels(backend):
    rng = np.random.default_rng(10)
    v, c = rng.normal(size=(40, 4)).astype(np.float16), rng.random((40, 4)).astype(np.float16)
    t, y = rng.integers(4, size=40), rng.random(40, dtype=np.float32)
    w = np.full(40, 1e-7, np.float32)  # 1/(N·p) of a large trial, which float16 cannot hold
    for loss in ("ppl", "pifd"):
        got = bf.loss_and_grad(loss, v, c, t, y, 1e7 * w, 0.5, min_gap=0.1, backend=backend)
        want = bf.loss_and_grad(loss, *(x.astype(np.float32) for x in (v, c)), t, y, 1e7 * w, 0.5, min_gap=0.1)
        assert got.value.dtype == np.float16
        assert got.loss == pytest.approx(want.loss, rel=1e-6)
        np.testing.assert_allclose(got.value, want.value, rtol=1e-3, atol=1e-6)
    assert bf.loss_and_grad("ppl", v, c, t, y, w, 0.5, backend=backend).loss < 0
    with pytest.raises(ValueError, match=r"outcome must be \[40\] float32"):
        bf.loss_and_grad("ppl", v, c, t, y.astype(np.float16), w, 0.5, backend=backend)
    with pytest.raises(ValueError, match="value_hat is bfloat16"):
        bf.loss_and_grad("ppl", *(torch.tensor(x).bfloat16() for x in (v, c)), t, y, w, 0.5, backend=backend)


def test_large_outputs_use_memory_again():
    v = np.random.default_rng(9).random((120_000, 4), dtype=np.float32)
    args = (v, v, np.zeros(120_000, np.int64), np.ones(120_000, np.float32), np.ones(120_000, np.float32), 0.5)
    first = bf.loss_and_grad("ppl", *args)
    kept, at = first.value.copy(), first.value.ctypes.data
    second = bf.loss_and_grad("ppl", *args)  # while the first lives, it is nobody else's memory
    assert second.value.ctypes.data not in (at, first.cost.ctypes.data)
    np.testing.assert_array_equal(first.value, kept)
    view = first.value[3:5, 1]
    del first
    third = bf.loss_and_grad("ppl", *args)
    assert at not in (third.value.ctypes.data, third.cost.ctypes.data)  # a view still refers to it
    np.testing.assert_array_equal(view, kept[3:5, 1])
    del view
    fourth = bf.loss_and_grad("ppl", *args)
    assert at in (fourth.value.ctypes.data, fourth.cost.ctypes.data)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"loss": "hinge"}, "unknown loss 'hinge'"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"treatment": np.array([0, 1, 3, 1, 2])}, r"treatment must be 0 to 2, got 3 at treatment\[2\]"),
        ({"treatment": np.array([0.0, 1, 2, 1, 2])}, "int64"),
        ({"multiplier": -1.0}, "at least 0"),
        ({"multiplier": np.nan}, "finite"),
        ({"outcome": np.ones(4)}, r"outcome must be \[5\]"),
        ({"outcome": np.ones(5, np.float32)}, "float32"),
        ({"multiplier_grad": "implicit"}, "needs cost_outcome"),
        ({"multiplier_grad": "half"}, "multiplier_grad must be"),
        ({"min_gap": 0.1, "window": 0.1}, "not both"),
        ({"variant": "best"}, "variant must be"),
    ],
)
def test_misuse_is_named(backend, change, match):
    given = {
        "loss": "ppl", "value_hat": VALUE, "cost_hat": COST, "treatment": RECEIVED, "outcome": OUTCOME,
        "weight": WEIGHT, "multiplier": 0.8, "backend": backend,
    } | change  # fmt: skip
    with pytest.raises(ValueError, match=match):
        bf.loss_and_grad(**given)
