"""What one reading keeps of users who do not fit into memory: exact totals, and the edges near λ*, never too many."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .. import _fixed
from .._problems import EdgesBetween, Scales
from .._spec import FILL_WINDOW
from ._ledger import Key, Ledger, exact_sum, joined
from ._search import Swept

MOST = 1 << 20  # edges kept; some 130 bytes each while they are sorted
_ERRORS = 4.0  # standard errors, over blocks, that stay inside a narrower bracket
_SPARE = 2 * FILL_WINDOW  # edges below λ*
_HAIR = 2.0**-40
_CLOSE = 2.0**-48  # rounded slopes further apart are not equal
_WIDTH = 2.0**-13  # a bracket is no narrower: float32 has numbers between its ends


class _Tied(NamedTuple):
    """Edges of one block that all have one slope, of which there are too many."""

    first: int  # the block's first user
    edges: int
    value: int
    cost: int


class Kept:
    """Edges of one search, block after block; the bracket becomes narrower where there are too many.

    money: the budget in fixed point; rows: of all blocks.
    """

    def __init__(self, low: float, high: float, money: int, scales: Scales, rows: int) -> None:
        self.bracket = (low, high)
        self.value = self.cost = 0
        self._money, self._own, self._rows = money, scales.cost - scales.value, rows
        self._pieces: list[tuple[np.ndarray, int]] = []
        self._count, self._most = 0, MOST
        self._seen = 0
        self._spends: list[float] = []  # of blocks, a row, half-way through the bracket
        self._ties: dict[tuple[int, int], list[_Tied]] = {}  # by slope, in lowest terms

    def take(self, found: EdgesBetween, first: int) -> None:
        """What a block whose first user is `first` was found to hold in `bracket`."""
        self.value += found.value
        self.cost += found.cost
        rows, edges = len(found.choice), found.edges
        self._seen += rows
        self._spends.append((found.cost + 0.5 * float(edges["cost"].sum(dtype=np.float64))) / rows)
        edges = self._without_ties(edges, first)
        self._pieces.append((edges, first))
        self._count += len(edges)
        if self._count > self._most:
            self._narrow()

    def swept(self, costs_rounded: bool, again: Callable[[int], EdgesBetween]) -> tuple[Swept, Ledger]:
        """The end of a reading. `again` finds the block of a first user once more."""
        tied = [t for some in self._ties.values() for t in some]
        edges_cost = sum(exact_sum(e["cost"]) for e, _ in self._pieces) + sum(t.cost for t in tied)
        edges = self._count + sum(t.edges for t in tied)
        spend = self.cost + edges_cost
        if tied and self.cost <= self._money and (spend > self._money or self.bracket[0] == 0):
            self._load_ties(again)
        ledger = self._ledger()
        edges_cost = spend - self.cost
        return Swept(self.bracket, self.value, self.cost, edges_cost, edges, costs_rounded), ledger

    def _ledger(self) -> Ledger:
        pieces, self._pieces = self._pieces, []
        firsts = np.repeat(np.array([f for _, f in pieces], np.int64), [len(e) for e, _ in pieces])
        return Ledger(joined([e for e, _ in pieces]), firsts)

    def _slopes(self, edges: np.ndarray) -> np.ndarray:
        return np.ldexp(edges["value"] / edges["cost"], self._own)

    # --- Too many edges ---------------------------------------------------------------------------------------------------

    def _narrow(self) -> None:
        """Keep what lies close to where the blocks so far say that λ* is."""
        ties = [(self._slope_of(tie), float(sum(t.cost for t in some))) for tie, some in self._ties.items()]
        slope = np.concatenate([*(self._slopes(e) for e, _ in self._pieces), [s for s, _ in ties]])
        cost = np.concatenate([*(e["cost"].astype(np.float64) for e, _ in self._pieces), [c for _, c in ties]])
        order = np.argsort(-slope, kind="stable")
        slope, spend = slope[order], self.cost + np.cumsum(cost[order])
        share = self._seen / self._rows
        blocks = len(self._spends)
        error = math.inf
        if blocks > 1:
            error = float(np.std(self._spends)) * self._seen / math.sqrt(blocks) * math.sqrt(max(0.0, 1 - share))
        target = self._money * share
        middle = int(np.searchsorted(spend, target))
        first = int(np.searchsorted(spend, target - _ERRORS * error))
        last = int(np.searchsorted(spend, target + _ERRORS * error)) + _SPARE
        first, last = max(first, middle - self._most // 4), min(last, middle + self._most // 4)
        low, high = self.bracket
        if last < len(slope):
            low = float(slope[last]) * (1 - _HAIR)
        if first > 0:
            high = min(high, float(slope[min(first, len(slope) - 1)]) * (1 + _HAIR))
        if high < low * (1 + _WIDTH):
            low, high = max(self.bracket[0], low * (1 - _WIDTH)), min(self.bracket[1], high * (1 + _WIDTH))
        self._cut(low, high)
        if self._count > self._most * 3 // 4:
            self._set_ties_aside()
        if self._count > self._most * 3 // 4:  # neither: slopes that are nearly, but not all, the same
            self._most *= 2

    def _cut(self, low: float, high: float) -> None:
        pieces = []
        for edges, first in self._pieces:
            slope = self._slopes(edges)
            above = edges[slope > high]
            self.value += exact_sum(above["value"])
            self.cost += exact_sum(above["cost"])
            pieces.append((edges[(slope >= low) & (slope <= high)], first))
        for tie in [tie for tie in self._ties if not low <= self._slope_of(tie) <= high]:
            some = self._ties.pop(tie)
            if self._slope_of(tie) > high:
                self.value += sum(t.value for t in some)
                self.cost += sum(t.cost for t in some)
        self._pieces, self.bracket = pieces, (low, high)
        self._count = sum(len(e) for e, _ in pieces)

    # --- Too many edges of one slope: they are bought in the order of users, so a block's totals are enough ---------------

    def _set_ties_aside(self) -> None:
        """The slopes that most edges share, while there are too many edges."""
        while self._count > self._most // 2:
            slope = np.concatenate([self._slopes(e) for e, _ in self._pieces])
            slopes, counts = np.unique(slope, return_counts=True)
            if counts.max() < self._count // 8:
                return
            most = slopes[counts.argmax()]
            edges, k = next((e, at[0]) for e, _ in self._pieces if len(at := np.flatnonzero(self._slopes(e) == most)))
            value, cost = int(edges["value"][k]), int(edges["cost"][k])
            divisor = math.gcd(value, cost)
            self._ties[value // divisor, cost // divisor] = []
            self._pieces = [(self._without_ties(edges, first), first) for edges, first in self._pieces]
            self._count = sum(len(e) for e, _ in self._pieces)

    def _slope_of(self, tie: tuple[int, int]) -> float:
        return _fixed.ldexp(tie[0] / tie[1], self._own)

    def _without_ties(self, edges: np.ndarray, first: int) -> np.ndarray:
        for tie, some in self._ties.items():
            tied = _has_slope(edges, tie)
            if tied.any():
                mine = edges[tied]
                some.append(_Tied(first, len(mine), exact_sum(mine["value"]), exact_sum(mine["cost"])))
                edges = edges[~tied]
        return edges

    def _load_ties(self, again: Callable[[int], EdgesBetween]) -> None:
        """Buy the blocks of ties that are bought whole, and take in the edges of those where the money runs out."""
        firsts = np.repeat(np.array([f for _, f in self._pieces], np.int64), [len(e) for e, _ in self._pieces])
        others = Ledger(joined([e for e, _ in self._pieces]), firsts)
        room, after, out = self._money - self.cost, 0, False  # `out`: the money has run out
        for tie in sorted(self._ties, key=lambda t: Fraction(*t), reverse=True):
            blocks = sorted(self._ties[tie])
            steeper = others.totals(others.find(Key(*tie, -1, 0), len(others)))[1]
            k = 0
            while not out and k < len(blocks) and room - steeper >= blocks[k].cost:
                room -= blocks[k].cost
                self.value += blocks[k].value
                self.cost += blocks[k].cost
                k += 1
            if k < len(blocks) and not out:
                out, after = True, -blocks[k].edges
            while k < len(blocks) and after < _SPARE:
                edges = again(blocks[k].first).edges
                edges = edges[_has_slope(edges, tie)]
                self._pieces.append((edges, blocks[k].first))
                after += len(edges)
                k += 1


def _has_slope(edges: np.ndarray, tie: tuple[int, int]) -> np.ndarray:
    """[edges] bool: whose slope is exactly that."""
    slope = tie[0] / tie[1]
    out = np.abs(edges["value"] / edges["cost"] - slope) <= _CLOSE * slope
    near = np.flatnonzero(out)
    value, cost = edges["value"][near], edges["cost"][near]
    divisor = np.gcd(value, cost)
    out[near] = (value // divisor == tie[0]) & (cost // divisor == tie[1])
    return out
