"""Serving: decisions for users who come one at a time or in batches, at the multiplier of a plan."""

from __future__ import annotations

import json
import math
import operator
import re
import threading
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from . import _check, _fixed
from ._half import widened
from .errors import BudgetExhausted
from .mckp import Plan, solve_mckp

_DOUBT = 2.0**-48  # beyond what rounding can move a score by, relative to the row's numbers
_TOTAL = re.compile(
    r"-?\d{1,1300}(/\d{1,1300})?", re.ASCII
)  # sums of floats have no more digits than 309 + 774 and a few


class Allocator:
    """Treatments for new users at a given multiplier: what `solve_mckp(..., multiplier=...)` decides, user by user.

    Every user gets the largest value − multiplier·cost, ties to the cheaper treatment, then the smaller index. The running
    spend and value are exact sums. Calls from several threads are safe and count one after the other.

    Parameters
    ----------
    plan
        A `Plan` of one problem, whose multiplier is used, or a multiplier (at least 0).
    budget
        If given, the running spend never exceeds it: a user whose best treatment no longer fits into what is left gets
        the best one that does. If none does, `choose` raises `BudgetExhausted` and counts nothing; `choose_batch`
        gives -1. Treatments that cost nothing always fit, as long as the spend is within the budget.
    backend
        For batches, as in `solve_mckp`.

    Attributes
    ----------
    multiplier, budget
        As given; `budget` is None without a limit.
    users
        How many users have been given a treatment.
    spend, value
        Their running totals, each the exact sum, rounded once.
    """

    def __init__(self, plan: Any, *, budget: float | None = None, backend: str | None = None) -> None:
        multiplier = plan.multiplier if isinstance(plan, Plan) else plan
        if not isinstance(multiplier, (int, float, np.number)) or isinstance(multiplier, bool):
            raise TypeError(
                f"plan must be a Plan of one problem or a multiplier, got {type(plan).__name__} with multiplier "
                f"{type(multiplier).__name__}"
            )
        self.multiplier = float(multiplier)
        if not (math.isfinite(self.multiplier) and self.multiplier >= 0):
            raise ValueError(f"multiplier must be finite and at least 0, got {self.multiplier}")
        if budget is not None and not math.isfinite(budget):
            raise ValueError(f"budget must be finite, got {budget}")
        self.budget = None if budget is None else float(budget)
        self.users = 0
        self._backend = backend
        self._spend, self._value = _Sum(), _Sum()
        self._limit = None if budget is None else Fraction(self.budget)  # type: ignore[arg-type]
        self._lock = threading.Lock()

    @property
    def spend(self) -> float:
        with self._lock:  # not between a numerator and its denominator
            return self._spend.rounded()

    @property
    def value(self) -> float:
        with self._lock:
            return self._value.rounded()

    def choose(self, value: Sequence[float], cost: Sequence[float], mask: Sequence[bool] | None = None) -> int:
        """The treatment of one user: value, cost [M] lists or arrays of numbers, mask [M] of what is open.

        Raises
        ------
        ValueError
            If lengths differ, a number is not finite or nothing is open.
        BudgetExhausted
            If the user has no treatment that fits into the rest of the budget.
        """
        v = value if type(value) is list else _listed("value", value)
        c = cost if type(cost) is list else _listed("cost", cost)
        if len(v) != len(c) or not v:
            raise ValueError(f"value and cost must be of one length, at least 1, got {len(v)} and {len(c)}")
        if mask is not None:
            return self._masked(v, c, mask)
        j = _best(v, c, self.multiplier)
        with self._lock:
            if self._limit is not None and not self._spend.fits(c[j], self._limit):
                j = self._best_that_fits(v, c, list(range(len(v))))
            self._count(v[j], c[j])
        return j

    def choose_batch(self, value: Any, cost: Any, mask: Any = None) -> np.ndarray:
        """[N] int32 treatments of users who come in this order: value, cost [N, M], mask [N, M], as in `solve_mckp`.

        -1 where a user has no treatment that fits into the rest of the budget. In a batch of float64 numbers, scores that
        differ by less than 2^-61 of the largest number in it may be told apart differently than alone.
        """
        plan = solve_mckp(value, cost, multiplier=self.multiplier, mask=mask, backend=self._backend)
        choice = np.asarray(plan.choice)
        v, c = widened(_check.floats("value", value)), widened(_check.floats("cost", cost))
        rows = np.arange(len(choice))
        values, costs = v[rows, choice].astype(np.float64), c[rows, choice].astype(np.float64)
        m = None if mask is None else np.asarray(mask)
        with self._lock:
            sure = len(choice)
            if self._limit is not None:
                with np.errstate(over="ignore", invalid="ignore"):  # what overflows is in doubt
                    total = np.cumsum(costs)
                    doubt = 1e-12 * (np.cumsum(np.abs(costs)) + abs(self._spend.rounded()) + abs(self.budget or 0.0))
                    beyond = np.flatnonzero(~(total + doubt <= _fixed.near(self._limit - self._spend.exact())))
                sure = int(beyond[0]) if len(beyond) else sure
            self._spend.add_all(costs[:sure])
            self._value.add_all(values[:sure])
            self.users += sure
            for i in range(sure, len(choice)):
                j = int(choice[i])
                if self._limit is not None and not self._spend.fits(float(costs[i]), self._limit):
                    open_ = list(range(v.shape[1])) if m is None else np.flatnonzero(m[i]).tolist()
                    try:
                        j = self._best_that_fits(v[i].tolist(), c[i].tolist(), open_)
                    except BudgetExhausted:
                        choice[i] = -1
                        continue
                choice[i] = j
                self._count(float(v[i, j]), float(c[i, j]))
        return choice

    def state(self) -> dict[str, Any]:
        """Everything that a restart needs, as JSON takes it: `json.dumps(allocator.state())`."""
        with self._lock:
            totals = {"spend": str(self._spend.exact()), "value": str(self._value.exact())}
            return {"multiplier": self.multiplier, "budget": self.budget, "users": self.users, **totals}

    @classmethod
    def from_state(cls, state: dict[str, Any] | str, *, backend: str | None = None) -> Allocator:
        """The allocator that `state()` described, from the dict or its JSON text; exact to the last bit."""
        try:
            s = json.loads(state) if isinstance(state, str) else state
            out = cls(s["multiplier"], budget=s["budget"], backend=backend)
            out.users = operator.index(s["users"])
            out._spend, out._value = (_Sum(_fraction(s[name])) for name in ("spend", "value"))
            if out.users < 0:
                raise ValueError(f"{out.users} users")
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"state must be what Allocator.state() returned: {error!r}") from error
        return out

    def __repr__(self) -> str:
        of = "" if self.budget is None else f" of {self.budget:.10g}"
        return (
            f"Allocator(multiplier={self.multiplier:.6g}, users={self.users}, spend={self.spend:.10g}{of}, "
            f"value={self.value:.10g})"
        )

    def _masked(self, v: list[float], c: list[float], mask: Sequence[bool]) -> int:
        if len(mask) != len(v):
            raise ValueError(f"mask must have the length of value, {len(v)}, got {len(mask)}")
        open_ = [j for j, is_open in enumerate(mask) if is_open]
        if not open_:
            raise ValueError("mask leaves the user no open treatment")
        with self._lock:
            j = open_[_best([v[k] for k in open_], [c[k] for k in open_], self.multiplier)]
            if self._limit is not None and not self._spend.fits(c[j], self._limit):
                j = self._best_that_fits(v, c, open_)
            self._count(v[j], c[j])
        return j

    def _best_that_fits(self, v: list[float], c: list[float], open_: list[int]) -> int:
        assert self._limit is not None
        fitting = [j for j in open_ if self._spend.fits(c[j], self._limit)]
        if not fitting:
            left = _fixed.near(self._limit - self._spend.exact())
            raise BudgetExhausted(
                f"the cheapest open treatment costs {min(c[j] for j in open_)!r}, and {left!r} is left of the budget "
                f"{self.budget!r}; give the user a free treatment, or raise the budget"
            )
        return fitting[_best([v[j] for j in fitting], [c[j] for j in fitting], self.multiplier)]

    def _count(self, value: float, cost: float) -> None:
        self._spend.add(cost)
        self._value.add(value)
        self.users += 1


def _fraction(text: str) -> Fraction:
    """A total as `state` writes it; what floats do not add up to is refused."""
    if not _TOTAL.fullmatch(text):
        raise ValueError(f"no total: {text[:40]!r}")
    top, _, bottom = text.partition("/")
    power = int(bottom or 1)
    if power & (power - 1) or not power:
        raise ValueError(f"no total: {text[:40]!r}")
    return Fraction(int(top), power)


def _listed(name: str, x: Any) -> list[float]:
    array = np.asarray(x)
    if array.ndim != 1 or array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be [M] numbers, got {array.dtype} {list(array.shape)}")
    return array.tolist()


def _best(value: list[float], cost: list[float], multiplier: float) -> int:
    """The best score, certain in floats or decided in integers."""
    best = second = -math.inf
    largest = 0.0
    at = 0
    for j, v in enumerate(value):
        paid = multiplier * cost[j]
        score = v - paid
        size = (v if v >= 0 else -v) + (paid if paid >= 0 else -paid)
        if not size <= 1e300:  # infinite, NaN, or about to be
            return _exactly(value, cost, multiplier)
        if size > largest:
            largest = size
        if score > best:
            best, second, at = score, best, j
        elif score > second:
            second = score
    return at if best - second > _DOUBT * largest else _exactly(value, cost, multiplier)


def _exactly(value: list[float], cost: list[float], multiplier: float) -> int:
    """As `solve_mckp` decides it for this user alone: in fixed point, scores as fractions."""
    v, c = np.array(value, np.float64), np.array(cost, np.float64)
    for name, x in (("value", v), ("cost", c)):
        if not np.isfinite(x).all():
            j = int(np.flatnonzero(~np.isfinite(x))[0])
            raise ValueError(f"{name} must be finite, got {x[j]} at {name}[{j}]")
    shifts = [61 - math.frexp(float(np.abs(x).max()))[1] for x in (v, c)]
    values, costs = (_fixed.integers(x, s).tolist() for x, s in zip((v, c), shifts, strict=True))
    price = Fraction(multiplier) * Fraction(2) ** (shifts[0] - shifts[1])
    return min(range(len(values)), key=lambda j: (price * costs[j] - values[j], costs[j], j))


class _Sum:
    """An exact running sum of floats: an integer over a power of two."""

    __slots__ = ("_bottom", "_top")

    def __init__(self, start: Fraction | None = None) -> None:
        self._top, self._bottom = (0, 1) if start is None else (start.numerator, start.denominator)

    def add(self, x: float) -> None:
        top, bottom = x.as_integer_ratio()
        if bottom > self._bottom:
            self._top *= bottom // self._bottom
            self._bottom = bottom
        self._top += top * (self._bottom // bottom)

    def add_all(self, x: np.ndarray) -> None:
        """All of an array: its sum rounded, what that lost, and so on until nothing is."""
        rest = x.tolist()
        while rest and (part := math.fsum(rest)) != 0:
            self.add(part)
            rest.append(-part)

    def fits(self, x: float, limit: Fraction) -> bool:
        top, bottom = x.as_integer_ratio()
        together = self._top * bottom + top * self._bottom
        return together * limit.denominator <= limit.numerator * self._bottom * bottom

    def exact(self) -> Fraction:
        return Fraction(self._top, self._bottom)

    def rounded(self) -> float:
        return _fixed.near(self.exact())
