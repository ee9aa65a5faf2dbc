"""What plans and predictions are worth: inverse-propensity estimates with intervals, rankings, regret, resampling. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data.table import Table
from .estimates import Estimate
from .labelled import Eom, eom, labelled_multiplier
from .ranking import aucc
from .regret import Overspent, regret
from .resampling import Resampled, paired_bootstrap

Array = NDArray[Any]

__all__ = [
    "Eom",
    "Estimate",
    "Overspent",
    "PolicyValue",
    "Resampled",
    "aucc",
    "difference",
    "difference_at_equal_spend",
    "eom",
    "ipw_value",
    "ipw_weight",
    "labelled_multiplier",
    "paired_bootstrap",
    "regret",
]


@dataclass(frozen=True)
class PolicyValue:
    """`value` and `spend` per person of a policy, and each person's influence on the two estimates.

    `matched` people received an arm the policy could have given them; `effective` = (Σw)²/Σw² says how many equally
    weighted people they are worth. `value_influence`, `spend_influence`: [N], mean 0; the variance of an estimate is
    Σ influence²/N².
    """

    value: Estimate
    spend: Estimate
    matched: int
    effective: float
    value_influence: Array = field(repr=False)
    spend_influence: Array = field(repr=False)


def ipw_weight(treatment: Any, treatments: int, shares: Any = None) -> Array:
    """Weights that make the sum over the people of each arm an average over everybody: 1/(N·p_t).

    Parameters
    ----------
    treatment
        [N] integers 0 … treatments-1.
    treatments
        M, the number of treatments.
    shares
        [M] probabilities p of the treatments; left out, those observed, p_t = N_t/N, so the weight is 1/N_t, and every
        treatment must have been received by somebody. A batch of a trial takes the trial's.

    Returns
    -------
    float64 [N]; Σ_i weight_i·y_i·1[t_i = j] estimates the mean of y had everybody received j.

    Source: Bi-DFCL eq. 11; Horvitz and Thompson (1952).
    """
    t = np.asarray(treatment)
    if t.ndim != 1 or not (np.issubdtype(t.dtype, np.integer) or t.dtype == bool):
        raise ValueError(f"treatment must be [N] integers, got shape {list(t.shape)}, dtype {t.dtype}")
    t = t.astype(np.int64)
    if t.size and not 0 <= t.min() <= t.max() < treatments:
        raise ValueError(f"treatment must be 0 to {treatments - 1}, got {t.min()} to {t.max()}")
    if shares is None:
        p = np.bincount(t, minlength=treatments) / max(len(t), 1)
        if t.size and not p.all():
            raise ValueError(
                f"nobody received treatment {int(np.flatnonzero(p == 0)[0])}, so nothing can be said of it: leave it out, or "
                "give the shares of the whole trial"
            )
    else:
        p = np.asarray(shares, np.float64)
        if p.shape != (treatments,):
            raise ValueError(f"shares must be [{treatments}], got shape {list(p.shape)}")
        if not (np.isfinite(p) & (p >= 0)).all() or (p[t] <= 0).any():
            raise ValueError("shares must be finite, not negative, and positive for every treatment that occurs")
    return np.asarray(1.0 / (len(t) * p[t]))


def ipw_value(
    policy: Any,
    table: Table,
    propensity: Any = None,
    *,
    estimator: str = "hajek",
    confidence: float = 0.95,
) -> PolicyValue:
    """Value and spend per person, had the people of `table` been treated by `policy`.

    With w_i = π_i(t_i)/p_i, π_i(j) the probability with which the policy gives j to person i and p_i that with which
    the person was given the t_i they got:

        Horvitz–Thompson:  V = (1/N) Σ w_i y_i              influence  w_i y_i − V
        Hájek:             V = Σ w_i y_i / Σ w_i            influence  N w_i (y_i − V) / Σ w

    and the standard error is sqrt(Σ influence²)/N. Horvitz–Thompson is unbiased for a policy fixed without looking at
    these outcomes; Hájek trades a bias of order 1/N for less noise, and a shift of all values shifts it alike.

    Parameters
    ----------
    policy
        [N] integers, the treatment of each person; or [N, M] (or [M], the same for all) probabilities.
    table
        N people who did not help to make the policy: their treatment, value and cost.
    propensity
        [N] or [N, M] as in `Table`; left out, the table's own.
    estimator
        "hajek" (the default) or "ht".
    confidence
        Of the intervals.

    Returns
    -------
    PolicyValue
        Per person, in the units of the table's value and cost.

    Source: Horvitz and Thompson (1952); Hájek (1971); Bi-DFCL eq. 11 and Algorithm 6 (HT).
    """
    if estimator not in ("hajek", "ht"):
        raise ValueError(f"estimator must be 'hajek' or 'ht', got {estimator!r}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    n = len(table)
    if n == 0:
        raise ValueError("table has no rows")
    if propensity is None:
        received = table.received_propensity
    else:
        received = Table(
            table.x, table.treatment, table.value, table.cost, propensity, table.treatments
        ).received_propensity
    w = _given(policy, table) / received
    total = float(w.sum())
    if estimator == "hajek" and total == 0:
        raise ValueError("nobody in the table received what the policy gives them: there is nothing to average")

    def estimate(outcome: Array) -> tuple[Estimate, Array]:
        y = outcome.astype(np.float64)
        if estimator == "ht":
            mean = float((w * y).sum() / n)
            influence = w * y - mean
        else:
            mean = float((w * y).sum() / total)
            influence = n * w * (y - mean) / total
        return Estimate(mean, _se(influence), confidence), influence

    value, value_influence = estimate(table.value)
    spend, spend_influence = estimate(table.cost)
    effective = total**2 / float((w**2).sum()) if total else 0.0
    return PolicyValue(value, spend, int((w > 0).sum()), effective, value_influence, spend_influence)


def difference(policy: PolicyValue, baseline: PolicyValue) -> tuple[Estimate, Estimate]:
    """Value and spend of `policy` less those of `baseline` on the same people; the standard errors are paired."""
    _same_people(policy, baseline)
    value = Estimate(
        policy.value.estimate - baseline.value.estimate,
        _se(policy.value_influence - baseline.value_influence),
        policy.value.confidence,
    )
    spend = Estimate(
        policy.spend.estimate - baseline.spend.estimate,
        _se(policy.spend_influence - baseline.spend_influence),
        policy.spend.confidence,
    )
    return value, spend


def difference_at_equal_spend(policy: PolicyValue, low: PolicyValue, high: PolicyValue) -> tuple[Estimate, float]:
    """Value of `policy` less that of the mix of `low` and `high` that spends the same.

    A share q of the people is treated by `high`, the rest by `low`, with q = (C − C_low)/(C_high − C_low). The
    spends are estimates too, so with b = (V_high − V_low)/(C_high − C_low), what a little more money brings in the mix,

        influence of the difference = ψV − (1−q) ψV_low − q ψV_high − b·(ψC − (1−q) ψC_low − q ψC_high)

    which is the delta method. Nothing is extrapolated: q must come out between 0 and 1.

    Returns
    -------
    (Estimate, q)
    """
    _same_people(policy, low)
    _same_people(policy, high)
    room = high.spend.estimate - low.spend.estimate
    if room <= 0:
        raise ValueError(f"high must spend more than low, got {high.spend.estimate:.4g} and {low.spend.estimate:.4g}")
    q = (policy.spend.estimate - low.spend.estimate) / room
    if not -1e-9 <= q <= 1 + 1e-9:
        raise ValueError(
            f"the policy spends {policy.spend.estimate:.4g}, not between {low.spend.estimate:.4g} and "
            f"{high.spend.estimate:.4g}"
        )
    slope = (high.value.estimate - low.value.estimate) / room

    def mixed(a: float | Array, b: float | Array) -> Any:
        return (1 - q) * a + q * b

    gain = policy.value.estimate - mixed(low.value.estimate, high.value.estimate)
    influence = policy.value_influence - mixed(low.value_influence, high.value_influence)
    influence = influence - slope * (policy.spend_influence - mixed(low.spend_influence, high.spend_influence))
    return Estimate(float(gain), _se(influence), policy.value.confidence), float(min(max(q, 0.0), 1.0))


def _given(policy: Any, table: Table) -> Array:
    """[N] probability with which the policy gives each person the treatment they received."""
    n, m = len(table), table.treatments
    p = np.asarray(policy)
    if p.shape == (n,) and (np.issubdtype(p.dtype, np.integer) or p.dtype == bool):
        if n and not 0 <= p.min() <= p.max() < m:
            raise ValueError(f"policy must choose among 0 to {m - 1}, got {p.min()} to {p.max()}")
        return np.asarray(p == table.treatment, np.float64)
    if p.shape not in ((n, m), (m,)):
        raise ValueError(
            f"policy must be [{n}] integers, or [{n}, {m}] or [{m}] probabilities, got shape "
            f"{list(p.shape)}, dtype {p.dtype}"
        )
    p = np.broadcast_to(p.astype(np.float64), (n, m))
    if not (p >= 0).all() or not np.allclose(p.sum(1), 1, atol=1e-6):
        raise ValueError("policy must hold probabilities: none negative, summing to 1 for each person")
    return np.asarray(p[np.arange(n), table.treatment])


def _se(influence: Array) -> float:
    return float(np.sqrt((influence**2).sum()) / len(influence))


def _same_people(a: PolicyValue, b: PolicyValue) -> None:
    if len(a.value_influence) != len(b.value_influence):
        raise ValueError("both policies must be valued on the same people")
