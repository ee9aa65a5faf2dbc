"""What two bytes mean, by the standard library's own reading; shares nothing with what it judges."""

from __future__ import annotations

import struct

import numpy as np


def float16_of(bits: np.ndarray) -> np.ndarray:
    """float32 of binary16 bit patterns (uint16)."""
    flat = [struct.unpack("<e", struct.pack("<H", int(b)))[0] for b in bits.ravel()]
    return np.array(flat, np.float32).reshape(bits.shape)


def bfloat16_of(bits: np.ndarray) -> np.ndarray:
    """float32 of bfloat16 bit patterns (uint16): the upper half of a float's bytes."""
    flat = [struct.unpack("<f", b"\0\0" + struct.pack("<H", int(b)))[0] for b in bits.ravel()]
    return np.array(flat, np.float32).reshape(bits.shape)


def bits_near(x: np.ndarray, kind: str) -> np.ndarray:
    """Bit patterns of halves near x, with rounding towards zero: which ones does not matter."""
    if kind == "float16":
        return x.astype(np.float16).view(np.uint16)
    return (np.ascontiguousarray(x, np.float32).view(np.uint32) >> 16).astype(np.uint16)
