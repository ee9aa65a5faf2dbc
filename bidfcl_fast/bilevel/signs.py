"""Signs that a training went wrong, said as warnings."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..data.table import Table
from ..methods._job import Job, TrainingWarning
from ..methods._losses import columns
from ..methods._units import Units
from ..methods.finish import overspend
from .labels import Batch

if TYPE_CHECKING:
    from .trainer import BiDFCL


def warn_of_training(method: BiDFCL, job: Job, rct: Table) -> None:
    """Warn of gates that stopped learning, of a price of money held at its bounds, and of plans that overspend on the trial."""
    s, found = method.settings_, []
    if s.learn and {"gate", "factual_gate"} & set(s.learn):
        said = method.bridge_(sample(method.units_, rct, method.device))
        for name, gate in (("gate", said.gate), ("factual_gate", said.factual)):
            if isinstance(gate, Tensor) and name in s.learn:
                closed = float(((gate < 0.02) | (gate > 0.98)).float().mean())
                if closed > 0.95:
                    found.append(
                        f"the {name} is all 0 or 1 ({closed:.0%} of the cells): it has stopped learning; lower bridge_lr"
                    )
    if method.upper_ and s.multiplier_grad == "implicit" and s.price_bounds is not None:
        held = float(np.mean([row["price_held"] for row in method.upper_]))
        if held > 0.1:
            found.append(f"the price of money was outside its bounds {s.price_bounds} in {held:.0%} of the upper steps")
    if job.budgets is not None and (job.budgets > 0).all():
        over = overspend(method.fitted_, job.val if job.val is not None else rct, job.budgets)
        if float(over.max()) > 0.1:
            found.append(f"plans sized by predicted cost spend {over.max():.0%} more than the budget on the trial")
    for text in found:
        warnings.warn(text, TrainingWarning, stacklevel=4)


def sample(units: Units, table: Table, device: Any, most: int = 4096) -> Batch:
    """Some of a table's rows, as a bridge takes them."""
    part = table[: min(most, len(table))]
    x, y = units.inputs(part.x, device), units.outcomes(part, device)
    at = columns(torch.from_numpy(part.treatment), part.treatments).to(device)
    return Batch(x, at, y, torch.zeros(len(x), 2 * part.treatments, device=device), torch.zeros(len(x), device=device))
