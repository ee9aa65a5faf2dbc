"""The bias of a log, as a trial shows it: residuals of a model of the log, regressed on the features and shrunk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]

HEADS = ("value", "cost")


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
    """

    coefficients: Array = field(repr=False)
    level: Array
    level_error: Array
    slope: Array
    shrinkage: Array
    p_value: Array

    @property
    def biased(self) -> Array:
        """bool [2, M]: where the log is biased beyond doubt (the least of 2·M p-values below 0.01, Bonferroni)."""
        return np.asarray(self.p_value < 0.01 / self.p_value.size)

    @property
    def size(self) -> Array:
        """[2]: root of the mean square of δ over treatments and users with standardised, uncorrelated features."""
        return np.asarray(np.sqrt(np.square(self.coefficients).sum(2).mean(1)))

    def __call__(self, x: Any) -> Array:
        """δ [2, N, M] of standardised features x [N, F]."""
        x = np.asarray(x, np.float64)
        return np.asarray(self.coefficients[:, None, :, 0] + np.einsum("nf,hmf->hnm", x, self.coefficients[:, :, 1:]))

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
        return "\n".join(lines)

    def arrays(self) -> dict[str, Array]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def ridge_correction(
    residual: Any, x: Any, treatment: Any, treatments: int, *, log: tuple[Any, Any, Any] | None = None
) -> Correction:
    """Empirical Bayes ridge of a trial's residuals on [1, x], for each treatment and head.

    With b the least squares coefficients of a treatment's rows, s² their noise and V = s²(ZᵀZ)⁻¹, the prior variances are by moments:
    one for the treatment's intercept, max(0, b₀² − V₀₀), and one that all slopes of a head share, over all treatments,
    max(0, mean(b_k² − V_kk)): where there is no bias, both are about 0 and nothing is corrected. The posterior mean is
    (ZᵀZ/s² + diag(1/prior))⁻¹ Zᵀe/s².

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
        The same three of the log itself. Its own coefficients are then taken off: what the model of the log gets wrong about
        the log is no bias.

    Source: EVIDENCE part 2 §1 of this project; empirical Bayes by moments as in Efron and Morris (1973).
    """
    fits = _fits(residual, x, treatment, treatments)
    if log is not None:
        fits = [
            [_difference(a, b) for a, b in zip(one, other, strict=True)]
            for one, other in zip(fits, _fits(*log, treatments), strict=True)
        ]
    size = (2, treatments)
    coefficients = np.zeros((*size, 1 + np.shape(x)[1]))
    level, error, slope, shrinkage = (np.zeros(size) for _ in range(4))
    p_value = np.ones(size)
    for h in (0, 1):
        known = [f for f in fits[h] if f is not None and len(f.b) > 1]
        excess = [f.b[1:] ** 2 - np.diag(f.variance)[1:] for f in known]
        of_slopes = max(0.0, float(np.mean(excess))) if excess else 0.0
        for j, f in enumerate(fits[h]):
            if f is None:
                continue
            of_level = max(0.0, float(f.b[0] ** 2 - f.variance[0, 0]))
            shrunk = f.posterior(np.r_[of_level, np.full(len(f.b) - 1, of_slopes)])
            coefficients[h, j, : len(shrunk)] = shrunk
            level[h, j], error[h, j] = -f.b[0], np.sqrt(f.variance[0, 0])
            slope[h, j] = np.linalg.norm(shrunk[1:])
            shrinkage[h, j] = np.linalg.norm(shrunk) / max(float(np.linalg.norm(f.b)), 1e-300)
            p_value[h, j] = f.p_value()
    return Correction(coefficients, level, error, slope, shrinkage, p_value)


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
        square = float(self.b @ np.linalg.solve(self.variance, self.b))
        half = torch.tensor([len(self.b) / 2, square / 2], dtype=torch.float64)
        return float(torch.special.gammaincc(half[0], half[1]))


def _least_squares(e: Array, x: Array) -> _Fit | None:
    """On [1, x], or on 1 alone where there are too few rows for slopes; None without at least three rows."""
    if len(e) < 3:
        return None
    z = np.column_stack([np.ones(len(e)), x])
    if len(e) < 2 * z.shape[1] or np.linalg.matrix_rank(z) < z.shape[1]:
        z = z[:, :1]
    gram = z.T @ z
    b = np.linalg.solve(gram, z.T @ e)
    noise = max(float(np.square(e - z @ b).sum()) / (len(e) - z.shape[1]), 1e-12)
    return _Fit(b, noise * np.linalg.inv(gram))


def _fits(residual: Any, x: Any, treatment: Any, treatments: int) -> list[list[_Fit | None]]:
    """[2][M] regressions."""
    e, x, t = np.asarray(residual, np.float64), np.asarray(x, np.float64), np.asarray(treatment)
    if e.ndim != 2 or e.shape[1] != 2 or x.ndim != 2 or len(x) != len(e) or t.shape != (len(e),):
        raise ValueError(
            f"residual must be [N, 2], x [N, F], treatment [N]; got {list(e.shape)}, {list(x.shape)}, {list(t.shape)}"
        )
    return [[_least_squares(e[t == j, h], x[t == j]) for j in range(treatments)] for h in (0, 1)]


def _difference(trial: _Fit | None, log: _Fit | None) -> _Fit | None:
    if trial is None or log is None:
        return trial
    size = min(len(trial.b), len(log.b))
    return _Fit(trial.b[:size] - log.b[:size], trial.variance[:size, :size] + log.variance[:size, :size])
