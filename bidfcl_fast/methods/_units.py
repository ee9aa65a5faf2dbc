"""Units: what networks see. Features and outcomes in standard deviations, and the way back to money."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.table import Table
from ._ranks import Ranks

Array = NDArray[Any]

# Rows predicted at once: memory stays flat however many there are.
_CHUNK = 65_536


@dataclass(frozen=True)
class Units:
    """`centre`, `scale`: [F] of the features. `mean`, `sd`: [2], of value and cost.

    Decisions do not depend on `mean`, which shifts all scores of a person alike; multipliers are in units of sd[0]/sd[1].
    """

    centre: Array
    scale: Array
    mean: Array
    sd: Array

    @classmethod
    def of(cls, tables: Sequence[Table], outcomes: Table, ranks: Ranks | None = None) -> Units:
        """Features of all `tables`; value and cost of `outcomes`, the trial where there is one: nobody chose its arms.

        `ranks`: the last of the tables is a part, and the others are on all ranks.
        """

        def summed(of: Callable[[Table], Any]) -> Any:
            if ranks is None:
                return sum(of(t) for t in tables)
            return sum((of(t) for t in tables[:-1]), ranks.total(of(tables[-1])))

        n = summed(len)
        centre = summed(lambda t: t.x.sum(0, dtype=np.float64)) / n
        square = summed(lambda t: np.square(t.x - centre).sum(0, dtype=np.float64)) / n
        pair = np.stack([outcomes.value, outcomes.cost]).astype(np.float64)
        scale, sd = (np.where(s > 0, s, 1.0) for s in (np.sqrt(square), pair.std(1)))
        return cls(np.asarray(centre), scale, pair.mean(1), sd)

    def inputs(self, x: Any, device: Any = "cpu") -> Tensor:
        """Standardised features, float32 [N, F]."""
        out = (np.asarray(x, np.float64) - self.centre) / self.scale
        return torch.from_numpy(out.astype(np.float32)).to(device)

    def outcomes(self, table: Table, device: Any = "cpu") -> Tensor:
        """Standardised observed value and cost, float32 [N, 2]."""
        pair = (np.column_stack([table.value, table.cost]).astype(np.float64) - self.mean) / self.sd
        return torch.from_numpy(pair.astype(np.float32)).to(device)

    def outside(self, predictions: tuple[Array, Array]) -> Array:
        """Predicted value and cost in money as standardised outputs, float32 [N, 2M]: values, then costs."""
        parts = [(p - m) / s for p, m, s in zip(predictions, self.mean, self.sd, strict=True)]
        return np.concatenate(parts, 1).astype(np.float32)

    def money(self, outputs: Tensor) -> tuple[Array, Array]:
        """Outputs [N, 2M] as predicted value and cost in money, float64 [N, M] each."""
        raw = outputs.detach().double().cpu().numpy()
        m = raw.shape[1] // 2
        return raw[:, :m] * self.sd[0] + self.mean[0], raw[:, m:] * self.sd[1] + self.mean[1]

    def arrays(self) -> dict[str, Array]:
        return {"centre": self.centre, "scale": self.scale, "mean": self.mean, "sd": self.sd}


@torch.no_grad()
def outputs(module: Any, x: Tensor) -> Tensor:
    """What the module says of x [N, F], a chunk of rows at a time."""
    if len(x) <= _CHUNK:
        found: Tensor = module(x)
        return found
    return torch.cat([module(part) for part in x.split(_CHUNK)])
