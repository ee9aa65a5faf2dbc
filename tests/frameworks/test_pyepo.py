"""PyEPO's own loss families on our solver: optima against enumeration, and a gradient from each family."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest
from torch_threads import one_torch_thread  # noqa: F401

import bidfcl_fast as bf

torch = pytest.importorskip("torch")
pyepo = pytest.importorskip("pyepo")

from pyepo import func  # noqa: E402
from pyepo.data.dataset import optDataset  # noqa: E402

from bidfcl_fast.adapters.pyepo import MCKPModel  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

N, M, BUDGET = 5, 3, 6.0
RNG = np.random.default_rng(0)
COST = np.sort(RNG.integers(0, 5, (N, M)), axis=1) * [0.0, 1, 1]


def best(value):
    plans = itertools.product(range(M), repeat=N)
    rows = np.arange(N)
    return max(value[rows, p].sum() for p in map(list, plans) if COST[rows, p].sum() <= BUDGET)


@pytest.fixture(scope="module")
def data():
    logging.disable(logging.INFO)
    x = RNG.normal(size=(12, 4)).astype(np.float32)
    value = np.maximum(x @ RNG.normal(size=(4, N * M)), 0).astype(np.float32)
    return optDataset(MCKPModel(COST, BUDGET), x, value)


def test_its_solutions_are_optima(data):
    for c, w, z in zip(data.costs.numpy(), data.sols.numpy(), data.objs.numpy(), strict=True):
        assert z[0] == pytest.approx(best(c.reshape(N, M).astype(float)), rel=1e-6)
        plan = w.reshape(N, M)
        assert (plan.sum(1) == 1).all() and (plan * COST).sum() <= BUDGET
        assert (w * c).sum() == pytest.approx(z[0], rel=1e-6)


FAMILIES = {
    "SPO+": lambda m, d: func.SPOPlus(m),
    "perturbation gradient": lambda m, d: func.PG(m),
    "perturbed Fenchel-Young": lambda m, d: func.PFY(m, n_samples=3),
    "contrastive, NCE": lambda m, d: func.NCE(m, dataset=d),
    "contrastive, MAP": lambda m, d: func.CMAP(m, dataset=d),
    "listwise ranking": lambda m, d: func.lsLTR(m, dataset=d),
    "pairwise ranking": lambda m, d: func.prLTR(m, dataset=d),
    "pointwise ranking": lambda m, d: func.ptLTR(m, dataset=d),
}
SOLUTIONS = {  # they return a solution to build a loss from
    "black box": lambda m: func.DBB(m),
    "negative identity": lambda m: func.NID(m),
    "perturbed optimiser": lambda m: func.DPO(m, n_samples=3),
    "implicit MLE": lambda m: func.IMLE(m, n_samples=3),
    "adaptive implicit MLE": lambda m: func.AIMLE(m, n_samples=3),
}


def labels(name, d):
    c, w, z = d.costs, d.sols, d.objs
    if name == "SPO+":
        return c, w, z
    return (w,) if "Young" in name or "contrastive" in name else (c,)


@pytest.mark.parametrize("name", FAMILIES)
def test_its_losses_have_gradients(name, data):
    loss = FAMILIES[name](data.model, data)
    predicted = torch.ones_like(data.costs) + 0.1 * torch.randn(
        data.costs.shape, generator=torch.Generator().manual_seed(0)
    )
    predicted.requires_grad_()
    found = loss(predicted, *labels(name, data))
    found.mean().backward()
    assert torch.isfinite(found).all() and torch.isfinite(predicted.grad).all()
    assert predicted.grad.abs().sum() > 0


@pytest.mark.parametrize("name", SOLUTIONS)
def test_its_layers_have_gradients(name, data):
    layer = SOLUTIONS[name](data.model)
    predicted = (0.2 * data.costs + 0.05).requires_grad_()
    solution = layer(predicted)
    ((solution - data.sols) ** 2).sum().backward()
    assert torch.isfinite(predicted.grad).all()


def test_training_lowers_regret(data):
    torch.manual_seed(0)
    net = torch.nn.Linear(4, N * M)
    loss = func.SPOPlus(data.model)

    def regret():
        with torch.no_grad():
            hat = net(data.feats)
        made = []
        for c, h in zip(data.costs, hat, strict=True):
            data.model.setObj(h)
            made.append(float((torch.as_tensor(data.model.solve()[0]) * c).sum()))
        return float(data.objs.sum()) - sum(made)

    before, optimiser = regret(), torch.optim.Adam(net.parameters(), 0.05)
    for _ in range(25):
        optimiser.zero_grad()
        loss(net(data.feats), data.costs, data.sols, data.objs).mean().backward()
        optimiser.step()
    assert regret() < 0.5 * before


def test_bad_input_is_said_at_once():
    with pytest.raises(bf.InfeasibleBudget):
        MCKPModel(COST + 2, 1.0)
    with pytest.raises(ValueError, match=r"cost must be \[N, M\]"):
        MCKPModel(COST.ravel(), 1.0)
    with pytest.raises(ValueError, match="15 numbers"):
        MCKPModel(COST, BUDGET).setObj(np.zeros(4))


def test_it_is_rebuilt_and_copied(data):
    again = data.model.rebuild()
    again.setObj(data.costs[0])
    assert again.solve()[1] == pytest.approx(float(data.objs[0]), rel=1e-6)
    assert again.num_cost == N * M and data.model.copy().budget == BUDGET
