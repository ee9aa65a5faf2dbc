"""One line an operation and backend, for comparing machines, builds and commits with pytest-benchmark's own tools.

    pytest bench/test_kernels.py --benchmark-save=before        (… change something, build …)
    pytest bench/test_kernels.py --benchmark-compare=0001 --benchmark-group-by=func

Every answer is held against another backend's, or against a plain formula, before it is timed.
"""

from __future__ import annotations

import operator

import numpy as np
import pytest

import bidfcl_fast as bf
from bidfcl_fast.bench import instances
from bidfcl_fast.gradients import LOSSES, loss_and_grad

FAST = [name for name in bf.backends.available() if name != "reference"]
SIZES = [instances.Size(100_000, 5, "float32"), instances.Size(100_000, 10, "float32")]
MULTIPLIER, TEMPERATURE = 0.5, 0.3

pytestmark = pytest.mark.parametrize("backend", FAST)


@pytest.fixture(scope="module", params=SIZES, ids=str)
def campaign(request):
    return instances.campaign(request.param)


def test_solve(benchmark, campaign, backend):
    plan = benchmark(bf.solve_mckp, *campaign, backend=backend)
    assert plan.spend <= campaign[2]
    assert (plan.choice == bf.solve_mckp(*campaign, backend=FAST[-1]).choice).all()


def test_solve_eight_budgets(benchmark, campaign, backend):
    value, cost, budget = campaign
    plan = benchmark(bf.solve_mckp, value, cost, budget * np.linspace(0.3, 1, 8), backend=backend)
    assert (plan.choice[-1] == bf.solve_mckp(value, cost, budget, backend=FAST[-1]).choice).all()


def test_decide_at_a_price(benchmark, campaign, backend):
    value, cost, _ = campaign
    plan = benchmark(bf.solve_mckp, value, cost, multiplier=MULTIPLIER, backend=backend)
    best = np.argmax(value.astype(np.float64) - MULTIPLIER * cost.astype(np.float64), axis=1)
    assert (plan.choice == best).mean() > 0.9999  # but for near-ties, which the formula above rounds


def test_frontier(benchmark, campaign, backend):
    value, cost, budget = campaign
    frontier = benchmark.pedantic(bf.budget_frontier, (value, cost), {"backend": backend}, rounds=3)
    assert frontier.value_at(budget) == pytest.approx(bf.solve_mckp(value, cost, budget).dual_bound, rel=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_gradient(benchmark, campaign, backend, loss):
    value, cost, _ = campaign
    rng = np.random.default_rng(5)
    n, m = value.shape
    labels = (
        rng.integers(m, size=n),
        rng.random(n, dtype=np.float32),
        np.full(n, m / n, np.float32),
        MULTIPLIER,
    )
    options = {"cost_outcome": rng.random(n, dtype=np.float32), "temperature": TEMPERATURE}
    made = benchmark(loss_and_grad, loss, value, cost, *labels, **options, backend=backend)
    other = loss_and_grad(loss, value, cost, *labels, **options, backend=FAST[-1])
    assert made.loss == pytest.approx(other.loss, rel=1e-4)
    off = np.abs(made.value - other.value) > 1e-3 * np.abs(made.value).max()
    assert off.mean() < 1e-4  # a gap within rounding of nothing makes a PIFD entry anything


@pytest.mark.parametrize("kind", ["gauss_newton", "hessian"])
def test_curvature_product(benchmark, backend, kind):
    torch = pytest.importorskip("torch")
    from bidfcl_fast.linalg import MLPCurvature

    torch.manual_seed(0)
    sizes = (12, 64, 32, 32, 4)
    layers = [part for i, o in zip(sizes, sizes[1:], strict=False) for part in (torch.nn.Linear(i, o), torch.nn.ReLU())]
    network, x = torch.nn.Sequential(*layers[:-1]), torch.randn(8192, sizes[0])
    targets = torch.randn(8192, sizes[-1])
    made = MLPCurvature(network, x, kind=kind, targets=targets, backend=backend)
    turn = torch.randn(made.size)
    product = benchmark(operator.matmul, made, turn)
    other = MLPCurvature(network, x, kind=kind, targets=targets, backend="reference") @ turn
    torch.testing.assert_close(product, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))
