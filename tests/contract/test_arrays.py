"""How an array lies in memory, and whose array it is, changes nothing; no input is ever written to."""

from __future__ import annotations

import numpy as np
import pytest
from oracles.instances import budgets, instance
from oracles.same import assert_same_plan

import bidfcl_fast as bf


def _unaligned(x):
    """The same numbers one byte off."""
    raw = np.empty(x.nbytes + 1, np.uint8)[1:]
    out = raw.view(x.dtype).reshape(x.shape)
    out[...] = x
    return out


def _readonly(x):
    out = x.copy()
    out.flags.writeable = False
    return out


def _strided(x):
    wide = np.full((2 * x.shape[0], 3 * x.shape[1]), 77, x.dtype)
    wide[::2, ::3] = x
    return wide[::2, ::3]


def _inside(x):
    """A window of a larger table: rows keep their columns together but not their neighbours."""
    wide = np.full((x.shape[0] + 2, x.shape[1] + 3), 77, x.dtype)
    wide[1:-1, 2:-1] = x
    return wide[1:-1, 2:-1]


LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": _strided,
    "window": _inside,
    "users reversed": lambda x: x[::-1].copy()[::-1],
    "treatments reversed": lambda x: x[:, ::-1].copy()[:, ::-1],
    "both reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "read only": _readonly,
    "unaligned": _unaligned,
    "transposed copy": lambda x: x.T.copy().T,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["campaign", "masked"])
def test_layout(layout, name, backend, dtype):
    x = instance(name, dtype)
    value, cost, mask = (None if a is None else a[:130].copy() for a in x)
    b = budgets(type(x)(value, cost, mask))[2]
    expected = bf.solve_mckp(value, cost, b, mask=mask, backend=backend)
    lay = LAYOUTS[layout]
    odd = [lay(value), lay(cost), None if mask is None else lay(mask)]
    before = [None if a is None else a.copy() for a in odd]
    assert_same_plan(bf.solve_mckp(*odd[:2], b, mask=odd[2], backend=backend), expected)
    assert_same_plan(bf.solve_mckp(odd[0], cost, b, mask=mask, backend=backend), expected)  # the two need not match
    for a, kept in zip(odd, before, strict=True):
        assert a is None or np.array_equal(a, kept)
    frontier = bf.budget_frontier(*odd[:2], mask=odd[2], backend=backend)
    np.testing.assert_array_equal(frontier.value, bf.budget_frontier(value, cost, mask=mask, backend=backend).value)


def test_broadcast(backend, dtype):
    """One row for all users, one column for all treatments, one number for everything: strides of zero."""
    rng = np.random.default_rng(1)
    row, column = rng.random(4).astype(dtype), rng.random((90, 1)).astype(dtype)
    shape = (90, 4)
    pairs = [
        (np.broadcast_to(row, shape), rng.random(shape).astype(dtype)),
        (rng.random(shape).astype(dtype), np.broadcast_to(row, shape)),
        (np.broadcast_to(row, shape), np.broadcast_to(np.sqrt(row), shape)),
        (np.broadcast_to(column, shape), np.broadcast_to(row, shape)),
        (np.broadcast_to(row[:1], shape), np.broadcast_to(row, shape)),
    ]
    for value, cost in pairs:
        b = budgets(type(instance("one cell", dtype))(value, cost))[2]
        plan = bf.solve_mckp(value, cost, b, backend=backend)
        assert_same_plan(plan, bf.solve_mckp(value.copy(), cost.copy(), b, backend=backend))


def test_batches_of_any_layout(backend, dtype):
    rng = np.random.default_rng(2)
    value, cost = (rng.random((3, 20, 4)).astype(dtype) for _ in range(2))
    expected = bf.solve_mckp(value, cost, 9.0, backend=backend)
    views = [
        np.asfortranarray,
        lambda x: np.moveaxis(np.moveaxis(x, 0, 2).copy(), 2, 0),
        lambda x: x[::-1].copy()[::-1],
    ]
    for view in views:
        assert_same_plan(bf.solve_mckp(view(value), view(cost), 9.0, backend=backend), expected)
    shared = np.broadcast_to(value[0], value.shape)
    got = bf.solve_mckp(shared, cost, 9.0, backend=backend)
    assert_same_plan(got, bf.solve_mckp(shared.copy(), cost, 9.0, backend=backend))


def test_lists(backend):
    rng = np.random.default_rng(3)
    value, cost, mask = rng.random((6, 3)), rng.random((6, 3)), rng.random((6, 3)) < 0.5
    mask[:, 0] = True
    segments = np.array([0, 2, 6])
    b = [3.0, 4.0]
    expected = bf.solve_mckp(value, cost, np.array(b), mask=mask, segments=segments, backend=backend)
    lists = (value.tolist(), cost.tolist(), b)
    got = bf.solve_mckp(*lists, mask=mask.tolist(), segments=segments.tolist(), backend=backend)
    assert_same_plan(got, expected)
    assert isinstance(got.choice, np.ndarray)


@pytest.mark.parametrize("budget", [4, 4.0, np.float32(4), np.int64(4), np.array(4.0), np.array(4)])
def test_any_number_is_a_budget(backend, budget):
    rng = np.random.default_rng(4)
    value, cost = rng.random((20, 3)), rng.random((20, 3))
    plan = bf.solve_mckp(value, cost, budget, backend=backend, throw=False)
    assert_same_plan(plan, bf.solve_mckp(value, cost, 4.0, backend=backend, throw=False))
    assert type(plan.value) is float


def test_budgets_of_any_kind(backend):
    rng = np.random.default_rng(4)
    value, cost = rng.random((20, 3)), rng.random((20, 3))
    expected = bf.solve_mckp(value, cost, np.array([9.0, 8.0]), backend=backend)
    kinds = [(9, 8), np.array([9, 8], np.int32), np.array([9, 8], np.float32), np.array([9.0, 1, 8, 1])[::2]]
    for kind in kinds:
        assert_same_plan(bf.solve_mckp(value, cost, kind, backend=backend), expected)


def _torch_instance(dtype):
    torch = pytest.importorskip("torch")
    x = instance("masked", dtype)
    value, cost, mask = (a[:100].copy() for a in x)
    return torch, type(x)(value, cost, mask), [torch.from_numpy(a) for a in (value, cost, mask)]


def test_torch_in_torch_out(backend, dtype):
    torch, x, (value, cost, mask) = _torch_instance(dtype)
    b = budgets(x)[2]
    expected = bf.solve_mckp(x.value, x.cost, b, mask=x.mask, backend=backend)
    plan = bf.solve_mckp(value, cost, float(b), mask=mask, backend=backend)
    assert isinstance(plan.choice, torch.Tensor)
    assert plan.choice.dtype == torch.int32
    assert_same_plan(plan, expected)
    several = bf.solve_mckp(value, cost, torch.from_numpy(budgets(x)), mask=mask, backend=backend)
    for name in ("choice", "multiplier", "value", "spend", "dual_bound", "gap", "budget"):
        assert isinstance(getattr(several, name), torch.Tensor), name
    assert_same_plan(several, bf.solve_mckp(x.value, x.cost, budgets(x), mask=x.mask, backend=backend))
    frontier = bf.budget_frontier(value, cost, mask=mask, backend=backend)
    assert isinstance(frontier.value, torch.Tensor)
    assert isinstance(frontier.value_at(torch.tensor([1e9, 2e9])), torch.Tensor)
    assert_same_plan(bf.solve_mckp(value, cost, float(b), mask=mask, warm_start=plan, backend=backend), expected)


def test_torch_views(backend, dtype):
    """Transposed, expanded, flipped by a copy, requiring gradients, seen through read-only memory."""
    _torch, x, (value, cost, mask) = _torch_instance(dtype)
    b = float(budgets(x)[2])
    expected = bf.solve_mckp(x.value, x.cost, b, mask=x.mask, backend=backend)

    def transposed(t):
        return t.t().contiguous().t()

    plan = bf.solve_mckp(transposed(value), transposed(cost), b, mask=transposed(mask), backend=backend)
    assert_same_plan(plan, expected)
    learned = value.clone().requires_grad_()
    assert_same_plan(bf.solve_mckp(learned, cost, b, mask=mask, backend=backend), expected)
    assert learned.grad is None
    same_for_all = cost[:1].expand(100, -1)
    got = bf.solve_mckp(value, same_for_all, 1e6, backend=backend, throw=False)
    assert_same_plan(got, bf.solve_mckp(value, same_for_all.clone(), 1e6, backend=backend, throw=False))


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_torch_over_readonly_memory(backend, dtype):
    torch, x, _ = _torch_instance(dtype)
    b = float(budgets(x)[2])
    kept = [_readonly(a) for a in x]
    value, cost, mask = (torch.from_numpy(a) for a in kept)
    expected = bf.solve_mckp(x.value, x.cost, b, mask=x.mask, backend=backend)
    assert_same_plan(bf.solve_mckp(value, cost, b, mask=mask, backend=backend), expected)
    assert all(np.array_equal(a, c, equal_nan=a.dtype != bool) for a, c in zip(kept, x, strict=True))


def test_torch_dtypes_that_are_not_served(backend):
    torch = pytest.importorskip("torch")
    for wrong in (torch.int64, torch.complex64):
        with pytest.raises(TypeError, match="value .*" + str(wrong).removeprefix("torch.")):
            bf.solve_mckp(torch.ones(2, 2, dtype=wrong), torch.ones(2, 2), 9.0, backend=backend)


def test_a_torch_device_without_memory_is_refused(backend):
    torch = pytest.importorskip("torch")
    ghost = torch.ones(2, 2, device="meta")
    with pytest.raises(TypeError, match=r"value is on device meta"):
        bf.solve_mckp(ghost, ghost, 9.0, backend=backend)


def test_a_masked_array_is_refused(backend):
    """What it hides would be read: numbers without their mask."""
    value = np.ma.masked_array(np.ones((3, 2)), mask=np.eye(3, 2, dtype=bool))
    with pytest.raises(TypeError, match=r"value is a masked array; give value.data, and mask=~value.mask"):
        bf.solve_mckp(value, np.ones((3, 2)), 3.0, backend=backend)
    with pytest.raises(TypeError, match="budget must be a number"):
        bf.solve_mckp(value.data, np.ones((3, 2)), True, backend=backend)
