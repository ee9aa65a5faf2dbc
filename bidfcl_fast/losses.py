"""The decision losses of Bi-DFCL and DFCL for torch: what a trial says of the decisions that predictions lead to.

All of them take `value_hat, cost_hat` [N, M] or [B, N, M] (predicted value and cost of M treatments for N users, B problems), the
`treatment` each user received, the observed `outcome` (value), and `weight` = 1/(N·p_t), p_t the share of the users who received t
(`metrics.ipw_weight`). They return a scalar, or [B], and have exact first and second derivatives in value_hat and cost_hat; a third
raises. Arithmetic is that of the predictions, float32 for float16 and bfloat16. A row whose outcome is 0 costs next to nothing.

A user decides for the treatment with the largest score, value_hat − multiplier·cost_hat. Which multiplier spends a budget is
`metrics.eom`'s to say.
"""

from __future__ import annotations

import functools
import logging
import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from . import ops
from ._decisions import Family, Rule, Total, gap_rule, log_price, positive, price_range
from .autograd import FusedLoss, implicit_loss, policy_loss

__all__ = [
    "clipped_share",
    "decision_loss",
    "difd_loss",
    "dpl_loss",
    "drp_loss",
    "implied_price",
    "mer_loss",
    "pifd_loss",
    "ppl_loss",
]

logger = logging.getLogger(__name__)

_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def ppl_loss(
    value_hat: Tensor,
    cost_hat: Tensor,
    treatment: Tensor,
    outcome: Tensor,
    weight: Tensor,
    multiplier: Any,
    *,
    temperature: float = 1.0,
    multiplier_grad: str = "stop",
    cost_outcome: Tensor | None = None,
    price_bounds: tuple[float, float] | None = None,
    centre: bool = False,
    mask: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """Primal policy learning: −Σ_i weight_i·outcome_i·P_{i,t_i}, P the softmax of the scores over `temperature`.

    Parameters
    ----------
    value_hat, cost_hat
        [N, M] or [B, N, M] float32, float64, float16 or bfloat16.
    treatment
        [N] or [B, N] int64: the treatment received.
    outcome, weight
        [N] or [B, N]: observed value, and 1/(N·p_t).
    multiplier
        Value per unit of money, at least 0. One number; [K] with [N, M], K budgets whose losses are summed in one pass; [B] or
        [B, K] with [B, N, M]. Its own gradient is decided by the next argument.
    temperature
        Softness; small ones approach `decision_loss`. METHOD.md A8: predictions are best in standard deviations.
    multiplier_grad
        "stop", as the paper: the multiplier is a constant. "implicit": it follows the predictions so that the soft spend
        Σ weight·cost_outcome·P_t stays, which replaces outcome by outcome − μ·cost_outcome with μ the price of money that the trial
        itself shows (at a multiplier of 0 money is left over, and this is "stop"). It is the one whose direction lowers regret when predictions are confounded; its second derivative is that of
        the whole map.
    cost_outcome
        [N] or [B, N]: observed cost. For "implicit".
    price_bounds
        (low, high) for μ, for "implicit"; each clamping is logged as a warning, and the multiplier is then held constant. With
        outcomes in standard deviations, (0, 10) is a sound choice. None: no clamp.
    centre
        For "implicit": take the weighted means off both outcomes first, which changes no expectation and lowers the noise of μ.
    mask
        Same shape as value_hat, bool; False closes a treatment to a user. Rows whose own treatment is closed add nothing.
    backend
        As in `solve_mckp`.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    Source: Bi-DFCL §4.2, eq. 16, A.3 (temperature). The implicit form is this project's (METHOD.md §2.3).
    """
    options = _options(Rule(Family.PPL, positive("temperature", temperature)), backend)
    labels = _labels(value_hat, cost_hat, mask, treatment, weight, outcome, cost_outcome, multiplier)
    return _budgeted(value_hat, cost_hat, labels, options, multiplier_grad, price_bounds, centre)


def pifd_loss(
    value_hat: Tensor,
    cost_hat: Tensor,
    treatment: Tensor,
    outcome: Tensor,
    weight: Tensor,
    multiplier: Any,
    *,
    temperature: float = 1.0,
    variant: str = "paper",
    min_gap: float | None = None,
    window: float | None = None,
    multiplier_grad: str = "stop",
    cost_outcome: Tensor | None = None,
    price_bounds: tuple[float, float] | None = None,
    centre: bool = False,
    mask: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """Primal improved finite differences: Σ_ij g_ij·P_ij, g (a constant) the loss or gain at the decision boundary over its distance.

    Arguments are those of `ppl_loss`, and

    variant
        "paper": Algorithm 3. "exact": the true differences of the black box; they differ where a user's decision k is not the
        treatment t received and t is not the runner-up: lowering k then changes nothing, and Algorithm 3 says it does.
    min_gap
        Distances below it count as it. None: as the paper, no floor; a distance within rounding has no difference.
    window
        Instead of min_gap: distances below it count as it, those above have no difference at all (DFCL's clip "fix").
        `clipped_share` tells how many rows either touches.

    Source: Bi-DFCL Algorithm 3, A.4; METHOD.md §2.4 for what is wrong in it.
    """
    options = _options(gap_rule(variant, temperature, min_gap, window), backend)
    labels = _labels(value_hat, cost_hat, mask, treatment, weight, outcome, cost_outcome, multiplier)
    return _budgeted(value_hat, cost_hat, labels, options, multiplier_grad, price_bounds, centre)


def dpl_loss(
    value_hat: Tensor,
    cost_hat: Tensor,
    treatment: Tensor,
    outcome: Tensor,
    cost_outcome: Tensor,
    weight: Tensor,
    multipliers: Any,
    *,
    temperature: float = 1.0,
    mask: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """Dual policy learning: −Σ_λ Σ_i weight_i·(outcome_i − λ·cost_outcome_i)·P_{i,t_i}(λ), for a set of multipliers in one pass.

    `multipliers` is one number, [K] for a set, or [B, K]; the others are as in `ppl_loss`. DFCL's temperature is 1.

    Source: DFCL (dual decision loss, PL); Bi-DFCL A.7.
    """
    options = _options(Rule(Family.PPL, positive("temperature", temperature)), backend)
    labels = _labels(value_hat, cost_hat, mask, treatment, weight, outcome, cost_outcome, multipliers, dual=True)
    return _loss(value_hat, cost_hat, labels, options)


def mer_loss(
    value_hat: Tensor,
    cost_hat: Tensor,
    treatment: Tensor,
    outcome: Tensor,
    cost_outcome: Tensor,
    weight: Tensor,
    multipliers: Any,
    *,
    temperature: float,
    mask: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """Maximum entropy regulariser: `dpl_loss` with a temperature, which has to be chosen.

    Source: DFCL (MER).
    """
    return dpl_loss(
        value_hat, cost_hat, treatment, outcome, cost_outcome, weight, multipliers,
        temperature=temperature, mask=mask, backend=backend,
    )  # fmt: skip


def difd_loss(
    value_hat: Tensor,
    cost_hat: Tensor,
    treatment: Tensor,
    outcome: Tensor,
    cost_outcome: Tensor,
    weight: Tensor,
    multipliers: Any,
    *,
    temperature: float = 1.0,
    variant: str = "paper",
    min_gap: float | None = None,
    window: float | None = None,
    mask: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """Dual improved finite differences: `pifd_loss` of outcome − λ·cost_outcome, summed over a set of multipliers in one pass.

    Arguments are those of `dpl_loss`, and variant, min_gap and window those of `pifd_loss`.

    Source: Bi-DFCL Algorithm 5, A.7.
    """
    options = _options(gap_rule(variant, temperature, min_gap, window), backend)
    labels = _labels(value_hat, cost_hat, mask, treatment, weight, outcome, cost_outcome, multipliers, dual=True)
    return _loss(value_hat, cost_hat, labels, options)


def decision_loss(
    value_hat: Tensor,
    cost_hat: Tensor,
    treatment: Tensor,
    outcome: Tensor,
    weight: Tensor,
    multiplier: Any,
    *,
    mask: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """The hard decision's own loss: −Σ_i weight_i·outcome_i·1[i decides for the treatment received]. No gradient.

    Unbiased for minus the mean value of the decisions, if they were made without looking at these outcomes. Ties: largest score, then
    smallest cost, then smallest index. Arguments are those of `ppl_loss`.

    Source: Bi-DFCL eq. 11, A.2.
    """
    labels = _labels(value_hat, cost_hat, mask, treatment, weight, outcome, None, multiplier)
    options = _options(Rule(Family.DECISION), backend)
    return torch.ops.bidfcl.policy_loss(value_hat.detach(), cost_hat.detach(), *labels, *options)[0]


def implied_price(
    value_hat: Tensor,
    cost_hat: Tensor,
    treatment: Tensor,
    outcome: Tensor,
    cost_outcome: Tensor,
    weight: Tensor,
    multiplier: Any,
    *,
    temperature: float = 1.0,
    mask: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """μ = (∂V/∂λ)/(∂C/∂λ) of the soft decisions, as the trial shows it: what `ppl_loss` uses for "implicit", before any clamp.

    Returns
    -------
    float64 in the shape of the multiplier; 0 where nobody's decision moves, and at a multiplier of 0 (money is left over).
    """
    labels = _labels(value_hat, cost_hat, mask, treatment, weight, outcome, cost_outcome, multiplier)
    options = _options(Rule(Family.PPL, positive("temperature", temperature)), backend)
    args = (value_hat.detach(), cost_hat.detach(), *labels, *options)
    price = implicit_loss(-math.inf, math.inf, *args)[1]
    return price.reshape(multiplier.shape if isinstance(multiplier, Tensor) else torch.Size())


def clipped_share(
    value_hat: Tensor,
    cost_hat: Tensor,
    treatment: Tensor,
    outcome: Tensor,
    weight: Tensor,
    multiplier: Any,
    *,
    min_gap: float | None = None,
    window: float | None = None,
    mask: Tensor | None = None,
    backend: str | None = None,
) -> float:
    """The share of the rows with an outcome whose own distance to the decision boundary is below `min_gap` or `window`.

    Over all problems and multipliers, between 0 and 1. Arguments are those of `pifd_loss`; the others of that do not matter to it.
    """
    labels = _labels(value_hat, cost_hat, mask, treatment, weight, outcome, None, multiplier)
    options = _options(gap_rule("paper", 1.0, min_gap, window), backend)
    _, totals = torch.ops.bidfcl.policy_loss(value_hat.detach(), cost_hat.detach(), *labels, *options)
    clipped, rows = (float(totals[..., which].sum()) for which in (Total.CLIPPED_ROWS, Total.WEIGHTED_ROWS))
    return clipped / rows if rows else 0.0


def drp_loss(
    score: Tensor,
    treatment: Tensor,
    value: Tensor,
    cost: Tensor,
    *,
    shares: Any = None,
    weight: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """DHCL-style return on investment: at the minimum, sigmoid(score) is the lift in value over the lift in cost.

    With two arms, score [N] or [N, 1]:  −Σ_i w_i·(value_i·s_i + cost_i·ln(1 − σ(s_i))), w = 1/N_1 for the treated and −1/N_0
    for the others, which is convex in s where the lift in cost is positive. With M arms, score [N, M−1]: the same for each pair of
    neighbours (j−1, j), summed; σ(s_j) is then the marginal return of arm j over arm j−1. Value must be scaled so that returns
    are below 1. First and second derivatives in score; a third raises.

    Parameters
    ----------
    score
        [N], [N, M−1] or [B, N, M−1] float32, float64, float16 or bfloat16.
    treatment
        [N] or [B, N] int64, 0 … M−1, arms in the order of their cost.
    value, cost
        [N] or [B, N] observed value and cost.
    shares
        [M] probabilities p of the arms. None: those observed, and then every arm must have been received by somebody.
    weight
        [N] or [B, N], 1/(N·p_t) as in the other losses (`metrics.ipw_weight`), instead of shares: a batch takes its trial's.
    backend
        As in `solve_mckp`.

    Source: DHCL (Zhou et al., AAAI 2023), reconstructed in METHOD.md §2.7: "DHCL-style", not the authors' code.
    """
    if not isinstance(score, Tensor) or score.dtype not in _FLOATS or score.dim() not in (1, 2, 3):
        raise ValueError(f"score must be a float tensor [N], [N, M-1] or [B, N, M-1], got {_what(score)}")
    s = score.unsqueeze(1) if score.dim() == 1 else score
    if s.shape[-1] == 0:
        raise ValueError("score has no steps between treatments: expected M >= 2")
    if weight is not None and shares is not None:
        raise ValueError("give shares or weight, not both")
    shapes = [s.shape[-2:-1]] if s.dim() == 2 else [s.shape[-2:-1], s.shape[:-1]]
    _check_integers(treatment, shapes)
    if weight is None:
        weight = _drp_weight(treatment, s, shares)
    # Nothing is bought at a price here: no cost, one multiplier.
    labels = _labels(
        s, s.new_zeros(()).expand(s.shape), None, treatment, weight, value, cost, 0.0, names=("value", "cost")
    )
    return _loss(s, s.new_zeros(()).expand(s.shape), labels, _options(Rule(Family.DRP), backend))


def _drp_weight(treatment: Tensor, score: Tensor, shares: Any) -> Tensor:
    """[N] or [B, N]: one over how many received the same treatment, or would have by the shares."""
    n, arms = score.shape[-2], score.shape[-1] + 1
    t = treatment.clamp(0, arms - 1)  # one that is out of range is named by the loss
    if shares is None:
        ones = torch.ones(t.shape, dtype=torch.float64, device=t.device)
        counts = torch.zeros(*t.shape[:-1], arms, dtype=torch.float64, device=t.device).scatter_add(-1, t, ones)
        if _plain(score, score) and t.device.type == "cpu" and not bool((counts > 0).all()):
            missing = int((counts == 0).nonzero()[0, -1])
            raise ValueError(f"nobody received treatment {missing}: give shares or weight, or leave it out")
    else:
        p = (
            shares.double()
            if isinstance(shares, Tensor)
            else torch.tensor([float(x) for x in shares], dtype=torch.float64)
        ).to(t.device)
        if p.shape != (arms,) or (_plain(score, score) and p.device.type == "cpu" and not bool((p > 0).all())):
            raise ValueError(f"shares must be [{arms}] positive numbers, got {shares}")
        counts = (n * p).expand(*t.shape[:-1], arms)
    return (1 / counts).gather(-1, t).to(ops.arithmetic(score.dtype))


# --- From arguments to Functions --------------------------------------------------------------------------------------


def _budgeted(
    value: Tensor, cost: Tensor, labels: tuple, options: ops.Options, multiplier_grad: str, bounds: Any, centre: bool
) -> Tensor:
    if multiplier_grad == "stop":
        # The cost is no part of this loss.
        return _loss(value, cost, (*labels[:4], None, *labels[5:]), options)
    if multiplier_grad != "implicit":
        raise ValueError(f"multiplier_grad must be 'stop' or 'implicit', got {multiplier_grad!r}")
    mask, treatment, weight, outcome, cost_outcome, multiplier, _ = labels
    if cost_outcome is None:
        raise ValueError("multiplier_grad='implicit' needs cost_outcome, the observed cost")
    low, high = price_range(bounds)
    if centre:
        total = weight.sum(-1, keepdim=True)
        outcome, cost_outcome = (y - (weight * y).sum(-1, keepdim=True) / total for y in (outcome, cost_outcome))
    labels = (mask, treatment, weight, outcome, cost_outcome, multiplier, None)
    loss, price, slope = implicit_loss(low, high, value, cost, *labels, *options)
    if _plain(value, cost) and value.device.type == "cpu":
        _log(price, (slope == 0) & (multiplier > 0))
    return loss


def _log(price: Tensor, held: Tensor) -> None:
    if bool(held.any()):
        log_price(price[held].tolist())
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("price of money %s", price.tolist())


def _loss(value: Tensor, cost: Tensor, labels: tuple, options: ops.Options) -> Tensor:
    # On a device the gradient is made when it is asked for, at its scale: to multiply one that is there already would be
    # one more reading and writing, and to ask whether it must be would be to wait.
    if _plain(value, cost) and value.device.type == "cpu":
        if torch.is_grad_enabled() and (value.requires_grad or cost.requires_grad):
            return FusedLoss.apply(value, cost, labels, options)
        return ops.value_of(value, cost, labels, options)[0]
    return policy_loss(value, cost, *labels, *options)


def _plain(value: Tensor, cost: Tensor) -> bool:
    """Whether nothing looks over torch's shoulder: no compiler, transform, mode, forward derivative or subclass."""
    return not (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack() > 0
        or forward_ad._current_level >= 0
        or type(value) not in (Tensor, torch.nn.Parameter)
        or type(cost) not in (Tensor, torch.nn.Parameter)
    )


def _options(rule: Rule, backend: str | None) -> ops.Options:
    return (int(rule.family), rule.temperature, rule.bound, rule.window, backend or "")


def _labels(
    value: Tensor,
    cost: Tensor,
    mask: Tensor | None,
    treatment: Tensor,
    weight: Tensor,
    outcome: Tensor,
    cost_outcome: Tensor | None,
    multiplier: Any,
    dual: bool = False,
    names: tuple[str, str] = ("outcome", "cost_outcome"),
) -> tuple:
    """The checked arguments, as the ops want them: mask, treatment, weight, outcome, cost_outcome, multiplier, price."""
    if not isinstance(value, Tensor) or value.dtype not in _FLOATS or value.dim() not in (2, 3):
        raise ValueError(f"value_hat must be a float tensor [N, M] or [B, N, M], got {_what(value)}")
    if value.device.type not in ("cpu", "cuda", "meta"):
        raise ValueError(f"value_hat is on {value.device}; the backends take tensors on the CPU or on a CUDA device")
    for name, x in (
        ("cost_hat", cost),
        ("mask", mask),
        ("treatment", treatment),
        (names[0], outcome),
        ("weight", weight),
        (names[1], cost_outcome),
    ):
        if isinstance(x, Tensor) and x.device != value.device:
            raise ValueError(f"{name} must be where value_hat is, on {value.device}, got {name} on {x.device}")
    if value.shape[-1] == 0:
        raise ValueError("value_hat has no treatments: expected M >= 1")
    if not isinstance(cost, Tensor) or cost.shape != value.shape or cost.dtype != value.dtype:
        raise ValueError(f"cost_hat must be like value_hat, {_what(value)}, got {_what(cost)}")
    if mask is not None and (not isinstance(mask, Tensor) or mask.shape != value.shape or mask.dtype != torch.bool):
        raise ValueError(f"mask must be bool {list(value.shape)} like value_hat, got {_what(mask)}")
    shapes = [value.shape[-2:-1]] if value.dim() == 2 else [value.shape[-2:-1], value.shape[:-1]]
    _check_integers(treatment, shapes)
    _check_label(names[0], outcome, shapes, value)
    _check_label("weight", weight, shapes, value)
    if cost_outcome is not None:
        _check_label(names[1], cost_outcome, shapes, value)
    elif dual:
        raise ValueError("cost_outcome is needed: a dual loss counts value − λ·cost")
    m = _multiplier(multiplier, value, dual)
    return (mask, treatment, weight, outcome, cost_outcome, m, m if dual else None)


def _multiplier(given: Any, value: Tensor, dual: bool) -> Tensor:
    """[K] with [N, M], [B, K] with [B, N, M]; float64, contiguous."""
    name = "multipliers" if dual else "multiplier"
    if type(given) is float and value.dim() == 2 and value.is_cpu and 0 <= given < math.inf and _plain(value, value):
        return _number(given)
    if isinstance(given, (int, float)):  # where a graph is captured, a kernel like any other
        m = torch.full((), given, dtype=torch.float64, device=value.device)
    elif not isinstance(given, Tensor):
        m = torch.tensor(given, dtype=torch.float64).to(value.device)
    else:
        if given.requires_grad and torch.is_grad_enabled():
            raise ValueError(
                f"{name} requires a gradient, which these losses do not give: detach it, or use multiplier_grad='implicit'"
            )
        m = given.detach() if given.dtype == torch.float64 else given.detach().to(torch.float64)
    if isinstance(given, Tensor) and m.device != value.device:
        m = m.to(value.device)
    if _plain(value, value) and (m.device.type == "cpu" or isinstance(given, (int, float))):
        numbers: list[float] = [given] if isinstance(given, (int, float)) else m.reshape(-1).tolist()
        if not all(0 <= x < math.inf for x in numbers):
            raise ValueError(f"{name} must be finite and at least 0, got {numbers if m.dim() else numbers[0]}")
    if value.dim() == 2:
        if m.dim() > 1 or m.numel() == 0:
            raise ValueError(f"{name} must be one number or [K] with value_hat [N, M], got shape {list(m.shape)}")
        return m if m.dim() else m.reshape(1)
    b = value.shape[0]
    # [B] are B problems' own; for the dual losses a set [K] is every problem's.
    if m.dim() == 1:
        m = m.unsqueeze(0) if dual else m.unsqueeze(1)
    if m.dim() > 2 or m.numel() == 0 or (m.dim() == 2 and m.shape[0] not in (1, b)):
        expected = f"[K] or [{b}, K]" if dual else f"[{b}] or [{b}, K]"
        raise ValueError(
            f"{name} must be one number, {expected} with value_hat {list(value.shape)}, got shape {list(given.shape)}"
        )
    return m.expand(b, m.shape[-1] if m.dim() == 2 else 1).contiguous()


@functools.lru_cache(maxsize=64)
def _number(x: float) -> Tensor:
    """[1], the same tensor for the same number: nobody writes to it, and to make one takes as long as a small batch."""
    return torch.tensor([x], dtype=torch.float64)


def _check_integers(treatment: Any, shapes: list) -> None:
    if not isinstance(treatment, Tensor) or treatment.dtype != torch.int64 or treatment.shape not in shapes:
        raise ValueError(f"treatment must be int64 {_either(shapes)}, got {_what(treatment)}")


def _check_label(name: str, x: Any, shapes: list, value: Tensor) -> None:
    if not isinstance(x, Tensor) or x.shape not in shapes:
        raise ValueError(f"{name} must be a tensor {_either(shapes)}, got {_what(x)}")
    if x.dtype not in (value.dtype, ops.arithmetic(value.dtype)):
        raise TypeError(
            f"{name} must be {ops.arithmetic(value.dtype)} beside value_hat of {value.dtype}, got {x.dtype}"
        )


def _either(shapes: list) -> str:
    return " or ".join(str(list(shape)) for shape in shapes)


def _what(x: Any) -> str:
    return f"{list(x.shape)} of {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
