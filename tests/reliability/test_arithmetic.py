"""Numbers at the ends of floating point: an answer with its proof, or a refusal in words; never infinity under a certificate."""

from __future__ import annotations

import ctypes
import math
import warnings

import numpy as np
import pytest
from oracles.instances import Instance, diminishing
from oracles.same import assert_same_plan, bits

import bidfcl_fast as bf

from . import differential

LARGE, SMALL = 1.7e308, 1e-320  # the latter is subnormal
RNG = np.random.default_rng(0)
VALUE, COST = RNG.random((50, 4)), RNG.random((50, 4))
FLOATS = ("multiplier", "value", "spend", "dual_bound", "gap")

CASES = {
    "totals overflow": (VALUE * LARGE, (COST - 0.5) * LARGE, 0.0),
    "the multiplier overflows": (VALUE * LARGE, COST * SMALL, 10 * SMALL),
    "the cheapest plan overflows": (VALUE, COST * LARGE, LARGE),
    "all subnormal": (VALUE * SMALL, COST * SMALL, 11 * SMALL),
    "far apart": (VALUE * 1e150, COST * 1e-150, 11e-150),
    "a vanishing multiplier": (VALUE * SMALL, COST * 1e300, 1.1e301),
}


@pytest.mark.parametrize("name", CASES)
def test_no_infinity_is_certified(name, backend):
    value, cost, budget = CASES[name]
    plan = bf.solve_mckp(value, cost, budget, backend=backend, throw=False)
    if plan.status == bf.Status.SOLVED:
        assert all(math.isfinite(getattr(plan, x)) for x in FLOATS)
        assert plan.spend <= budget and plan.gap >= 0
        return
    assert plan.status in (bf.Status.OUT_OF_RANGE, bf.Status.TOO_WIDE)
    assert (plan.choice == -1).all()
    with pytest.raises(ValueError, match=r"power of two|so large beside the rest"):
        bf.solve_mckp(value, cost, budget, backend=backend)


@pytest.mark.parametrize("name", CASES)
def test_backends_agree_there(name, fast):
    value, cost, budget = CASES[name]
    plans = [bf.solve_mckp(value, cost, budget, backend=k, throw=False) for k in (fast, "reference")]
    assert_same_plan(*plans)


@pytest.mark.parametrize("name", CASES)
def test_a_proof_there_ends(name, backend):
    """It may be given up, but not lie and not go on for ever."""
    value, cost, budget = CASES[name]
    plan = bf.solve_mckp(value, cost, budget, integrality="proven", time_limit=300, backend=backend, throw=False)
    assert plan.status != bf.Status.TIME_LIMIT
    if plan.status >= 0:
        assert plan.spend <= budget and math.isfinite(plan.dual_bound)
        assert plan.status == bf.Status.NOT_PROVEN or plan.gap == 0


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("users", [50, 10_000])
@pytest.mark.parametrize("name", CASES)
def test_parts_of_the_users_agree_there(name, users, threaded):
    """The drivers of `scale`, by the same cases."""
    value, cost, budget = CASES[name]
    x = Instance(*(np.tile(a, (users // 50, 1)) for a in (value, cost)), None)
    budget = min(budget * (users // 50), LARGE)
    expected = bf.solve_mckp(x.value, x.cost, budget, backend=threaded, throw=False)
    outcome, choice = differential.sharded(x, budget, [users // 3, users // 2], threaded, True)
    assert outcome.status == expected.status
    np.testing.assert_array_equal(choice, expected.choice)
    for number in FLOATS:
        assert bits(getattr(outcome, number)) == bits(getattr(expected, number)), number
    if outcome.status != bf.Status.SOLVED:
        with pytest.raises(ValueError, match=r"power of two|so large beside the rest"):
            outcome.raise_for()


def test_a_file_of_them_is_refused_and_nothing_written(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pytest.importorskip("pyarrow").table
    scale = pytest.importorskip("bidfcl_fast.scale.parquet")
    for name in ("totals overflow", "the multiplier overflows"):
        value, cost, budget = CASES[name]
        columns = {f"value_{j}": value[:, j] for j in range(4)} | {f"cost_{j}": cost[:, j] for j in range(4)}
        parquet.write_table(table({"id": np.arange(50), **columns}), tmp_path / "in.parquet")
        asked = ({"budget": budget}, {"multiplier": 0.0}) if name == "totals overflow" else ({"budget": budget},)
        for ask in asked:
            with pytest.raises(ValueError, match="power of two"):
                scale.allocate(tmp_path / "in.parquet", tmp_path / "out.parquet", **ask)
            plan = scale.allocate(tmp_path / "in.parquet", tmp_path / "out.parquet", throw=False, **ask)
            assert plan.status == bf.Status.OUT_OF_RANGE
            assert [p.name for p in tmp_path.iterdir()] == ["in.parquet"]


def test_a_frontier_of_infinities_is_refused(backend):
    for name in ("totals overflow", "the multiplier overflows"):
        with pytest.raises(ValueError, match="power of two"):
            bf.budget_frontier(*CASES[name][:2], backend=backend)


def test_a_price_that_overflows_is_refused(backend):
    with pytest.raises(ValueError, match="power of two"):
        bf.solve_mckp(VALUE * LARGE, COST * LARGE, multiplier=1.0, backend=backend)


def test_which_of_several_problems(backend):
    value, cost = np.stack([VALUE, VALUE * LARGE]), np.stack([COST, COST * SMALL])
    plan = bf.solve_mckp(value, cost, np.array([11.0, 11 * SMALL]), backend=backend, throw=False)
    assert plan.status.tolist() == [bf.Status.SOLVED, bf.Status.OUT_OF_RANGE]
    with pytest.raises(ValueError, match="value and cost of problem 1: "):
        bf.solve_mckp(value, cost, np.array([11.0, 11 * SMALL]), backend=backend)


def _control_words():
    """Read and write the floating-point environment of this thread, as another library might."""
    libm = ctypes.CDLL("libm.so.6")
    room = ctypes.c_uint32 * 64
    return libm.fegetenv, libm.fesetenv, room


@pytest.mark.skipif("cpp" not in bf.backends.available(), reason="installed without _C")
@pytest.mark.parametrize("how", ["flush to zero", "round up"])
def test_what_another_library_set_does_not_move_the_plan(how):
    """Helpers and caller decide alike, and the caller's setting is as it was afterwards."""
    import platform

    if platform.machine() not in {"x86_64", "AMD64"}:
        pytest.skip("the control word of x86")
    x = diminishing(np.random.default_rng(5), 60_000, 6, np.float32)
    value, cost = x.value * np.float32(2**-126), x.cost * np.float32(2**-130)
    budget = 0.4 * float(cost.max(axis=1).sum(dtype=np.float64))
    expected = bf.solve_mckp(value, cost, budget, backend="cpp")
    assert 0 < expected.multiplier and expected.gap > 0
    read, write, room = _control_words()
    before, changed = room(), room()
    read(before)
    read(changed)
    changed[7] |= 0x8040 if how == "flush to zero" else 0x4000  # MXCSR follows the seven words of the old coprocessor
    try:
        write(changed)
        got = bf.solve_mckp(value, cost, budget, backend="cpp")
        after = room()
        read(after)
    finally:
        write(before)
    assert_same_plan(got, expected)
    assert after[7] & 0xE040 == changed[7] & 0xE040


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_median_of_the_largest_numbers_is_one(dtype):
    from bidfcl_fast._precision import median

    largest = np.finfo(dtype).max
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert median(np.array([largest, 1, largest, largest], dtype)) == largest
        assert median(np.array([3, 1, 2, 4], dtype)) == 2.5
        assert median(np.array([], dtype)) == 0
