"""The decision losses as torch operators, namespace `bidfcl`: value, gradient and Hessian-vector product.

Each op is the derivative of the one before, of the losses of `losses.py`. They have no autograd of their own and say so;
`autograd.py` chains them. The functions below are what the ops run: eager code calls them without the dispatcher.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import _pool, backends
from ._decisions import Decisions, Family, Order, Rule, Total

_NUMPY = {torch.float32: np.float32, torch.float64: np.float64, torch.float16: np.uint16, torch.bfloat16: np.uint16}

_SMALL = _pool.LARGE // 8  # numbers, of any size


def arithmetic(dtype: torch.dtype) -> torch.dtype:
    """The precision of a loss and its labels: float32 for halves."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def empty_like(x: Tensor) -> Tensor:
    """Contiguous, uninitialised; large ones on the CPU in memory that was used before."""
    if x.device.type != "cpu":
        return torch.empty(x.shape, dtype=x.dtype, device=x.device)
    if x.numel() * x.element_size() < _pool.LARGE:
        return torch.empty(x.shape, dtype=x.dtype)
    return torch.from_numpy(_pool.empty(tuple(x.shape), np.dtype(_NUMPY[x.dtype]))).view(x.dtype)


def _labels(x: Tensor | None, like: Tensor) -> Tensor | None:
    return x if x is None or x.dtype == arithmetic(like.dtype) else x.to(arithmetic(like.dtype))


def _numbers(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.to(torch.float64).contiguous()


def _tensor(totals: Any) -> Tensor:
    return torch.from_numpy(totals) if isinstance(totals, np.ndarray) else totals


def _summed(totals: Any, value: Tensor) -> Tensor:
    """The loss: a scalar, or [B] with [B, N, M]."""
    dtype = arithmetic(value.dtype)
    if isinstance(totals, Tensor):  # on a device, where nobody waits for a number
        loss = totals[:, :, Total.LOSS].sum(1).to(dtype)
        return loss if value.dim() == 3 else loss[0]
    if value.dim() == 2:
        loss = totals.item(int(Total.LOSS)) if totals.shape[1] == 1 else sum(totals[0, :, Total.LOSS].tolist())
        return torch.scalar_tensor(loss, dtype=dtype)
    return torch.from_numpy(totals[:, :, Total.LOSS].sum(1)).to(dtype)


Labels = tuple[Tensor | None, Tensor, Tensor, Tensor | None, Tensor | None, Tensor, Tensor | None]
Options = tuple[int, float, float, bool, str]


@functools.lru_cache(maxsize=64)
def _rule(options: Options) -> Rule:
    family, temperature, bound, window, _ = options
    return Rule(Family(family), temperature, bound, window)


def decisions(value: Tensor, cost: Tensor, labels: Labels, options: Options, **more: Any) -> Decisions:
    mask, treatment, weight, outcome, cost_outcome, multiplier, price = labels
    return Decisions(
        value,
        None if options[0] == Family.DRP else cost,
        treatment,
        _labels(weight, value),
        _labels(outcome, value),
        _labels(cost_outcome, value),
        multiplier.contiguous(),
        _rule(options),
        mask,
        _numbers(price),
        **more,
    )


def _backend(value: Tensor, options: Options) -> Any:
    return backends.resolve(options[-1], on_device=value.device.type == "cuda")


def value_of(value: Tensor, cost: Tensor, labels: Labels, options: Options) -> tuple[Tensor, Any]:
    """The loss, and the totals [B, K, 5] of `_decisions.Total`."""
    totals = _backend(value, options).decision_loss(decisions(value, cost, labels, options), Order.VALUE)
    return _summed(totals, value), totals


def _outputs(value: Tensor, options: Options) -> tuple[Tensor, Tensor | None]:
    """Memory for the gradients in value and cost; the return on investment has but scores."""
    if value.numel() < _SMALL:  # fewer steps for a small batch, which notices them
        value_out = torch.empty_like(value, memory_format=torch.contiguous_format)
        return value_out, None if options[0] == Family.DRP else torch.empty_like(value_out)
    return empty_like(value), None if options[0] == Family.DRP else empty_like(value)


def _filled(out: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor]:
    value, cost = out
    return value, value.new_zeros(()).expand(value.shape) if cost is None else cost


def _own(x: Tensor) -> Tensor:
    """Memory for each number: what an op returns may be written to."""
    return x if x.is_contiguous() else torch.zeros(x.shape, dtype=x.dtype, device=x.device)


def gradient_of(
    value: Tensor, cost: Tensor, labels: Labels, options: Options, scale: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients, times `scale`, and the loss, from one pass."""
    d = decisions(value, cost, labels, options, scale=_numbers(scale))
    out = _outputs(value, options)
    totals = _backend(value, options).decision_loss(d, Order.GRADIENT, *out)
    return (*_filled(out), _summed(totals, value))


def hessian_of(
    value: Tensor,
    cost: Tensor,
    labels: Labels,
    options: Options,
    value_turn: Tensor,
    cost_turn: Tensor,
    scale: Tensor | None = None,
    turn: Tensor | None = None,
) -> tuple[Tensor, Tensor, Any]:
    """The Hessian times (value_turn, cost_turn), times `scale`, and the totals."""
    d = decisions(
        value,
        cost,
        labels,
        options,
        scale=_numbers(scale),
        turn=_numbers(turn),
        value_turn=value_turn.to(value.dtype),
        cost_turn=None if options[0] == Family.DRP else cost_turn.to(value.dtype),
    )
    out = _outputs(value, options)
    totals = _backend(value, options).decision_loss(d, Order.HESSIAN, *out)
    return (*_filled(out), totals)


# --- Registration -----------------------------------------------------------------------------------------------------

_ARGUMENTS = (
    "Tensor value, Tensor cost, Tensor? mask, Tensor treatment, Tensor weight, Tensor? outcome, Tensor? cost_outcome, "
    "Tensor multiplier, Tensor? price, int family, float temperature, float bound, bool window, str backend"
)
_SCHEMAS = {
    "policy_loss": f"({_ARGUMENTS}) -> (Tensor, Tensor)",
    "policy_loss_grad": f"({_ARGUMENTS}, Tensor? scale) -> (Tensor, Tensor, Tensor)",
    "policy_loss_hvp": f"({_ARGUMENTS}, Tensor value_turn, Tensor cost_turn, Tensor? scale, Tensor? turn)"
    " -> (Tensor, Tensor, Tensor)",
}


def _loss_like(value: Tensor) -> Tensor:
    return value.new_empty(value.shape[:-2], dtype=arithmetic(value.dtype))


def _totals_like(value: Tensor, multiplier: Tensor) -> Tensor:
    lead = value.shape[0] if value.dim() == 3 else 1
    return value.new_empty((lead, multiplier.shape[-1], len(Total)), dtype=torch.float64)


def _grid_like(value: Tensor) -> Tensor:
    return value.new_empty(value.shape)


def _policy_loss(value: Tensor, cost: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    loss, totals = value_of(value, cost, rest[:7], rest[7:])  # type: ignore[arg-type]
    return loss, _tensor(totals)


def _policy_loss_grad(value: Tensor, cost: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    gv, gc, loss = gradient_of(value, cost, rest[:7], rest[7:12], *rest[12:])  # type: ignore[arg-type]
    return gv, _own(gc), loss


def _policy_loss_hvp(value: Tensor, cost: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    hv, hc, totals = hessian_of(value, cost, rest[:7], rest[7:12], *rest[12:])  # type: ignore[arg-type]
    return hv, _own(hc), _tensor(totals)


def _fake_loss(value: Tensor, cost: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return _loss_like(value), _totals_like(value, rest[5])


def _fake_grad(value: Tensor, cost: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _grid_like(value), _grid_like(value), _loss_like(value)


def _fake_hvp(value: Tensor, cost: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _grid_like(value), _grid_like(value), _totals_like(value, rest[5])


def _refusing(name: str) -> Callable:
    """The op under autograd: passes on what needs no gradient, and refuses the rest instead of losing it."""

    def call(*args: Any) -> Any:
        if torch.is_grad_enabled() and any(isinstance(x, Tensor) and x.requires_grad for x in args):
            raise RuntimeError(
                f"bidfcl::{name} has no gradient of its own; call the functions of bidfcl_fast.losses instead"
            )
        with torch._C._AutoDispatchBelowAutograd():
            return getattr(torch.ops.bidfcl, name)(*args)

    return call


_library = torch.library.Library("bidfcl", "DEF")
for _name, _run, _fake in (
    ("policy_loss", _policy_loss, _fake_loss),
    ("policy_loss_grad", _policy_loss_grad, _fake_grad),
    ("policy_loss_hvp", _policy_loss_hvp, _fake_hvp),
):
    _library.define(_name + _SCHEMAS[_name], tags=(torch.Tag.pt2_compliant_tag,))
    _library.impl(_name, _run, "CPU")
    _library.impl(_name, _run, "CUDA")
    _library.impl(_name, _refusing(_name), "Autograd")
    torch.library.register_fake(f"bidfcl::{_name}", _fake, lib=_library)
