"""Arrays of any library in, the same library's arrays out; NumPy, without a copy, in between."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

# bfloat16, which NumPy has not, as it can carry it without another package: two bytes under a name.
BFLOAT16 = np.dtype([("bfloat16", np.uint16)])


def to_numpy(name: str, x: Any) -> np.ndarray:
    """A NumPy view of `x`: an ndarray, a CPU array of any library that speaks DLPack, or nested lists of numbers.

    Raises
    ------
    TypeError
        If `x` cannot be seen as a CPU array; the message names the argument and what to do.
    """
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array; give {name}.data, and mask=~{name}.mask for the treatments that are open"
        )
    if isinstance(x, np.ndarray):
        x = x if type(x) is np.ndarray else x.view(np.ndarray)  # a matrix has indices of its own
        # ml_dtypes names it so; a name takes NumPy longer than all the rest here.
        return x.view(BFLOAT16) if x.dtype.itemsize == 2 and x.dtype.name == "bfloat16" else x
    if isinstance(x, (list, tuple, float, int)):
        return _from_numbers(name, x)
    if type(x).__module__.partition(".")[0] == "torch":
        if x.device.type != "cpu":
            raise TypeError(f"{name} is on device {x.device}; the backends here take CPU arrays: call {name}.cpu()")
        try:
            if str(x.dtype) == "torch.bfloat16":
                return x.detach().view(importlib.import_module("torch").int16).numpy().view(BFLOAT16)
            return x.detach().numpy()
        except (TypeError, RuntimeError) as error:  # sparse
            raise TypeError(f"{name} ({x.dtype}) has no NumPy view: {error}") from error
    if hasattr(x, "__dlpack__"):
        try:
            array = np.from_dlpack(x)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise TypeError(f"{name} ({type(x).__name__}) has no CPU view: {error}") from error
        return _in_memory(name, array)
    if hasattr(x, "__array__"):
        return np.asarray(x)
    raise TypeError(f"{name} must be an array (NumPy, torch, or anything with __dlpack__), got {type(x).__name__}")


def _in_memory(name: str, array: np.ndarray) -> np.ndarray:
    """What an exporter says of its memory, if memory can be so: it starts somewhere and ends where addresses end."""
    start = int(array.ctypes.data)
    reach = [(n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True)]
    first, last = start + sum(r for r in reach if r < 0), start + sum(r for r in reach if r > 0) + array.itemsize
    if array.size and array.flags.owndata:  # for a null pointer NumPy makes memory of its own, and leaves it as it was
        raise TypeError(f"{name} says that it lies nowhere: a null pointer for {array.size} numbers")
    # No system gives its first page away, and none has 2^56 bytes for one array.
    if array.size and not (4096 <= first <= last < 1 << 63 and last - first < 1 << 56):
        raise TypeError(f"{name} says that it lies at {start:#x} with strides {list(array.strides)}: no array can")
    return array


def _from_numbers(name: str, x: Any) -> np.ndarray:
    """Numbers become float64; what else a list may hold keeps its dtype, for the caller to judge."""
    try:
        if isinstance(x, (float, int)):
            return np.asarray(x, np.float64)
        array = np.asarray(x)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be a table of finite numbers: {error}") from error
    return array.astype(np.float64) if array.dtype.kind in "iu" else array


def like(x: Any) -> Callable[[np.ndarray], Any]:
    """A function that turns a NumPy array into an array of `x`'s library."""
    root = type(x).__module__.partition(".")[0]
    if root == "torch":
        return importlib.import_module("torch").from_numpy
    if not isinstance(x, np.ndarray) and hasattr(x, "__array_namespace__"):
        return x.__array_namespace__().asarray
    return lambda array: array
