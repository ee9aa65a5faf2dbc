"""One fit on several ranks of a torch process group: the log in parts, the trial on each, what is learned the same on all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .._wire import Wire, average
from ._store import Store

Array = NDArray[Any]


class Ranks:
    """The ranks of a process group, all of which call every function here in the same order."""

    def __init__(self, group: Any) -> None:
        self._group, self._wire = group, Wire(group)
        self.rank, self.size = self._wire.rank, self._wire.size
        # A tensor and the share with which this rank's counts → the weighted mean over ranks.
        self.average = average(group)

    @contextlib.contextmanager
    def alike(self) -> Iterator[dict[str, Any]]:
        """What is filled in must be the same on all ranks; an error inside, on one rank, is raised on all."""
        mine: dict[str, Any] = {}
        try:
            yield mine
        except Exception as error:
            self._wire.refuse(error)
        everybody = self._wire.exchange(mine)
        for name in mine:
            odd = [r for r, given in enumerate(everybody) if given.get(name) != everybody[0].get(name)]
            if odd:
                raise ValueError(f"{name} must be the same on all ranks: rank {odd[0]} differs from rank 0")

    def every(self, mine: Any) -> list[Any]:
        """Every rank's object, in the order of ranks."""
        return self._wire.exchange(mine)

    def total(self, x: Any) -> Array:
        """The sum over ranks, in their order: the same bits on all of them."""
        return np.asarray(sum(self.every(np.asarray(x))))

    def quantiles(self, x: Array, at: Any) -> Array:
        """Of the float32 numbers of all ranks, by linear interpolation as in `numpy.quantile`; x [n] are this rank's.

        Order statistics are found bit by bit: 32 rounds of counts, and no number leaves its rank.
        """
        keys = np.sort(_rising(np.asarray(x, np.float32)))
        places = np.asarray(at, np.float64) * (int(self.total(len(keys))) - 1)
        low = np.floor(places).astype(np.int64)
        wanted = np.stack([low, np.ceil(places).astype(np.int64)])
        found = np.zeros(wanted.shape, np.int64)
        for bit in range(31, -1, -1):
            tried = found | (1 << bit)
            before = self.total(np.searchsorted(keys, tried.ravel())).reshape(tried.shape)
            found = np.where(before <= wanted, tried, found)
        first, second = _numbers(found)
        return np.asarray(first + (second - first) * (places - low))

    def add(self, x: Tensor) -> None:
        """Put the sum over ranks in the place of x."""
        torch.distributed.all_reduce(x, group=self._group)

    @torch.no_grad()
    def as_first(self, module: nn.Module) -> None:
        """Give the module rank 0's parameters and buffers: machines of two kinds round differently."""
        first = torch.distributed.get_global_rank(self._group, 0) if self._group is not None else 0
        for tensor in module.state_dict().values():
            kept = tensor.detach().contiguous()
            torch.distributed.broadcast(kept, first, group=self._group)
            tensor.copy_(kept)

    def shares(self, own: int, everywhere: int = 0) -> Shares:
        """Of rows of which `everywhere` are on all ranks and come first, and then `own` on this one: which are whose."""
        sizes = self.every(own)
        first = everywhere + sum(sizes[: self.rank])
        begin, end = (everywhere * r // self.size for r in (self.rank, self.rank + 1))
        return Shares(self, everywhere + sum(sizes), ((begin, end, begin), (first, first + own, everywhere)))


def _rising(x: Array) -> Array:
    """Integers in [0, 2³²) in the order of float32 numbers."""
    bits = (x + np.float32(0)).view(np.uint32).astype(np.int64)  # -0 is 0
    return np.where(bits >> 31, (1 << 32) - 1 - bits, bits | (1 << 31))


def _numbers(keys: Array) -> Array:
    """The numbers that `_rising` made these of, as float64."""
    bits = np.where(keys >> 31, keys ^ (1 << 31), (1 << 32) - 1 - keys)
    return np.asarray(bits.astype(np.uint32).view(np.float32).astype(np.float64))


@dataclass(frozen=True)
class Shares:
    """Which rows of a fit a rank works on: `parts` holds (first, stop) by their numbers over all ranks, and where the rank's
    own arrays have the first of them. Rows that all ranks have are divided among them."""

    ranks: Ranks
    rows: int
    parts: tuple[tuple[int, int, int], ...]

    def mine(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Of rows by their numbers over all ranks: those of this rank, by its own numbers, and their places in `numbers`."""
        own = torch.full_like(numbers, -1)
        for first, stop, at in self.parts:
            own = torch.where((numbers >= first) & (numbers < stop), numbers - (first - at), own)
        places = torch.nonzero(own >= 0).squeeze(1)
        return own[places], places

    def here(self) -> Array:
        """This rank's rows, by its own numbers."""
        return np.concatenate([np.arange(at, at + stop - first) for first, stop, at in self.parts])


class FirstStore(Store):
    """A store that rank 0 reads and writes for all: their states are the same."""

    def __init__(self, ranks: Ranks, path: Any, run: Mapping[str, Any], *, resume: bool) -> None:
        first = ranks.rank == 0
        super().__init__(path if first else None, run, resume=resume and first)
        self._ranks, self._all = ranks, path is not None

    def share(self) -> None:
        """Tell all ranks what the file holds."""
        self._tensors, self._info = self._ranks.every((self._tensors, self._info))[0]

    @property
    def on(self) -> bool:
        return self._all


def as_first(ranks: Ranks | None, modules: Iterable[nn.Module]) -> None:
    """`Ranks.as_first` of each, where there are ranks."""
    if ranks is not None:
        for module in modules:
            ranks.as_first(module)
