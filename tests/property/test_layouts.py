"""Ragged rows on examples that hypothesis makes up: any lengths, ties, masks, budgets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles.padding import Ragged, padded
from oracles.same import assert_same_plan

import bidfcl_fast as bf

from .strategies import DTYPES, spend_ends

_LATTICE = st.integers(-8, 24).map(lambda k: k / 4)


@st.composite
def ragged_instances(draw) -> Ragged:
    lengths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=20))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    cells = int(offsets[-1])
    dtype = draw(DTYPES)
    value, cost = (draw(hnp.arrays(np.float64, cells, elements=_LATTICE)).astype(dtype) for _ in range(2))
    mask = None
    if draw(st.booleans()):
        mask = draw(hnp.arrays(np.bool_, cells))
        for i, length in enumerate(lengths):
            mask[offsets[i] + draw(st.integers(0, length - 1))] = True
    return Ragged(value, cost, offsets, mask)


@given(x=ragged_instances(), share=st.floats(0, 1.2), copies=st.sampled_from([1, 40]), fill=st.booleans())
def test_the_plan_of_padded_rows(backend, x, share, copies, fill):
    if copies > 1 and backend != "reference":  # enough users for a sweep
        last = x.offsets[-1]
        tiled = [None if a is None else np.tile(a, copies) for a in (x.value, x.cost, x.mask)]
        offsets = np.concatenate([[0], *(x.offsets[1:] + k * last for k in range(copies))])
        x = Ragged(tiled[0], tiled[1], offsets, tiled[2])
    dense = padded(x)
    low, high = spend_ends(dense)
    budget = max(low, low + share * (high - low))
    got = bf.solve_mckp_ragged(x.value, x.cost, x.offsets, budget, mask=x.mask, fill=fill, backend=backend)
    assert_same_plan(got, bf.solve_mckp(dense.value, dense.cost, budget, mask=dense.mask, fill=fill, backend=backend))
