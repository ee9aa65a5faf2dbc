"""The bias of a log, as a trial shows it: residuals of a model of the log, regressed on the features and shrunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .residual import Left, Residual

if TYPE_CHECKING:
    from ..methods._ranks import Shares

Array = NDArray[Any]
Total = Callable[[Any], Array]

HEADS = ("value", "cost")

# A head's levels, or its slopes, are corrected only where all of them together are off with a p-value below this: shrinkage alone
# lets half of the noise through.
DOUBT = 0.01


@dataclass(frozen=True, eq=False)
class Correction:
    """δ_j(x), what has to be added to a log's outcomes so that they mean what a trial's mean; all in standard deviations.

    Attributes
    ----------
    coefficients
        [2, M, 1 + F]: intercept and slopes, shrunk; of value and cost.
    level, level_error
        [2, M]: the mean bias (log less trial) of a user with average features before shrinking, and its standard error.
    slope
        [2, M]: the norm of the shrunk slopes.
    shrinkage
        [2, M]: the norm of the shrunk coefficients over that of the unshrunk ones; 0: nothing is corrected.
    p_value
        [2, M]: of "the log is not biased here", by a χ² test of all coefficients.
    tested
        [2, 2]: the p-values of "no treatment's level is off" and "no treatment's slope is off", for each head.
    residual
        What networks found beyond that, or None.
    left
        What the trial still shows after all of it (`Left`), or None.
    """

    coefficients: Array = field(repr=False)
    level: Array
    level_error: Array
    slope: Array
    shrinkage: Array
    p_value: Array
    tested: Array
    residual: Residual | None = None
    left: Left | None = None

    @property
    def biased(self) -> Array:
        """bool [2, M]: where the log is biased beyond doubt (the least of 2·M p-values below 0.01, Bonferroni)."""
        return np.asarray(self.p_value < 0.01 / self.p_value.size)

    @property
    def size(self) -> Array:
        """[2]: root of the mean square of δ over treatments and users with standardised, uncorrelated features."""
        return np.asarray(np.sqrt(np.square(self.coefficients).sum(2).mean(1)))

    def __call__(self, x: Any) -> Array:
        """δ [2, N, M] of standardised features x [N, F]: the linear part and what networks found."""
        x = np.asarray(x, np.float64)
        out = self.coefficients[:, None, :, 0] + np.einsum("nf,hmf->hnm", x, self.coefficients[:, :, 1:])
        if self.residual is not None:
            device = next(self.residual.start.parameters()).device
            more = self.residual(torch.from_numpy(x.astype(np.float32)).to(device)).double().cpu().numpy()
            out = out + np.stack(np.split(more, 2, axis=1))
        return np.asarray(out)

    def of(self, x: Any, treatment: Any) -> Array:
        """δ of the treatments received, [N, 2], from the linear part alone."""
        own = self.coefficients[:, np.asarray(treatment)]
        return np.asarray((own[:, :, 0] + np.einsum("nf,hnf->hn", np.asarray(x, np.float64), own[:, :, 1:])).T)

    def __str__(self) -> str:
        lines = []
        for h, head in enumerate(HEADS):
            found = np.flatnonzero(self.biased[h])
            if not found.size:
                lines.append(f"{head}: no bias of the log found (least p {self.p_value[h].min():.2g})")
            lines += [
                f"{head} of treatment {j}: the log is off by {self.level[h, j]:+.3f} ± {self.level_error[h, j]:.3f} standard "
                f"deviations on average, p {self.p_value[h, j]:.1g}"
                for j in found
            ]
            if self.residual is not None and self.residual.share[h]:
                lines.append(
                    f"{head}: networks found more; {self.residual.share[h]:.0%} of it was seen again on rows they never saw"
                )
        return "\n".join(lines + ([] if self.left is None else self.left.lines(HEADS)))


def ridge_correction(
    residual: Any,
    x: Any,
    treatment: Any,
    treatments: int,
    *,
    log: tuple[Any, Any, Any] | Regressions | None = None,
    weight: Any = None,
) -> Correction:
    """Empirical Bayes ridge of a trial's residuals on [1, x], for each treatment and head.

    With b the weighted least squares coefficients of a treatment's rows and V their covariance (robust to unequal noise), the
    prior variances are by moments: one for the treatment's intercept, max(0, b₀² − V₀₀), and one that all slopes of a head
    share, over all treatments, max(0, mean(b_k² − V_kk)): where there is no bias, both are about 0 and nothing is corrected.
    The posterior mean is (V⁻¹ + diag(1/prior))⁻¹ V⁻¹b.

    Parameters
    ----------
    residual
        [N, 2]: the trial's outcomes less what a model of the log predicts, of value and cost, in standard deviations. The
        model must not have seen the trial.
    x
        [N, F] standardised features.
    treatment
        [N] integers.
    log
        The same three of the log itself, or their `Regressions`. Its own coefficients are then taken off: what the model of the log gets wrong about
        the log is no bias.
    weight
        [N] of the trial's rows. The correction is used on the log's rows, so it should be right where these lie: with the
        probability that the log's policy gave the user this treatment, the trial's rows of a treatment look like the log's.

    Source: EVIDENCE part 2 §1 of this project; empirical Bayes by moments as in Efron and Morris (1973).
    """
    fits = _compared(residual, x, treatment, treatments, weight, log)
    return _shrunk(fits, treatments, np.shape(x)[1])


def _shrunk(fits: list[list[_Fit | None]], treatments: int, features: int) -> Correction:
    tested = _tested(fits)
    size = (2, treatments)
    coefficients = np.zeros((*size, 1 + features))
    level, error, slope, shrinkage = (np.zeros(size) for _ in range(4))
    p_value = np.ones(size)
    for h in (0, 1):
        known = [f for f in fits[h] if f is not None and len(f.b) > 1]
        excess = [f.b[1:] ** 2 - np.diag(f.variance)[1:] for f in known]
        of_slopes = max(0.0, float(np.mean(excess))) if excess and tested[h, 1] < DOUBT else 0.0
        for j, f in enumerate(fits[h]):
            if f is None:
                continue
            of_level = max(0.0, float(f.b[0] ** 2 - f.variance[0, 0])) if tested[h, 0] < DOUBT else 0.0
            shrunk = f.posterior(np.r_[of_level, np.full(len(f.b) - 1, of_slopes)])
            coefficients[h, j, : len(shrunk)] = shrunk
            level[h, j], error[h, j] = -f.b[0], np.sqrt(f.variance[0, 0])
            slope[h, j] = np.linalg.norm(shrunk[1:])
            shrinkage[h, j] = np.linalg.norm(shrunk) / max(float(np.linalg.norm(f.b)), 1e-300)
            p_value[h, j] = f.p_value()
    return Correction(coefficients, level, error, slope, shrinkage, p_value, tested)


@dataclass(frozen=True)
class _Fit:
    """Coefficients b and their covariance."""

    b: Array
    variance: Array

    def posterior(self, prior: Array) -> Array:
        """The posterior mean under independent priors of mean 0; a coefficient without prior variance is 0."""
        scale = np.sqrt(prior)
        # D(D·V⁻¹·D + 1)⁻¹D·V⁻¹b with D = diag(scale): no inverse of a prior that may be 0.
        weighted = scale[:, None] * np.linalg.inv(self.variance)
        inner = weighted * scale + np.eye(len(prior))
        return np.asarray(scale * np.linalg.solve(inner, weighted @ self.b))

    def p_value(self) -> float:
        """Of all coefficients being 0."""
        return _tail(self.square(slice(None)), len(self.b))

    def square(self, part: slice) -> float:
        """χ² of some of the coefficients."""
        b = self.b[part]
        return float(b @ np.linalg.solve(self.variance[part, part], b)) if b.size else 0.0


def _tail(square: float, freedom: int) -> float:
    """P(χ² > square)."""
    half = torch.tensor([freedom / 2, square / 2], dtype=torch.float64)
    return float(torch.special.gammaincc(half[0], half[1])) if freedom else 1.0


def _tested(fits: Sequence[Sequence[_Fit | None]]) -> Array:
    """[2, 2]: p-values of all levels, and of all slopes, of each head."""
    out = np.ones((2, 2))
    for h, head in enumerate(fits):
        known = [f for f in head if f is not None]
        for k, part in enumerate((slice(0, 1), slice(1, None))):
            out[h, k] = _tail(sum(f.square(part) for f in known), sum(len(f.b[part]) for f in known))
    return out


def _least_squares(e: Array, x: Array, w: Array, total: Total = np.asarray) -> _Fit | None:
    """On [1, x], or on 1 alone where there are too few rows for slopes; None without at least three rows."""
    rows = int(total(len(e)))
    if rows < 3:
        return None
    z = np.column_stack([np.ones(len(e)), x])
    gram = total((z * w[:, None]).T @ z)
    if rows < 2 * z.shape[1] or np.linalg.cond(gram) > 1e10:
        z, gram = z[:, :1], gram[:1, :1]
    inverse = np.linalg.inv(gram)
    b = inverse @ total(z.T @ (w * e))
    # HC1: what the rows' own errors say, inflated for the coefficients they were fitted with.
    error = z * (w * (e - z @ b))[:, None]
    spread = total(error.T @ error) * (rows / (rows - z.shape[1]))
    return _Fit(b, inverse @ spread @ inverse + 1e-18 * np.eye(len(b)))


def _fits(
    residual: Any, x: Any, treatment: Any, treatments: int, weight: Any = None, total: Total = np.asarray
) -> list[list[_Fit | None]]:
    """[2][M] regressions."""
    e, x, t = np.asarray(residual, np.float64), np.asarray(x, np.float64), np.asarray(treatment)
    if e.ndim != 2 or e.shape[1] != 2 or x.ndim != 2 or len(x) != len(e) or t.shape != (len(e),):
        raise ValueError(
            f"residual must be [N, 2], x [N, F], treatment [N]; got {list(e.shape)}, {list(x.shape)}, {list(t.shape)}"
        )
    w = np.ones(len(e)) if weight is None else np.asarray(weight, np.float64)
    if w.shape != (len(e),) or not np.isfinite(w).all() or (w < 0).any():
        raise ValueError(f"weight must be [{len(e)}], finite and not negative")
    rows = [t == j for j in range(treatments)]
    return [[_least_squares(e[mine, h], x[mine], w[mine], total) for mine in rows] for h in (0, 1)]


class Regressions:
    """Residuals [N, 2] of a model of the log, regressed on [1, x] treatment by treatment: done once, used several times.

    `total`: of a log in parts, the sum of an array over them.
    """

    def __init__(self, residual: Any, x: Any, treatment: Any, treatments: int, total: Total = np.asarray) -> None:
        self.fits = _fits(residual, x, treatment, treatments, total=total)


def _compared(
    residual: Any, x: Any, treatment: Any, treatments: int, weight: Any, log: tuple[Any, Any, Any] | Regressions | None
) -> list[list[_Fit | None]]:
    """[2][M]: the trial's regressions, less the log's own where these are given."""
    fits = _fits(residual, x, treatment, treatments, weight)
    if log is None:
        return fits
    of_log = log if isinstance(log, Regressions) else Regressions(*log, treatments)
    pairs = zip(fits, of_log.fits, strict=True)
    return [[_difference(a, b) for a, b in zip(one, two, strict=True)] for one, two in pairs]


def _difference(trial: _Fit | None, log: _Fit | None) -> _Fit | None:
    if trial is None or log is None:
        return trial
    size = min(len(trial.b), len(log.b))
    return _Fit(trial.b[:size] - log.b[:size], trial.variance[:size, :size] + log.variance[:size, :size])


def held_out_ridge(
    residual: Any, x: Any, treatment: Any, treatments: int, fold: Any, *, log: Regressions, weight: Any
) -> Array:
    """`residual` [N, 2] less `ridge_correction`'s δ, for each row that of the one fitted without its fold."""
    residual, x, t, w = (np.asarray(a) for a in (residual, x, treatment, weight))
    out = np.array(residual, np.float64)
    for k in np.unique(fold):
        fitted, held = fold != k, fold == k
        fits = _compared(residual[fitted], x[fitted], t[fitted], treatments, w[fitted], log)
        out[held] -= _shrunk(fits, treatments, x.shape[1]).of(x[held], t[held])
    return out


def left_over(
    residual: Any, x: Any, treatment: Any, treatments: int, *, log: tuple[Any, Any, Any] | Regressions, weight: Any
) -> Left:
    """What a correction left, from the residuals after it of rows that it was not fitted to; the rest as in `ridge_correction`."""
    fits = _compared(residual, x, treatment, treatments, weight, log)
    level, error = np.zeros((2, treatments)), np.full((2, treatments), np.inf)
    for h, head in enumerate(fits):
        for j, fitted in enumerate(head):
            if fitted is not None:
                level[h, j], error[h, j] = -fitted.b[0], np.sqrt(fitted.variance[0, 0])
    return Left(level, error, _tested(fits))


def log_propensity(
    x: Tensor, treatment: Tensor, treatments: int, at: Tensor, *, rows: int = 10_000, shares: Shares | None = None
) -> Tensor:
    """[n, M]: the probability with which a log's policy gave each treatment to users `at` [n, F], by logistic regression.

    Linear in the features; a treatment that the log does not have gets about 0. x [N, F], treatment [N] are the log's, of which
    evenly spaced ones are used, about `rows`. `shares`: they are this rank's part of it.
    """
    every = max(1, (len(x) if shares is None else shares.rows) // rows)
    first = 0 if shares is None else -shares.parts[-1][0] % every
    x, treatment = x[first::every], treatment[first::every]
    used = 0 if shares is None else int(shares.ranks.total(len(x)))
    weight = torch.zeros(treatments, x.shape[1] + 1, dtype=torch.float32, device=x.device, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=25, line_search_fn="strong_wolfe")

    def logits(z: Tensor) -> Tensor:
        return torch.nn.functional.linear(z, weight[:, 1:], weight[:, 0])

    def closure() -> Tensor:
        optimiser.zero_grad()
        penalty = 1e-4 * weight.square().sum()
        if shares is None:
            loss = torch.nn.functional.cross_entropy(logits(x), treatment) + penalty
            loss.backward()
            return loss
        error = torch.nn.functional.cross_entropy(logits(x), treatment, reduction="sum") / used
        (slope,) = torch.autograd.grad(error, weight)
        own = torch.cat([error.detach().reshape(1), slope.reshape(-1)]).cpu().numpy()
        whole = torch.from_numpy(shares.ranks.total(own)).to(weight)
        weight.grad = whole[1:].view_as(weight) + 2e-4 * weight.detach()
        return whole[0] + penalty.detach()

    with torch.enable_grad():
        optimiser.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return torch.softmax(logits(at), 1)
