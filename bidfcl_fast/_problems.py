"""What a backend is given and what it hands back: one layout for one problem, several budgets, batches and segments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from . import _pool
from ._device import DeviceArray, on_host
from ._half import is_half, widened
from .errors import Status


@dataclass(frozen=True)
class Problems:
    """B problems over one pair of arrays. A stride of zero along B is how several budgets share an instance."""

    value: np.ndarray  # [B, N, M] float16, BFLOAT16, float32 or float64
    cost: np.ndarray  # [B, N, M] same dtype
    mask: np.ndarray | None  # [B, N, M] bool, True where the treatment is open
    start: np.ndarray  # [B] int64: problem b owns the users start[b]:stop[b]
    stop: np.ndarray  # [B] int64
    budget: np.ndarray  # [B] float64
    segmented: bool = False  # the problems split one list of users: their choices share one row of `choice`

    @property
    def count(self) -> int:
        return len(self.budget)

    @property
    def on_device(self) -> bool:
        """Whether value, cost and mask are `DeviceArray`s."""
        return isinstance(self.value, DeviceArray)

    def on_host(self) -> Problems:
        """The same problems with arrays of the host: a copy of those on a device."""
        if not self.on_device:
            return self
        return replace(self, value=on_host(self.value), cost=on_host(self.cost), mask=on_host(self.mask))

    @property
    def users(self) -> int:
        return self.value.shape[1]

    def cells(self, x: np.ndarray, b: int) -> np.ndarray:
        """What `x`, one of the arrays, holds for problem b's users: a view, but halves as float32."""
        return widened(x[b, self.rows(b)])

    def chosen(self, x: np.ndarray, b: int, choice: np.ndarray) -> np.ndarray:
        """[users of problem b]: what `x` holds for the treatment of each."""
        return np.take_along_axis(self.cells(x, b), choice[:, None].astype(np.intp), axis=1)[:, 0]

    def place(self, x: np.ndarray, b: int, k: int) -> str:
        """Where the k-th of `cells(x, b)` stands in the array the caller gave, as in `[3, 4]`."""
        i, j = divmod(k, x.shape[2])
        i += int(self.start[b])
        return f"[{i}, {j}]" if x.strides[0] == 0 or self.count == 1 else f"[{b}, {i}, {j}]"

    def closed_user(self, b: int) -> int:
        """The first of problem b's users that `mask` leaves without a treatment."""
        assert self.mask is not None
        return int(self.start[b]) + int((~self.cells(self.mask, b).any(axis=1)).argmax())

    def widened(self) -> Problems:
        """The same problems in float32, if they are in halves: for what has no loops of its own over those."""
        return replace(self, value=widened(self.value), cost=widened(self.cost)) if is_half(self.value) else self

    def some(self, which: np.ndarray) -> Problems:
        """The problems `which` [any], each with users of its own; an instance that they share stays shared."""

        def pick(x: np.ndarray) -> np.ndarray:
            shared = x.strides[0] == 0 or len(x) == 1
            return np.broadcast_to(x[:1], (len(which), *x.shape[1:])) if shared else x[which]

        mask = None if self.mask is None else pick(self.mask)
        return Problems(
            pick(self.value), pick(self.cost), mask, self.start[which], self.stop[which], self.budget[which]
        )

    def rows(self, b: int) -> slice:
        return slice(int(self.start[b]), int(self.stop[b]))

    def costs(self, b: int, choice: np.ndarray) -> np.ndarray:
        """[users of problem b] what they cost under a choice."""
        return self.chosen(self.cost, b, choice)


class MckpResult(NamedTuple):
    """Everything `Plan` shows, one row a problem; a backend fills it in place."""

    choice: np.ndarray  # [B, N] int32, -1 where nothing was decided; [1, N] if segmented
    multiplier: np.ndarray  # [B] float64, and so on below
    value: np.ndarray
    spend: np.ndarray
    dual_bound: np.ndarray
    gap: np.ndarray
    least_budget: np.ndarray  # only where the budget is infeasible, else NaN
    value_unit: np.ndarray  # what fixed point rounds a value or a cost up to; 0 where all are 0
    cost_unit: np.ndarray
    status: np.ndarray  # [B] int32, codes of errors.Status
    rows_read: np.ndarray  # [B] int64
    sweeps: np.ndarray  # [B] int64
    active: np.ndarray  # [B] int64

    @classmethod
    def empty(cls, problems: Problems, *, undecided: bool = True) -> MckpResult:
        """Nothing known yet. `undecided=False` leaves `choice` unwritten, for a backend that writes all of it."""
        b, n = problems.count, problems.users

        choice = _pool.empty((1 if problems.segmented else b, n), np.dtype(np.int32))
        if undecided:
            choice.fill(-1)

        unknown = np.full((8, b), np.nan)
        counts = np.zeros((3, b), np.int64)
        return cls._make([choice, *unknown, np.zeros(b, np.int32), *counts])

    def choice_of(self, problems: Problems, b: int) -> np.ndarray:
        """[users of problem b] int32, a view to write to."""
        return self.choice[0 if problems.segmented else b, int(problems.start[b]) : int(problems.stop[b])]


class Contested(NamedTuple):
    """Users whose best score does not certainly beat the second best by a margin, and the totals of all others."""

    users: np.ndarray  # int32, rising, counted from the first user of the problem
    others: np.ndarray  # int32, rising: those of the others whose best is not what the plan at hand gives them
    best: np.ndarray  # int32, and what it is
    value: int  # of the others at their best, in fixed-point units
    cost: int

    @classmethod
    def against(cls, plan: np.ndarray, users: np.ndarray, choice: np.ndarray, value: int, cost: int) -> Contested:
        """From everybody's best [N]."""
        differs = choice != plan
        differs[users] = False
        others = np.flatnonzero(differs).astype(np.int32)
        return cls(users, others, choice[others], value, cost)


# One step up a hull: `cost` more money for `value` more value, in fixed point; `slope` is value/cost rounded, a filter.
# `position` orders a user's edges, counted from wherever a walk began; they lead from treatment `start` to `stop`
# (csrc/core/hull.h).
EDGE = np.dtype(
    [
        ("slope", "f8"),
        ("value", "i8"),
        ("cost", "i8"),
        ("user", "i4"),
        ("position", "i4"),
        ("start", "i4"),
        ("stop", "i4"),
    ]
)


class Scales(NamedTuple):
    """Fixed point that several shards of one problem have agreed on: x becomes x·2^shift, rounded up."""

    value: int
    cost: int


class Magnitudes(NamedTuple):
    """The largest of a problem's open cells; no number is known where one is not finite."""

    value: float
    cost: float
    finite: bool


class EdgesBetween(NamedTuple):
    """A problem's users against a bracket of multipliers."""

    status: Status
    choice: np.ndarray  # [users] int32, at the bracket's high end
    value: int  # what those choices add up to, in fixed point
    cost: int
    edges: np.ndarray  # EDGE, the hull edges inside the bracket, and those a hair beyond; in order of user and position


class FrontierResult(NamedTuple):
    """Breakpoints of the LP frontier, rising budget; `multiplier[k]` holds from breakpoint k to the next."""

    status: Status
    budget: np.ndarray  # [E+1] float64
    value: np.ndarray  # [E+1] float64
    multiplier: np.ndarray  # [E+1] float64, falling, 0 at the last
