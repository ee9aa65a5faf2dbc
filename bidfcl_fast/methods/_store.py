"""Tensors and a little JSON in one file that is replaced whole: checkpoints, and methods saved to disk. No pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from .._whole import atomic
from ..data.table import Table

_KEY = "bidfcl_fast"


def write(path: Path, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
    """Tensors, and `info` as JSON in the header. Either the old file stands there afterwards or the new one."""
    save = _safetensors("save")
    whole = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    data = save(whole, metadata={_KEY: json.dumps(info)})
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write` wrote.

    Raises
    ------
    ValueError
        If the file is not one of ours.
    """
    load = _safetensors("load")
    data = path.read_bytes()
    try:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        info = json.loads(header["__metadata__"][_KEY])
        if not isinstance(info, dict):
            raise TypeError("no table of contents")
        tensors = load(data)
    except Exception as error:
        raise ValueError(f"{path}: not a file that bidfcl_fast wrote, or only a part of one") from error
    return tensors, info


def _safetensors(name: str) -> Any:
    try:
        import safetensors.torch
    except ModuleNotFoundError as error:
        raise RuntimeError("saving and checkpoints need safetensors: pip install 'bidfcl_fast[torch]'") from error
    return getattr(safetensors.torch, name)


def fingerprint(tables: Iterable[Table | None]) -> str:
    """A hash of the tables' contents."""
    found = hashlib.blake2b(digest_size=16)
    for table in tables:
        found.update(b"-" if table is None else f"{table.x.shape}{table.treatments}".encode())
        if table is not None:
            for array in (table.x, table.treatment, table.value, table.cost, table.received_propensity):
                found.update(np.ascontiguousarray(array).view(np.uint8).data)
    return found.hexdigest()


class Store:
    """A run's finished parts, and the state of the part in hand. Without a path it forgets everything.

    A part is a named dictionary of tensors. What a finished part holds is never computed again.
    """

    def __init__(self, path: Any = None, run: Mapping[str, Any] | None = None, *, resume: bool = False) -> None:
        self.path = None if path is None else Path(path)
        self._run = dict(run or {})
        self._tensors: dict[str, Tensor] = {}
        self._info: dict[str, Any] = {}
        if self.path is None:
            if resume:
                raise ValueError("resume=True needs checkpoint=, the file to go on from")
            return
        if self.path.is_dir():
            raise ValueError(f"checkpoint {self.path} is a folder; give a file")
        if resume and self.path.exists():
            self._tensors, info = read(self.path)
            if info.get("run") != json.loads(json.dumps(self._run)):
                old, new = info.get("run") or {}, json.loads(json.dumps(self._run))
                changed = sorted(k for k in {*old, *new} if old.get(k) != new.get(k))
                raise ValueError(f"{self.path}: the checkpoint is of another run: {', '.join(changed)} differ")
            self._info = info.get("parts", {})
            if not isinstance(self._info, dict):
                raise ValueError(f"{self.path}: not a checkpoint")
        else:
            _safetensors("save")  # said before the work, not after it

    def get(self, part: str) -> dict[str, Tensor] | None:
        """A finished part, or None."""
        return self._of(part) if self._info.get(part) == "done" else None

    def put(self, part: str, tensors: Mapping[str, Tensor]) -> None:
        """The part is finished."""
        self._keep(part, tensors, "done")

    def running(self, part: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The state of an unfinished part, or None."""
        info = self._info.get(part)
        return (self._of(part), info) if isinstance(info, dict) else None

    def keep(self, part: str, tensors: Mapping[str, Tensor], info: dict[str, Any]) -> None:
        """How far the part is."""
        self._keep(part, tensors, info)

    @property
    def on(self) -> bool:
        """Whether anything is written."""
        return self.path is not None

    def _of(self, part: str) -> dict[str, Tensor]:
        return {name[len(part) + 1 :]: t for name, t in self._tensors.items() if name.startswith(f"{part}/")}

    def _keep(self, part: str, tensors: Mapping[str, Tensor], info: Any) -> None:
        if self.path is None:
            return
        rest = {name: t for name, t in self._tensors.items() if not name.startswith(f"{part}/")}
        self._tensors = {**rest, **{f"{part}/{name}": t.detach().clone() for name, t in tensors.items()}}
        self._info[part] = info
        write(self.path, self._tensors, {"run": self._run, "parts": self._info})
