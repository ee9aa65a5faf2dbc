"""The Numba losses' exponential: near the true one, and exactly 0 where a treatment is closed, in place as well."""

import numpy as np
import pytest

numba = pytest.importorskip("numba")
kernels = pytest.importorskip("bidfcl_fast.backends.numba_loss_kernels")


@numba.njit
def run(x, constants, power, bits, out):
    kernels.exp_lanes(x, constants, power, bits, out)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponential(dtype, in_place):
    constants = kernels.exp_constants(dtype)
    s = kernels.scratch(1, dtype)
    least = float(constants.least)
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = (rng.random(kernels.W) * least).astype(dtype)
        x[:8] = [-np.inf, 1.001 * least, -1e30, 0, -1e-8, least / 2, -np.inf, -1]
        rng.shuffle(x)
        given = x.copy()
        out = x if in_place else np.full_like(x, np.nan)
        run(x, constants, s.power, s.bits, out)
        np.testing.assert_array_equal(out[given < least], 0)
        exact = np.exp(given.astype(np.longdouble))
        here = given >= least
        np.testing.assert_allclose(out[here], exact[here].astype(dtype), rtol=2 * np.finfo(dtype).eps)
        assert out[given == 0].tolist() == [1] * int((given == 0).sum())
