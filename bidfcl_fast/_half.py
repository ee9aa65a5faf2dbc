"""Numbers of two bytes: float16, which NumPy has, and bfloat16, which it has not."""

from __future__ import annotations

import numpy as np

from ._arrays import BFLOAT16


def is_half(x: np.ndarray) -> bool:
    return x.dtype == np.float16 or x.dtype == BFLOAT16


def name_of(dtype: np.dtype) -> str:
    return "bfloat16" if dtype == BFLOAT16 else str(dtype)


def widened(x: np.ndarray) -> np.ndarray:
    """Halves as float32, exactly; any other array as it is. What is broadcast along its first axis stays so."""
    if not is_half(x):
        return x
    if x.ndim > 1 and len(x) > 1 and x.strides[0] == 0:
        return np.broadcast_to(widened(x[:1]), x.shape)
    if x.dtype == np.float16:
        return x.astype(np.float32)
    return (x["bfloat16"].astype(np.uint32) << 16).view(np.float32)
