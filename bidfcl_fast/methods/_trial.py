"""What a trial says of a network's decisions: the loss that decision-focused training goes down."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import losses
from .._decisions import positive
from ..data.table import Table
from ..errors import InfeasibleBudget
from ..labelled import labelled_multiplier
from ._fit import generator
from ._losses import columns
from ._units import Units

logger = logging.getLogger(__name__)

Array = NDArray[Any]

KINDS = ("ppl", "pifd", "dpl", "mer", "difd")
DUAL = ("dpl", "mer", "difd")


class TrialLoss:
    """`loss(outputs)`: the decision loss, the mean over budgets, of standardised outputs [N, 2M]; plus the squared error.

    Parameters
    ----------
    kind
        "ppl" or "pifd" at the multipliers that spend `budgets` on this trial, solved anew at every call; "dpl", "mer" or
        "difd" at `multipliers` in money, or where there are none at those that spend `budgets` at the first call.
    table
        The trial, N rows.
    units
        Standardise its features, values and costs: those of the networks whose outputs are judged.
    budgets
        [K] money per user; None for "dpl", "mer" and "difd" with `multipliers`.
    multipliers
        [K] value per unit of money, for "dpl", "mer" and "difd".
    weight_decision, weight_error
        Of the two terms. The squared error is the mean over rows of value's and cost's, in standard deviations.
    temperature
        In standard deviations of value.
    multiplier_grad, price_bounds
        As in `losses.ppl_loss`, for "ppl" and "pifd".
    min_gap
        As in `losses.pifd_loss`.
    rows
        Of a larger trial, each call takes so many rows at random, by `seed`.
    device
        Of the outputs.
    watch
        Whether `held` says, after each call, that a price of money was outside its bounds.
    """

    def __init__(
        self,
        kind: str,
        table: Table,
        units: Units,
        budgets: Array | None,
        *,
        temperature: float = 1.0,
        multiplier_grad: str = "implicit",
        price_bounds: tuple[float, float] | None = (0.0, 10.0),
        min_gap: float | None = 0.02,
        multipliers: Any = None,
        weight_decision: float = 1.0,
        weight_error: float = 0.0,
        rows: int = 65_536,
        device: Any = "cpu",
        seed: int = 0,
        watch: bool = True,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"loss must be one of {', '.join(KINDS)}, got {kind!r}")
        if multiplier_grad not in ("stop", "implicit"):
            raise ValueError(f"multiplier_grad must be 'stop' or 'implicit', got {multiplier_grad!r}")
        if weight_decision and budgets is None and not (kind in DUAL and multipliers is not None):
            raise ValueError("the decision loss needs budget=, money per person: one number or several")
        self.kind, self.units, self.budgets = kind, units, budgets
        self.temperature, self.min_gap = positive("temperature", temperature), min_gap
        self.multiplier_grad, self.bounds = multiplier_grad, price_bounds
        self.weight_decision, self.weight_error = weight_decision, weight_error
        self.treatments = table.treatments
        self.x = units.inputs(table.x, device)
        # What the module is called on: something else where only a part of it is trained.
        self.inputs = self.x
        self._watched = watch
        self.y = units.outcomes(table, device)
        self._columns = columns(torch.from_numpy(table.treatment), table.treatments).to(device)
        # Losses run on the CPU, where the labels stay; predictions come to them.
        self._treatment = torch.from_numpy(table.treatment)
        self._share = table.received_propensity.astype(np.float64)
        self._value = torch.from_numpy((table.value / units.sd[0]).astype(np.float32))
        self._cost = torch.from_numpy((table.cost / units.sd[1]).astype(np.float32))
        self._money = table.cost.astype(np.float64)
        self._worth = table.value.astype(np.float64)
        self._rows, self._seed, self.calls = rows, seed, 0
        self.multiplier: Array | None = None
        if kind in DUAL and multipliers is not None:
            given = np.atleast_1d(np.asarray(multipliers, np.float64))
            self.multiplier = given * units.sd[1] / units.sd[0]
        self.held = False  # whether the last price of money lay outside its bounds
        self._whole = slice(None)
        self._weight_whole = self._weights(self._whole)

    def _weights(self, rows: Any) -> Tensor:
        share = self._share[rows]
        return torch.from_numpy((1 / (len(share) * share)).astype(np.float32))

    def __call__(self, module: Any) -> Tensor:
        """The loss of `module`, which takes standardised features."""
        rows: Any = self._whole
        if len(self.x) > self._rows:
            draw = generator((self._seed, self.calls))
            rows = torch.randperm(len(self.x), generator=draw)[: self._rows]
        self.calls += 1
        return self.of(module(self.inputs[rows]), rows)

    def of(self, outputs: Tensor, rows: Any = slice(None)) -> Tensor:
        """The loss of outputs [n, 2M] of the rows `rows` of the trial."""
        total = outputs.new_zeros(())
        if self.weight_error:
            error = outputs.gather(1, self._columns[rows]) - self.y[rows]
            total = total + self.weight_error * error.square().sum(1).mean()
        if self.weight_decision:
            total = total + self.weight_decision * self._decision(outputs.cpu(), rows).to(total.device)
        return total

    def _decision(self, outputs: Tensor, rows: Any) -> Tensor:
        m = self.treatments
        value, cost = outputs[:, :m].contiguous(), outputs[:, m:].contiguous()
        if value.dtype != torch.float64:
            value, cost = value.float(), cost.float()
        whole = isinstance(rows, slice)
        weight = self._weight_whole if whole else self._weights(rows.numpy())
        labels = [t[rows].to(value.dtype) for t in (self._value, self._cost)]
        weight, treatment = weight.to(value.dtype), self._treatment[rows]
        if self.kind not in DUAL or self.multiplier is None:
            self.multiplier = self.solve(value, cost, rows)
        multiplier = torch.from_numpy(np.asarray(self.multiplier, np.float64))
        common = (value, cost, treatment, labels[0])
        options: dict[str, Any] = {"temperature": self.temperature}
        if self.kind in ("pifd", "difd"):
            options["min_gap"] = self.min_gap
        if self.kind in DUAL:
            dual: Any = {"dpl": losses.dpl_loss, "mer": losses.mer_loss, "difd": losses.difd_loss}[self.kind]
            return dual(*common, labels[1], weight, multiplier, **options) / len(multiplier)
        primal: Any = {"ppl": losses.ppl_loss, "pifd": losses.pifd_loss}[self.kind]
        if self.multiplier_grad == "implicit":
            options |= {
                "multiplier_grad": "implicit",
                "cost_outcome": labels[1],
                "price_bounds": self.bounds,
                "centre": True,
            }
            if self._watched:
                self._watch(common, labels[1], weight, multiplier)
        return primal(*common, weight, multiplier, **options) / len(multiplier)

    @torch.no_grad()
    def _watch(self, common: tuple[Tensor, ...], cost: Tensor, weight: Tensor, multiplier: Tensor) -> None:
        if self.bounds is None:
            return
        value_hat, cost_hat, treatment, value = common
        worth, money = (y - (weight * y).sum() / weight.sum() for y in (value, cost))
        price = losses.implied_price(
            value_hat, cost_hat, treatment, worth, money, weight, multiplier, temperature=self.temperature
        )
        self.held = bool(((price < self.bounds[0]) | (price > self.bounds[1])).any())

    def solve(self, value: Tensor, cost: Tensor, rows: Any = slice(None)) -> Array:
        """[K] multipliers, of standardised predictions, that spend the budgets on the trial.

        Where no multiplier of these predictions spends so little, the one that spends least.
        """
        at = rows if isinstance(rows, slice) else rows.numpy()
        share = self._share[at]
        given = (
            value.detach().numpy(), cost.detach().numpy(), self._treatment.numpy()[at], self._worth[at], self._money[at],
            1 / (len(share) * share),
        )  # fmt: skip
        assert self.budgets is not None
        try:
            return np.asarray(labelled_multiplier(*given, self.budgets).multiplier)
        except InfeasibleBudget as error:
            logger.warning("no multiplier spends as little as the budget on the trial: %s", error)
            # Spends are summed in float64: a hair above the least is within reach.
            least = error.least_budget + 1e-9 * abs(error.least_budget)
            return np.asarray(labelled_multiplier(*given, np.maximum(self.budgets, least)).multiplier)

    @torch.no_grad()
    def prices(self, module: Any) -> Array:
        """[K] implied prices of money (μ), standardised, of the decisions of `module` at the budgets; unclamped."""
        out = module(self.x).cpu().float()
        m = self.treatments
        value, cost = out[:, :m].contiguous(), out[:, m:].contiguous()
        multiplier = torch.from_numpy(self.solve(value, cost))
        labels = (self._treatment, self._value, self._cost, self._weight_whole)
        return losses.implied_price(value, cost, *labels, multiplier, temperature=self.temperature).numpy()

    @torch.no_grad()
    def policy(self, module: Any) -> tuple[float, Array]:
        """The mean of the largest probability of each soft decision, over users and budgets; and the multipliers [K]."""
        out = module(self.x).cpu().float()
        m = self.treatments
        value, cost = out[:, :m].contiguous(), out[:, m:].contiguous()
        multiplier = self.solve(value, cost)
        sharp = [
            float(torch.softmax((value - float(k) * cost) / self.temperature, 1).amax(1).mean()) for k in multiplier
        ]
        return float(np.mean(sharp)), multiplier
