"""Bisection in eager torch on the CPU, as the training loops of the papers have it."""

from __future__ import annotations

import numpy as np
import torch

from . import Answer, bisect


@torch.no_grad()
def solve(value: np.ndarray, cost: np.ndarray, budget: float) -> Answer:
    v, c = torch.from_numpy(value), torch.from_numpy(cost)

    def total(x: torch.Tensor) -> float:
        return x.sum(dtype=torch.float64).item()

    def wishes(multiplier: float) -> tuple[torch.Tensor, torch.Tensor]:
        best, choice = torch.sub(v, c, alpha=multiplier).max(dim=1, keepdim=True)
        return best, choice

    multiplier = bisect(lambda m: total(c.gather(1, wishes(m)[1])), budget)
    best, choice = wishes(multiplier)
    return {
        "value": total(v.gather(1, choice)),
        "spend": total(c.gather(1, choice)),
        "bound": total(best) + float(value.dtype.type(multiplier)) * budget,
        "choice": choice.squeeze(1).to(torch.int32).numpy(),
    }
