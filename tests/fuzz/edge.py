"""The Python edge: whatever comes in, a plan that keeps its promises or a `ValueError` or `TypeError` in words."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction
from typing import Any

import numpy as np

import bidfcl_fast as bf
from bidfcl_fast._arrays import to_numpy

from .arrays import KINDS, array
from .source import Source

REFUSALS = (ValueError, TypeError)


def one(data: bytes) -> None:
    """One call with arguments out of `data`."""
    source = Source(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=PendingDeprecationWarning)  # of numpy.matrix
        source.pick((_dense, _dense, _dense, _ragged, _frontier, _allocator))(source)


def _kinds(source: Source) -> tuple[str, str]:
    kind = source.pick(KINDS)
    return kind, (source.pick(KINDS) if source.chance(16) else kind)


def _shape(source: Source, ranks=(2, 2, 2, 2, 2, 3, 3, 1, 0, 4)) -> tuple[int, ...]:
    return tuple(source.pick((1, 2, 3, 4, 5, 6, 0, 9, 17)) for _ in range(source.pick(ranks)))


def _amount(source: Source, count: int) -> Any:
    how = source.below(8)
    if how == 7:
        return source.pick((None, True, "x", 1j, math.nan, math.inf, 10**400, np.zeros((0,)), [[1.0]], b"1"))
    if how == 6:
        return source.numbers(source.pick((count, count, 1, 2, 0)))
    return source.number()


def _options(source: Source, shape: tuple[int, ...], backend: str) -> dict[str, Any]:
    out: dict[str, Any] = {"throw": bool(source.below(2)), "fill": bool(source.below(2)), "backend": backend}
    if source.chance(3):
        mask = np.asarray(np.frombuffer(source.take(int(np.prod(shape))), np.uint8).reshape(shape) % 4 > 0)
        flip = mask[..., ::-1] if mask.ndim else mask
        out["mask"] = source.pick((mask, mask.astype("i8"), flip, np.asfortranarray(mask), mask.tolist()))
    if source.chance(6):
        out["warm_start"] = source.pick((source.number(), source.numbers(2), None, "x"))
    if source.chance(8):
        out["min_spend"] = _amount(source, 1)
    if source.chance(8):
        out["max_treated"] = source.pick((source.integer(), source.number()))
        out["control"] = source.integer()
    if source.chance(8):
        out |= {"integrality": "proven", "time_limit": 0.2}
    return out


def _dense(source: Source) -> None:
    shape, kinds = _shape(source), _kinds(source)
    value = array(source, shape, kinds[0])
    cost = array(source, shape if not source.chance(16) else _shape(source), kinds[1])
    options = _options(source, shape, "cpp")
    amount = _amount(source, shape[0] if shape else 1)
    if source.chance(6):
        edges = np.array([source.integer() for _ in range(1 + source.below(4))] + list(shape[:1]), np.int64)
        if source.below(2):
            edges = np.linspace(0, shape[0] if shape else 0, 3).astype(np.int64)
        edges = edges.astype(source.pick(("i8", "i4", "u8", "f8", "i8")))
        options["segments"] = edges
    money = "multiplier" if source.chance(6) else "budget"
    _judged(bf.solve_mckp, (value, cost), {money: amount, **options})


def _ragged(source: Source) -> None:
    lengths = [source.pick((1, 1, 2, 3, 5, 8)) for _ in range(source.below(9))]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    cells = int(offsets[-1])
    kinds = _kinds(source)
    value, cost = (array(source, (cells,), k) for k in kinds)
    if source.chance(4) and len(offsets):
        offsets[source.below(len(offsets))] = source.integer()
    if source.chance(6):
        offsets = source.pick(
            (offsets.astype("u8"), offsets[::-1], offsets.astype("f8"), offsets.tolist(), offsets[:0])
        )
    options = _options(source, (cells,), "cpp")
    _judged(bf.solve_mckp_ragged, (value, cost, offsets), {"budget": _amount(source, 1), **options})


def _frontier(source: Source) -> None:
    shape, kinds = _shape(source), _kinds(source)
    value, cost = (array(source, shape, k) for k in kinds)
    try:
        found = bf.budget_frontier(value, cost, backend="cpp")
    except REFUSALS as error:
        _in_words(error)
        return
    assert all(np.isfinite(x).all() for x in (found.budget, found.value, found.multiplier))
    assert (np.diff(found.budget) >= 0).all() and (np.diff(found.multiplier) <= 0).all()


def _allocator(source: Source) -> None:
    try:
        made = bf.Allocator(source.number(), budget=source.pick((None, source.number())), backend="cpp")
        for _ in range(source.below(4)):
            shape = (source.below(5), 1 + source.below(4))
            if source.below(2):
                made.choose_batch(array(source, shape, "f8"), array(source, shape, "f8"))
            else:
                made.choose(source.numbers(shape[1]).tolist(), source.numbers(shape[1]).tolist())
        again = bf.Allocator.from_state(made.state())
        assert again.state() == made.state()
    except (*REFUSALS, bf.BudgetExhausted) as error:
        _in_words(error)


def _judged(solve: Any, arrays: tuple[Any, ...], options: dict[str, Any]) -> None:
    try:
        plan = solve(*arrays, **options)
    except REFUSALS as error:
        _in_words(error)
        return
    value, cost = (np.asarray(to_numpy("x", x)) for x in arrays[:2])
    choices = np.asarray(plan.choice)
    single = isinstance(plan.status, bf.Status)
    statuses = [plan.status] if single else [bf.Status(int(s)) for s in plan.status]
    priced = "multiplier" in options  # then it is the spend that is found
    names = ("value", "spend", "dual_bound", "gap", *(() if priced else ("multiplier",)))
    for k, status in enumerate(statuses):
        numbers = {x: float(getattr(plan, x) if single else getattr(plan, x)[k]) for x in names}
        if status < bf.Status.SOLVED:
            assert status.sentence and all(math.isnan(x) for x in numbers.values())
            continue
        assert all(map(math.isfinite, numbers.values())), numbers
        assert numbers["gap"] >= 0
        limit = float(plan.budget if single else plan.budget[k])
        assert numbers["spend"] <= limit
    if single and statuses[0] >= 0 and value.ndim == 2 and value.dtype.kind == "f":
        spent = sum((Fraction(float(cost[i, j])) for i, j in enumerate(choices.tolist())), Fraction(0))
        assert priced or spent <= Fraction(float(plan.budget)), "beyond the budget"
        if value.size <= 24 and options.get("integrality") != "proven":
            _same(solve(*arrays, **{**options, "backend": "reference"}), plan)


def _same(expected: Any, plan: Any) -> None:
    assert expected.status == plan.status
    np.testing.assert_array_equal(np.asarray(expected.choice), np.asarray(plan.choice))
    for name in ("multiplier", "value", "spend", "dual_bound", "gap"):
        assert getattr(expected, name) == getattr(plan, name), name


def _in_words(error: Exception) -> None:
    """A refusal says something, and it is no accident of another library."""
    text = str(error)
    assert (text and "\n" not in text.strip()) or "array(" in text, repr(error)
