"""What every method has in common: scikit-learn's manners, and predict-then-allocate."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.table import Table
from ..mckp import Plan, solve_mckp

Array = NDArray[Any]


class Method(ABC):
    """A model of value and cost for each person and treatment. Its parameters are its constructor's."""

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments as they stand; `deep` is accepted for scikit-learn's sake."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> Method:
        """Change some of them; the fit, if any, stays until `fit` is called again."""
        known = self._names()
        for name in params:
            if name not in known:
                raise ValueError(
                    f"unknown parameter {name!r} of {type(self).__name__}; expected one of {', '.join(known)}"
                )
        for name, given in params.items():
            setattr(self, name, given)
        return self

    @abstractmethod
    def fit(
        self,
        *,
        rct: Table | None = None,
        obs: Table | None = None,
        val: Table | None = None,
        budget: Any = None,
        seed: int = 0,
        progress: bool = True,
    ) -> Method:
        """Learn from a trial, a log or both; `val` for early stopping; `budget` is money per person, one or several."""

    @abstractmethod
    def predict(self, x: Any) -> tuple[Array, Array]:
        """Predicted value and cost, [N, M] each, of people with features x [N, F]."""

    def allocate(self, x: Any, budget: Any, **options: Any) -> Plan:
        """Predict, then `solve_mckp` with the total `budget` for these people; `options` go to it."""
        value, cost = self.predict(x)
        return solve_mckp(value, cost, budget, **options)

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's model selection asks of an estimator."""
        from sklearn.utils import InputTags, Tags, TargetTags

        target = TargetTags(required=True, two_d_labels=True, multi_output=True, single_output=False)
        return Tags(estimator_type=None, target_tags=target, input_tags=InputTags())

    def __repr__(self) -> str:
        defaults = {name: p.default for name, p in inspect.signature(type(self).__init__).parameters.items()}
        changed = ", ".join(f"{k}={v!r}" for k, v in self.get_params().items() if v != defaults.get(k))
        return f"{type(self).__name__}({changed})"


def part(table: Table, share: float, rng: np.random.Generator) -> tuple[Table, Table]:
    """Two parts at random, the second with about `share` of each treatment's people and never all of them."""
    second = np.zeros(len(table), bool)
    for j in range(table.treatments):
        rows = rng.permutation(np.flatnonzero(table.treatment == j))
        second[rows[: min(round(share * len(rows)), len(rows) - 1)]] = len(rows) > 1
    return table[~second], table[second]
