"""PyEPO: an `optModel` on our solver, so that its loss families train for a budget. Needs pyepo."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyepo import EPO
from pyepo.model.opt import optModel

from .. import mckp
from .._arrays import to_numpy


class MCKPModel(optModel):  # type: ignore[misc]
    """Predict value, allocate a budget: one instance is N users × M treatments with known costs.

    What PyEPO calls the cost vector c is `value`, flattened to [N·M]; a solution w is the plan as zeros and ones, [N·M]; the objective
    w·c is to be maximised. PyEPO's losses that need constraints in matrix form (CaVE) or a relaxation (`relax`) are not served.

    Parameters
    ----------
    cost
        [N, M], money, the same for every instance.
    budget
        Total money for the N users of an instance.
    integrality
        As in `bf.solve_mckp`. PyEPO's losses mean an optimum: "proven", the default, is one; "gap" is faster and short of it by less than
        one hull edge.
    backend
        As in `bf.solve_mckp`.

    Raises
    ------
    InfeasibleBudget
        If no plan fits into the budget.
    """

    def __init__(self, cost: Any, budget: float, integrality: str = "proven", backend: str | None = None) -> None:
        self.cost = np.ascontiguousarray(to_numpy("cost", cost), np.float64)
        if self.cost.ndim != 2:
            raise ValueError(f"cost must be [N, M], got shape {list(self.cost.shape)}")
        self.budget, self.integrality, self.backend = float(budget), integrality, backend
        self._value = np.zeros(self.cost.shape)
        super().__init__()
        self.modelSense = EPO.MAXIMIZE
        self.solve()  # says at once if the budget is infeasible

    def _getModel(self) -> tuple[None, range]:  # noqa: N802  (PyEPO's name)
        return None, range(self.cost.size)

    def setObj(self, c: Any) -> None:  # noqa: N802  (PyEPO's name)
        """c [N·M]: the value of every user and treatment."""
        value = np.asarray(to_numpy("c", c), np.float64)
        if value.size != self.cost.size:
            raise ValueError(f"c must have {self.cost.size} numbers, users × treatments, got {value.size}")
        self._value = value.reshape(self.cost.shape)

    def solve(self) -> tuple[Any, float]:
        """The plan as float32 zeros and ones [N·M], and its value."""
        plan = mckp.solve_mckp(self._value, self.cost, self.budget, integrality=self.integrality, backend=self.backend)
        solution = np.zeros(self.cost.shape, np.float32)
        np.put_along_axis(solution, np.asarray(plan.choice)[:, None], 1, axis=1)
        return solution.ravel(), float(plan.value)


__all__ = ["MCKPModel"]
