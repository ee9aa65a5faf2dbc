"""The decision losses as the paper writes them, in NumPy and float64: the text to read beside METHOD.md §2.

A row's loss is Σ_j g_j·P_j, P the softmax of the scores a_j = r_j − λ·c_j over the temperature τ and g frozen. Its derivatives
are those of P, written out as the arrays they are.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from .._decisions import Decisions, Family, Order, Rule, Total, stray_treatment


def decide(a: np.ndarray, c: np.ndarray) -> int:
    """The decision of one user: largest score, then smallest cost, then smallest index."""
    return min(range(len(a)), key=lambda j: (-a[j], c[j], j))


def softmax(a: np.ndarray, temperature: float) -> np.ndarray:
    """z' of §2.3, [M] from scores [M]."""
    z = np.exp((a - a.max()) / temperature)
    return np.asarray(z / z.sum())


def jacobian(p: np.ndarray, temperature: float) -> np.ndarray:
    """∂P_j/∂a_k = P_j (δ_jk − P_k)/τ: [M, M]."""
    return (np.diag(p) - np.outer(p, p)) / temperature


def second_derivative(p: np.ndarray, temperature: float) -> np.ndarray:
    """∂²P_j/∂a_k∂a_l = P_j ((δ_jk − P_k)(δ_jl − P_l) − P_k (δ_kl − P_l))/τ²: [M, M, M]."""
    away = np.eye(len(p)) - p  # [j, k]: δ_jk − P_k
    spread = np.diag(p) - np.outer(p, p)
    return p[:, None, None] * (away[:, :, None] * away[:, None, :] - spread[None]) / temperature**2


def inverse_gap(gap: float, x: float, y: float, rule: Rule, epsilon: float) -> float:
    """1/gap between scores x and y, under the rule's floor or window; 0 for a gap that is only rounding, or infinite."""
    if rule.window and rule.bound > 0:
        return 1 / rule.bound if gap < rule.bound else 0.0
    gap = max(gap, rule.bound)
    if math.isinf(gap):
        return 0.0
    return 1 / gap if gap > epsilon * (abs(x) + abs(y)) + 1e-290 else 0.0


def ppl_pattern(a: np.ndarray, t: int) -> np.ndarray:
    """§2.3: g of a row whose observed value counts 1, L = −P_t."""
    g = np.zeros_like(a)
    g[t] = -1.0
    return g


def pifd_pattern(a: np.ndarray, c: np.ndarray, t: int, rule: Rule, epsilon: float) -> np.ndarray:
    """§2.4, Algorithm 3: g of a row whose observed value counts 1."""
    g = np.zeros_like(a)
    k = decide(a, c)
    others = [j for j in range(len(a)) if j != t]
    if k != t:
        g[t] = -inverse_gap(a[k] - a[t], a[k], a[t], rule, epsilon)
        g[k] = -g[t]
    elif others:
        rival = max(a[j] for j in others)
        g[t] = -inverse_gap(a[t] - rival, a[t], rival, rule, epsilon)
        for j in others:
            g[j] = inverse_gap(a[t] - a[j], a[t], a[j], rule, epsilon)
    return g


def black_box_pattern(a: np.ndarray, c: np.ndarray, t: int, rule: Rule, epsilon: float) -> np.ndarray:
    """The same by deciding again: each score moves just as far as it takes to change the decision (loss −1 if that is t)."""
    g = np.zeros_like(a)
    k = decide(a, c)
    rest = [j for j in range(len(a)) if j != k and np.isfinite(a[j])]
    if not rest:
        return g
    heir = rest[decide(a[rest], c[rest])]
    for j in [k, *rest]:
        new = heir if j == k else j  # the winner falls to the next best; any other rises to the winner
        loss_change = float(k == t) - float(new == t)
        step = inverse_gap(a[k] - a[new], a[k], a[new], rule, epsilon)
        g[j] = -loss_change * step if j == k else loss_change * step
    return g


def pattern(rule: Rule, a: np.ndarray, c: np.ndarray, t: int, epsilon: float) -> np.ndarray:
    if rule.family is Family.PPL:
        return ppl_pattern(a, t)
    if rule.family is Family.PIFD:
        return pifd_pattern(a, c, t, rule, epsilon)
    return black_box_pattern(a, c, t, rule, epsilon)


def own_gap(a: np.ndarray, c: np.ndarray, t: int) -> float:
    """How far the score of the treatment received is from entering or leaving the decision."""
    k = decide(a, c)
    if k != t:
        return float(a[k] - a[t])
    return float(a[t] - max((a[j] for j in range(len(a)) if j != t), default=-math.inf))


def decision_loss(d: Decisions, order: Order, value_out: Any = None, cost_out: Any = None) -> np.ndarray:
    """One row after the other; `Decisions`, `Total` say what goes in and comes out."""
    # Scores carry the rounding of the arrays they come from.
    epsilon = float(np.finfo(np.float64 if str(d.value.dtype).endswith("float64") else np.float32).eps)
    if d.rule.family is Family.DRP:
        return drp_loss(d, order, value_out)
    given, d = d, d.widened()
    value, cost, treatment, weight, multiplier = d.value, d.cost, d.treatment, d.weight, d.multiplier
    count, users, items = value.shape
    if ((treatment < 0) | (treatment >= items)).any():
        raise stray_treatment(given.treatment, items)
    labels = [np.zeros_like(weight) if y is None else weight * y for y in (d.outcome, d.cost_outcome)]
    scale = np.ones(count) if d.scale is None else d.scale
    price, turn = (np.zeros_like(multiplier) if x is None else x for x in (d.price, d.turn))
    open_ = np.ones(value.shape, bool) if d.mask is None else d.mask
    direction = (d.value_turn, d.cost_turn)
    tau = d.rule.temperature
    totals = np.zeros((count, multiplier.shape[1], len(Total)))
    out_r, out_c = np.zeros(value.shape), np.zeros(value.shape)

    for b, i in np.ndindex(count, users):
        rho, kappa, t = labels[0][b, i], labels[1][b, i], int(treatment[b, i])
        if (rho == 0 and kappa == 0) or not open_[b, i, t]:
            continue
        r = np.where(open_[b, i], value[b, i], -np.inf)
        c = np.where(open_[b, i], cost[b, i], 0.0)
        for k, lam in enumerate(multiplier[b]):
            w = scale[b] * (rho - price[b, k] * kappa)
            a = r - lam * c
            total = totals[b, k]
            if d.rule.family is Family.DECISION:
                matched = decide(a, c) == t
                total[: Total.CLIPPED_ROWS] += matched * np.array([-w, rho, kappa])
                continue
            g = pattern(d.rule, a, c, t, epsilon)
            p = softmax(a, tau)
            slope = g @ jacobian(p, tau)  # ∂(g·P)/∂a
            if order is Order.VALUE:
                total[Total.LOSS] += w * (g @ p)
                total[Total.VALUE_SLOPE] -= rho * (slope @ c)  # a falls by c as λ rises
                total[Total.COST_SLOPE] -= kappa * (slope @ c)
                clipped = d.rule.family is not Family.PPL and own_gap(a, c, t) < d.rule.bound
                total[Total.CLIPPED_ROWS :] += (clipped, 1)
            elif order is Order.GRADIENT:
                total[Total.LOSS] += w * (g @ p)
                out_r[b, i] += w * slope
                out_c[b, i] -= w * lam * slope
            else:
                u_r, u_c = (np.where(open_[b, i], u[b, i], 0.0) for u in direction)  # type: ignore[index]
                u = u_r - lam * u_c - turn[b, k] * c  # how the score moves
                bend = np.einsum("j,jkl,l->k", g, second_derivative(p, tau), u)
                out_r[b, i] += w * bend
                out_c[b, i] -= w * (lam * bend + turn[b, k] * slope)
                total[Total.LOSS] += (rho - price[b, k] * kappa) * (slope @ u)
                total[Total.VALUE_SLOPE] -= w * (bend @ c + slope @ u_c)
    if order is not Order.VALUE:
        store(value_out, out_r)
        store(cost_out, out_c)
    return totals


def drp_loss(d: Decisions, order: Order, out: Any) -> np.ndarray:
    """§2.7: for the steps s_j between neighbours, −Σ_i w_ij (y_i·s_ij + x_i·ln(1 − σ(s_ij))).

    w_ij is the weight of i where it received the upper arm of step j, minus that where it received the lower, else 0.
    """
    given, d = d, d.widened()
    steps = d.value.shape[2]
    if ((d.treatment < 0) | (d.treatment > steps)).any():
        raise stray_treatment(given.treatment, steps + 1)
    step = np.arange(steps)
    t = d.treatment[:, :, None]
    w = d.weight[:, :, None] * (1.0 * (t == step + 1) - (t == step))
    y, x = (np.zeros_like(w) if label is None else w * label[:, :, None] for label in (d.outcome, d.cost_outcome))
    s = d.value
    sigma = np.exp(-np.logaddexp(0, -s))
    gradient = -(y - x * sigma)
    scale = np.ones(len(s)) if d.scale is None else d.scale
    totals = np.zeros((len(s), d.multiplier.shape[1], len(Total)))
    if order is Order.HESSIAN:
        totals[:, 0, Total.LOSS] = (gradient * d.value_turn).sum((1, 2))
        store(out, scale[:, None, None] * x * sigma * (1 - sigma) * d.value_turn)
    else:
        totals[:, 0, Total.LOSS] = -(y * s - x * np.logaddexp(0, s)).sum((1, 2))
        if order is Order.GRADIENT:
            store(out, scale[:, None, None] * gradient)
    return totals


def store(out: Any, given: np.ndarray) -> None:
    """Write to an array of NumPy or torch, in its own precision."""
    if isinstance(out, np.ndarray):
        out[...] = given.reshape(out.shape)
    else:
        out.copy_(out.new_tensor(given.reshape(out.shape), dtype=out.dtype))


def received_intervals(value: np.ndarray, cost: np.ndarray, treatment: np.ndarray) -> np.ndarray:
    """[2, N]: the treatment received is the decision where low <= λ < high, by exact fractions (§1.3).

    Against another treatment it wins from the breakpoint on if it is the cheaper one, and below it if it is the dearer.
    """
    items = value.shape[1]
    if ((treatment < 0) | (treatment >= items)).any():
        raise stray_treatment(treatment, items)
    out = np.zeros((2, len(treatment)))
    for i, t in enumerate(treatment):
        r, c = ([Fraction(float(x)) for x in row[i]] for row in (value, cost))
        low, high = Fraction(0), None
        ever = True
        for j in range(items):
            if j == t:
                continue
            if c[j] > c[t]:
                low = max(low, (r[j] - r[t]) / (c[j] - c[t]))
            elif c[j] < c[t]:
                at = (r[j] - r[t]) / (c[j] - c[t])
                high = at if high is None else min(high, at)
            else:
                ever &= r[j] < r[t] or (r[j] == r[t] and t < j)
        if ever and (high is None or low < high):
            out[:, i] = float(low), math.inf if high is None else float(high)
    return out


def bisection(
    value: np.ndarray,
    cost: np.ndarray,
    treatment: np.ndarray,
    cost_outcome: np.ndarray,
    weight: np.ndarray,
    budget: float,
    epsilon: float = 1e-6,
) -> float:
    """Bi-DFCL's Algorithm 2 as printed, for comparison with `metrics.eom`.

    Its bracket is too small where the least treatment costs money, it stops at any of several crossings, and its last λ need not be
    within the budget (METHOD.md §1.3).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = value / cost
    low, high = 0.0, float(np.max(ratio[np.isfinite(ratio)], initial=0.0))
    while True:
        lam = (low + high) / 2
        a = value - lam * cost
        matched = a.argmax(axis=1) == treatment
        spend = float((weight * cost_outcome)[matched].sum())
        if abs(budget - spend) < epsilon or high - low <= epsilon:
            return lam
        if budget - spend > 0:
            high = lam
        else:
            low = lam
