"""HiGHS on the LP relaxation, built without a modelling layer. A general solver: it knows nothing of the structure.

Interior point without crossover was the fastest of its methods here, the simplex method many times slower.
"""

from __future__ import annotations

import highspy
import numpy as np

from . import Answer

TIME_LIMIT_SECONDS = 60.0


def _model(value: np.ndarray, cost: np.ndarray, budget: float) -> highspy.HighsLp:
    """One column a user and treatment; one row a user (exactly one treatment), and the budget last."""
    n, m = value.shape
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = n * m, n + 1
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.col_cost_ = value.ravel().astype(np.float64)
    lp.col_lower_, lp.col_upper_ = np.zeros(n * m), np.full(n * m, highspy.kHighsInf)
    lp.row_lower_ = np.append(np.ones(n), -highspy.kHighsInf)
    lp.row_upper_ = np.append(np.ones(n), budget)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.arange(0, 2 * n * m + 1, 2, dtype=np.int32)
    lp.a_matrix_.index_ = np.column_stack([np.repeat(np.arange(n), m), np.full(n * m, n)]).ravel().astype(np.int32)
    lp.a_matrix_.value_ = np.column_stack([np.ones(n * m), cost.ravel()]).ravel().astype(np.float64)
    return lp


def solve(value: np.ndarray, cost: np.ndarray, budget: float) -> Answer:
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("solver", "ipm")
    solver.setOptionValue("run_crossover", "off")
    solver.setOptionValue("time_limit", TIME_LIMIT_SECONDS)
    solver.passModel(_model(value, cost, budget))
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise TimeoutError(solver.modelStatusToString(solver.getModelStatus()))
    solution = solver.getSolution()
    share = np.asarray(solution.col_value)
    multiplier = abs(float(solution.row_dual[-1]))
    best = (value - multiplier * cost.astype(np.float64)).max(axis=1).sum()
    return {
        "value": float(share @ value.ravel().astype(np.float64)),
        "spend": float(share @ cost.ravel().astype(np.float64)),
        "bound": float(best) + multiplier * budget,
        "choice": None,
    }
