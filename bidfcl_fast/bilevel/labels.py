"""The lower level's labels: observed outcomes where there are any, a mixture of teacher and target elsewhere.

For gate w, teacher T and target r̂, the counterfactual label is w·T + (1−w)·r̂(θ). The paper does not say which θ that is, and
there are three readings of it (METHOD.md §3.3):

    A  θ as it was when the labels were made; then the label is a constant: (label − r̂)²
    B  θ live: w²·(T − r̂)²
    C  θ live, its gradient stopped: the gradient is that of w·(T − r̂)²

All three are a weighted squared error of every cell, which is how they are written here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

READINGS = ("A", "B", "C")


class Batch(NamedTuple):
    """Rows of the lower level.

    Attributes
    ----------
    x
        [n, F] standardised features.
    columns
        int64 [n, 2]: where the outputs hold value and cost of the treatment received.
    y
        [n, 2] standardised observed value and cost.
    teacher
        [n, 2M] the teacher's outputs.
    trial
        [n] 1 where the row is the trial's, else 0: a trial's outcomes are never corrected nor mixed.
    weight
        [n, 2] of the observed value and cost; None: 1.
    """

    x: Tensor
    columns: Tensor
    y: Tensor
    teacher: Tensor
    trial: Tensor
    weight: Tensor | None = None


class Part(NamedTuple):
    """What one process has of a batch that several share; its `Batch` holds these rows alone.

    Attributes
    ----------
    rows
        Of the whole batch.
    places
        int64 [..., n]: where this process's rows stand in the whole batch, rising; -1: a row that counts for nothing, which a
        process that has none of the batch gives all the same.
    """

    rows: int
    places: Tensor

    @property
    def share(self) -> float:
        """How much of the whole batch this process has."""
        return int((self.places >= 0).sum()) / self.rows


class Labels(NamedTuple):
    """`label`, `weight`: [n, 2M]; the lower loss is the mean over rows of Σ weight·(label − outputs)²."""

    label: Tensor
    weight: Tensor

    def loss(self, outputs: Tensor) -> Tensor:
        return (self.weight * (self.label - outputs).square()).sum(1).mean()


class Bridged(NamedTuple):
    """What a bridge says of rows: `gate` [n, 2M] or a number, `factual` [n, 2] or a number, `shift` [n, 2] or 0."""

    gate: Tensor | float
    factual: Tensor | float
    shift: Tensor | float


def mixed(
    batch: Batch, bridged: Bridged, reading: str, start: Tensor | None = None, counterfactual_weight: float = 1.0
) -> Labels:
    """Labels of a batch, differentiable in what the bridge says. `start`: the target's outputs, for reading A.

    Observed outcomes of the log become (1 − w_f)·(y + shift) + w_f·T.
    """
    if reading not in READINGS:
        raise ValueError(f"reading must be one of {', '.join(READINGS)}, got {reading!r}")
    teacher = batch.teacher
    seen, log = batch.y, 1 - batch.trial.unsqueeze(1)
    if isinstance(bridged.shift, Tensor) or bridged.shift:
        seen = seen + log * bridged.shift
    if isinstance(bridged.factual, Tensor) or bridged.factual:
        seen = seen + log * bridged.factual * (teacher.gather(1, batch.columns) - seen)
    gate = bridged.gate if isinstance(bridged.gate, Tensor) else torch.full_like(teacher, bridged.gate)
    if reading == "A":
        if start is None:
            raise ValueError("reading 'A' needs the target's outputs when the labels are made")
        label, weight = start + gate * (teacher - start), torch.ones_like(teacher)
    else:
        label, weight = teacher, gate * gate if reading == "B" else gate
    if counterfactual_weight != 1:
        weight = weight * counterfactual_weight
    of_seen = torch.ones_like(seen) if batch.weight is None else batch.weight
    return Labels(label.scatter(1, batch.columns, seen), weight.scatter(1, batch.columns, of_seen))
