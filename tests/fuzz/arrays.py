"""Arrays of every layout and kind, honest ones and such as say what cannot be."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from bidfcl_fast._arrays import BFLOAT16

from .source import Source

KINDS = (
    "f4",
    "f8",
    "f2",
    "bf16",
    "f4",
    "f8",
    "f4",
    "f8",
    ">f4",
    ">f8",
    "i8",
    "u1",
    "?",
    "c8",
    "O",
    "S3",
    "longdouble",
    "M8[s]",
)


def numbers(source: Source, shape: tuple[int, ...], kind: str) -> np.ndarray:
    count = int(np.prod(shape))
    with np.errstate(all="ignore"):
        x = source.numbers(count).reshape(shape)
        if kind == "bf16":
            return (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view(BFLOAT16)
        if kind in {"M8[s]", "S3", "O", "i8", "u1", "?"}:
            return np.nan_to_num(x, posinf=9, neginf=-9).clip(-1e9, 1e9).astype("i8").astype(kind)
        return x.astype(kind)


def laid_out(source: Source, x: np.ndarray) -> np.ndarray:
    """The same numbers in another layout: reversed, transposed, with gaps, off their alignment, read-only, broadcast."""
    how = source.below(9)
    if how == 1:
        return np.asfortranarray(x)
    if how == 2 and x.ndim:
        flip = tuple(slice(None, None, -1) for _ in x.shape)
        return x[flip].copy()[flip]
    if how == 3 and x.ndim:
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1] + 3), x.dtype)
        wide[..., 1 : 2 * x.shape[-1] + 1 : 2] = x
        return wide[..., 1 : 2 * x.shape[-1] + 1 : 2]
    if how == 4 and x.dtype.kind != "O":
        room = np.zeros(x.nbytes + 16, np.uint8)
        shift = 1 + source.below(7)
        moved = room[shift : shift + x.nbytes].view(x.dtype).reshape(x.shape)
        moved[...] = x
        return moved
    if how == 5:
        x = x.copy()
        x.flags.writeable = False
        return x
    if how == 6 and x.ndim and x.shape[0]:
        return np.broadcast_to(x[:1], x.shape)
    if how == 7 and x.ndim > 1:
        return np.ascontiguousarray(x.T).T
    if how == 8 and x.dtype.names is None and x.dtype.kind != "O" and x.ndim:
        record = np.zeros(x.shape, np.dtype([("a", "u1"), ("x", x.dtype), ("b", "u2")]))
        record["x"] = x
        return record["x"]  # strides that are no multiples of an element
    return x


class _Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("id", ctypes.c_int32)]


class _DType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("device", _Device), ("ndim", ctypes.c_int32), ("dtype", _DType),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]  # fmt: skip


class _Managed(ctypes.Structure):
    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]

LIES = (
    "none", "null", "negative shape", "a huge shape", "many dimensions", "no dimensions", "negative dimensions", "lanes",
    "bits", "code", "a device", "another name", "beyond all addresses", "strides that wrap", "no strides",
    "no capsule", "used", "below all addresses",
)  # fmt: skip


class Exporter:
    """Anything with `__dlpack__`. `lie` says what is wrong with what it exports; only what can be seen from outside: a
    pointer that is simply wrong is nobody's to notice."""

    def __init__(self, x: np.ndarray, lie: str = "none") -> None:
        self._x, self._lie = np.ascontiguousarray(x), lie
        x = self._x
        n = max(x.ndim, 1)
        self._shape = (ctypes.c_int64 * max(n, 65))(*x.shape)
        self._strides = (ctypes.c_int64 * max(n, 65))(*(s // x.itemsize for s in x.strides))
        code = {"f": 2, "i": 0, "u": 1, "b": 6, "c": 5}.get(x.dtype.kind, 4)
        tensor = _Tensor(
            x.ctypes.data, _Device(1, 0), x.ndim, _DType(code, 8 * x.itemsize, 1), self._shape, self._strides, 0
        )
        if lie == "null":
            tensor.data = None
        elif lie == "negative shape" and x.ndim:
            self._shape[0] = -1
        elif lie == "a huge shape" and x.ndim > 1:
            self._shape[0] = self._shape[1] = 1 << 40
        elif lie == "many dimensions":
            tensor.ndim = 65
        elif lie == "no dimensions":
            tensor.ndim = 0
        elif lie == "negative dimensions":
            tensor.ndim = -3
        elif lie == "lanes":
            tensor.dtype.lanes = 4
        elif lie == "bits":
            tensor.dtype.bits = 7
        elif lie == "code":
            tensor.dtype.code = 77
        elif lie == "a device":
            tensor.device.type = 2
        elif lie == "beyond all addresses":
            tensor.data = 2**64 - 8
        elif lie == "below all addresses" and x.ndim:
            tensor.data = 8
            self._strides[0] = -(1 << 20)
        elif lie == "strides that wrap" and x.ndim and x.shape[0] > 1:
            self._strides[0] = 1 << 60
        elif lie == "no strides":
            tensor.strides = None
        self._managed = _Managed(tensor, None, None)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __dlpack__(self, **_: Any) -> Any:
        if self._lie == "no capsule":
            return 3
        name = {"another name": b"tensor", "used": b"used_dltensor"}.get(self._lie, b"dltensor")
        return _new(ctypes.addressof(self._managed), name, None)


def array(source: Source, shape: tuple[int, ...], kind: str) -> Any:
    """Numbers in any layout, sometimes by way of DLPack, a masked array, a matrix or lists."""
    x = np.asarray(numbers(source, shape, kind), "O" if kind == "O" else None)
    how = source.below(16)
    if how == 15 and kind in {"f4", "f8", "f2"}:
        return Exporter(x, source.pick(LIES))
    if how == 14:
        return np.ma.masked_array(x, mask=[source.chance(2)] * x.size if x.ndim == 1 else source.chance(2))
    if how == 13 and x.ndim == 2 and kind in {"f4", "f8"}:
        return np.asmatrix(x)
    if how == 12:
        return x.tolist()
    return laid_out(source, x)
