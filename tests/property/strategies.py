"""Small instances of every awkward kind, and budgets that go with them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles import exact
from oracles.instances import Instance

DTYPES = st.sampled_from([np.float32, np.float64])

# Whole numbers and quarters collide all the time: ties, duplicates, zeros, equal and negative costs.
_LATTICE = st.integers(-8, 24).map(lambda k: k / 4)
# Twelve orders of magnitude.
_WIDE = st.builds(lambda digits, power: digits * 10.0**power, st.floats(-9.5, 9.5), st.integers(-6, 5))


@st.composite
def instances(draw, wide=True, masks=True, max_users=9, max_treatments=6) -> Instance:
    n, m = draw(st.integers(1, max_users)), draw(st.integers(1, max_treatments))
    numbers = st.one_of(_LATTICE, _WIDE) if wide and draw(st.booleans()) else _LATTICE
    dtype = draw(DTYPES)
    value, cost = (draw(hnp.arrays(np.float64, (n, m), elements=numbers)).astype(dtype) for _ in range(2))
    if draw(st.booleans()):
        again = draw(st.integers(1, 4))
        value, cost = np.tile(value, (again, 1)), np.tile(cost, (again, 1))
    mask = None
    if masks and draw(st.booleans()):
        mask = draw(hnp.arrays(np.bool_, value.shape))
        mask[np.arange(len(mask)), draw(hnp.arrays(np.int64, len(mask), elements=st.integers(0, m - 1)))] = True
    return Instance(value, cost, mask)


@st.composite
def solvable(draw, **options) -> tuple[Instance, float]:
    """An instance and a budget from the least that works to more than there is to buy."""
    x = draw(instances(**options))
    low, high = spend_ends(x)
    share = draw(st.one_of(st.sampled_from([0.0, 0.5, 1.0, 1.5]), st.floats(0, 1.2)))
    return x, max(low, low + share * (high - low))


def spend_ends(x: Instance) -> tuple[float, float]:
    """A float that the cheapest plan meets, also after its costs are rounded up, and the cost of the dearest plan."""
    population = exact.users(*x)
    low = exact.least_spend(population) + len(x.value) * exact.unit(x.cost, x.mask)
    if exact.exact_in_units(x.cost, x.mask):
        low = exact.least_spend(population)
    return exact.up(low), float(sum(max(p.cost for p in points) for points in population))
