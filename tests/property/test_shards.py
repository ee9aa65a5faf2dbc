"""However users are cut into shards, and whatever the search is shown at a time, the plan is that of one process."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scale.test_search import check

from bidfcl_fast._problems import EDGE
from bidfcl_fast.scale import _curve, _search
from bidfcl_fast.scale._ledger import buying_order

from .strategies import solvable


@pytest.fixture
def eager(monkeypatch):
    """Samples, rounds and windows so small that a few users need them all."""
    monkeypatch.setattr(_search, "FEW", 4)
    monkeypatch.setattr(_search, "_ALL", 6)
    monkeypatch.setattr(_search, "points_each", lambda shards: 3)
    monkeypatch.setattr(_curve, "evenly", lambda users, most: np.arange(0, users, 3))


@given(solvable(max_users=12), st.lists(st.floats(0, 1), max_size=5), st.booleans())
def test_small_shards(x, cuts, fill):
    instance, budget = x
    check(instance, budget, [round(c * len(instance.value)) for c in cuts], fill=fill)


@given(solvable(max_users=12), st.lists(st.floats(0, 1), max_size=5), st.booleans())
def test_small_shards_by_samples_and_rounds(eager, x, cuts, fill):
    instance, budget = x
    check(instance, budget, [round(c * len(instance.value)) for c in cuts], fill=fill)


def exact_order(edges, user):
    keys = [
        (-Fraction(int(e["value"]), int(e["cost"])), int(u), int(e["position"]))
        for e, u in zip(edges, user, strict=True)
    ]
    return sorted(range(len(edges)), key=keys.__getitem__)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(-3, 3), st.integers(-3, 3), st.integers(1, 2**20)), max_size=40)
)
def test_edges_are_sorted_by_exact_slopes(rows):
    """Slopes that differ in the sixtieth bit, and slopes that are equal though their rounded ones differ."""
    edges = np.zeros(len(rows), EDGE)
    for e, (kind, dv, dc, times) in zip(edges, rows, strict=True):
        big = (1 << 60) + 3
        e["value"], e["cost"] = ((big + dv, big + dc), (3 * times, 7 * times), ((1 << 61) - 1 + dv, 3 + abs(dc)))[kind]
        e["position"] = times % 3
    user = np.array([r[3] % 5 for r in rows], np.int64)
    got = buying_order(edges, user).tolist()
    expected = exact_order(edges, user)
    key = lambda i: (edges[i].tolist()[1:3], int(user[i]), int(edges[i]["position"]))  # noqa: E731
    assert [key(i) for i in got] == [key(i) for i in expected]
