"""Regret against plain enumeration of multipliers, and its limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

import bidfcl_fast as bf
from bidfcl_fast.metrics import regret


def instance(seed, n=40, m=4):
    rng = np.random.default_rng(seed)
    cost = np.sort(rng.uniform(0, 3, (n, m)), axis=1)
    cost[:, 0] = 0
    return rng.uniform(0, 4, (n, m)), cost, rng.uniform(0, 4, (n, m)), np.abs(cost + rng.normal(0, 0.2, (n, m)))


def by_search(vh, ch, v, c, budget, sized):
    """Try every multiplier at which some decision changes, from the largest down; part of the split user by hand."""
    n, m = v.shape
    best = linprog(
        -v.ravel(), A_ub=c.reshape(1, -1), b_ub=[budget], A_eq=np.kron(np.eye(n), np.ones(m)), b_eq=np.ones(n)
    )
    lowest = v[np.arange(n), c.argmin(1)].sum()
    marks = {0.0}
    for i in range(n):
        for j in range(m):
            for k in range(m):
                if ch[i, j] > ch[i, k]:
                    marks.add(max((vh[i, j] - vh[i, k]) / (ch[i, j] - ch[i, k]), 0.0))
    marks = sorted(marks, reverse=True)
    between = [marks[0] + 1] + [(a + b) / 2 for a, b in zip(marks, marks[1:], strict=False)]
    path = []
    for lam in between:
        k = (vh - lam * ch).argmax(1)
        at = np.arange(n), k
        path.append((v[at].sum(), c[at].sum(), ch[at].sum()))
    spent = [p[1] if sized == "true" else p[2] for p in path]
    last = max(i for i, s in enumerate(spent) if s <= budget)
    value, true = path[last][:2]
    if last + 1 < len(path):
        part = (budget - spent[last]) / (spent[last + 1] - spent[last])
        value += part * (path[last + 1][0] - value)
        true += part * (path[last + 1][1] - true)
    return 1 - (value - lowest) / (-best.fun - lowest), true / budget - 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
def test_is_what_a_search_over_all_multipliers_finds(seed, share):
    vh, ch, v, c = instance(seed)
    budget = share * c.max(1).sum()
    np.testing.assert_allclose(
        regret(vh, ch, v, c, budget), by_search(vh, ch, v, c, budget, "true")[0], rtol=1e-6, atol=1e-7
    )
    np.testing.assert_allclose(
        regret(vh, ch, v, c, budget, spend="predicted"),
        by_search(vh, ch, v, c, budget, "predicted"),
        rtol=1e-6,
        atol=1e-7,
    )


def test_truth_has_none_and_scale_does_not_matter():
    vh, ch, v, c = instance(7)
    budgets = np.array([0.1, 0.3, 0.7]) * c.max(1).sum()
    np.testing.assert_allclose(regret(v, c, v, c, budgets), 0, atol=1e-9)
    many = regret(vh, ch, v, c, budgets)
    np.testing.assert_allclose(many, [regret(vh, ch, v, c, b) for b in budgets])
    np.testing.assert_allclose(many, regret(5 * vh + np.arange(40)[:, None], ch, v, c, budgets))
    np.testing.assert_allclose(many, regret(vh, ch, 3 * v, c, budgets))
    assert isinstance(regret(vh, ch, v, c, budgets[1]), float)


def test_everybody_alike_is_taken_in_order_of_rows():
    """Equal slopes everywhere: half the money treats the first half of the users."""
    v = np.array([[0.0, 4.0], [0.0, 1.0], [0.0, 2.0], [0.0, 3.0]])
    c = np.array([[0.0, 1.0]] * 4)
    flat = np.array([[0.0, 1.0]] * 4)
    assert regret(flat, c, v, c, 2.0) == pytest.approx(1 - 5 / 7)
    assert regret(flat, c, v, c, 2.5) == pytest.approx(1 - 6 / 8)


def test_refuses_clearly():
    vh, ch, v, c = instance(1)
    with pytest.raises(ValueError, match=r"one shape \[N, M\]"):
        regret(vh[:, :2], ch, v, c, 1.0)
    with pytest.raises(ValueError, match="finite"):
        regret(np.full_like(vh, np.nan), ch, v, c, 1.0)
    with pytest.raises(ValueError, match="spend must be"):
        regret(vh, ch, v, c, 1.0, spend="all")
    with pytest.raises(bf.InfeasibleBudget):
        regret(vh, ch, v, c + 1, 1.0)
    with pytest.raises(ValueError, match="no gain"):
        regret(
            np.zeros((3, 2)),
            np.tile([0.0, 1.0], (3, 1)),
            -np.tile([0.0, 1.0], (3, 1)),
            np.tile([0.0, 1.0], (3, 1)),
            1.0,
        )
