"""Flat vectors: what they must look like, and parameters to and from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

FLOATS = (torch.float32, torch.float64)


def rows(name: str, v: Any, size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`v` as [B, P]: a flat vector becomes one row.

    Raises
    ------
    TypeError, ValueError
        If it is no tensor of that size, dtype and device; the message says what came.
    """
    if not isinstance(v, Tensor):
        raise TypeError(f"{name} must be a torch tensor, got {type(v).__name__}")
    if v.ndim not in (1, 2) or v.shape[-1] != size:
        raise ValueError(f"{name} must have shape [{size}] or [B, {size}], got {list(v.shape)}")
    if v.dtype != dtype:
        raise TypeError(f"{name} must have the operator's dtype, {dtype}, got {v.dtype}")
    if v.device != device:
        raise ValueError(f"{name} must be on the operator's device, {device}, got {v.device}")
    return v.detach().unsqueeze(0) if v.ndim == 1 else v.detach()


def number(name: str, x: Any, *, least: float = 0.0) -> float:
    """`x` as a finite float that is at least `least`."""
    try:
        found = float(x)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a number, got {type(x).__name__}") from error
    if not math.isfinite(found) or found < least:
        raise ValueError(f"{name} must be finite and at least {least:g}, got {found}")
    return found


def count(name: str, x: Any, *, least: int = 0) -> int:
    """`x` as an integer that is at least `least`."""
    if isinstance(x, bool) or not isinstance(x, int):
        raise TypeError(f"{name} must be an integer, got {type(x).__name__}")
    if x < least:
        raise ValueError(f"{name} must be at least {least}, got {x}")
    return x


def parameters(name: str, source: Any) -> list[Tensor]:
    """The trainable parameters of a module, or the tensors given, of one floating dtype on one device."""
    if isinstance(source, nn.Module):
        found: list[Tensor] = [p for p in source.parameters() if p.requires_grad]
    elif isinstance(source, Iterable) and not isinstance(source, Tensor):
        found = list(source)
    else:
        raise TypeError(f"{name} must be a torch module or a sequence of tensors, got {type(source).__name__}")
    if not found:
        raise ValueError(f"{name} has no parameter that requires a gradient")
    for p in found:
        if not isinstance(p, Tensor) or not p.requires_grad:
            raise TypeError(f"{name} must hold tensors that require gradients, got {p!r:.60}")
        if p.dtype not in FLOATS:
            raise TypeError(f"{name} must be float32 or float64, got {p.dtype}")
        if (p.dtype, p.device) != (found[0].dtype, found[0].device):
            raise ValueError(f"{name} must have one dtype and one device, got {p.dtype} on {p.device} among others")
    return found


def flatten(tensors: Iterable[Tensor]) -> Tensor:
    """[P]: the tensors end to end."""
    return torch.cat([t.reshape(-1) for t in tensors])


def unflatten(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Views of `flat` [P] in the shapes of `like`."""
    out, start = [], 0
    for t in like:
        out.append(flat[start : start + t.numel()].view(t.shape))
        start += t.numel()
    return out


def gradients(scalar: Tensor, of: Sequence[Tensor], *, graph: bool = False, retain: bool = False) -> list[Tensor]:
    """∂scalar/∂of, zeros where it does not depend on one of them."""
    if not scalar.requires_grad:
        return [torch.zeros_like(t) for t in of]
    found = torch.autograd.grad(scalar, of, create_graph=graph, retain_graph=retain or graph, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for g, t in zip(found, of, strict=True)]


def scalar(name: str, x: Any) -> Tensor:
    """`x` if it is a tensor with one element."""
    if not isinstance(x, Tensor) or x.numel() != 1:
        got = f"shape {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"{name} must return one number as a tensor, got {got}")
    return x.reshape(())
