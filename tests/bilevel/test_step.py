"""One bilevel step against the closed form of METHOD.md §6.5, and against differences of a whole small training."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from bidfcl_fast.bilevel import Batch, BilevelStep, Bridge, Bridged, Correction  # noqa: E402

CLOSE = {"rtol": 0, "atol": 2e-10}

X = torch.tensor([1.0, 2.0, -1.0, 0.5], dtype=torch.float64)[:, None]
T = torch.tensor([0, 1, 0, 1])[:, None]
Y = torch.tensor([0.5, 2.0, -0.2, 0.9], dtype=torch.float64)[:, None]
TEACHER = torch.tensor([[0.4, 0.9], [0.8, 1.8], [-0.4, -0.9], [0.2, 0.45]], dtype=torch.float64)
BATCH = Batch(X, T, Y, TEACHER, torch.zeros(4, dtype=torch.float64))


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([0.3, 1.5], dtype=torch.float64))

    def forward(self, x):
        return x * self.theta


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.phi = nn.Parameter(torch.tensor([0.2, -0.4], dtype=torch.float64))

    def forward(self, batch):
        gate = torch.sigmoid(self.phi[0] + self.phi[1] * batch.x)
        return Bridged(gate.expand(-1, 2), 0.0, 0.0)


def upper_loss(target):
    x = torch.tensor([[1.0], [-0.5], [2.0], [1.5]], dtype=torch.float64)
    cost = torch.tensor([[0, 0.3], [0, 0.2], [0, 0.5], [0, 0.4]], dtype=torch.float64)
    outcome = torch.tensor([1.0, 0.6, 1.5, 0.4], dtype=torch.float64)
    policy = torch.softmax(target(x) - 0.7 * cost, 1)[torch.arange(4), [1, 0, 1, 0]]
    return -(outcome / 2 * policy).sum()


def step(**options):
    target, bridge = Line(), Gate()
    made = BilevelStep(
        target, bridge, upper_loss, cg_steps=50, cg_tolerance=1e-12, damping=0.0, step_size=0.1, **options
    )
    found = made.upper(BATCH)
    assert torch.equal(bridge.phi.grad, found.gradient)
    assert target.theta.tolist() == [0.3, 1.5], "the target is left as it was"
    return found


@pytest.mark.parametrize("curvature", ["gauss_newton", "hessian"])
def test_implicit_after_enough_steps(curvature):
    found = step(assumed_steps=300, curvature=curvature)
    np.testing.assert_allclose(found.target, [0.3406779964, 1.0868010583], **CLOSE)
    np.testing.assert_allclose(found.gradient, [0.0223036691, 0.0114786285], **CLOSE)
    assert found.upper == pytest.approx(-1.132022362494512, abs=1e-12)


def test_implicit_after_five_steps():
    found = step(assumed_steps=5)
    np.testing.assert_allclose(found.target, [0.3344302547, 1.1502643674], **CLOSE)
    np.testing.assert_allclose(found.gradient, [0.0210864124, 0.0108521649], **CLOSE)


def test_explicit():
    found = step(differentiation="explicit", assumed_steps=1)
    np.testing.assert_allclose(found.target, [0.3127118739, 1.3708753307], **CLOSE)
    np.testing.assert_allclose(found.gradient, [0.0052796087, 0.0027171613], **CLOSE)
    five = step(differentiation="explicit", assumed_steps=5)
    np.testing.assert_allclose(five.gradient, [0.0178477461, 0.0091853787], **CLOSE)


@pytest.mark.parametrize("reading", ["A", "B", "C"])
def test_the_three_readings(reading):
    """The slope of the lower loss, and its derivative in the gate, from the definitions in METHOD.md §3.3."""
    target, bridge = Line(), Gate()
    made = BilevelStep(target, bridge, upper_loss, reading=reading, differentiation="explicit", step_size=0.1)
    out = (X * target.theta).detach()
    gate = torch.sigmoid(bridge.phi[0] + bridge.phi[1] * X).detach()
    factual = torch.nn.functional.one_hot(T[:, 0], 2).bool()
    pull = {"A": gate, "B": gate**2, "C": gate}[reading]
    slope = torch.where(factual, 2 * (out - Y), 2 * pull * (out - TEACHER)) / 4
    made.loss(BATCH).backward()
    torch.testing.assert_close(target.theta.grad, (slope * X).sum(0))
    # d slope/d gate is the same for A and C, and 2·gate times it for B.
    moved = torch.where(factual, 0.0, 2 * (out - TEACHER) / 4 * (2 * gate if reading == "B" else 1.0))
    after = target.theta.detach() - 0.1 * (slope * X).sum(0)
    line = Line()
    with torch.no_grad():
        line.theta.copy_(after)
    (above,) = torch.autograd.grad(upper_loss(line), line.theta)
    by_gate = (moved * X * above).sum(1, keepdim=True) * gate * (1 - gate)
    expected = -0.1 * torch.stack([by_gate.sum(), (by_gate * X).sum()])
    target.theta.grad = None
    torch.testing.assert_close(made.upper(BATCH).gradient, expected)


def test_differences_of_a_whole_small_training():
    """Every learned part of a real bridge, through forty steps of training, against moving it and training again."""
    torch.manual_seed(0)
    n, features, arms, steps = 60, 3, 3, 40
    x = torch.randn(n, features, dtype=torch.float64)
    t = torch.randint(arms, (n,))
    batch = Batch(
        x,
        torch.stack([t, t + arms], 1),
        torch.randn(n, 2, dtype=torch.float64),
        torch.randn(n, 2 * arms, dtype=torch.float64),
        (torch.arange(n) < 15).double(),
    )
    zeros = np.zeros((2, arms))
    correction = Correction(np.random.default_rng(0).normal(size=(2, arms, 1 + features)), *[zeros] * 6)
    bridge = Bridge(
        features, arms, gate="network", factual_gate="per-arm", correction=correction, hidden=(5,),
        learn=("gate", "factual_gate", "correction"),
    ).double()  # fmt: skip
    target = nn.Sequential(nn.Linear(features, 6), nn.Tanh(), nn.Linear(6, 2 * arms)).double()
    trial_x, trial_t = torch.randn(n, features, dtype=torch.float64), torch.randint(arms, (n,))
    outcome = torch.rand(n, dtype=torch.float64)

    def upper(net):
        out = net(trial_x)
        policy = torch.softmax(out[:, :arms] - 0.5 * out[:, arms:], 1)
        return -(outcome * policy[torch.arange(n), trial_t]).mean()

    made = BilevelStep(target, bridge, upper, differentiation="explicit", assumed_steps=steps, step_size=0.05)
    found = made.upper(batch)
    learned = [p for p in bridge.parameters() if p.requires_grad]
    flat = torch.cat([p.detach().reshape(-1) for p in learned])
    start = {k: v.clone() for k, v in target.state_dict().items()}
    with torch.no_grad():
        first = target(x)

    def trained(phi):
        """Upper loss after plain gradient descent on labels written out by hand."""
        with torch.no_grad():
            offset = 0
            for p in learned:
                p.copy_(phi[offset : offset + p.numel()].view(p.shape))
                offset += p.numel()
            gate = torch.sigmoid(bridge.gate(x))
            own_gate = torch.sigmoid(bridge.factual_gate(x)).expand(n, -1)
            label = gate * batch.teacher + (1 - gate) * first
            for i in range(n):
                for h in (0, 1):
                    j = int(t[i]) + h * arms
                    w = bridge.coefficients[h, t[i]]
                    y = batch.y[i, h]
                    if not batch.trial[i]:
                        y = y + w[0] + w[1:] @ x[i]
                        y = (1 - own_gate[i, j]) * y + own_gate[i, j] * batch.teacher[i, j]
                    label[i, j] = y
        target.load_state_dict(start)
        for _ in range(steps):
            loss = ((target(x) - label) ** 2).sum(1).mean()
            grads = torch.autograd.grad(loss, list(target.parameters()))
            with torch.no_grad():
                for p, g in zip(target.parameters(), grads, strict=True):
                    p -= 0.05 * g
        return float(upper(target).detach())

    for seed in range(3):
        direction = torch.randn(len(flat), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        eps = 1e-5
        numeric = (trained(flat + eps * direction) - trained(flat - eps * direction)) / (2 * eps)
        assert float(found.gradient @ direction) == pytest.approx(numeric, rel=1e-6)


def test_a_fused_step_is_that_of_autograd():
    """The gradient steps that the fused curvature takes itself, and the hypergradient after them, beside autograd's."""
    torch.manual_seed(0)
    n, m = 50, 2
    columns = torch.stack([torch.arange(n) % m, m + torch.arange(n) % m], 1)
    batch = Batch(torch.randn(n, 3), columns, torch.randn(n, 2), torch.randn(n, 2 * m), torch.zeros(n))
    plain = nn.Sequential(nn.Linear(3, 7), nn.ReLU(), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 2 * m))

    class Hidden(nn.Module):  # not seen through
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x)

    found = []
    for target in (plain, Hidden(copy.deepcopy(plain))):
        bridge = Bridge(3, m, gate="per-arm", learn=("gate",))
        step = BilevelStep(
            target, bridge, lambda net: net(batch.x).square().mean(), curvature="hessian", damping=0.0, cg_steps=3,
            cg_tolerance=1e-8, assumed_steps=6, step_size=0.3,
        )  # fmt: skip
        before = [p.detach().clone() for p in target.parameters()]
        found.append(step.upper(batch))
        assert all(torch.equal(a, p) for a, p in zip(before, target.parameters(), strict=True))
    torch.testing.assert_close(found[0].target, found[1].target, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found[0].gradient, found[1].gradient, rtol=1e-3, atol=1e-6)


def test_misuse_is_named():
    with pytest.raises(ValueError, match="reading must be one of A, B, C"):
        BilevelStep(Line(), Gate(), upper_loss, reading="D").loss(BATCH)
    with pytest.raises(ValueError, match="share must be"):
        BilevelStep(Line(), Gate(), upper_loss, share=0)
    with pytest.raises(ValueError, match="gate must be a number in"):
        Bridge(2, 2, gate=1.5)
