"""Ragged rows: the plan of padded rows with a mask, bit for bit, at a price that goes with the cells there are."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from oracles.padding import Ragged, budgets, padded, ragged
from oracles.same import assert_same_plan, part

import bidfcl_fast as bf

# How many treatments the users have, by shape; n is how many users.
SHAPES = {
    "one each": lambda rng, n: np.ones(n, np.int64),
    "alike": lambda rng, n: np.full(n, 5),
    "fewer than a load": lambda rng, n: rng.integers(1, 4, n),
    "mixed": lambda rng, n: rng.integers(1, 12, n),
    "heavy tail": lambda rng, n: np.minimum(150, rng.zipf(1.7, n)),
    "a whale": lambda rng, n: np.where(np.arange(n) == n // 2, 300, rng.integers(1, 4, n)),
    "rising": lambda rng, n: 1 + np.arange(n) * 20 // n,
}
USERS = {"cpp": (1, 2, 40, 300, 2_500, 20_000), "numba": (1, 40, 300, 8_000), "reference": (1, 40)}
USERS |= {"cuda": USERS["numba"], "cuda_emulated": (1, 300)}


def solve(x: Ragged, budget, backend, **options):
    return bf.solve_mckp_ragged(x.value, x.cost, x.offsets, budget, mask=x.mask, backend=backend, **options)


def solve_padded(x: Ragged, budget, backend, **options):
    dense = padded(x)
    return bf.solve_mckp(dense.value, dense.cost, budget, mask=dense.mask, backend=backend, **options)


@pytest.fixture(autouse=True)
def any_padding(monkeypatch, request):
    """Backends that pad refuse to multiply the cells; here they may, so that they are judged as well."""
    if "refus" not in request.node.name:
        monkeypatch.setattr("bidfcl_fast._ragged.SMALL", 2**24)


@pytest.mark.parametrize("masked", [False, True], ids=["open", "masked"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_plan_of_padded_rows(shape, masked, backend, dtype):
    rng = np.random.default_rng(len(shape))
    for n in USERS[backend]:
        x = ragged(rng, SHAPES[shape](rng, n), dtype, masked=masked)
        b = budgets(x)
        expected = solve_padded(x, b, backend)
        assert_same_plan(solve(x, b, backend), expected)
        assert_same_plan(solve(x, b[2], backend, fill=False), solve_padded(x, b[2], backend, fill=False))
        for k in (0, 2):
            assert_same_plan(solve(x, b[k], backend), part(expected, k))


def test_the_reference_agrees(fast, dtype):
    rng = np.random.default_rng(1)
    for masked in (False, True):
        x = ragged(rng, rng.integers(1, 9, 60), dtype, masked=masked)
        assert_same_plan(solve(x, budgets(x), fast), solve(x, budgets(x), "reference"))


@pytest.mark.parametrize("count", ["1", "3"])
def test_any_number_of_threads(count, dtype, monkeypatch):
    if "cpp" not in bf.backends.available():
        pytest.skip("cpp alone has ragged loops")
    rng = np.random.default_rng(2)
    x = ragged(rng, SHAPES["a whale"](rng, 120_000), dtype)
    b = np.array([0.05, 0.3, 0.6]) * float(x.cost.sum())
    monkeypatch.setenv("BIDFCL_NUM_THREADS", "2")
    expected = solve(x, b, "cpp")
    monkeypatch.setenv("BIDFCL_NUM_THREADS", count)
    assert_same_plan(solve(x, b, "cpp"), expected)
    assert_same_plan(solve(x, b[1], "cpp"), part(expected, 1))
    assert_same_plan(solve(x, b[1], "cpp", warm_start=expected.multiplier[1] * 1.01), part(expected, 1))


def test_a_whale_costs_what_it_has(dtype):
    """100,000 treatments of one user, beside few of everybody else: no row is made as long."""
    if "cpp" not in bf.backends.available():
        pytest.skip("cpp alone has ragged loops")
    rng = np.random.default_rng(3)
    lengths = np.full(30_000, 3)
    lengths[7_000] = 100_000
    x = ragged(rng, lengths, dtype)
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    plan = solve(x, 0.3 * float(x.cost[:21_000].sum()), "cpp")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * (1 if sys.platform == "darwin" else 1024) < 2**27  # padded, it would be 200 times that
    assert plan.stats["sweeps"] <= 3
    # The whale apart: its choice is the best score at λ*, and everybody's spend adds up.
    row = slice(int(x.offsets[7_000]), int(x.offsets[7_001]))
    score = x.value[row].astype(float) - plan.multiplier * x.cost[row].astype(float)
    assert score[plan.choice[7_000]] >= score.max() - 1e-4
    chosen = x.cost[x.offsets[:-1] + plan.choice].astype(float)
    np.testing.assert_allclose(chosen.sum(), plan.spend, rtol=1e-12)


def test_segments(backend, dtype):
    """Each with the longest row of its own."""
    rng = np.random.default_rng(4)
    lengths = np.concatenate([np.full(30, 2), [90], rng.integers(1, 6, 40), np.ones(5, int)])
    x = ragged(rng, lengths, dtype, masked=True)
    segments = np.array([0, 10, 10, 31, 60, 76])
    b = np.array([20.0, 1.0, 60.0, 90.0, 50.0])
    plan = solve(x, b, backend, segments=segments, throw=False)
    assert_same_plan(plan, solve_padded(x, b, backend, segments=segments, throw=False))
    assert plan.choice.shape == (76,)


def test_warm_starts(backend, dtype):
    rng = np.random.default_rng(5)
    x = ragged(rng, rng.integers(1, 8, 200), dtype)
    b = budgets(x)[2]
    expected = solve(x, b, backend)
    for start in (expected, expected.multiplier * 1.02, 0.0, np.nan, 1e300):
        assert_same_plan(solve(x, b, backend, warm_start=start), expected)


def test_frontier(backend, dtype):
    rng = np.random.default_rng(6)
    for masked in (False, True):
        x = ragged(rng, rng.integers(1, 30, 70), dtype, masked=masked)
        dense = padded(x)
        got = bf.budget_frontier_ragged(x.value, x.cost, x.offsets, mask=x.mask, backend=backend)
        expected = bf.budget_frontier(dense.value, dense.cost, mask=dense.mask, backend=backend)
        for name in ("budget", "value", "multiplier"):
            np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))


LAYOUTS = {
    "strided": lambda a: np.repeat(a, 3)[::3],
    "reversed": lambda a: a[::-1].copy()[::-1],
    "read only": lambda a: np.frombuffer(a.tobytes(), a.dtype),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout(layout, backend, dtype):
    rng = np.random.default_rng(7)
    for n in (50, 400):
        for masked in (False, True):
            x = ragged(rng, rng.integers(1, 9, n), dtype, masked=masked)
            b = budgets(x)[2]
            odd = Ragged(*(None if a is None else LAYOUTS[layout](a) for a in x))
            assert_same_plan(solve(odd, b, backend), solve(x, b, backend))


def test_broadcast(backend, dtype):
    """All cells alike: a stride of zero."""
    offsets = np.array([0, 2, 3, 7, 8])
    one = np.broadcast_to(dtype(2), 8)
    rng = np.random.default_rng(8)
    cost = rng.random(8).astype(dtype)
    assert_same_plan(
        bf.solve_mckp_ragged(one, cost, offsets, 3.0, backend=backend),
        bf.solve_mckp_ragged(one.copy(), cost, offsets, 3.0, backend=backend),
    )


@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int64, list])
def test_offsets_of_any_integers(kind, backend):
    rng = np.random.default_rng(9)
    x = ragged(rng, rng.integers(1, 5, 20), np.float32)
    b = budgets(x)[2]
    offsets = x.offsets.tolist() if kind is list else x.offsets.astype(kind)
    assert_same_plan(solve(x._replace(offsets=offsets), b, backend), solve(x, b, backend))


def test_torch_in_torch_out(backend):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(10)
    x = ragged(rng, rng.integers(1, 5, 20), np.float32, masked=True)
    b = budgets(x)
    t = [torch.from_numpy(a) for a in x]
    plan = bf.solve_mckp_ragged(*t[:3], torch.from_numpy(b), mask=t[3], backend=backend)
    assert isinstance(plan.choice, torch.Tensor)
    assert isinstance(plan.value, torch.Tensor)
    assert_same_plan(plan, solve(x, b, backend))


def test_no_users(backend):
    nothing = np.zeros(0, np.float32)
    plan = bf.solve_mckp_ragged(nothing, nothing, np.array([0]), 1.0, backend=backend)
    assert plan.choice.shape == (0,)
    assert plan.value == 0


def test_infeasible(backend):
    x = Ragged(np.ones(4), np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 1, 4]))
    with pytest.raises(bf.InfeasibleBudget) as error:
        solve(x, 2.5, backend)
    assert error.value.least_budget == 3.0
    assert solve(x, 2.5, backend, throw=False).status is bf.Status.INFEASIBLE_BUDGET
    several = solve(x, [2.5, 9.0], backend, throw=False)
    assert several.status.tolist() == [-1, 0]


VALUE = np.arange(7, dtype=np.float32)


@pytest.mark.parametrize(
    ("offsets", "error", "message"),
    [
        ([0, 2, 2, 7], ValueError, r"user 1 has no treatment: offsets\[1\] = offsets\[2\] = 2"),
        ([0, 7, 7], ValueError, r"user 1 has no treatment"),
        ([0, 0, 7], ValueError, r"user 0 has no treatment"),
        ([0, 4, 3, 7], ValueError, r"offsets must rise, got offsets\[1\] = 4 before 3"),
        ([0, 3], ValueError, r"offsets must rise from 0 to T = 7"),
        ([1, 7], ValueError, r"offsets must rise from 0 to T = 7"),
        ([0, 9], ValueError, r"offsets must rise from 0 to T = 7"),
        ([], (ValueError, TypeError), r"offsets must"),
        ([[0, 7]], ValueError, r"offsets must rise from 0 to T = 7"),
        (np.array([0.0, 7.0]), TypeError, r"offsets must be int64, got float64"),
        (np.array([True, False]), TypeError, r"offsets must be int64, got bool"),
        (None, TypeError, r"offsets must be"),
    ],
)
def test_wrong_offsets_are_refused(offsets, error, message, backend):
    with pytest.raises(error, match=message):
        bf.solve_mckp_ragged(VALUE, VALUE, offsets, 9.0, backend=backend)


def test_other_misuse_is_refused(backend):
    offsets = np.array([0, 3, 7])
    with pytest.raises(ValueError, match=r"value must have shape \[T\].*\[7, 1\]"):
        bf.solve_mckp_ragged(VALUE[:, None], VALUE[:, None], offsets, 9.0, backend=backend)
    with pytest.raises(ValueError, match=r"cost must have the shape of value, \[7\], got \[6\]"):
        bf.solve_mckp_ragged(VALUE, VALUE[:6], offsets, 9.0, backend=backend)
    with pytest.raises(TypeError, match=r"cost must have the dtype of value"):
        bf.solve_mckp_ragged(VALUE, VALUE.astype(float), offsets, 9.0, backend=backend)
    with pytest.raises(ValueError, match=r"mask must have the shape of value"):
        bf.solve_mckp_ragged(VALUE, VALUE, offsets, 9.0, mask=np.ones(6, bool), backend=backend)
    with pytest.raises(ValueError, match=r"segments must rise from 0 to N = 2"):
        bf.solve_mckp_ragged(VALUE, VALUE, offsets, 9.0, segments=[0, 1], backend=backend)
    with pytest.raises(ValueError, match=r"budget must be finite"):
        bf.solve_mckp_ragged(VALUE, VALUE, offsets, np.inf, backend=backend)


def test_where_a_bad_number_stands(backend):
    offsets = np.array([0, 3, 5, 7])
    bad = VALUE.copy()
    bad[4] = np.nan
    with pytest.raises(ValueError, match=r"cost must be finite, got nan at cost\[4\], treatment 1 of user 1"):
        bf.solve_mckp_ragged(VALUE, bad, offsets, 9.0, backend=backend)
    mask = np.ones(7, bool)
    mask[4] = False
    assert bf.solve_mckp_ragged(VALUE, bad, offsets, 99.0, mask=mask, backend=backend).value == 2 + 3 + 6
    mask[5:] = False
    with pytest.raises(ValueError, match=r"mask leaves user 2 no open treatment"):
        bf.solve_mckp_ragged(VALUE, VALUE, offsets, 9.0, mask=mask, backend=backend)
    huge = VALUE.astype(float)
    huge[5] = 1e30
    with pytest.raises(ValueError, match=r"cost\[5\], treatment 0 of user 2 = 1e\+30 is so large"):
        bf.solve_mckp_ragged(VALUE.astype(float), huge, offsets, 9.0, backend=backend)


LIMITS = {
    "a multiplier": lambda x, b: {"multiplier": 0.7},
    "several multipliers": lambda x, b: {"multiplier": np.array([0.0, 0.3, 2.0])},
    "a least spend": lambda x, b: {"budget": 1.2 * b, "min_spend": 0.8 * b},
    "few treated": lambda x, b: {"budget": 1e9, "max_treated": 7},
    "a proof": lambda x, b: {"budget": b, "integrality": "proven"},
}


@pytest.mark.parametrize("limit", LIMITS)
def test_all_limits_of_dense_rows(limit, backend, dtype):
    rng = np.random.default_rng(12)
    for masked in (False, True):
        x = ragged(rng, rng.integers(1, 7, 60), dtype, masked=masked and limit != "few treated")
        options = LIMITS[limit](x, float(budgets(x)[2]))
        budget = options.pop("budget", None)
        plan, expected = solve(x, budget, backend, **options), solve_padded(x, budget, backend, **options)
        assert_same_plan(plan, expected)
        assert plan.stats.keys() == expected.stats.keys()


def test_arguments_that_exclude_each_other_are_refused(backend):
    x = ragged(np.random.default_rng(13), np.array([2, 3]), np.float32)
    with pytest.raises(ValueError, match="budget"):
        solve(x, 1.0, backend, multiplier=1.0)
    with pytest.raises(TypeError, match="budget"):
        solve(x, None, backend)
    with pytest.raises(ValueError, match="multiplier"):
        solve(x, None, backend, multiplier=-1.0)


@pytest.mark.parametrize("name", ["numba", "reference"])
def test_too_much_padding_is_refused_by_those_who_pad(name, monkeypatch):
    if name not in bf.backends.available():
        pytest.skip(f"{name} cannot run here")
    monkeypatch.setattr("bidfcl_fast._ragged.SMALL", 50)
    rng = np.random.default_rng(11)
    x = ragged(rng, np.array([1] * 50 + [30]), np.float32)
    with pytest.raises(ValueError, match=rf"backend '{name}' pads every row to the longest here, 30 treatments.*'cpp'"):
        solve(x, 9.0, name)
    few = ragged(rng, np.array([10] * 50 + [30]), np.float32)
    assert_same_plan(solve(few, 90.0, name), solve_padded(few, 90.0, name))
