"""Files that are written whole or not at all, whatever happens: a full disk, an exception, a kill, a loss of power.

What is being written stands under a temporary name beside the target, locked; the system drops the lock of a process that
dies, and the next writer in that folder removes what is left of it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: what a killed process leaves stays
    fcntl = None  # type: ignore[assignment]

_PREFIX = ".writing-"


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` (same ending); renamed to it when the block ends well, removed when not."""
    path = Path(path).resolve()
    _sweep(path.parent)
    temporary, handle = _begun(path)
    try:
        yield temporary
        _to_disk(temporary)  # before the name: after a loss of power there is the old file or the new one
        temporary.replace(path)
        _to_disk(path.parent)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        os.close(handle)


def _begun(path: Path) -> tuple[Path, int]:
    """A new, empty, locked file beside `path`, and the handle that holds the lock."""
    while True:
        temporary = path.with_name(f"{_PREFIX}{secrets.token_hex(4)}-{path.name}")
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        if _lock(handle, wait=True) is False or temporary.exists():  # no locks here, or nobody swept it meanwhile
            return temporary, handle
        os.close(handle)


def _sweep(folder: Path) -> None:
    """Remove what writers that are no more left in `folder`."""
    for left in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            handle = os.open(left, os.O_RDWR)
            try:
                if _lock(handle, wait=False):
                    left.unlink()
            finally:
                os.close(handle)


def _lock(handle: int, *, wait: bool) -> bool:
    """Whether the file is locked for this process now; False too where the file system has no locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _to_disk(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to its disk. Some file systems cannot, and say so."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
