"""From a search's outcome to the choices of any users, in whatever blocks they come."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .. import _fixed
from .._problems import EdgesBetween, Scales
from ._finish import Outcome
from ._ledger import exact_sum

_DOUBT = 2.0**-48  # rounded slopes further apart are in their exact order
_NARROW = 2.0**-12  # each way: few edges inside, and float32 has numbers between the ends


@dataclass(frozen=True)
class Rule:
    """Which hull edges are bought, and what is chosen besides."""

    bracket: tuple[float, float]  # all edges above it are bought, none below; those inside are asked one by one
    slope: Fraction | None  # in fixed-point units: steeper ones are bought; None: all of them
    user: int = -1  # of those of just that slope, all of users before this one,
    start: int = -1  # and this one's until it stands here; -1: none
    picks: tuple[tuple[int, int, int], ...] = ()  # (user, from, to), in turn

    @classmethod
    def of(cls, outcome: Outcome, scales: Scales) -> Rule:
        """A plan's own rule."""
        low, high = outcome.bracket
        if outcome.split is None:
            return cls((low, high), None)
        slope = Fraction(outcome.split.value, outcome.split.cost)
        at = _fixed.ldexp(float(slope), scales.cost - scales.value)
        near = max(low, at * (1 - _NARROW)), min(high, at * (1 + _NARROW))
        return cls(near, slope, outcome.split.user, outcome.split_start, outcome.picks)

    @classmethod
    def at(cls, multiplier: float, scales: Scales) -> Rule:
        """Every step that brings more than `multiplier` value per unit of money."""
        slope = Fraction(multiplier) * Fraction(2) ** (scales.value - scales.cost)
        return cls((multiplier * (1 - _NARROW), multiplier * (1 + _NARROW) if multiplier else 1e-9), slope)

    def bought(self, edges: np.ndarray, user: np.ndarray) -> np.ndarray:
        """[edges] bool, for edges that stand in order of each user's positions; `user` counts over all users."""
        if self.slope is None:
            return np.ones(len(edges), bool)
        value, cost = edges["value"], edges["cost"]
        rounded, at = value / cost, float(self.slope)
        out = rounded > at
        near = np.flatnonzero(np.abs(rounded - at) <= _DOUBT * at)
        if len(near):
            # In integers; users alike share an answer.
            pairs, which = np.unique(np.stack([value[near], cost[near]], axis=1), axis=0, return_inverse=True)
            top, bottom = self.slope.numerator, self.slope.denominator
            order = np.array([(v * bottom > c * top) - (v * bottom < c * top) for v, c in pairs.tolist()], np.int64)[
                which.ravel()
            ]
            out[near] = (order > 0) | ((order == 0) & (user[near] < self.user))
        if self.user >= 0:
            own = np.flatnonzero(user == self.user)
            for k in own.tolist():
                if edges["start"][k] == self.start:
                    break
                out[k] = True
        return out


@dataclass(frozen=True)
class Chosen:
    """What a block's users get, and what it adds up to in fixed point."""

    choice: np.ndarray
    value: int
    cost: int


def choose(found: EdgesBetween, rule: Rule, first: int, value: np.ndarray, cost: np.ndarray, scales: Scales) -> Chosen:
    """By `rule`, for users `first`, `first` + 1, …, who were found against its bracket; value, cost: their rows."""
    choice, edges = found.choice, found.edges
    mine = rule.bought(edges, edges["user"] + np.int64(first))
    kept = edges[mine]
    # A user's edges stand in the order in which it takes them: the last one wins.
    choice[kept["user"]] = kept["stop"]
    totals = [found.value + exact_sum(kept["value"]), found.cost + exact_sum(kept["cost"])]
    for user, start, stop in rule.picks:
        i = user - first
        if 0 <= i < len(choice):
            choice[i] = stop
            for k, (x, shift) in enumerate(((value, scales.value), (cost, scales.cost))):
                before, after = _fixed.integers(x[i, [start, stop]], shift).tolist()
                totals[k] += after - before
    return Chosen(choice, *totals)
