"""`edges_between`, what a shard of a problem is asked: every backend against `reference`, and against whole problems."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles.instances import diminishing
from property.strategies import instances

import bidfcl_fast as bf
from bidfcl_fast import _check
from bidfcl_fast._problems import Scales
from bidfcl_fast.backends import reference
from bidfcl_fast.errors import Status


def problem(value, cost, mask=None):
    return _check.instance(value, cost, mask)


def scales_of(p) -> Scales:
    found = reference.magnitudes(p)
    return Scales(*(61 - math.frexp(x)[1] for x in (found.value, found.cost)))


def in_order(edges: np.ndarray) -> list[tuple]:
    """(user, value, cost, start, stop); positions are counted from where a backend began to walk."""
    edges = np.sort(edges, order=["user", "position"])
    return [tuple(e) for e in edges[["user", "value", "cost", "start", "stop"]].tolist()]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(x=instances(), low=st.floats(0, 4), width=st.floats(0.01, 4), coarser=st.integers(0, 3))
def test_all_backends_find_the_same_edges(fast, x, low, width, coarser):
    p = problem(*x)
    scales = Scales(*(s - coarser for s in scales_of(p)))
    high = math.inf if width > 3 else low + width
    expected = reference.edges_between(p, scales, low, high)
    module = bf.backends.resolve(fast)
    got = module.edges_between(p, scales, low, high)
    # A hair beyond the ends is a backend's own affair: compare what surely lies inside, and where users end.
    inside = [e for e in in_order(expected.edges) if clear(e, scales, low, high)]
    found = in_order(got.edges)
    assert [e for e in found if clear(e, scales, low, high)] == inside
    if len(found) == len(in_order(expected.edges)):
        np.testing.assert_array_equal(got.choice, expected.choice)
        assert (got.value, got.cost) == (expected.value, expected.cost)
    assert module.magnitudes(p) == reference.magnitudes(p)
    assert module.costs_rounded(p, scales.cost) == reference.costs_rounded(p, scales.cost)


def clear(edge, scales, low, high) -> bool:
    slope = edge[1] / edge[2] * 2.0 ** (scales.cost - scales.value)
    return slope >= low * (1 + 1e-9) and slope <= high * (1 - 1e-9)


@pytest.mark.parametrize("layout", ["rows", "columns", "float16", "masked", "narrow", "alike"])
def test_a_large_shard_is_walked_as_the_reference_walks_it(fast, dtype, layout):
    rng = np.random.default_rng(3)
    value, cost, mask = diminishing(rng, 3000, 5, dtype)
    if layout == "columns":
        value, cost = (np.ascontiguousarray(x.T).T for x in (value, cost))
    if layout == "float16":
        value, cost = value.astype(np.float16), cost.astype(np.float16)
    if layout == "masked":
        mask = rng.random(value.shape) < 0.7
        mask[:, 0] = True
    if layout == "alike":
        value, cost = (np.tile(x[:3], (1000, 1)) for x in (value, cost))
    p = problem(value, cost, mask)
    scales = scales_of(p)
    low, high = (0.9, 0.9001) if layout == "narrow" else (0.7, 1.1)
    got = bf.backends.resolve(fast).edges_between(p, scales, low, high)
    expected = reference.edges_between(p, scales, low, high)
    assert got.status is Status.SOLVED
    assert in_order(got.edges) == in_order(expected.edges)
    np.testing.assert_array_equal(got.choice, expected.choice)
    assert (got.value, got.cost) == (expected.value, expected.cost)


def test_a_user_without_an_open_treatment_is_told(backend):
    mask = np.ones((5, 2), bool)
    mask[3] = False
    p = problem(np.ones((5, 2)), np.ones((5, 2)), mask)
    assert bf.backends.resolve(backend).edges_between(p, Scales(60, 60), 0.5, 2.0).status is Status.NO_OPEN_TREATMENT
