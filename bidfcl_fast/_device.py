"""Arrays on a CUDA device as the checks and the backend see them: shape, strides and an address, and the library they belong to.

Memory for results and for a call's own needs comes from that library, and work is put on its current stream: torch's caching
allocator and stream, or CuPy's. Whatever else speaks DLPack is read through one of the two.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ._arrays import BFLOAT16, to_numpy

TORCH_DEVICES = {"cuda"}  # of torch's tensors; the tests add the CPU
_CUDA = (2, 13)  # DLPack's device types: memory of a device, and managed memory


_NAMES = {
    "float32": np.float32, "float64": np.float64, "float16": np.float16, "bool": np.bool_,
    "int32": np.int32, "int64": np.int64,
}  # fmt: skip


class Torch:
    """torch's tensors. (On the CPU they have a stream too: the tests' device is the CPU.)"""

    def __init__(self) -> None:
        self._torch = importlib.import_module("torch")

    def view(self, x: Any) -> DeviceArray:
        name = str(x.dtype).removeprefix("torch.")
        dtype = BFLOAT16 if name == "bfloat16" else _NAMES.get(name)
        if dtype is None:
            raise TypeError(f"{x.dtype} is no dtype that the backends know")
        strides = tuple(s * x.element_size() for s in x.stride())
        index = x.device.index or 0
        return DeviceArray(x.detach(), self, index, x.data_ptr(), tuple(x.shape), strides, np.dtype(dtype))

    def stream(self, like: Any) -> int:
        return self._torch.cuda.current_stream(like.device).cuda_stream if like.is_cuda else 0

    def room(self, count: int, like: Any) -> Any:
        return self._torch.empty(count, dtype=self._torch.uint8, device=like.device)

    def address(self, room: Any) -> int:
        return room.data_ptr()

    def typed(self, room: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
        wanted = getattr(self._torch, np.dtype(dtype).name)
        size = int(np.prod(shape, dtype=np.int64)) * wanted.itemsize
        return room[:size].view(wanted).view(shape)

    def from_host(self, x: np.ndarray, like: Any) -> Any:
        return self._torch.from_numpy(np.require(x, requirements=["C", "W"])).to(like.device)

    def to_host(self, x: Any) -> np.ndarray:
        if x.dtype == self._torch.bfloat16:
            return x.cpu().contiguous().view(self._torch.int16).numpy().view(BFLOAT16)
        return x.cpu().numpy()


class CuPy:
    """CuPy's arrays."""

    def __init__(self) -> None:
        self._cupy = importlib.import_module("cupy")

    def view(self, x: Any) -> DeviceArray:
        dtype = BFLOAT16 if x.dtype.name == "bfloat16" else np.dtype(x.dtype)
        return DeviceArray(x, self, x.device.id, x.data.ptr, x.shape, x.strides, dtype)

    def stream(self, like: Any) -> int:
        with like.device:
            return self._cupy.cuda.get_current_stream().ptr

    def room(self, count: int, like: Any) -> Any:
        with like.device:
            return self._cupy.empty(count, np.uint8)

    def address(self, room: Any) -> int:
        return room.data.ptr

    def typed(self, room: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        return room[:size].view(dtype).reshape(shape)

    def from_host(self, x: np.ndarray, like: Any) -> Any:
        with like.device:
            return self._cupy.asarray(x)

    def to_host(self, x: Any) -> np.ndarray:
        found = self._cupy.asnumpy(x)
        return found.view(BFLOAT16) if found.dtype.name == "bfloat16" else found


@dataclass(frozen=True)
class DeviceArray:
    """An array on a device; a stride of zero repeats, as in NumPy. Strides are in bytes."""

    owner: Any
    library: Any
    device: int
    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    def repeated(self, count: int) -> DeviceArray:
        """[count, …] of the same numbers."""
        return replace(self, shape=(count, *self.shape), strides=(0, *self.strides))

    def on_host(self) -> np.ndarray:
        """A copy on the host; what repeats there repeats here."""
        lead = self.ndim - self.owner.ndim
        host = self.library.to_host(self.owner)
        return np.broadcast_to(host.reshape((1,) * lead + host.shape), self.shape)

    def back(self, x: Any) -> Any:
        """A NumPy array as one of this array's library, on its device; what is there already stays."""
        return self.library.from_host(x, self.owner) if isinstance(x, np.ndarray) else x


def on_device(x: Any) -> bool:
    """Whether `x` is an array on a CUDA device."""
    if isinstance(x, np.ndarray) or not hasattr(x, "__dlpack_device__"):
        return False
    if type(x).__module__.partition(".")[0] == "torch":
        return x.device.type in TORCH_DEVICES
    return int(x.__dlpack_device__()[0]) in _CUDA


def view(name: str, x: Any) -> Any:
    """`x` as a `DeviceArray` if it is on a device, else as `to_numpy` has it."""
    if not on_device(x):
        return to_numpy(name, x)
    root = type(x).__module__.partition(".")[0]
    if root == "torch":
        return Torch().view(x)
    if root == "cupy":
        try:
            library = CuPy()
        except ImportError as error:
            raise TypeError(
                f"{name} ({type(x).__name__}) is on a CUDA device; reading it there needs CuPy: {error}"
            ) from error
        return library.view(x)
    library = _reader()
    if library is None:
        raise TypeError(f"{name} ({type(x).__name__}) is on a CUDA device; reading it there needs torch or CuPy")
    return library.view(importlib.import_module(library.__class__.__name__.lower()).from_dlpack(x))


def _reader() -> Any:
    """The library that reads other libraries' arrays: one that is loaded already, else one that can be."""
    libraries: list[Any] = [Torch, CuPy]
    for library in sorted(libraries, key=lambda each: each.__name__.lower() not in sys.modules):
        try:
            found = library()
        except ImportError:
            continue
        if library is CuPy or found._torch.cuda.is_available():
            return found
    return None


def back_to(x: Any) -> Callable[[Any], Any]:
    """A function that gives a result the kind of `x`: a `DeviceArray` made of an array of some other library goes back to it."""
    seen = view("value", x)
    root = type(x).__module__.partition(".")[0]
    if root in ("torch", "cupy") or not hasattr(x, "__array_namespace__"):
        return seen.back
    return lambda y: x.__array_namespace__().from_dlpack(seen.back(y))


def repeated(x: Any, count: int) -> Any:
    """[count, …] of the same numbers, without a copy."""
    if isinstance(x, DeviceArray):
        return x.repeated(count)
    return x[np.newaxis] if count == 1 else np.broadcast_to(x, (count, *x.shape))


def on_host(x: Any) -> Any:
    return x.on_host() if isinstance(x, DeviceArray) else x
