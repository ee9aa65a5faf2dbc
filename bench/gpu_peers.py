"""What else one would run on a GPU, in torch: eager and compiled losses, a bisection, and a dual ascent as in DuaLip.

The dual ascent is an accelerated (Nesterov) ascent on the dual function of the budget constraint with a slightly smoothed primal, the
recipe of DuaLip (Basu et al., ICML 2020) for one coupling constraint; written for this comparison.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def ppl(v: Tensor, c: Tensor, t: Tensor, y: Tensor, w: Tensor, multiplier: float) -> Tensor:
    """The primal policy loss as its formula reads."""
    policy = torch.softmax(v - multiplier * c, dim=-1)
    return -(w * y * policy.gather(-1, t.unsqueeze(-1)).squeeze(-1)).sum()


def compiled() -> Any:
    return torch.compile(ppl)


def bisection(v: Tensor, c: Tensor, budget: float, steps: int = 50) -> tuple[Tensor, float]:
    """Choices within the budget, and their value: halve an interval of multipliers, one reading a step."""
    low, high = 0.0, float((v.abs().max() / c[c > 0].min()).clamp(max=1e6)) if bool((c > 0).any()) else 1.0
    for _ in range(steps):
        middle = (low + high) / 2
        choice = (v - middle * c).argmax(-1, keepdim=True)
        if float(c.gather(-1, choice).sum(dtype=torch.float64)) > budget:
            low = middle
        else:
            high = middle
    choice = (v - high * c).argmax(-1, keepdim=True)
    return choice.squeeze(-1), float(v.gather(-1, choice).sum(dtype=torch.float64))


def dual_ascent(v: Tensor, c: Tensor, budget: float, steps: int = 200, smooth: float = 1e-3) -> tuple[Tensor, float]:
    """Choices, and the least dual bound seen. The multiplier stays on the device; a look every 20 steps."""
    n = len(v)
    scale = budget / n if budget > 0 else 1.0
    multiplier = torch.zeros((), dtype=torch.float64, device=v.device)
    before = multiplier.clone()
    bound = torch.full((), torch.inf, dtype=torch.float64, device=v.device)
    step = torch.as_tensor(float(v.abs().mean()) / scale / scale / n, dtype=torch.float64, device=v.device)
    for k in range(steps):
        ahead = (multiplier + k / (k + 3) * (multiplier - before)).clamp_min(0)
        score = v - ahead.to(v.dtype) * c
        spend = (torch.softmax(score / smooth, -1) * c).sum(dtype=torch.float64)
        bound = torch.minimum(bound, score.amax(-1).sum(dtype=torch.float64) + ahead * budget)
        before, multiplier = multiplier, (ahead + step * (spend - budget)).clamp_min(0)
        if k % 20 == 19 and bool((spend - budget).abs() < 1e-5 * budget):
            break
    return (v - multiplier.to(v.dtype) * c).argmax(-1), float(bound)
