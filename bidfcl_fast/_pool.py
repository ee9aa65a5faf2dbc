"""Memory for large outputs, used again.

An array of tens of megabytes is fresh from the system each time, and clearing its pages takes as long as computing a
gradient, and a sixth of the time of 32 plans. So what such an array leaves behind when nobody refers to it any more is kept for the next one of its size.
"""

from __future__ import annotations

import mmap
import threading
import weakref

import numpy as np

LARGE = 1 << 20  # bytes; below that the allocator has what it needs at hand
KEPT = 4  # blocks, the latest: the two gradients of one loss, and those of another while the first are in use
MOST = 1 << 29  # bytes kept in all; a larger block goes back to the system

_free: list[mmap.mmap] = []
_lock = threading.RLock()  # a finalizer may run while its own thread holds it


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Like `numpy.empty`."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if size < LARGE:
        return np.empty(shape, dtype)
    block = _take(size)
    # Every view of it keeps this array alive, and this array the block.
    whole = np.frombuffer(block, np.uint8, count=size)
    weakref.finalize(whole, _give, block).atexit = False
    return whole.view(dtype).reshape(shape)


def _take(size: int) -> mmap.mmap:
    with _lock:
        for k, block in enumerate(_free):
            if size <= len(block) <= size + size // 8:
                return _free.pop(k)
    block = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    return block


def _give(block: mmap.mmap) -> None:
    with _lock:
        _free.append(block)
        while len(_free) > KEPT or sum(map(len, _free)) > MOST:
            del _free[0]  # an mmap that nobody refers to is unmapped


def release() -> None:
    """Give all memory that is kept back to the system."""
    with _lock:
        _free.clear()
