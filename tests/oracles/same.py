"""Two plans are the same plan: equal choices, and floats equal to the last bit."""

from __future__ import annotations

import numpy as np

FLOATS = ("multiplier", "value", "spend", "dual_bound", "gap")


def bits(x) -> np.ndarray:
    x = np.asarray(x, np.float64)
    return np.where(np.isnan(x), np.nan, x).view(np.int64)  # one NaN is as good as another


def assert_same_plan(got, expected) -> None:
    np.testing.assert_array_equal(np.asarray(got.status), np.asarray(expected.status), err_msg="status")
    for name in FLOATS:
        a, b = getattr(got, name), getattr(expected, name)
        assert np.array_equal(bits(a), bits(b)), f"{name}: {a!r} is not {b!r}"
    np.testing.assert_array_equal(np.asarray(got.choice), np.asarray(expected.choice), err_msg="choice")


def part(plan, k: int, choice=None):
    """Problem k of a plan with several, with its own slice of the choices where those are joined."""
    return _Part(
        *(np.asarray(getattr(plan, name))[k] for name in FLOATS),
        status=np.asarray(plan.status)[k],
        choice=np.asarray(plan.choice)[k] if choice is None else choice,
    )


class _Part:
    def __init__(self, *floats, status, choice) -> None:
        self.__dict__.update(zip(FLOATS, floats, strict=True))
        self.status, self.choice = status, choice
