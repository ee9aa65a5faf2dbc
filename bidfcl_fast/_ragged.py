"""Problems whose users have unlike numbers of treatments: cells one after the other, and where each user's begin."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ._half import widened
from ._problems import Problems

# A backend without ragged loops is given padded rows, up to so many times the cells; a small instance is always padded.
MOST_PADDING = 4
SMALL = 2**20


@dataclass(frozen=True)
class RaggedProblems(Problems):
    """Arrays are [B, T]; user i of every problem has the cells ``offsets[i]:offsets[i+1]``, at least one."""

    offsets: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))  # [N+1] int64
    longest: int = 1  # treatments of the longest row

    @property
    def users(self) -> int:
        return len(self.offsets) - 1

    def _rows(self, b: int) -> np.ndarray:
        return self.offsets[int(self.start[b]) : int(self.stop[b]) + 1]

    def cells(self, x: np.ndarray, b: int) -> np.ndarray:
        rows = self._rows(b)
        return widened(x[b, rows[0] : rows[-1]])

    def chosen(self, x: np.ndarray, b: int, choice: np.ndarray) -> np.ndarray:
        return widened(x[b, self._rows(b)[:-1] + choice])

    def place(self, x: np.ndarray, b: int, k: int) -> str:
        k += int(self._rows(b)[0])
        user = int(np.searchsorted(self.offsets, k, side="right")) - 1
        return f"[{k}], treatment {k - self.offsets[user]} of user {user}"

    def closed_user(self, b: int) -> int:
        assert self.mask is not None
        rows = self._rows(b)
        closed = ~np.logical_or.reduceat(self.mask[b], rows[:-1])
        return int(self.start[b]) + int(closed.argmax())


def plain(problems: Problems, backend: str) -> Problems:
    """What a backend is given that has loops over rows of equal length in float32 and float64 alone."""
    return padded(problems, backend).widened()


def padded(problems: Problems, backend: str) -> Problems:
    """The same problems with rows of equal length, what they lack closed by mask; problems that have such pass as they are.

    Raises
    ------
    ValueError
        If that would take more than `MOST_PADDING` times the memory.
    """
    if not isinstance(problems, RaggedProblems):
        return problems
    cells, all_cells = problems.value.shape[1], problems.users * problems.longest
    if all_cells > max(SMALL, MOST_PADDING * cells):
        raise ValueError(
            f"backend {backend!r} pads every row to the longest here, {problems.longest} treatments: {all_cells} cells where "
            f"there are {cells}; only the search for a budget on backend 'cpp' reads ragged rows as they are: use that, "
            "or shorten the longest rows"
        )
    exists = np.arange(problems.longest) < np.diff(problems.offsets)[:, None]
    open_ = exists
    if problems.mask is not None:
        open_ = np.zeros(exists.shape, bool)
        open_[exists] = problems.mask[0]
    shape = (problems.count, *exists.shape)

    def dense(x: np.ndarray) -> np.ndarray:
        out = np.zeros(exists.shape, x.dtype)
        out[exists] = x[0]
        return np.broadcast_to(out, shape)

    return Problems(
        dense(problems.value),
        dense(problems.cost),
        np.broadcast_to(open_, shape),
        problems.start,
        problems.stop,
        problems.budget,
        problems.segmented,
    )
