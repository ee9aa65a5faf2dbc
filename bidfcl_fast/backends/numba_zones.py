"""Several budgets of one instance by two readings, for the Numba backend (the twin of cpu/solver/zones.cpp).

The first reading charts what all hull edges cost, by slope, and so says for every budget nearly where its multiplier is;
the second writes everybody's choices there.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .._problems import MckpResult, Problems
from ..errors import Status
from . import numba as driver
from . import numba_kernels as kernels
from . import numba_zone_kernels as climbing
from .numba_zone_kernels import COARSE, INSIDE, Grid

FEWEST, FEWEST_USERS, MOST_ITEMS = 8, 32768, 32  # budgets, users, treatments
MANY = 16  # one in so many users may be odd, or have an edge in a zone
CELLS, CHUNK = 16384, 8192
SAMPLED, PLACES = 256, 32  # users side by side, so many times
WIDER, FLAT = 0.2, 1024  # the sample's range is made wider; one edge in so many may share the last cell
ROUNDED = 2.0**-20  # relatively, how far a slope in single precision may be off


# --- Where budgets run out ----------------------------------------------------------------------------------------------


class Zone(NamedTuple):
    """A range of cells, and the budgets that run out there."""

    low: int
    high: int
    budgets: list[int]


class Chart(NamedTuple):
    grid: Grid
    cells: np.ndarray  # [cells, 2]
    base: int
    odd: float  # about how large a share of the users
    rows: int  # read

    def floor(self, cell: int) -> float:
        return float(np.int64(self.grid.lowest + (cell << self.grid.shift)).view(np.float64))


def _read(rows: kernels.Instance, grid: Grid, ranges: list[tuple[int, int]], threads: int) -> tuple[Any, int, int]:
    parts = driver.for_ranges(ranges, threads, lambda begin, end: climbing.chart(rows, grid, begin, end))
    return sum(part[0] for part in parts), sum(int(part[1]) for part in parts), sum(int(part[2]) for part in parts)


def _exponent(x: float) -> int:
    return math.frexp(x)[1]


def charted(rows: kernels.Instance, survey: kernels.Survey, budgets: np.ndarray, threads: int) -> Chart:
    value, cost = (np.float32(2.0 ** -_exponent(x)) for x in (survey.value, survey.cost))
    bits = lambda x: int(np.float64(x).view(np.int64))  # noqa: E731
    wide = Grid(value, cost, np.float32(0), bits(2.0**-64), 46, CELLS)
    starts = (np.arange(PLACES) + np.arange(PLACES) * 0.6180339887498949 % 1) / PLACES * (rows.users - SAMPLED)
    cells, base, odd = _read(rows, wide, [(int(k), int(k) + SAMPLED) for k in starts], threads)
    sampled = SAMPLED * PLACES
    room = np.sort(budgets)[[0, -1]] * float(cost) * COARSE * sampled / rows.users - base
    spend, edges = cells[::-1, 0].cumsum()[::-1], cells[:, 1]  # spend[b]: of the cells from b on
    some = np.flatnonzero(edges)
    grid = wide
    if some.size:
        flat = int(np.searchsorted(edges.cumsum() * FLAT, edges.sum(), side="right"))
        steep = np.flatnonzero((spend > room[0] * (1 - WIDER)) & (edges > 0))
        below = np.flatnonzero((spend > room[1] * (1 + WIDER)) & (edges > 0))
        high = int(steep[-1]) + 2 if steep.size else int(some[0]) + 2
        low = int(below[-1]) if below.size else flat
        lowest, top = wide.lowest + (low << wide.shift), wide.lowest + (max(high, low + 2) << wide.shift)
        shift = 36  # 2^-16 of a slope, or more
        while (top - lowest) >> shift >= CELLS:
            shift += 1
        bottom = np.float32(np.int64(lowest).view(np.float64)) if below.size else np.float32(0)
        grid = Grid(value, cost, bottom, lowest, shift, CELLS)
    ranges = [(k, min(k + 4 * CHUNK, rows.users)) for k in range(0, rows.users, 4 * CHUNK)]
    cells, base, _ = _read(rows, grid, ranges, threads)
    return Chart(grid, cells, base, odd / sampled, sampled + rows.users)


def zones_of(chart_: Chart, budgets: np.ndarray, spare: float) -> list[Zone]:
    """Apart from each other, in falling order; budgets that pay for no edge, or run out beyond the chart, have none."""
    spend, edges = chart_.cells[::-1, 0].cumsum(), chart_.cells[::-1, 1].cumsum()
    size = chart_.grid.size
    off = float(edges[-1] + chart_.rows) + 1e-6 * (float(spend[-1]) + abs(chart_.base))
    found: list[Zone] = []
    for k, budget in enumerate(budgets.tolist()):
        money = budget * float(chart_.grid.cost_factor) * COARSE - chart_.base
        if money < off:
            continue
        high = int(np.searchsorted(spend, money - off, side="right"))
        if high == size and chart_.grid.low > 0:
            continue
        until = int(np.searchsorted(spend, money + off, side="right"))
        enough = edges[min(until, size - 1)] + spare
        low = min(int(np.searchsorted(edges, enough, side="left")) if until < size else size, size - 1)
        # A cell more on each side keeps λ* clear of the ends.
        found.append(Zone(max(size - 2 - low, 0), min(size - min(high, size - 1) + 1, size), [k]))
    found.sort(key=lambda zone: -zone.high)
    apart: list[Zone] = []
    for zone in found:
        if apart and zone.high > apart[-1].low:
            last = apart[-1]
            apart[-1] = Zone(min(last.low, zone.low), last.high, last.budgets + zone.budgets)
        else:
            apart.append(zone)
    return apart


# --- The second reading, and the ends ------------------------------------------------------------------------------------


def worth_zones(problems: Problems, survey: kernels.Survey) -> bool:
    moderate = survey.finite and all(2.0**-90 < x < 2.0**90 for x in (survey.value, survey.cost))
    enough = problems.count >= FEWEST and problems.stop[0] - problems.start[0] >= FEWEST_USERS
    return bool(
        enough and moderate and problems.value.dtype == np.float32 and 2 <= problems.value.shape[2] <= MOST_ITEMS
    )


def solve_in_zones(
    rows: kernels.Instance,
    survey: kernels.Survey,
    problems: Problems,
    fill: bool,
    out: MckpResult,
    threads: driver.Threads,
) -> np.ndarray:
    """[budgets] which of them it has solved."""
    users, done = rows.users, np.zeros(problems.count, bool)
    chart_ = charted(rows, survey, problems.budget, threads.count)
    if chart_.odd * MANY > 1:
        return done
    found = zones_of(chart_, problems.budget, 1.25 * kernels.FILL_WINDOW if fill else 1.0)
    zones = [zone for zone in found if chart_.cells[zone.low : zone.high, 1].sum() * MANY <= users]
    if not zones:
        return done
    place = np.full(chart_.grid.size, len(zones), np.int32)
    above = chart_.grid.size
    for z, zone in enumerate(zones):
        place[zone.high : above] = z
        place[zone.low : zone.high] = (z + 1) | INSIDE
        above = zone.low
    first_of = np.cumsum([0] + [len(zone.budgets) for zone in zones])
    members = np.array([k for zone in zones for k in zone.budgets])
    parts = driver.for_chunks(
        users,
        CHUNK,
        threads.count,
        lambda begin, end: climbing.stairs(
            rows, chart_.grid, place, len(zones), begin, end, first_of, members, out.choice
        ),
    )
    totals = sum(part[0] for part in parts)
    true = kernels.true_counting(rows, survey)
    odd = np.concatenate([part[3] for part in parts])
    listed, zone_of = np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts])
    if odd.size:
        base, hulls, closed_user = threads.walk_users(rows, true, kernels.EVERY_EDGE, odd, odd, out.choice[members[0]])
        if closed_user:
            return done
        totals[-1] += base[-5:-1]
        hulls = hulls[np.argsort(hulls["user"], kind="stable")]
        within = climbing.stand(
            chart_.grid,
            place,
            len(zones),
            odd,
            kernels.exact_edges(rows, true, hulls),
            first_of,
            members,
            out.choice,
            totals,
        )
        listed, zone_of = np.concatenate([listed, hulls[within >= 0]]), np.concatenate([zone_of, within[within >= 0]])
    order = np.argsort(zone_of, kind="stable")
    ends = np.searchsorted(zone_of[order], np.arange(len(zones) + 1))
    before = totals[-1].copy()
    least = (before[0], before[1], before[2], before[3])
    for z, zone in enumerate(zones):
        before = before + totals[z]
        edges = listed[order[ends[z] : ends[z + 1]]]
        _end_zone(rows, survey, true, chart_, zone, edges, before, fill, problems, out, done)
    _infeasible(survey, true, chart_, zones, least, problems, out, done)
    return done


def _end_zone(rows, survey, true, chart_, zone, edges, before, fill, problems, out, done) -> None:  # type: ignore[no-untyped-def]
    to_own = int(true.cost.shift) - int(true.value.shift)
    low = chart_.floor(zone.low) * (1 + ROUNDED) if zone.low > 0 or chart_.grid.low > 0 else 0.0
    high = chart_.floor(zone.high) * (1 - ROUNDED) if zone.high < chart_.grid.size else math.inf
    buckets = kernels.edges_between(rows, true, False, math.ldexp(low, to_own), math.ldexp(high, to_own)).buckets
    totals = np.zeros((buckets.size + 1) * 5, np.int64)
    climbing.count_edges(kernels.exact_edges(rows, true, edges), buckets.lowest, buckets.shift, buckets.size, totals)
    totals[-5:-1] = before
    at_high, at_low, _, _ = kernels.spends(totals, true.cost.shift)
    for k in zone.budgets:
        budget = kernels.floor_wide(true.cost, float(problems.budget[k]))
        kernels.tell_units(survey, out, k)
        out.rows_read[k], out.sweeps[k], out.active[k] = chart_.rows + rows.users, 1, len(edges)
        inside = kernels.at_most(*at_high, *budget) and not (low > 0 and kernels.at_most(*at_low, *budget))
        done[k] = inside and kernels.finish(
            rows, true, survey, totals, edges, buckets, math.ldexp(low, to_own), math.ldexp(high, to_own), budget, fill,
            out.choice[k], out, k, np.zeros(1),
        )  # fmt: skip


def _infeasible(survey, true, chart_, zones, least, problems, out, done) -> None:  # type: ignore[no-untyped-def]
    """What everybody's cheapest choices cost is known exactly now."""
    in_zone = {k for zone in zones for k in zone.budgets}
    cheapest = (int(least[2]) << 32) + int(least[3])
    for k in range(problems.count):
        high, low = kernels.floor_wide(true.cost, float(problems.budget[k]))
        if k in in_zone or (int(high) << 32) + int(low) >= cheapest:
            continue
        kernels.tell_units(survey, out, k)
        out.rows_read[k], out.sweeps[k], out.active[k] = chart_.rows, 0, 0
        out.status[k] = Status.INFEASIBLE_BUDGET
        out.least_budget[k] = kernels.above(cheapest >> 32, cheapest & 0xFFFFFFFF, true.cost.shift)
        out.choice[k] = -1
        done[k] = True
