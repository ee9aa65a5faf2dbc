"""Chained autograd: value → gradient → Hessian-vector product → a refusal.

The vector-Jacobian product of the gradient is the Hessian times that vector, so each Function's backward is the next Function.
Third order raises: torch's own default would warn and return a wrong number.

Two Functions compute a value. `PolicyLoss` is pure (setup_context, ops, vmap, jvp) and serves torch.func and torch.compile (and both at once).
`FusedLoss` serves plain eager code: its forward computes the gradient in the same pass over the data, and hands it over, once, to the
first backward that wants nothing more.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from . import ops
from ._decisions import Total

# Every Function below ends its arguments with these fourteen.
ARGUMENTS = (
    "value", "cost", "mask", "treatment", "weight", "outcome", "cost_outcome", "multiplier", "price",
    "family", "temperature", "bound", "window", "backend",
)  # fmt: skip
_TENSORS = 9
_REST = (None,) * (len(ARGUMENTS) - 2)  # value and cost alone have gradients

# How many dimensions an argument has without leading ones; None: not a tensor.
_RANK = (2, 2, 2, 1, 1, 1, 1, 1, 1, None, None, None, None, None)


def _along(totals: Tensor, value: Tensor) -> Tensor:
    """The derivative of the loss along a direction, in the shape and precision of the loss."""
    along = totals[..., Total.LOSS].sum(-1).to(ops.arithmetic(value.dtype))
    return along if value.dim() == 3 else along.squeeze(0)


class PolicyHvp(Function):
    """(value_turn, cost_turn, scale, turn, …) → the Hessian times the direction, times scale, and the totals."""

    @staticmethod
    def forward(value_turn: Tensor, cost_turn: Tensor, scale: Any, turn: Any, *args: Any) -> Any:
        return torch.ops.bidfcl.policy_loss_hvp(*args, value_turn, cost_turn, scale, turn)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise RuntimeError(
            "the losses of bidfcl_fast have two derivatives and no third: a Hessian-vector product cannot be differentiated"
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        return PolicyHvp.backward(ctx)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return _folded(PolicyHvp, info, in_dims, args, (2, 2, 0, 1, *_RANK))


class PolicyGrad(Function):
    """(scale, …) → the gradients in value and cost, times scale [] or [B]."""

    @staticmethod
    def forward(scale: Tensor, *args: Any) -> Any:
        return torch.ops.bidfcl.policy_loss_grad(*args, scale)[:2]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs[: 1 + _TENSORS])
        ctx.save_for_forward(*inputs[: 1 + _TENSORS])
        ctx.options = inputs[1 + _TENSORS :]

    @staticmethod
    def backward(ctx: Any, value_turn: Tensor, cost_turn: Tensor) -> Any:
        (scale,), args = _saved(ctx, 1)
        hv, hc, totals = PolicyHvp.apply(value_turn, cost_turn, scale, None, *args)
        return (_along(totals, args[0]).to(scale.dtype), hv, hc, *_REST)

    @staticmethod
    def jvp(ctx: Any, scale_turn: Any, value_turn: Any, cost_turn: Any, *_: Any) -> Any:
        (scale,), args = _saved(ctx, 1)
        hv, hc, _totals = PolicyHvp.apply(*_directions(args, value_turn, cost_turn), scale, None, *args)
        if scale_turn is not None:
            gv, gc = PolicyGrad.apply(scale_turn, *args)
            hv, hc = hv + gv, hc + gc
        return hv, hc

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return _folded(PolicyGrad, info, in_dims, args, (0, *_RANK))


class PolicyLoss(Function):
    """(…) → the loss, [] or [B]."""

    @staticmethod
    def forward(*args: Any) -> Tensor:
        return torch.ops.bidfcl.policy_loss(*args)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs[:_TENSORS])
        ctx.save_for_forward(*inputs[:_TENSORS])
        ctx.options = inputs[_TENSORS:]

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> Any:
        _, args = _saved(ctx, 0)
        return (*PolicyGrad.apply(scale, *args), *_REST)

    @staticmethod
    def jvp(ctx: Any, value_turn: Any, cost_turn: Any, *_: Any) -> Tensor:
        _, args = _saved(ctx, 0)
        turns = _directions(args, value_turn, cost_turn)
        one = torch.ones(args[0].shape[:-2], dtype=ops.arithmetic(args[0].dtype), device=args[0].device)
        return _dot(PolicyGrad.apply(one, *args), turns)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return _folded(PolicyLoss, info, in_dims, args, _RANK)


class FusedLoss(Function):
    """`PolicyLoss` for plain eager tensors: one pass over the data for the value and the gradient.

    (value, cost, the other seven tensors, the options): torch looks at every argument of a Function, and a small batch notices.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor, cost: Tensor, labels: ops.Labels, options: ops.Options) -> Tensor:
        ctx.save_for_backward(value, cost, *labels)
        ctx.options = options
        *ctx.gradients, loss = ops.gradient_of(value, cost, labels, options)
        return loss

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> Any:
        made, ctx.gradients = ctx.gradients, None
        # Made once and given away: what the caller then does to them in place cannot reach another backward.
        if made is not None and not torch.is_grad_enabled() and not torch._C._are_functorch_transforms_active():
            if scale.item() == 1 if scale.dim() == 0 else bool((scale == 1).all()):
                return (*made, None, None)
            if made[0].itemsize > 2:  # halves would be rounded twice
                factor = scale if scale.dim() == 0 else scale[:, None, None]
                needed = ctx.needs_input_grad[:2]
                return (*(x.mul_(factor) if need else None for x, need in zip(made, needed, strict=True)), None, None)
        return (*PolicyGrad.apply(scale, *ctx.saved_tensors, *ctx.options), None, None)


class ImplicitHvp(Function):
    """(value_turn, cost_turn, scale, price, slope, …) → the Hessian of `ImplicitGrad` times the direction, and the totals."""

    @staticmethod
    def forward(value_turn: Tensor, cost_turn: Tensor, scale: Any, price: Tensor, slope: Tensor, *args: Any) -> Any:
        value, cost, mask, treatment, weight, outcome, cost_outcome, multiplier, _, *options = args
        moves = slope != 0
        safe = torch.where(moves, slope, 1.0)

        def per_multiplier(totals: Tensor, which: Total) -> Tensor:
            return torch.where(moves, totals[..., which].reshape(slope.shape) / safe, 0.0)

        hvp, grad = torch.ops.bidfcl.policy_loss_hvp, torch.ops.bidfcl.policy_loss_grad
        # C_θ·u: how the loss of the spend alone moves along the direction.
        spend = (value, cost, mask, treatment, weight, cost_outcome, None, multiplier, None, *options)
        turn = -per_multiplier(hvp(*spend, value_turn, cost_turn, None, None)[2], Total.LOSS)
        whole = (value, cost, mask, treatment, weight, outcome, cost_outcome, multiplier, price, *options)
        hv, hc, totals = hvp(*whole, value_turn, cost_turn, scale, turn)
        bend = per_multiplier(totals, Total.VALUE_SLOPE)
        gv, gc, _loss = grad(value, cost, mask, treatment, weight, None, cost_outcome, multiplier, bend, *options, None)
        return hv + gv, hc + gc, totals

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return PolicyHvp.backward(ctx)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        return PolicyHvp.backward(ctx)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return _folded(ImplicitHvp, info, in_dims, args, (2, 2, 0, 1, 1, *_RANK))


class ImplicitGrad(Function):
    """(scale, price, slope, …) → the gradients of the loss with the multiplier's own (METHOD.md §2.3), times scale.

    `price` and `slope`, [K] or [B, K], are functions of value and cost too, and the Hessian is that of the whole map, λ by the
    budget identity C(θ, λ) = b. With L the loss of outcome − μ·cost_outcome, μ held, a direction u, λ_θ = −C_θ/C_λ and
    λ̇ = λ_θ·u it is L_θθ·u + L_θλ·λ̇ + λ_θ (L_λθ·u + L_λλ·λ̇). A slope of 0 stands for a multiplier held constant.
    """

    @staticmethod
    def forward(scale: Tensor, price: Tensor, slope: Tensor, *args: Any) -> Any:
        return torch.ops.bidfcl.policy_loss_grad(*args[: _TENSORS - 1], price, *args[_TENSORS:], scale)[:2]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs[: 3 + _TENSORS])
        ctx.save_for_forward(*inputs[: 3 + _TENSORS])
        ctx.options = inputs[3 + _TENSORS :]

    @staticmethod
    def backward(ctx: Any, value_turn: Tensor, cost_turn: Tensor) -> Any:
        (scale, price, slope), args = _saved(ctx, 3)
        hv, hc, totals = ImplicitHvp.apply(value_turn, cost_turn, scale, price, slope, *args)
        return (_along(totals, args[0]).to(scale.dtype), None, None, hv, hc, *_REST)

    @staticmethod
    def jvp(
        ctx: Any, scale_turn: Any, price_turn: Any, slope_turn: Any, value_turn: Any, cost_turn: Any, *_: Any
    ) -> Any:
        (scale, price, slope), args = _saved(ctx, 3)
        turns = _directions(args, value_turn, cost_turn)
        hv, hc, _totals = ImplicitHvp.apply(*turns, scale, price, slope, *args)
        if scale_turn is not None:
            gv, gc = ImplicitGrad.apply(scale_turn, price, slope, *args)
            hv, hc = hv + gv, hc + gc
        return hv, hc

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return _folded(ImplicitGrad, info, in_dims, args, (0, 1, 1, *_RANK))


class ImplicitLoss(Function):
    """(low, high, …) → the loss at λ, whose gradient counts that λ follows the predictions along the budget.

    Also μ = (∂V/∂λ)/(∂C/∂λ), clamped to [low, high], and the slope ∂C/∂λ with the sign of a loss, each in the shape of the
    multiplier; the slope is 0 where μ was clamped, where nobody's decision moves, and at λ = 0, where the budget does not bind.
    """

    @staticmethod
    def forward(low: float, high: float, *args: Any) -> Any:
        loss, totals = torch.ops.bidfcl.policy_loss(*args)
        multiplier = args[_TENSORS - 2]
        slope = totals[..., Total.COST_SLOPE].reshape(multiplier.shape)
        moves = (slope != 0) & (multiplier > 0)  # at 0 money is left over, and λ stays there
        free = totals[..., Total.VALUE_SLOPE].reshape(multiplier.shape) / torch.where(moves, slope, 1.0)
        free = torch.where(moves, free, 0.0)
        price = torch.where(moves, free.clamp(low, high), 0.0)
        return loss, price, torch.where(moves & (price == free), slope, 0.0)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        _loss, price, slope = output
        ctx.mark_non_differentiable(price, slope)
        ctx.save_for_backward(price, slope, *inputs[2 : 2 + _TENSORS])
        ctx.save_for_forward(*output[1:], *inputs[2 : 2 + _TENSORS])
        ctx.options = inputs[2 + _TENSORS :]

    @staticmethod
    def backward(ctx: Any, scale: Tensor, *_: Any) -> Any:
        (price, slope), args = _saved(ctx, 2)
        return (None, None, *ImplicitGrad.apply(scale, price, slope, *args), *_REST)

    @staticmethod
    def jvp(ctx: Any, low: Any, high: Any, value_turn: Any, cost_turn: Any, *_: Any) -> Any:
        (price, slope), args = _saved(ctx, 2)
        turns = _directions(args, value_turn, cost_turn)
        one = torch.ones(args[0].shape[:-2], dtype=ops.arithmetic(args[0].dtype), device=args[0].device)
        return _dot(ImplicitGrad.apply(one, price, slope, *args), turns), None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return _folded(ImplicitLoss, info, in_dims, args, (None, None, *_RANK))


def _dot(grads: Any, turns: Any) -> Tensor:
    """The derivative of a loss along a direction, in its own precision."""
    (gv, gc), (uv, uc) = grads, turns
    dtype = ops.arithmetic(gv.dtype)
    return (gv * uv).sum((-2, -1), dtype=dtype) + (gc * uc).sum((-2, -1), dtype=dtype)


def _saved(ctx: Any, before: int) -> tuple[tuple, tuple]:
    tensors = ctx.saved_tensors
    return tensors[:before], (*tensors[before:], *ctx.options)


def _directions(args: tuple, value_turn: Any, cost_turn: Any) -> tuple[Tensor, Tensor]:
    zero = torch.zeros_like(args[0]) if value_turn is None or cost_turn is None else None
    return (zero if value_turn is None else value_turn), (zero if cost_turn is None else cost_turn)  # type: ignore[return-value]


def _folded(function: Any, info: Any, in_dims: Any, args: Any, rank: tuple) -> Any:
    """vmap: the new dimension becomes B, or joins it."""
    size = info.batch_size
    moved = [
        x if d is None or not isinstance(x, Tensor) else x.movedim(d, 0) for x, d in zip(args, in_dims, strict=True)
    ]
    value_at = len(rank) - len(_RANK)
    batch = moved[value_at].dim() - (in_dims[value_at] is not None) == 3
    problems = moved[value_at].shape[-3] if batch else None
    folded = []
    for x, d, r in zip(moved, in_dims, rank, strict=True):
        if not isinstance(x, Tensor):
            folded.append(x)
            continue
        own = x.dim() - (d is not None) - r  # has it a B of its own?
        x = x if d is not None else x.unsqueeze(0).expand(size, *x.shape)
        if problems is not None:
            x = x if own else x.unsqueeze(1).expand(size, problems, *x.shape[1:])
            x = x.reshape(size * problems, *x.shape[2:])
        folded.append(x)
    out = function.apply(*folded)

    def unfold(y: Tensor) -> Tensor:
        if y.shape[:1] == (size,) and problems is None:
            return y
        return y.reshape(size, problems or 1, *y.shape[1:])

    if isinstance(out, tuple):
        return tuple(unfold(y) for y in out), (0,) * len(out)
    return unfold(out), 0


# --- Entries ----------------------------------------------------------------------------------------------------------
# torch.compile takes these as they are instead of looking into the Functions: it refuses one with a jvp, and inside a transform
# (a compiled Hessian-vector product) it would record some without their second derivative. What torch itself does with them is
# traced one level below.


@torch.compiler.allow_in_graph
def policy_loss(*args: Any) -> Any:
    """The loss of `PolicyLoss`."""
    return PolicyLoss.apply(*args)


@torch.compiler.allow_in_graph
def implicit_loss(*args: Any) -> Any:
    """Loss, price and slope of `ImplicitLoss`."""
    return ImplicitLoss.apply(*args)
