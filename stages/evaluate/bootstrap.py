"""Percentile bootstrap over clusters of images, vectorised: every statistic here is a ratio of sums over images.

Images of one cluster (a figure with all its skin tones and scenes) are no independent evidence, so whole clusters are
resampled; where every image is a cluster of its own, that is the bootstrap over images. Of K clusters a draw takes
(K − 1)(z/t)² with replacement, with the 97.5 % quantiles z of the normal and t of Student's distribution with K − 1
degrees of freedom: K draws make the variance of a mean too small by 1/K and use z where t is due, and K may be a few
dozen. So the interval of a mean is as wide as Student's. One cluster alone has no interval. A draw is kept as the count
of each cluster, so that all statistics of a draw are one matrix product ``counts @ sums``. Draws are made in blocks of
bounded size: memory is linear in K, whatever B.

References
----------
Efron, Tibshirani: An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals). Rao, Wu, JASA 83, 1988
(resampling fewer than K clusters within strata). Hesterberg, American Statistician 69, 2015 (percentile intervals
expanded to Student's width).
"""

import math
from collections.abc import Iterator
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, stats

LEVEL = 0.95
BLOCK = 2**22  # counts held at a time


def numbered(labels: ArrayLike) -> NDArray[np.intp]:
    """Number the clusters: equal labels, equal numbers from 0 on, (N,)."""
    return np.unique(np.asarray(labels), return_inverse=True)[1].reshape(-1)


def resamples(clusters: int, draws: int, seed: int, strata: ArrayLike | None = None) -> Iterator[NDArray[np.float64]]:
    """
    Draw bootstrap samples as counts of each cluster.

    Parameters
    ----------
    seed : int
        Equal seeds and K give equal samples: statistics of one set stay paired.
    strata : array_like, (K,), optional
        Each stratum of k clusters is resampled on its own, and its counts are scaled to sum to k: sizes that are part
        of the design of a set do not vary.

    Yields
    ------
    ndarray, (block, K)
        How often each cluster was drawn; all 0 where a stratum is one cluster, which has no variance.
    """
    generator = np.random.default_rng(seed)
    rows = max(1, min(draws, BLOCK // max(clusters, 1)))
    parts = [np.arange(clusters)]
    if strata is not None:
        stratum = numbered(strata)
        parts = [np.flatnonzero(stratum == number) for number in range(stratum.max(initial=-1) + 1)]
    for start in range(0, draws, rows):
        block = min(rows, draws - start)
        counts = np.zeros((block, clusters))
        for part in parts:
            k = len(part)
            taken = _taken(k)
            index = generator.integers(0, max(k, 1), size=(block, taken))
            index += np.arange(block)[:, None] * k
            drawn = np.bincount(index.ravel(), minlength=block * k).reshape(block, k).astype(float)
            counts[:, part] = drawn if strata is None else drawn * (k / max(taken, 1))
        yield counts


def ratios(
    numerator: ArrayLike | sparse.csc_array,
    denominator: ArrayLike | sparse.csc_array,
    draws: int,
    seed: int,
    cluster: ArrayLike | None = None,
    strata: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """
    Resample Σ numerator / Σ denominator: (B, M), NaN where a draw holds no image of the group.

    Parameters
    ----------
    numerator, denominator : array_like or sparse, (N,) or (N, M)
        Contributions of each image to M statistics. A group mean has the value times the membership above, and the
        membership below: mostly zeros.
    cluster : array_like of int, (N,), optional
        Cluster of each image, numbered from 0; each image its own by default.
    strata : array_like, optional
        Stratum of each cluster, see `resamples`.
    """
    top, bottom = _columns(numerator), _columns(denominator)
    if top.shape != bottom.shape:
        raise ValueError(f"numerator {top.shape} and denominator {bottom.shape} differ in shape")
    n, statistics = cast(tuple[int, int], top.shape)
    if not n:
        return np.full((draws, statistics), np.nan)
    clusters = n
    if cluster is not None:
        number = np.asarray(cluster)
        clusters = int(number.max()) + 1
        members = sparse.csr_array((np.ones(n), (number, np.arange(n))), shape=(clusters, n))
        top, bottom = members @ top, members @ bottom
    parts = [_divide(counts @ top, counts @ bottom) for counts in resamples(clusters, draws, seed, strata)]
    return np.concatenate(parts) if parts else np.empty((0, statistics))


def means(values: ArrayLike, draws: int, seed: int, cluster: ArrayLike | None = None) -> NDArray[np.float64]:
    """Resample means over all images: (B, M), `ratios` with a denominator of one per image."""
    columns = np.asarray(_columns(values))
    return ratios(columns, np.ones_like(columns), draws, seed, cluster)


def differences(
    values: ArrayLike, one: NDArray[np.bool_], draws: int, seed: int, cluster: ArrayLike | None = None
) -> NDArray[np.float64]:
    """
    Resample the difference of the means of two groups of images.

    Clusters that lie in one of the groups are resampled within it, since the sizes of both are part of the design;
    those that lie in both (one figure, lighter and darker) are drawn whole, which keeps their images paired.

    Parameters
    ----------
    one : ndarray of bool, (N,)
        Members of group 1; the others are group 0.

    Returns
    -------
    ndarray, (B, M)
        Mean over group 1 minus mean over group 0.
    """
    columns = np.asarray(_columns(values))
    number = np.arange(len(columns)) if cluster is None else np.asarray(cluster)
    in_one, in_zero = (np.bincount(number, group) > 0 for group in (one, ~one))
    member = np.column_stack([one, ~one]).astype(float)
    top = (member[:, :, None] * columns[:, None, :]).reshape(len(columns), -1)
    bottom = np.repeat(member, columns.shape[1], axis=1)
    both = ratios(top, bottom, draws, seed, number, strata=in_one + 2 * in_zero)
    return both[:, : columns.shape[1]] - both[:, columns.shape[1] :]


def interval(samples: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Return both ends of the 95 % percentile interval; NaN where no draw is defined.

    Parameters
    ----------
    samples : array_like, (B, …)
        Resampled statistics; NaN draws are left out.
    """
    values = np.asarray(samples, float)
    tail = (1 - LEVEL) / 2
    flat = values.reshape(len(values), math.prod(values.shape[1:]))
    ends = np.full((2, flat.shape[1]), np.nan)
    defined = np.isfinite(flat).any(axis=0) if len(flat) else np.zeros(flat.shape[1], bool)
    if defined.any():
        ends[:, defined] = np.nanquantile(flat[:, defined], [tail, 1 - tail], axis=0)
    low, high = ends.reshape(2, *values.shape[1:])
    return low, high


def _taken(clusters: int) -> int:
    """Return how many clusters a draw takes."""
    if clusters < 2:
        return 0
    tail = (1 + LEVEL) / 2
    narrower = float(stats.norm.ppf(tail) / stats.t.ppf(tail, clusters - 1))
    return max(1, round((clusters - 1) * narrower**2))


def _columns(values: ArrayLike | sparse.csc_array) -> NDArray[np.float64] | sparse.csc_array:
    if isinstance(values, sparse.csc_array):
        return values
    array = np.asarray(values, float)
    return array[:, None] if array.ndim == 1 else array


def _divide(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)
