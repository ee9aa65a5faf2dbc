"""Simulated trials and logs whose truth is known: several worlds, several regimes of bias. NumPy only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .table import Table
from .world import BIASES, RESPONSES, World

Array = NDArray[Any]

# How the log was made: `targeting` on features that everybody sees, `confounding` on a variable that nobody sees.
REGIMES: dict[str, dict[str, float]] = {
    "none": {"targeting": 0.0, "confounding": 0.0},
    "mild": {"targeting": 0.7, "confounding": 0.0},
    "strong": {"targeting": 3.0, "confounding": 0.0},
    "moderate": {"targeting": 0.7, "confounding": 1.0},
    "severe": {"targeting": 0.7, "confounding": 2.0},
}

# Rows, features and treatments of the two industrial data sets of Bi-DFCL (its Table 1).
SIZES: dict[str, dict[str, int]] = {
    "marketing-1": {"n_rct": 2_220_781, "n_obs": 22_201_405, "n_test": 2_775_976, "features": 180, "treatments": 8},
    "marketing-2": {"n_rct": 2_017_450, "n_obs": 33_815_274, "n_test": 2_521_813, "features": 192, "treatments": 5},
}

BUDGETS = (0.15, 0.30, 0.45, 0.60)  # shares of what the dearest treatment for everybody would cost

# Rows are drawn in blocks of this many, each from its own stream of random numbers: chunks of any size are then the same
# rows, and a longer table begins with a shorter one.
BLOCK = 4096

_PARTS = {"rct": 1, "obs": 2, "test": 3}


class Chunk(NamedTuple):
    """Consecutive rows of one part: the table, the truth [n, M] of its users, and the policy's least probability."""

    table: Table
    true_value: Array
    true_cost: Array
    least_propensity: float


@dataclass(frozen=True, eq=False)
class Source:
    """Where the rows come from: `chunk` gives any of them, without making the others. `simulate` explains the arguments."""

    features: int = 12
    treatments: int = 5
    confounding: float = 1.0
    noise: float = 1.0
    seed: int = 0
    targeting: float = 0.7
    response: str = "saturating"
    bias: str = "smooth"
    sample: int = 0
    dtype: Any = np.float32
    world: World = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name, least in (("features", 1), ("treatments", 2), ("seed", 0), ("sample", 0)):
            _whole(name, getattr(self, name), least)
        for name in ("confounding", "noise", "targeting"):
            given = getattr(self, name)
            if not np.isfinite(given) or given < 0:
                raise ValueError(f"{name} must be a finite number, not negative, got {given}")
        for name, known in (("response", RESPONSES), ("bias", BIASES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if np.dtype(self.dtype) not in (np.float32, np.float64):
            raise TypeError(f"dtype must be float32 or float64, got {self.dtype}")
        world = World(self.seed, self.features, self.treatments, self.response, self.bias)
        object.__setattr__(self, "world", world)

    def chunk(self, part: str, start: int, stop: int) -> Chunk:
        """Rows start … stop-1 of "rct", "obs" or "test"."""
        if part not in _PARTS:
            raise ValueError(f"part must be one of {', '.join(_PARTS)}, got {part!r}")
        if not 0 <= start < stop:
            raise ValueError(f"rows must be 0 ≤ start < stop, got {start} and {stop}")
        blocks = [self._block(part, b) for b in range(start // BLOCK, (stop - 1) // BLOCK + 1)]
        rows = slice(start % BLOCK, start % BLOCK + stop - start)
        x, treatment, value, cost, true_value, true_cost, p = (
            np.concatenate(column)[rows] for column in zip(*blocks, strict=True)
        )
        table = Table(
            x=x.astype(self.dtype),
            treatment=treatment,
            value=value.astype(self.dtype),
            cost=cost.astype(self.dtype),
            # The odds of a trial are known; those of a log are not.
            propensity=None if part == "obs" else np.full(stop - start, 1 / self.treatments),
            treatments=self.treatments,
            row=np.arange(start, stop),
        )
        return Chunk(table, true_value.astype(self.dtype), true_cost.astype(self.dtype), float(p.min()))

    def chunks(self, part: str, rows: int, size: int = 16 * BLOCK) -> Iterator[Chunk]:
        """The first `rows` rows of a part, `size` at a time: memory for one chunk only."""
        for start in range(0, rows, size):
            yield self.chunk(part, start, min(start + size, rows))

    def _block(self, part: str, block: int) -> tuple[Array, ...]:
        rng = np.random.default_rng([self.seed, _PARTS[part], self.sample, block])
        world = self.world
        users = world.users(rng, BLOCK)
        if part == "obs":
            p = world.policy(users.x, users.hidden, self.targeting, self.confounding)
        else:
            p = np.full((BLOCK, self.treatments), 1 / self.treatments)
        drawn = rng.random(BLOCK)
        treatment = np.minimum((p.cumsum(1) < drawn[:, None]).sum(1), self.treatments - 1)
        row = np.arange(BLOCK)
        mean = users.value[row, treatment] + world.base(users.x) * (world.factor(users.x, users.hidden) - 1)
        # Mean 1 each: most of the noise is that many bring nothing at all, the rest is in how much the others bring.
        something = 1 / (1 + 3 / 7 * self.noise**2)
        shape = 4 / max(self.noise, 1e-6)
        outcome = (rng.random(BLOCK) < something) / something * rng.gamma(shape, 1 / shape, BLOCK)
        paid = rng.gamma(2 * shape, 1 / (2 * shape), BLOCK)
        if self.noise == 0:
            outcome, paid = np.ones(BLOCK), np.ones(BLOCK)
        return (
            users.x,
            treatment,
            mean * outcome,
            users.cost[row, treatment] * paid,
            users.value,
            users.cost,
            p.min(1),
        )


@dataclass(frozen=True, eq=False)
class Simulation:
    """What `simulate` returns.

    Attributes
    ----------
    rct, obs, test
        Tables of the trial, the log (its odds are unknown) and the test users (a trial too).
    true_value, true_cost
        [n_test, M]: mean value and mean cost of every treatment for the test users, given their features.
    source
        Makes more rows of the same world, and any of them in chunks.
    least_propensity
        The least probability with which the policy behind `obs` gave any treatment to any of its users.
    """

    rct: Table = field(repr=False)
    obs: Table = field(repr=False)
    test: Table = field(repr=False)
    true_value: Array = field(repr=False)
    true_cost: Array = field(repr=False)
    source: Source
    least_propensity: float

    def budget(self, share: Any = 0.3) -> Any:
        """Money per user: `share` (a number or [K]) of what the dearest treatment for everybody costs the test users."""
        return np.asarray(share, np.float64)[()] * float(self.true_cost.astype(np.float64).mean(0).max())

    def describe(self, shares: tuple[float, ...] = BUDGETS) -> Description:
        """How hard this world is, before any method is looked at."""
        from .. import metrics  # it stands on `data.table`

        n = len(self.test)
        blind = [np.broadcast_to(t.mean(0), t.shape).copy() for t in (self.true_value, self.true_cost)]
        budget = self.budget(shares) * n
        regret = metrics.regret(blind[0], blind[1], self.true_value, self.true_cost, budget)
        return Description(
            rows=(len(self.rct), len(self.obs), n),
            budgets=shares,
            uninformed_regret=tuple(float(r) for r in regret),
            rct_shares=_shares(self.rct),
            obs_shares=_shares(self.obs),
            least_propensity=self.least_propensity,
            true_mean=tuple(float(v) for v in self.true_value.mean(0)),
            obs_mean=_arm_means(self.obs),
            mean_cost=tuple(float(c) for c in self.true_cost.mean(0)),
        )


@dataclass(frozen=True)
class Description:
    """`uninformed_regret` is that of arm means for everybody; `obs_mean` less `true_mean` shows the bias of the log."""

    rows: tuple[int, int, int]  # trial, log, test
    budgets: tuple[float, ...]
    uninformed_regret: tuple[float, ...]
    rct_shares: tuple[float, ...]
    obs_shares: tuple[float, ...]
    least_propensity: float
    true_mean: tuple[float, ...]  # value of each treatment, mean over the test users
    obs_mean: tuple[float, ...]  # mean observed value of those who got it
    mean_cost: tuple[float, ...]

    def __str__(self) -> str:
        def row(numbers: tuple[float, ...], form: str = ".3f") -> str:
            return " ".join(f"{number:{form}}" for number in numbers)

        return "\n".join(
            [
                "rows: {:,} trial, {:,} log, {:,} test".format(*self.rows),
                f"regret of an uninformed plan: {row(self.uninformed_regret)} at {row(self.budgets, '.0%')} of the dearest",
                f"arm shares, trial:            {row(self.rct_shares)}",
                f"arm shares, log:              {row(self.obs_shares)}, least propensity {self.least_propensity:.2g}",
                f"mean value of an arm, truth:  {row(self.true_mean)}",
                f"mean value of an arm, log:    {row(self.obs_mean)}",
                f"mean cost of an arm:          {row(self.mean_cost)}",
            ]
        )


def simulate(
    n_rct: int,
    n_obs: int,
    n_test: int,
    features: int = 12,
    treatments: int = 5,
    confounding: float = 1.0,
    noise: float = 1.0,
    seed: int = 0,
    *,
    targeting: float = 0.7,
    regime: str | None = None,
    response: str = "saturating",
    bias: str = "smooth",
    sample: int = 0,
    dtype: Any = np.float32,
) -> Simulation:
    """A scarce trial, a plentiful biased log, and test users whose truth is known.

    A user has features x and a hidden variable that no table shows. Treatment j is a dose d_j = j/(M−1) of one thing,
    treatment 0 is nothing and costs nothing. Mean value is base(x) + lift_j(x), mean cost d_j^0.9·u(x). Observed values
    are zero-inflated gamma: at `noise` 1, 30 % bring nothing, and the others' shape is 4; the hidden variable multiplies
    the base value of its user by a factor of mean 1. Observed costs are gamma around their mean.

    In the trial every treatment is equally likely. In the log the odds are a softmax of a score of the features
    (`targeting`: visible bias, which only thins out some cells) and of the hidden variable (`confounding`: bias that no
    feature explains).

    Parameters
    ----------
    n_rct, n_obs, n_test
        Rows of the trial, the log, and the test users.
    features, treatments
        F and M (including "nothing").
    confounding
        Strength of the hidden variable in the log's odds: 0 none, 1 moderate, 2 severe.
    noise
        0: outcomes are their means (times the hidden factor); 1: default; 2: two thirds bring nothing.
    seed
        Draws the world (all response, cost and policy functions) and the rows.
    targeting
        Strength of the visible features in the log's odds: 0 none, 0.7 mild, 3 strong (poor overlap).
    regime
        "none", "mild", "strong", "moderate" or "severe": sets `targeting` and `confounding` (`REGIMES`).
    response
        "saturating": lift a(x)(1 − e^(−κ(x)d)); "hill": a(x)·d/(d + k(x)); "sharp", "interacting": saturating, with functions
        that jump, or that are made of products of features; in all these lift rises with dose and is concave in it.
        "unordered": treatments are different things, each with its own lift (negative for some) and cost.
    bias
        "smooth": the hidden variable speaks for large doses alike everywhere; "sharp": for or against them, with a jump
        between regions of x; "interacting": each treatment has its own regions; "nonlinear": what counts is how unusual the
        user is, and how much depends on x. The visible score is of the same kind.
    sample
        Other rows of the same world.
    dtype
        float32 or float64, of all tables and truths.

    Returns
    -------
    Simulation
        Same arguments, same bits. More rows of a part begin with the fewer ones.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    Source: this project's own design; sizes and roles of the tables after Bi-DFCL, §5.1.
    """
    for name, given in (("n_rct", n_rct), ("n_obs", n_obs), ("n_test", n_test)):
        _whole(name, given, 1)
    if regime is not None:
        if regime not in REGIMES:
            raise ValueError(f"regime must be one of {', '.join(REGIMES)}, got {regime!r}")
        targeting, confounding = REGIMES[regime]["targeting"], REGIMES[regime]["confounding"]
    source = Source(features, treatments, confounding, noise, seed, targeting, response, bias, sample, dtype)
    rct, obs, test = source.chunk("rct", 0, n_rct), source.chunk("obs", 0, n_obs), source.chunk("test", 0, n_test)
    return Simulation(rct.table, obs.table, test.table, test.true_value, test.true_cost, source, obs.least_propensity)


def _shares(table: Table) -> tuple[float, ...]:
    return tuple(float(s) for s in np.bincount(table.treatment, minlength=table.treatments) / len(table))


def _arm_means(table: Table) -> tuple[float, ...]:
    count = np.bincount(table.treatment, minlength=table.treatments)
    total = np.bincount(table.treatment, weights=table.value, minlength=table.treatments)
    return tuple(float(t / c) if c else float("nan") for t, c in zip(total, count, strict=True))


def _whole(name: str, given: Any, least: int) -> None:
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < least:
        raise ValueError(f"{name} must be a whole number, at least {least}, got {given!r}")
