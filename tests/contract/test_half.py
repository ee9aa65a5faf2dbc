"""Numbers of two bytes: the plan of their float32 copies, bit for bit, in arrays of the kind that came in."""

from __future__ import annotations

import numpy as np
import pytest
from oracles.halves import bfloat16_of, bits_near, float16_of
from oracles.padding import Ragged, budgets, ragged
from oracles.same import assert_same_plan, part

import bidfcl_fast as bf


def _numpy(bits, kind):
    assert kind == "float16"
    return bits.view(np.float16)


def _torch(bits, kind):
    torch = pytest.importorskip("torch")
    return torch.from_numpy(bits.view(np.int16)).view(getattr(torch, kind))


def _ml_dtypes(bits, kind):
    return bits.view(getattr(pytest.importorskip("ml_dtypes"), kind))


MAKERS = {
    "numpy-float16": (_numpy, "float16"),
    "torch-float16": (_torch, "float16"),
    "torch-bfloat16": (_torch, "bfloat16"),
    "ml_dtypes-bfloat16": (_ml_dtypes, "bfloat16"),
}
WIDE = {"float16": float16_of, "bfloat16": bfloat16_of}


@pytest.fixture(params=MAKERS)
def maker(request):
    """(bits to an array of this library, the format's name, bits to float32)."""
    make, kind = MAKERS[request.param]
    make(np.zeros(1, np.uint16), kind)
    return (lambda bits: make(bits, kind)), kind, WIDE[kind]


def _instance(kind, users, items, seed=0, *, masked=False):
    """(bits of value, bits of cost, mask, budgets)"""
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0.5, 10, (users, items))
    cost[:, 0] = 0
    value = np.sqrt(cost) * rng.uniform(0.2, 2, cost.shape)
    mask = None
    if masked:
        mask = rng.random(cost.shape) < 0.7
        mask[:, 0] = True
    return bits_near(value, kind), bits_near(cost, kind), mask, cost.max(axis=1).sum() * np.array([0.01, 0.3, 1.2])


SIZES = {"cpp": [(3, 2), (300, 1), (3_000, 3), (9_000, 10), (400, 700)], "numba": [(300, 4)], "reference": [(40, 4)],
         "cuda": [(3, 2), (300, 1), (90_000, 3), (400, 700)], "cuda_emulated": [(3, 2), (300, 4)]}  # fmt: skip


@pytest.mark.parametrize("masked", [False, True], ids=["open", "masked"])
def test_the_plan_of_the_float32_copy(backend, maker, masked):
    make, kind, wide = maker
    for users, items in SIZES[backend]:
        v, c, mask, b = _instance(kind, users, items, masked=masked)
        expected = bf.solve_mckp(wide(v), wide(c), b, mask=mask, backend=backend)
        several = np.array(b) if isinstance(make(v), np.ndarray) else pytest.importorskip("torch").from_numpy(b)
        assert_same_plan(bf.solve_mckp(make(v), make(c), several, mask=mask, backend=backend), expected)
        for k in range(3):
            assert_same_plan(bf.solve_mckp(make(v), make(c), b[k], mask=mask, backend=backend), part(expected, k))


def test_arrays_of_the_kind_that_came_in(backend, maker):
    make, kind, _ = maker
    v, c, _, b = _instance(kind, 20, 3)
    given = make(v)
    plan = bf.solve_mckp(given, make(c), b, backend=backend)
    frontier = bf.budget_frontier(given, make(c), backend=backend)
    for x in (plan.choice, plan.value, frontier.value):
        assert type(x) is (np.ndarray if isinstance(given, np.ndarray) else type(given))


LAYOUTS = {
    "fortran": lambda a: np.asfortranarray(a),
    "every other": lambda a: np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "window": lambda a: np.pad(a, ((1, 1), (2, 1)))[1:-1, 2:-1],
    "one for all": lambda a: np.broadcast_to(a[:1], a.shape),
}


def test_an_odd_address_is_not_read_as_it_is():
    """Found by fuzzing under Clang's sanitizers: NumPy calls bfloat16 aligned wherever it lies."""
    from bidfcl_fast import _native
    from bidfcl_fast._arrays import to_numpy

    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    value, cost, _, b = _instance("bfloat16", 300, 4)
    raw = np.zeros(2 * value.size + 1, np.uint8)
    raw[1:] = np.frombuffer(value.tobytes(), np.uint8)
    odd = raw[1:].view(bfloat16).reshape(value.shape)
    read = _native._readable(to_numpy("value", odd))
    assert odd.ctypes.data % 2 == 1 and read.ctypes.data % 2 == 0
    even, cost = _ml_dtypes(value, "bfloat16"), _ml_dtypes(cost, "bfloat16")
    for backend in bf.backends.available():
        assert_same_plan(bf.solve_mckp(odd, cost, b, backend=backend), bf.solve_mckp(even, cost, b, backend=backend))


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_layout(backend, kind, layout):
    make = _numpy if kind == "float16" else _torch
    users = 30 if backend == "reference" else 600
    for masked in (False, True):
        v, c, mask, b = _instance(kind, users, 5, masked=masked)
        v, c = LAYOUTS[layout](v), LAYOUTS[layout](c)
        if kind == "bfloat16" and min(v.strides) < 0:
            continue  # torch has no such strides
        wide = WIDE[kind]
        assert_same_plan(
            bf.solve_mckp(make(v, kind), make(c, kind), b[1], mask=mask, backend=backend),
            bf.solve_mckp(wide(v), wide(c), b[1], mask=mask, backend=backend),
        )


def test_batches_segments_and_starts(backend, maker):
    make, kind, wide = maker
    v, c, mask, _ = _instance(kind, 60, 4, masked=True)
    batch = [a.reshape(3, 20, 4) for a in (v, c, mask)]
    expected = bf.solve_mckp(wide(batch[0]), wide(batch[1]), 60.0, mask=batch[2], backend=backend)
    assert_same_plan(bf.solve_mckp(make(batch[0]), make(batch[1]), 60.0, mask=batch[2], backend=backend), expected)
    segments = np.array([0, 11, 11, 60])
    expected = bf.solve_mckp(wide(v), wide(c), 70.0, mask=mask, segments=segments, backend=backend)
    assert_same_plan(bf.solve_mckp(make(v), make(c), 70.0, mask=mask, segments=segments, backend=backend), expected)
    one = bf.solve_mckp(wide(v), wide(c), 70.0, backend=backend)
    for start in (one, one.multiplier * 0.98, np.nan):
        assert_same_plan(bf.solve_mckp(make(v), make(c), 70.0, warm_start=start, backend=backend), one)


def test_frontier(backend, maker):
    make, kind, wide = maker
    v, c, mask, _ = _instance(kind, 50, 5, masked=True)
    got = bf.budget_frontier(make(v), make(c), mask=mask, backend=backend)
    expected = bf.budget_frontier(wide(v), wide(c), mask=mask, backend=backend)
    for name in ("budget", "value", "multiplier"):
        np.testing.assert_array_equal(np.asarray(getattr(got, name)), getattr(expected, name))


@pytest.mark.parametrize("masked", [False, True], ids=["open", "masked"])
def test_ragged(backend, maker, masked):
    make, kind, wide = maker
    rng = np.random.default_rng(3)
    for users in (30,) if backend == "reference" else (30, 700, 5_000):
        x = ragged(rng, np.minimum(40, rng.zipf(1.8, users)), np.float32, masked=masked)
        v, c = bits_near(x.value, kind), bits_near(x.cost, kind)
        x = Ragged(wide(v), wide(c), x.offsets, x.mask)
        b = budgets(x)
        expected = bf.solve_mckp_ragged(x.value, x.cost, x.offsets, b, mask=x.mask, backend=backend)
        assert_same_plan(bf.solve_mckp_ragged(make(v), make(c), x.offsets, b, mask=x.mask, backend=backend), expected)
        one = bf.solve_mckp_ragged(make(v), make(c), x.offsets, b[2], mask=x.mask, backend=backend)
        assert_same_plan(one, part(expected, 2))


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_every_number_there_is(backend, kind):
    """Subnormals, the largest (65504), both zeros: each finite bit pattern as a cost, then as a value."""
    make = _numpy if kind == "float16" else _torch
    wide = WIDE[kind]
    every = np.arange(2**16, dtype=np.uint32).astype(np.uint16)
    every = every[np.isfinite(wide(every))]
    if backend == "reference":
        every = every[::2_000]
    if kind == "bfloat16":  # 2^-133 beside 2^127 is refused by name; a part of the range at a time
        every = every[(np.abs(wide(every)) < 2.0**20) & (np.abs(wide(every)) > 2.0**-20) | (wide(every) == 0)]
    every = every[: len(every) // 4 * 4].reshape(-1, 4)
    other = bits_near(np.random.default_rng(1).uniform(1, 2, every.shape), kind)
    for v, c in ((every, other), (other, every)):
        for free in (False, True):
            if free:  # many users stay at a free treatment of no value
                v, c = v.copy(), c.copy()
                v[:, 0] = c[:, 0] = 0
            low = wide(c).astype(float).min(axis=1).sum()
            high = wide(c).astype(float).max(axis=1).sum()
            b = low + 0.3 * (high - low)
            got = bf.solve_mckp(make(v, kind), make(c, kind), b, backend=backend)
            assert_same_plan(got, bf.solve_mckp(wide(v), wide(c), b, backend=backend))


def test_subnormals_alone(backend, maker):
    """The least numbers there are count for what they are, also where the others are as small."""
    make, _, wide = maker
    rng = np.random.default_rng(2)
    users = 60 if backend == "reference" else 4_000
    v, c = (rng.integers(0, 0x500, (users, 5)).astype(np.uint16) for _ in range(2))  # and the least normal ones
    c[:, 0] = 0
    b = float(wide(c).astype(float).max(axis=1).sum()) * 0.4
    plan = bf.solve_mckp(make(v), make(c), b, backend=backend)
    assert_same_plan(plan, bf.solve_mckp(wide(v), wide(c), b, backend=backend))
    assert plan.spend > 0


def test_what_is_not_finite_is_refused(backend, maker):
    make, kind, _ = maker
    infinity = 0x7C00 if kind == "float16" else 0x7F80
    for bad, word in ((infinity, "inf"), (infinity | 0x8000, "-inf"), (infinity | 1, "nan")):
        v, c, _, _ = _instance(kind, 30, 4)
        c[7, 2] = bad
        with pytest.raises(ValueError, match=rf"cost must be finite, got {word} at cost\[7, 2\]"):
            bf.solve_mckp(make(v), make(c), 9.0, backend=backend)
        mask = np.ones(v.shape, bool)
        mask[7, 2] = False
        assert bf.solve_mckp(make(v), make(c), 9.0, mask=mask, backend=backend).spend <= 9.0


def test_a_number_too_large_for_the_others_is_refused(backend):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    value, c = np.ones((2, 20, 2), ml_dtypes.bfloat16)
    c[3, 1] = 1e38
    with pytest.raises(ValueError, match=r"cost\[3, 1\] = .*e\+3\d is so large"):
        bf.solve_mckp(value, c, 30.0, backend=backend)


def test_the_two_formats_do_not_mix(backend):
    torch = pytest.importorskip("torch")
    half, brain = torch.ones(2, 2, dtype=torch.float16), torch.ones(2, 2, dtype=torch.bfloat16)
    with pytest.raises(TypeError, match="cost must have the dtype of value, bfloat16, got float16"):
        bf.solve_mckp(brain, half, 9.0, backend=backend)
    with pytest.raises(TypeError, match="cost must have the dtype of value, float16, got bfloat16"):
        bf.solve_mckp(half, brain, 9.0, backend=backend)


def test_the_other_limits_take_halves_too(backend, maker):
    make, kind, wide = maker
    v, c, _, b = _instance(kind, 12, 3)
    for options in ({"min_spend": 1.0}, {"max_treated": 4}, {"integrality": "proven"}):
        got = bf.solve_mckp(make(v), make(c), b[1], backend=backend, throw=False, **options)
        assert_same_plan(got, bf.solve_mckp(wide(v), wide(c), b[1], backend=backend, throw=False, **options))
    got = bf.solve_mckp(make(v), make(c), multiplier=0.3, backend=backend)
    assert_same_plan(got, bf.solve_mckp(wide(v), wide(c), multiplier=0.3, backend=backend))


@pytest.mark.parametrize("count", ["1", "3"])
def test_any_number_of_threads(count, maker, monkeypatch):
    if "cpp" not in bf.backends.available():
        pytest.skip("cpp alone reads halves as they are")
    make, kind, _ = maker
    v, c, _, b = _instance(kind, 60_000, 6)
    monkeypatch.setenv("BIDFCL_NUM_THREADS", "2")
    expected = bf.solve_mckp(make(v), make(c), b[1], backend="cpp")
    monkeypatch.setenv("BIDFCL_NUM_THREADS", count)
    assert_same_plan(bf.solve_mckp(make(v), make(c), b[1], backend="cpp"), expected)
