"""The LP relaxation and the integer program as HiGHS sees them: a sparse matrix and no idea of a hull."""

from __future__ import annotations

import numpy as np
from scipy.optimize import LinearConstraint, linprog, milp
from scipy.sparse import coo_array

_TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def lp_value(value, cost, budget: float, mask=None) -> float:
    """LP optimum. Coefficients are brought to magnitude 1, since the solver's tolerances are absolute."""
    v, c = np.asarray(value, np.float64), np.asarray(cost, np.float64)
    n, m = v.shape
    v_scale, c_scale = (np.abs(x).max(initial=0.0) or 1.0 for x in (v, c))
    user = np.repeat(np.arange(n), m)
    one_each = coo_array((np.ones(n * m), (user, np.arange(n * m))), shape=(n, n * m)).tocsr()
    upper = np.ones(n * m) if mask is None else np.asarray(mask, float).ravel()
    found = linprog(
        -v.ravel() / v_scale,
        A_ub=c.reshape(1, -1) / c_scale,
        b_ub=[budget / c_scale],
        A_eq=one_each,
        b_eq=np.ones(n),
        bounds=np.column_stack([np.zeros(n * m), upper]),
        method="highs",
        options=_TIGHT,
    )
    assert found.status == 0, found.message
    return -float(found.fun) * v_scale


def integer_value(value, cost, budget: float) -> float:
    """The integer optimum, for whole numbers small enough that tolerances cannot blur it."""
    v, c = np.asarray(value, np.float64), np.asarray(cost, np.float64)
    n, m = v.shape
    one_each = coo_array((np.ones(n * m), (np.repeat(np.arange(n), m), np.arange(n * m))), shape=(n, n * m)).tocsr()
    found = milp(
        -v.ravel(),
        integrality=np.ones(n * m),
        bounds=(0, 1),
        constraints=[LinearConstraint(c.reshape(1, -1), ub=budget), LinearConstraint(one_each, 1, 1)],
        options={"mip_rel_gap": 0},
    )
    assert found.status == 0, found.message
    choice = found.x.reshape(n, m).argmax(axis=1)
    assert c[np.arange(n), choice].sum() <= budget
    return float(v[np.arange(n), choice].sum())
