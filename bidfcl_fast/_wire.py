"""Between the ranks of a torch process group: small Python objects, counted, where a refusal of one rank is raised on all; and means."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import torch
import torch.distributed as dist


class Refusal:
    """What a rank sends in the place of an answer."""

    def __init__(self, error: Exception) -> None:
        kinds = {TypeError: "TypeError", ValueError: "ValueError"}
        self.kind = next((name for kind, name in kinds.items() if isinstance(error, kind)), "RuntimeError")
        self.message = str(error) or type(error).__name__

    def raised(self, rank: int) -> Exception:
        kinds = {"TypeError": TypeError, "ValueError": ValueError}
        return kinds.get(self.kind, RuntimeError)(f"rank {rank}: {self.message}")


class Wire:
    """All-gathers of small Python objects, counted."""

    def __init__(self, group: Any) -> None:
        self._group = group
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)
        on_gpu = dist.get_backend(group) == "nccl"
        self._device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
        self.rounds = self.sent = self.received = self.most = 0

    def exchange(self, mine: Any) -> list[Any]:
        """Every rank's object, in the order of ranks. If any rank has refused, all raise what the first of them says."""
        everybody = self._gather(mine)
        for rank, given in enumerate(everybody):
            if isinstance(given, Refusal):
                raise given.raised(rank)
        return everybody

    def refuse(self, error: Exception) -> NoReturn:
        """Tell the others, who are waiting for an answer; raises on this rank as on all."""
        everybody = self._gather(Refusal(error))
        first = next(r for r, given in enumerate(everybody) if isinstance(given, Refusal))
        raise everybody[first].raised(first) from error

    def counted(self) -> dict[str, int]:
        return {
            "rounds": self.rounds,
            "bytes_sent": self.sent,
            "bytes_received": self.received,
            "most_bytes": self.most,
        }

    def _gather(self, mine: Any) -> list[Any]:
        message = np.frombuffer(pickle.dumps(mine, protocol=5), np.uint8)
        sizes = self._all(np.array([len(message)], np.int64).view(np.uint8))
        lengths = [int(s.view(np.int64)[0]) for s in sizes]
        padded = np.zeros(max(lengths), np.uint8)
        padded[: len(message)] = message
        everybody = self._all(padded)
        self.rounds += 1
        self.most = max(self.most, len(padded) + 8)
        return [pickle.loads(x[:n].tobytes()) for x, n in zip(everybody, lengths, strict=True)]

    def _all(self, x: np.ndarray) -> list[np.ndarray]:
        own = torch.from_numpy(x.copy()).to(self._device)
        everybody = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(everybody, own, group=self._group)
        self.sent += len(x)
        self.received += len(x) * (self.size - 1)
        return [t.cpu().numpy() for t in everybody]


def average(group: Any = None) -> Callable[..., torch.Tensor]:
    """A function from a tensor to its mean over all ranks, for `bilevel.BilevelStep(..., average=average())`.

    As under `DistributedDataParallel`, every rank counts the same: give all of them batches of one size. Where sizes differ,
    call it with a second argument, `share`: how much this rank's tensor counts, a batch's rows here over all its rows; the
    ranks' shares add up to 1. An upper loss may be the same on all ranks, or each rank's part of it, the whole being the mean
    of the parts.
    """

    def mean(x: torch.Tensor, share: float | None = None) -> torch.Tensor:
        out = x.detach() * share if share is not None else x.detach().clone()
        dist.all_reduce(out, group=group)
        return out / dist.get_world_size(group) if share is None else out

    return mean
