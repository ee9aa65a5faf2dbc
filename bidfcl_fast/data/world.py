"""A world: how users respond, what treatments cost, who got what in the past. All of it drawn from one seed. NumPy only."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .shapes import Function, standardised

Array = NDArray[Any]

RESPONSES = ("saturating", "hill", "sharp", "interacting", "unordered")
BIASES = ("smooth", "sharp", "interacting", "nonlinear")

# The kind of function (shapes.py) behind each family.
_RESPONSE_KIND = {"sharp": "steps", "interacting": "products"}
_BIAS_KIND = {"sharp": "steps", "interacting": "products"}

# Heterogeneity: standard deviations of the logarithms of base value, lift, speed of saturation and cost.
_BASE, _LIFT, _SPEED, _COST = 0.4, 0.7, 0.6, 0.5
_HIDDEN = 0.5  # of the hidden variable's factor on the base value
_TOP = 1.0  # mean lift of an unlimited dose; the mean base value is 1
_POWER = 0.9  # cost grows with dose to this power
_PILOT = 8192


class Users(NamedTuple):
    """x float64 [N, F]; hidden [N]; value, cost [N, M], what each treatment brings on average given x."""

    x: Array
    hidden: Array
    value: Array
    cost: Array


class World:
    """The response functions, costs and past policy drawn from `seed`; `simulate` explains the arguments."""

    def __init__(self, seed: int, features: int, treatments: int, response: str, bias: str) -> None:
        rng = np.random.default_rng([seed, 0])
        self.features, self.treatments, self.response, self.bias = features, treatments, response, bias
        self.dose = np.arange(treatments) / (treatments - 1)
        factors = rng.normal(size=(3, features))
        self._loading = factors / np.sqrt((factors**2).sum(0)) * np.sqrt(0.4)
        pilot = self._features(rng, _PILOT)
        kind = _RESPONSE_KIND.get(response, "smooth")
        self._base = standardised(kind, rng, pilot)
        # One function of lift, speed and cost for all treatments where they are doses of one thing, else one for each.
        several = treatments if response == "unordered" else 1
        self._lift = [standardised(kind, rng, pilot) for _ in range(several)]
        self._speed = standardised(kind, rng, pilot)
        self._cost = [standardised("smooth", rng, pilot) for _ in range(several)]
        self._price = rng.uniform(0.3, 1.0, treatments)
        self._strength = rng.uniform(0.5, 1.0, treatments)
        kind = _BIAS_KIND.get(bias, "smooth")
        own, rest = standardised(kind, rng, pilot), self._lift[-1]
        # Past policy: part of it follows the lift, as a marketer who knows their trade would.
        self._score: Function = lambda x: (own(x) + rest(x)) / np.sqrt(2)
        self._taste = [standardised(kind, rng, pilot) for _ in range(treatments)]
        self._region = [standardised(kind, rng, pilot) for _ in range(treatments)]

    def _features(self, rng: np.random.Generator, n: int) -> Array:
        """Correlated, unit variance; of every three columns one is normal, one skewed, one 0/1 (standardised)."""
        x = np.einsum("nk,kf->nf", rng.normal(size=(n, 3)), self._loading)
        x += np.sqrt(0.6) * rng.normal(size=x.shape)
        x[:, 1::3] = (np.exp(0.5 * x[:, 1::3]) - np.exp(0.125)) / np.sqrt(np.exp(0.5) - np.exp(0.25))
        x[:, 2::3] = np.sign(x[:, 2::3])
        return x

    def users(self, rng: np.random.Generator, n: int) -> Users:
        """n new users, with what each treatment would bring and cost them on average."""
        x = self._features(rng, n)
        return Users(x, rng.normal(size=n), *self.truth(x))

    def truth(self, x: Array) -> tuple[Array, Array]:
        """Mean value and mean cost [N, M] of users with features x (the hidden variable averaged out)."""
        base = _log_normal(self._base(x), _BASE)[:, None]
        if self.response == "unordered":
            lift = np.stack([q * (0.7 + 0.8 * _clip(s(x))) for q, s in zip(self._strength, self._lift, strict=True)], 1)
            cost = np.stack([p * _log_normal(s(x), _COST) for p, s in zip(self._price, self._cost, strict=True)], 1)
            lift[:, 0] = cost[:, 0] = 0.0
            # A treatment can put somebody off, but never below a tenth of what they bring untreated.
            return np.maximum(base + _TOP * lift, 0.1 * base), cost
        reach = _TOP * _log_normal(self._lift[0](x), _LIFT)[:, None]
        speed = np.exp(_SPEED * _clip(self._speed(x)))[:, None]
        if self.response == "hill":
            lift = 1.5 * self.dose / (self.dose + 0.5 / speed)
        else:
            lift = 1 - np.exp(-2.0 * speed * self.dose)
        return base + reach * lift, self.dose**_POWER * _log_normal(self._cost[0](x), _COST)[:, None]

    def factor(self, x: Array, hidden: Array) -> Array:
        """[N], mean 1 over the hidden variable: what it multiplies a user's base value with."""
        if self.bias == "nonlinear":
            return 1 + 0.7 * (1 + np.tanh(1.5 * self._region[0](x))) / 2 * (hidden**2 - 1)
        return np.asarray(np.exp(_HIDDEN * hidden - _HIDDEN**2 / 2))

    def base(self, x: Array) -> Array:
        """[N] mean value of a user who gets nothing."""
        return _log_normal(self._base(x), _BASE)

    def policy(self, x: Array, hidden: Array, targeting: float, confounding: float) -> Array:
        """[N, M] probabilities with which the past policy gave each treatment."""
        side = 2 * self.dose - 1
        logits = targeting * side * self._score(x)[:, None]
        logits += 0.4 * targeting * np.stack([taste(x) for taste in self._taste], 1)
        logits += confounding * self._push(x, hidden, side)
        logits -= logits.max(1, keepdims=True)
        p = np.exp(logits)
        return np.asarray(p / p.sum(1, keepdims=True))

    def _push(self, x: Array, hidden: Array, side: Array) -> Array:
        """[N, M] how much the hidden variable speaks for each treatment; its sign and shape are the family of bias."""
        if self.bias == "nonlinear":
            return side * ((hidden**2 - 1) / np.sqrt(2))[:, None]
        if self.bias == "sharp":
            return side * (hidden * np.sign(self._region[0](x)))[:, None]
        if self.bias == "interacting":
            return np.stack([hidden * np.sign(region(x)) for region in self._region], 1)
        return side * hidden[:, None]


def _clip(s: Array) -> Array:
    return np.clip(s, -2.5, 2.5)


def _log_normal(s: Array, sd: float) -> Array:
    """Positive, mean about 1."""
    return np.asarray(np.exp(sd * _clip(s) - sd**2 / 2))
