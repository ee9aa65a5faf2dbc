"""`tsm-sl`: the two-stage method. First predict value and cost of every treatment, then allocate on the predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..data.table import Table
from ..progress import Progress
from . import _fit
from .base import Method, part

Array = NDArray[Any]


class TwoStage(Method):
    """A small network with a value head and a cost head for each treatment, trained on the treatment received.

    Before its first step it predicts the mean of each treatment for everybody; what it learns is how people differ
    from that, and early stopping keeps the epoch that predicts held-out people best, which may be the start.

    Value is a probability (sigmoid, cross-entropy) where all observed values are 0 or 1, else a real number (squared
    error). Cost comes in two forms, chosen by `cost`:

    - "on-value": cost = value × amount, the amount learned from those whose value is 1. Right where money is paid
      only on success, as in the cash-incentive trial: E[cost | x, j] = P(value = 1 | x, j) · E[cost | value = 1, x, j],
      so a predicted cost can never come without the outcome that it pays for, nor be negative.
    - "direct": its own head, squared error.
    - "auto" (default): "on-value" if values are 0 or 1 and nothing was ever paid at value 0, else "direct".

    Parameters
    ----------
    data
        Which tables `fit` uses: "both" (whatever it is given), "rct" or "obs".
    cost
        "auto", "on-value" or "direct".
    width
        Units of the two hidden layers.
    epochs, batch, lr, decay, patience
        Of the fit; `decay` is the weight decay.
    holdout
        Share of the rows kept for early stopping where `fit` gets no `val`.
    members
        Networks averaged, each with its own start and held-out part; more of them, less noise.

    Source: the baseline TSM-SL of Bi-DFCL §5.1.
    """

    def __init__(
        self,
        *,
        data: str = "both",
        cost: str = "auto",
        width: int = 32,
        epochs: int = 200,
        batch: int = 256,
        lr: float = 2e-3,
        decay: float = 0.1,
        patience: int = 15,
        holdout: float = 0.2,
        members: int = 1,
    ) -> None:
        self.data, self.cost, self.width = data, cost, width
        self.epochs, self.batch, self.lr, self.decay, self.patience = epochs, batch, lr, decay, patience
        self.holdout, self.members = holdout, members

    def fit(
        self,
        *,
        rct: Table | None = None,
        obs: Table | None = None,
        val: Table | None = None,
        budget: Any = None,
        seed: int = 0,
        progress: bool = True,
    ) -> TwoStage:
        """Learn from `rct` [N rows], `obs` or both, as `data` says.

        `val` is for early stopping; without it a share `holdout` of the rows is set aside. `budget` is accepted, as by
        every method, and not used: this one learns the same predictions for every budget. Same seed, same result.

        Raises
        ------
        ValueError
            If the table that `data` asks for is missing, or nobody received some treatment.
        """
        table = self._chosen(rct, obs)
        if val is None and not 0 < self.holdout < 1:
            raise ValueError(f"holdout must be between 0 and 1 where there is no val=, got {self.holdout}")
        absent = np.flatnonzero(np.bincount(table.treatment, minlength=table.treatments) == 0)
        if absent.size:
            raise ValueError(f"nobody in the table received treatment {absent[0]}: nothing can be learned about it")
        binary = bool(np.isin(table.value, (0, 1)).all())
        form = self.cost
        if form == "auto":
            form = (
                "on-value" if binary and not table.cost[table.value == 0].any() and table.cost.min() >= 0 else "direct"
            )
        if form not in ("on-value", "direct"):
            raise ValueError(f"cost must be 'auto', 'on-value' or 'direct', got {self.cost!r}")
        if form == "on-value" and not binary:
            raise ValueError("cost='on-value' needs values of 0 and 1")

        self.treatments_, self.features_ = table.treatments, table.x.shape[1]
        self.nets_: list[_Heads] = []
        self.history_: list[_fit.History] = []
        with (
            _fit.quiet_threads(len(table)),
            torch.random.fork_rng(devices=[]),
            Progress("fitting tsm-sl", self.members * self.epochs, show=progress) as line,
        ):
            for member in range(self.members):
                rng = np.random.default_rng([seed, member])
                train, held = (table, val) if val is not None else part(table, self.holdout, rng)
                held = held if len(held) else train  # too few rows to spare any
                torch.manual_seed(int(rng.integers(2**31)))
                net = _Heads(train, self.width, binary, form == "on-value")
                batches, kept = _Batch(train), _Batch(held)
                history = _fit.fit(
                    net,
                    lambda rows, net=net, batches=batches: net.loss(batches.take(rows)),  # type: ignore[misc]
                    lambda net=net, kept=kept: net.loss(kept),  # type: ignore[misc]
                    len(train),
                    epochs=self.epochs,
                    batch=self.batch,
                    lr=self.lr,
                    decay=self.decay,
                    patience=self.patience,
                    generator=torch.Generator().manual_seed(int(rng.integers(2**31))),
                    step=line.step,
                )
                self.nets_.append(net)
                self.history_.append(history)
        return self

    def predict(self, x: Any) -> tuple[Array, Array]:
        """Predicted value and cost, float64 [N, M] each, of people with features x [N, F]."""
        if not hasattr(self, "nets_"):
            raise RuntimeError("this method is not fitted yet: call fit first")
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != self.features_:
            raise ValueError(f"x must be [N, {self.features_}] as in fit, got shape {list(x.shape)}")
        with torch.no_grad(), _fit.quiet_threads(len(x)):
            outs = [net.predict(torch.as_tensor(x, dtype=torch.float32)) for net in self.nets_]
        value = np.mean([v.double().numpy() for v, _ in outs], axis=0)
        cost = np.mean([c.double().numpy() for _, c in outs], axis=0)
        return value, cost

    def _chosen(self, rct: Table | None, obs: Table | None) -> Table:
        if self.data not in ("both", "rct", "obs"):
            raise ValueError(f"data must be 'both', 'rct' or 'obs', got {self.data!r}")
        tables = [t for name, t in (("rct", rct), ("obs", obs)) if t is not None and self.data in (name, "both")]
        if not tables:
            raise ValueError("fit needs rct= or obs=" if self.data == "both" else f"fit needs {self.data}=")
        if len(tables) == 1:
            return tables[0]
        a, b = tables
        if a.x.shape[1] != b.x.shape[1] or a.treatments != b.treatments:
            raise ValueError("rct and obs must have the same features and treatments")
        return Table(
            np.concatenate([a.x, b.x]),
            np.concatenate([a.treatment, b.treatment]),
            np.concatenate([a.value, b.value]),
            np.concatenate([a.cost, b.cost]),
            treatments=a.treatments,
        )


class _Batch:
    """A table as tensors."""

    def __init__(self, table: Table | None = None) -> None:
        if table is not None:
            self.x = torch.as_tensor(table.x, dtype=torch.float32)
            self.treatment = torch.as_tensor(table.treatment)[:, None]
            self.value = torch.as_tensor(table.value, dtype=torch.float32)
            self.cost = torch.as_tensor(table.cost, dtype=torch.float32)

    def take(self, rows: Tensor) -> _Batch:
        out = _Batch()
        out.x, out.treatment = self.x[rows], self.treatment[rows]
        out.value, out.cost = self.value[rows], self.cost[rows]
        return out


class _Heads(nn.Module):
    """Standardise, two hidden layers, 2·M outputs that start at the means of the treatments."""

    def __init__(self, train: Table, width: int, binary: bool, on_value: bool) -> None:
        super().__init__()
        self.centre: Tensor
        self.scale: Tensor
        self.value_unit: Tensor
        self.cost_unit: Tensor
        self.cost_start: Tensor
        m = train.treatments
        self.binary, self.on_value, self.treatments = binary, on_value, m
        sd = train.x.std(0)
        self.register_buffer("centre", _float(train.x.mean(0)))
        self.register_buffer("scale", _float(np.where(sd > 0, sd, 1.0)))
        paid = train.value == 1 if on_value else np.ones(len(train), bool)
        value = _arm_means(train.value, train.treatment, m)
        cost = _arm_means(train.cost[paid], train.treatment[paid], m)
        self.register_buffer("value_unit", torch.tensor(1.0 if binary else float(train.value.std()) or 1.0))
        self.register_buffer(
            "cost_unit", torch.tensor(float(train.cost[paid].std()) if paid.any() else 1.0).clamp_min(1e-12)
        )
        self.register_buffer("cost_start", _float(cost))
        self.trunk = nn.Sequential(nn.Linear(train.x.shape[1], width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.value_head, self.cost_head = nn.Linear(width, m), nn.Linear(width, m)
        with torch.no_grad():
            for head in (self.value_head, self.cost_head):
                head.weight.zero_()
                head.bias.zero_()
            start = _float(value)
            self.value_head.bias.copy_(torch.logit(start.clamp(0.01, 0.99)) if binary else start / self.value_unit)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Raw value (a logit, or in units of the spread), and the cost (or, on value, the amount): [N, M] each."""
        h = self.trunk((x - self.centre) / self.scale)
        raw = self.cost_head(h)
        # An amount is the treatment's mean amount times a positive factor: a treatment that pays nothing stays at 0.
        cost = self.cost_start * raw.exp() if self.on_value else self.cost_start + self.cost_unit * raw
        return self.value_head(h), cost

    def predict(self, x: Tensor) -> tuple[Tensor, Tensor]:
        raw, cost = self(x)
        value = torch.sigmoid(raw) if self.binary else raw * self.value_unit
        return value, value * cost if self.on_value else cost

    def loss(self, batch: _Batch) -> Tensor:
        """Mean loss of the value, plus that of the cost (on value: among those who were paid)."""
        raw, cost = (out.gather(1, batch.treatment)[:, 0] for out in self(batch.x))
        if self.binary:
            of_value = nn.functional.binary_cross_entropy_with_logits(raw, batch.value)
        else:
            of_value = ((raw - batch.value / self.value_unit) ** 2).mean()
        error = ((cost - batch.cost) / self.cost_unit) ** 2
        if self.on_value:
            error = error * batch.value
        return of_value + error.mean()


def _arm_means(y: Array, treatment: Array, treatments: int) -> Array:
    """[M] means; a treatment without anybody gets the mean of all."""
    count = np.bincount(treatment, minlength=treatments)
    total = np.bincount(treatment, weights=y, minlength=treatments)
    overall = y.mean() if y.size else 0.0
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), overall))


def _float(x: Any) -> Tensor:
    return torch.as_tensor(x, dtype=torch.float32)
