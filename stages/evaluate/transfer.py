"""Transfer and position: does a model mirror, mute or exaggerate the associations of its own training rows?

A contrastive model learns log-odds: the optimum of its loss is f(x, y) = log p(x, y) / (p(x) p(y)) + const. So on
images without a cue for a label r, the gap g_r between the logits of women's and of men's images is, for an ideal
learner, logit m_r + const, where m_r is the share of women among the training rows whose caption names r and leaves the
gender open (`open_rows`), smoothed as (women + ½) / (n_r + 1), so that no log-odds are infinite.

* transfer: slope of g on logit m over the labels. 1: the model mirrors its data; above 1 it exaggerates, below 1 it
  has learned less; 0: the labels do not depend on the gender. The ideal learner's is 1 by construction.
* position: with the known shares p of the corpus and p′ of the generator, smoothed with the same n_r,
  g = a + b L + c D, L = logit p, D = logit p′ − logit p; position = c / b. 0: the gaps follow the corpus, 1: the
  generator. It is free of the logit scale, and bends between the two: the ideal learner of a half-and-half mixture lies
  nearer 0 than ½, so a model is compared with the ideal learner of its own rows. Not defined where b is not clearly
  above 0: a model that follows neither has no position.

A constant added to g changes neither. Errors are those of a random-effects regression over labels: Cov(g) = τ² I + Σ,
with Σ the noise of the images (from the bootstrap over clusters) and τ² what the labels scatter beyond it; labels are
weighted by 1 / (τ² + Σ_rr), and quantiles are Student's with as many degrees of freedom as labels are left over.

References
----------
van den Oord, Li, Vinyals 2018, arXiv 1807.03748 (optimum of InfoNCE) [P]; Fieller, JRSS B 16, 1954 (interval of a
ratio); Hedges, Olkin: Statistical Methods for Meta-Analysis, 1985 (method of moments for τ²). Transfer and position are
made for this project [D].
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import logit

from stages.evaluate.bootstrap import LEVEL

Vector = NDArray[np.float64]
Estimate = tuple[float, float, float]  # value, lower and upper end of the 95 % interval

FLAT = 1e-9  # a column whose part of its own is smaller than this share of it is constant or collinear


@dataclass(frozen=True)
class Fit:
    """Coefficients of a regression over labels, their covariance (K, K), and the degrees of freedom left."""

    coefficient: Vector
    covariance: Vector
    freedom: int

    @property
    def quantile(self) -> float:
        """Half width of a 95 % interval in standard errors."""
        return float(stats.t.ppf((1 + LEVEL) / 2, self.freedom))

    def estimate(self, index: int) -> Estimate:
        """Return one coefficient with its interval."""
        value, half = self.coefficient[index], self.quantile * np.sqrt(self.covariance[index, index])
        return float(value), float(value - half), float(value + half)


def smoothed(share: ArrayLike, n: ArrayLike) -> Vector:
    """Return the log-odds of shares of n rows, each with half a row of either group added."""
    p, rows = np.asarray(share, float), np.asarray(n, float)
    return np.asarray(logit((rows * p + 0.5) / (rows + 1)), float)


def open_rows(
    named: NDArray[np.bool_], first: NDArray[np.bool_], second: NDArray[np.bool_], weights: ArrayLike
) -> tuple[Vector, Vector]:
    """
    Count what the rows of a training set say of each label: share of group 1 (NaN without rows), and rows.

    Parameters
    ----------
    named : ndarray of bool, (M, L)
        Whether the caption names the label; False throughout where it does not leave the attribute open.
    first, second : ndarray of bool, (M,)
        Whether the image shows group 1, group 0; rows that show neither count for no label.
    weights : array_like, (M,)
        Share of the training that a row makes up; scaled so that rows that are trained on count 1 on average.
    """
    weight = np.asarray(weights, float)
    weight = weight * np.count_nonzero(weight) / max(weight.sum(), np.finfo(float).tiny)
    one, both = (weight * group @ named for group in (first, first | second))
    return np.divide(one, both, out=np.full(len(one), np.nan), where=both > 0), both


def transfer(gap: ArrayLike, share: ArrayLike, n: ArrayLike, samples: ArrayLike | None = None) -> Estimate | None:
    """
    Measure how strongly the gaps follow the log-odds of the training rows.

    Parameters
    ----------
    gap : array_like, (L,)
        g_r, in logits.
    share, n : array_like, (L,)
        m_r before smoothing, NaN where unknown, and its rows.
    samples : array_like, (B, L), optional
        Resampled gaps; without them images make no noise (text-only gaps).

    Returns
    -------
    tuple of float, or None
        Slope with its interval; None with fewer than three labels or where the log-odds do not differ.
    """
    fit = _fit([smoothed(share, n)], gap, samples)
    return None if fit is None else fit.estimate(1)


def position(
    gap: ArrayLike, corpus: ArrayLike, generator: ArrayLike, n: ArrayLike, samples: ArrayLike | None = None
) -> Estimate | None:
    """
    Place the gaps between the corpus (0) and the generator (1).

    Parameters
    ----------
    gap : array_like, (L,)
        g_r, on any scale.
    corpus, generator : array_like, (L,)
        Known shares of group 1, NaN where unknown.
    n : array_like, (L,)
        Rows by which shares are smoothed: those of the run.
    samples : array_like, (B, L), optional
        Resampled gaps.

    Returns
    -------
    tuple of float, or None
        c / b with Fieller's interval; None where b is not above 0 at this level, or the regression is not defined.
    """
    base = smoothed(corpus, n)
    fit = _fit([base, smoothed(generator, n) - base], gap, samples)
    return None if fit is None else _ratio(fit)


def _ratio(fit: Fit) -> Estimate | None:
    """Divide the third coefficient by the second: all ρ for which c − ρ b is not distinguishable from 0."""
    _, b, c = fit.coefficient
    _, low, _ = fit.estimate(1)
    if low <= 0:
        return None
    q, v = fit.quantile**2, fit.covariance
    lead, half, rest = b * b - q * v[1, 1], b * c - q * v[1, 2], c * c - q * v[2, 2]
    root = np.sqrt(max(half * half - lead * rest, 0.0))
    return float(c / b), float((half - root) / lead), float((half + root) / lead)


def _fit(columns: list[Vector], gap: ArrayLike, samples: ArrayLike | None) -> Fit | None:
    """Regress the gaps on the columns and a constant, over the labels where all are known."""
    g, design = np.asarray(gap, float), np.column_stack([np.ones(len(columns[0])), *columns])
    known = np.isfinite(design).all(axis=1) & np.isfinite(g)
    x, y = design[known], g[known]
    freedom = len(y) - x.shape[1]
    if freedom < 1 or not _varies(x):
        return None
    noise = np.zeros((len(y), len(y)))
    if samples is not None and len(drawn := np.asarray(samples, float)[:, known]) > 1:
        drawn = drawn[np.isfinite(drawn).all(axis=1)]
        noise = np.cov(drawn - drawn.mean(axis=1, keepdims=True), rowvar=False)  # what all labels share is a constant
    solver = np.linalg.pinv(x)
    residual = y - x @ (solver @ y)
    leftover = np.eye(len(y)) - x @ solver
    scatter = max(0.0, float(residual @ residual - np.trace(leftover @ noise)) / freedom)
    own = scatter + np.diag(noise)
    if own.min() > 0:
        root = 1 / np.sqrt(own)
        solver = np.linalg.pinv(x * root[:, None]) * root
    return Fit(np.asarray(solver @ y, float), solver @ (scatter * np.eye(len(y)) + noise) @ solver.T, freedom)


def _varies(x: Vector) -> bool:
    """Tell whether each column says something that those before it do not."""
    for last in range(1, x.shape[1]):
        rest = x[:, last] - x[:, :last] @ (np.linalg.pinv(x[:, :last]) @ x[:, last])
        if np.linalg.norm(rest) <= FLAT * max(np.linalg.norm(x[:, last]), 1e-300):
            return False
    return True
