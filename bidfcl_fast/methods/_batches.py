"""The batches of an epoch, from the order of its rows: all of a batch, or a rank's part of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..bilevel.labels import Part
from ._ranks import Shares

# Batches whose rows are gathered at once: one gather costs less than many, and memory stays flat.
_GATHERED = 256

Batch = tuple[Tensor, list[Tensor], "Part | None"]


def whole(arrays: Sequence[Tensor], orders: Sequence[Tensor], batch: int) -> Iterator[Batch]:
    """x [T, n, F] and the other arrays of each batch; `arrays` are x [N, F] and the others, `orders` the rows of each member."""
    for start in range(0, len(orders[0]), batch * _GATHERED):
        rows = torch.stack([order[start : start + batch * _GATHERED] for order in orders])
        x, *others = (a.index_select(0, rows.reshape(-1)).view(*rows.shape, *a.shape[1:]) for a in arrays)
        for k in range(0, rows.shape[1], batch):
            part = slice(k, k + batch)
            yield x[:, part], [a[:, part] for a in others], None


def in_parts(arrays: Sequence[Tensor], orders: Sequence[Tensor], batch: int, shares: Shares) -> Iterator[Batch]:
    """The same where `orders` number the rows of all ranks: those of each batch that this rank has, with their places in it.

    Members that have fewer of them than others, and a rank that has none, get row 0 in a place of -1, which counts for nothing.
    """
    for start in range(0, shares.rows, batch):
        found = [shares.mine(order[start : start + batch]) for order in orders]
        longest = max(1, *(len(own) for own, _ in found))
        rows = torch.zeros(len(found), longest, dtype=torch.int64)
        places = torch.full_like(rows, -1)
        for t, (own, at) in enumerate(found):
            rows[t, : len(own)], places[t, : len(own)] = own, at
        flat = rows.reshape(-1).to(arrays[0].device)
        x, *others = (a.index_select(0, flat).view(*rows.shape, *a.shape[1:]) for a in arrays)
        yield x, others, Part(min(batch, shares.rows - start), places)
