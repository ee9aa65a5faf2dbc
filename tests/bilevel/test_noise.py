"""Rows weighed by their noise: what is found of it, what it does to a loss, and when the recommended form has no teachers."""

from __future__ import annotations

import numpy as np
import pytest

from bidfcl_fast.data import Table

torch = pytest.importorskip("torch")

from bidfcl_fast.bilevel import BiDFCL  # noqa: E402
from bidfcl_fast.bilevel.labels import Batch, Bridged, mixed  # noqa: E402
from bidfcl_fast.bilevel.noise import Noise  # noqa: E402
from bidfcl_fast.methods._losses import Observed  # noqa: E402

from .small import SHORT, table  # noqa: E402

RCT, OBS = table(300, 0), table(2000, 1, bias=1.0)


def fit(**options):
    method = BiDFCL(schedule=SHORT, hidden=(8,), finish="none", **options)
    return method.fit(rct=RCT, obs=OBS, budget=[0.4], seed=2, progress=False)


def test_the_noise_is_found_where_it_is():
    """Values vary in proportion to their mean, costs alike everywhere."""
    rng = np.random.default_rng(0)
    mean = rng.uniform(1, 3, size=(40_000, 2))
    noise = Noise.of(mean, mean + rng.normal(size=mean.shape) * np.column_stack([mean[:, 0], np.ones(len(mean))]))
    weight = noise.weights(mean)
    np.testing.assert_allclose(weight.mean(0), 1, rtol=1e-5)
    relative = weight[:, 0] * mean[:, 0] ** 2
    assert relative.std() / relative.mean() < 0.1, "1 ÷ mean², up to a factor"
    assert weight[:, 1].std() < 0.08
    ends = noise.weights(np.array([[-10.0, 2.0], [1.0, 2.0], [3.0, 2.0], [99.0, 2.0]]))
    assert ends[0, 0] == pytest.approx(ends[1, 0], rel=0.15), "beyond what was seen it stays as it was at the end"
    assert ends[2, 0] == pytest.approx(ends[3, 0], rel=0.15)


def test_nothing_weighs_without_bound():
    """A treatment that costs nothing is known exactly; outcomes without any noise, or too few of them, weigh alike."""
    rng = np.random.default_rng(1)
    free = rng.random(10_000) < 0.3
    mean = np.where(free, 0.0, 1.0)
    cost = np.where(free, 0.0, rng.gamma(4, 0.25, size=len(free)))
    weight = Noise.of(np.column_stack([mean, mean]), np.column_stack([cost, mean])).weights(
        np.column_stack([mean, mean])
    )
    assert weight[free, 0].max() / weight[~free, 0].min() == pytest.approx(10, rel=0.5)
    assert (weight[:, 1] == 1).all()
    few = rng.normal(size=(40, 2))
    np.testing.assert_allclose(Noise.of(few, np.zeros((40, 2))).weights(few), 1, rtol=1e-6)


def test_weights_in_the_losses_are_those_of_the_sum():
    """Against autograd, both where only what was observed counts and where every cell has a label."""
    torch.manual_seed(0)
    out = torch.randn(1, 6, 4, dtype=torch.float64, requires_grad=True)
    at = torch.tensor([[0, 2], [1, 3], [0, 2], [0, 2], [1, 3], [1, 3]])
    y, weight = torch.randn(6, 2, dtype=torch.float64), torch.rand(6, 2, dtype=torch.float64)
    loss = Observed(at, y, weight)
    expected = sum(weight[i, h] * (out[0, i, at[i, h]] - y[i, h]) ** 2 for i in range(6) for h in (0, 1)) / 6
    (slope,) = torch.autograd.grad(expected, out)
    arrays = [a.unsqueeze(0) for a in loss.arrays]
    torch.testing.assert_close(loss.slope(out.detach().clone(), arrays), slope)
    torch.testing.assert_close(loss.value(out.detach(), arrays)[0], expected.detach())
    batch = Batch(torch.zeros(6, 1), at, y, torch.zeros(6, 4, dtype=torch.float64), torch.ones(6), weight)
    torch.testing.assert_close(mixed(batch, Bridged(0.0, 0.0, 0.0), "C").loss(out[0]), expected)


def test_the_recommended_form_is_targets_from_starts_of_their_own():
    method = fit()
    assert method.settings_.teachers == 0 and method.settings_.students == len(method.nets_) == 2
    x = method.units_.inputs(RCT.x)
    with torch.no_grad():
        one, two = (net(x) for net in method.nets_)
    assert not torch.equal(one, two)
    np.testing.assert_allclose(method.predict(RCT.x), method.units_.money((one + two) / 2), rtol=1e-5)
    alike = fit(weights="equal")
    assert method.noise_ is not None and alike.noise_ is None
    assert not np.array_equal(alike.predict(RCT.x), method.predict(RCT.x))
    # The label of a cell that was not observed counts for nothing, so an upper level that stands still changes nothing.
    still = fit(learn=("correction",), correction_lr=0.0, correction="ridge")
    np.testing.assert_allclose(still.predict(RCT.x), fit(correction="ridge").predict(RCT.x), rtol=1e-4)


@pytest.mark.parametrize(
    "asked", [{"teachers": 1}, {"gate": "network"}, {"learn": ("gate",)}, {"factual_gate": 0.3}], ids=str
)
def test_teachers_come_back_where_they_are_asked_for(asked):
    method = fit(**asked)
    assert method.settings_.teachers == asked.get("teachers", 2)
    assert len(method.nets_) == method.settings_.teachers + 1, "the mean of teachers and student"


def test_rows_that_vary_less_count_for_more():
    """Two groups of one size; what the noisy one says moves the fit of the quiet one less once rows are weighed."""

    def error(weights, seed):
        rng = np.random.default_rng(seed)

        def rows(n):
            x = rng.normal(size=(n, 2))
            t = rng.integers(2, size=n)
            mean = np.exp(x[:, 0]) * (1 + 0.3 * t)
            return Table(x, t, mean * rng.gamma(1.0, 1.0, size=n), t * rng.gamma(4.0, 0.25, size=n), treatments=2)

        rct, obs = rows(500), rows(4000)
        schedule = {"obs": 10, "student": 15, "batch": 128}
        method = BiDFCL(weights=weights, correction="none", students=1, finish="none", hidden=(16,), schedule=schedule)
        method.fit(rct=rct, obs=obs, seed=seed, progress=False)
        x = np.random.default_rng(99).normal(size=(4000, 2))
        lift = np.diff(method.predict(x)[0], axis=1)[:, 0]
        quiet = x[:, 0] < 0
        return float(np.mean((lift - 0.3 * np.exp(x[:, 0]))[quiet] ** 2))

    weighed, alike = (sum(error(weights, s) for s in range(4)) for weights in ("noise", "equal"))
    assert weighed < 0.7 * alike
