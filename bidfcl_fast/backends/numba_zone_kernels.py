"""Whole hulls of many users, as lanes, in single precision (the twin of cpu/solver/climb.h).

Whoever's hull rounding could change is odd, and left to exact arithmetic. The functions compiled here call no other file's.
"""

# mypy: disallow-untyped-defs=False, check-untyped-defs=False

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import numba_kernels as kernels

W = 64  # users climbed side by side as lanes
CLEAR = np.float32(1 - 2.0**-12)  # steeper than all others by this: rounding has not decided
CLOSED = np.float32(8)  # beyond all numbers, which are below 1 here
LEAST = np.float32(2.0**-38)  # from here on, a float32 below 1 is a whole number of units of 2^-61
UNIT, COARSE = 2.0**61, 2.0**30
INSIDE = 1 << 24  # in `place`: the edge is inside the zone before the one named
# The state of W users: where each stands, whether it goes on, the slope it came by, whether rounding might have decided; the best
# step so far, whether another is close to it; where it begins.
VALUE, COST, LIVE, BEFORE, ODD, RISE, RUN, CLOSE, STOP, VALUE_TO, COST_TO, START, STATES = (W * k for k in range(13))
# A step: its slope, 0 where there is none, and the vertex it leads to.
STEP = 4 * W
LISTED = np.dtype([("slope", "f8"), ("user", "i4"), ("position", "i4"), ("start", "i4"), ("stop", "i4")])


class Grid(NamedTuple):
    """What is climbed, and how slopes are put into cells: positive doubles order like their bits."""

    value_factor: Any  # float32 powers of two that make all magnitudes at most 1
    cost_factor: Any
    low: Any  # float32: hulls are climbed while edges are as steep as this
    lowest: int
    shift: int
    size: int


@kernels.inner
def load(rows, first, count, value_factor, cost_factor, value, cost):
    """Columns of `count` users; the other lanes repeat the first."""
    for j in range(rows.items):
        p = rows.value_at + first * rows.value_row + j * rows.value_item
        q = rows.cost_at + first * rows.cost_row + j * rows.cost_item
        v, c = value[j * W : (j + 1) * W], cost[j * W : (j + 1) * W]
        for lane in range(count):
            v[lane] = rows.value[p + lane * rows.value_row] * value_factor
            c[lane] = rows.cost[q + lane * rows.cost_row] * cost_factor
        if rows.masked:
            o = rows.open_at + first * rows.open_row + j * rows.open_item
            for lane in range(count):
                if rows.open[o + lane * rows.open_row] == 0:
                    v[lane], c[lane] = -CLOSED, CLOSED
        for lane in range(count, W):
            v[lane], c[lane] = v[0], c[0]


@kernels.inner
def better_step(v, c, number, zero, one, at, best):
    """The steepest step of one lane so far, with one treatment more. On numbers alone: a choice between places in memory would
    be compiled to gathers, five times as slow."""
    rise, run, close, stop, value_to, cost_to = best
    rise_to, run_to = v - at[0], c - at[1]
    this, that = rise_to * run, rise * run_to
    ahead = run_to > zero
    better = ahead & (this > that)
    near = ahead & (rise_to > zero) & (this >= that * CLEAR)
    barely = one if this * CLEAR <= that else zero
    near_now = one if near else close
    close = barely if better else near_now
    rise = rise_to if better else rise
    run = run_to if better else run
    stop = number if better else stop
    value_to = v if better else value_to
    cost_to = c if better else cost_to
    return rise, run, close, stop, value_to, cost_to


@kernels.inner
def climb(value, cost, items, low, s, steps):
    """Whole hulls of W users; the number of steps of the longest."""
    zero, one = np.float32(0), np.float32(1)
    for lane in range(W):
        s[START + lane], s[VALUE + lane], s[COST + lane] = zero, value[lane], cost[lane]
    number = zero
    for j in range(1, items):
        number += one
        v, c = value[j * W : (j + 1) * W], cost[j * W : (j + 1) * W]
        for lane in range(W):
            at, least, start = s[VALUE + lane], s[COST + lane], s[START + lane]
            more, less = v[lane], c[lane]
            better = (less < least) | ((less == least) & (more > at))
            s[START + lane] = number if better else start
            s[VALUE + lane] = more if better else at
            s[COST + lane] = less if better else least
    for lane in range(W):
        s[LIVE + lane], s[BEFORE + lane] = one, np.float32(np.inf)
        s[ODD + lane] = one if s[COST + lane] == CLOSED else zero
    for e in range(items - 1):
        for lane in range(W):
            s[RISE + lane] = s[CLOSE + lane] = s[STOP + lane] = zero
            s[VALUE_TO + lane] = s[COST_TO + lane] = zero
            s[RUN + lane] = one
        number = zero
        for j in range(0, items, 2):
            # Two treatments a turn, the last one twice if they are odd in number: half the traffic with the state.
            k = min(j + 1, items - 1)
            v, c = value[j * W : (j + 1) * W], cost[j * W : (j + 1) * W]
            w, d = value[k * W : (k + 1) * W], cost[k * W : (k + 1) * W]
            for lane in range(W):
                at = s[VALUE + lane], s[COST + lane]
                t = (
                    s[RISE + lane],
                    s[RUN + lane],
                    s[CLOSE + lane],
                    s[STOP + lane],
                    s[VALUE_TO + lane],
                    s[COST_TO + lane],
                )
                t = better_step(v[lane], c[lane], number, zero, one, at, t)
                t = better_step(w[lane], d[lane], number + one, zero, one, at, t) if k > j else t
                (
                    s[RISE + lane],
                    s[RUN + lane],
                    s[CLOSE + lane],
                    s[STOP + lane],
                    s[VALUE_TO + lane],
                    s[COST_TO + lane],
                ) = t
            number += one + one
        step = steps[e * STEP : (e + 1) * STEP]
        for lane in range(W):
            slope = s[RISE + lane] / s[RUN + lane]
            goes = (s[LIVE + lane] > zero) & (slope > zero) & (slope >= low)
            doubt = goes & ((s[CLOSE + lane] > zero) | (slope > s[BEFORE + lane]))
            s[ODD + lane] = one if doubt else s[ODD + lane]
            s[LIVE + lane] = one if goes else zero
            s[BEFORE + lane] = slope
            s[VALUE + lane], s[COST + lane] = s[VALUE_TO + lane], s[COST_TO + lane]
            step[lane] = slope if goes else zero
            step[W + lane], step[2 * W + lane], step[3 * W + lane] = (
                s[STOP + lane],
                s[VALUE_TO + lane],
                s[COST_TO + lane],
            )
        live = 0
        for lane in range(W):
            live += np.int32(s[LIVE + lane])
        if live == 0:
            return e
    return items - 1


@kernels.inner
def cell_of(grid, slope):
    at = max(np.float64(slope).view(np.int64) - grid.lowest, 0) >> grid.shift
    return min(at, grid.size - 1)


@kernels.inner
def scratch_for(rows):
    n = rows.items * W
    return (
        np.empty(n, np.float32),
        np.empty(n, np.float32),
        np.zeros(STATES, np.float32),
        np.empty(rows.items * STEP, np.float32),
    )


@kernels.jit
def chart(rows, grid, begin, end):
    """Of the hull edges in each cell what they cost, in units of 2^-30, and how many they are; what the cheapest choices cost; how
    many users rounding might have led astray."""
    value, cost, s, steps = scratch_for(rows)
    cells, base, odd = np.zeros((grid.size, 2), np.int64), np.int64(0), np.int64(0)
    for first in range(begin, end, W):
        count = min(W, end - first)
        load(rows, first, count, grid.value_factor, grid.cost_factor, value, cost)
        longest = climb(value, cost, rows.items, grid.low, s, steps)
        for lane in range(count):
            odd += np.int64(s[ODD + lane])
            at = cost[np.int64(s[START + lane]) * W + lane]
            base += np.int64(np.float64(at) * COARSE)
            for e in range(longest):
                slope = steps[e * STEP + lane]
                if slope == 0:
                    break
                to, k = steps[e * STEP + 3 * W + lane], cell_of(grid, slope)
                cells[k, 0] += np.int64(np.float64(to - at) * COARSE)
                cells[k, 1] += 1
                at = to
    return cells, base, odd


@kernels.inner
def add_wide(totals, at, value, cost):
    totals[at, 0] += value >> 32
    totals[at, 1] += value & 0xFFFFFFFF
    totals[at, 2] += cost >> 32
    totals[at, 3] += cost & 0xFFFFFFFF


@kernels.inner
def mark_small(value, cost, s):
    """Who has a number that is not whole in units of 2^-61 is odd too."""
    zero, one = np.float32(0), np.float32(1)
    for j in range(0, len(value), W):
        v, c = value[j : j + W], cost[j : j + W]
        for lane in range(W):
            a, b, odd = abs(v[lane]), abs(c[lane]), s[ODD + lane]
            small = ((a > zero) & (a < LEAST)) | ((b > zero) & (b < LEAST))
            s[ODD + lane] = one if small else odd


@kernels.jit
def stairs(rows, grid, place, zones, begin, end, first_of, members, choice):
    """Everybody's choice at the high end of every zone, to the rows `members` of `choice`. What is bought from each zone on (wide;
    the last: before all edges), the edges inside zones, and whose they are; users of whom nothing is known."""
    value, cost, s, steps = scratch_for(rows)
    totals = np.zeros((zones + 2, 4), np.int64)
    listed, zone_of, found = np.empty(end - begin, LISTED), np.empty(end - begin, np.int32), 0
    odd, unknown = np.empty(end - begin, np.int32), 0
    move, here = np.full((zones + 1) * W, -1, np.int32), np.empty(W, np.int32)
    for first in range(begin, end, W):
        count = min(W, end - first)
        load(rows, first, count, grid.value_factor, grid.cost_factor, value, cost)
        longest = climb(value, cost, rows.items, grid.low, s, steps)
        mark_small(value, cost, s)
        for lane in range(W):
            here[lane] = np.int32(s[START + lane])
        if found + count * rows.items > len(listed):
            more, names = np.empty(2 * len(listed) + count * rows.items, LISTED), zone_of
            more[:found] = listed[:found]
            listed, zone_of = more, np.empty(len(more), np.int32)
            zone_of[:found] = names[:found]
        for lane in range(count):
            if s[ODD + lane] > 0:
                odd[unknown] = first + lane
                unknown += 1
                continue
            at = np.int64(here[lane])
            whole_value = np.int64(np.float64(value[at * W + lane]) * UNIT)
            whole_cost = np.int64(np.float64(cost[at * W + lane]) * UNIT)
            add_wide(totals, zones + 1, whole_value, whole_cost)
            for e in range(longest):
                slope = steps[e * STEP + lane]
                if slope == 0:
                    break
                to = np.int64(steps[e * STEP + W + lane])
                to_value = np.int64(np.float64(steps[e * STEP + 2 * W + lane]) * UNIT)
                to_cost = np.int64(np.float64(steps[e * STEP + 3 * W + lane]) * UNIT)
                rise, run = to_value - whole_value, to_cost - whole_cost
                named = np.int64(place[cell_of(grid, slope)])
                zone = named & (INSIDE - 1)
                add_wide(totals, zone, rise, run)
                move[zone * W + lane] = to
                if named & INSIDE:
                    edge = listed[found]
                    edge.slope, edge.user = np.float64(rise) / np.float64(run), first + lane
                    edge.position, edge.start, edge.stop = e, at, to
                    zone_of[found] = zone - 1
                    found += 1
                at, whole_value, whole_cost = to, to_value, to_cost
        for z in range(zones):
            moved = move[z * W : (z + 1) * W]
            for lane in range(W):
                to, at = moved[lane], here[lane]
                here[lane] = to if to >= 0 else at
            moved[:] = -1
            for k in range(first_of[z], first_of[z + 1]):
                row = choice[members[k], first : first + count]
                for lane in range(count):
                    row[lane] = here[lane]
        move[zones * W :] = -1
    return totals, listed[:found], zone_of[:found], odd[:unknown]


@kernels.inner
def stay(first_of, members, choice, user, at, zone, until):
    """`user` stands at `at` where the zones from `zone` to `until` begin."""
    for m in range(first_of[zone], first_of[max(zone, until)]):
        choice[members[m], user] = at
    return max(zone, until)


@kernels.jit
def stand(grid, place, zones, users, edges, first_of, members, choice, totals):
    """The same for odd users, from their exact hull edges by user; choice[members[0]] says where each begins. Which zone every edge
    is in, or −1."""
    zone_of, k = np.full(len(edges), -1, np.int32), 0
    for user in users:
        at, zone = choice[members[0], user], np.int64(0)
        while k < len(edges) and edges[k].user == user:
            e, slope = edges[k], np.float32(edges[k].slope)
            if slope >= grid.low:
                named = np.int64(place[cell_of(grid, slope)])
                until = named & (INSIDE - 1)
                add_wide(totals, until, np.int64(e.value), np.int64(e.cost))
                if named & INSIDE:
                    zone_of[k] = until - 1
                zone = stay(first_of, members, choice, user, at, zone, until)
                at = e.stop
            k += 1
        stay(first_of, members, choice, user, at, zone, np.int64(zones))
    return zone_of


@kernels.jit
def count_edges(edges, lowest, shift, size, totals):
    """Adds the edges of a zone to its buckets, five numbers each."""
    for k in range(len(edges)):
        e = edges[k]
        b = 5 * min(max(np.float64(e.slope).view(np.int64) - lowest, 0) >> shift, size - 1)
        totals[b] += e.value >> 32
        totals[b + 1] += e.value & 0xFFFFFFFF
        totals[b + 2] += e.cost >> 32
        totals[b + 3] += e.cost & 0xFFFFFFFF
        totals[b + 4] += 1
