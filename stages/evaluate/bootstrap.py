"""Percentile bootstrap over images, vectorised: every statistic here is a ratio of sums over images.

A draw takes N images with replacement; it is kept as the count of each image, so that all statistics of a draw are one
matrix product ``counts @ values``. Draws are made in blocks of bounded size: memory is linear in N, whatever B.

References
----------
Efron, Tibshirani: An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals).
"""

import math
from collections.abc import Iterator
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

LEVEL = 0.95
BLOCK = 2**22  # counts held at a time


def resamples(n: int, draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """
    Draw bootstrap samples as counts of each image.

    Parameters
    ----------
    seed : int
        Equal seeds and n give equal samples: statistics of one set stay paired.

    Yields
    ------
    ndarray, (block, n)
        How often each image was drawn; every row sums to n.
    """
    generator = np.random.default_rng(seed)
    rows = max(1, min(draws, BLOCK // max(n, 1)))
    for start in range(0, draws, rows):
        block = min(rows, draws - start)
        index = generator.integers(0, n, size=(block, n))
        index += np.arange(block)[:, None] * n
        yield np.bincount(index.ravel(), minlength=block * n).reshape(block, n).astype(float)


def ratios(
    numerator: ArrayLike | sparse.csc_array, denominator: ArrayLike | sparse.csc_array, draws: int, seed: int
) -> NDArray[np.float64]:
    """
    Resample Σ numerator / Σ denominator.

    Parameters
    ----------
    numerator, denominator : array_like or sparse, (N,) or (N, M)
        Contributions of each image to M statistics. A group mean has the value times the membership above, and the
        membership below: mostly zeros.

    Returns
    -------
    ndarray, (B, M)
        NaN where a draw holds no image of the group.
    """
    top, bottom = _columns(numerator), _columns(denominator)
    if top.shape != bottom.shape:
        raise ValueError(f"numerator {top.shape} and denominator {bottom.shape} differ in shape")
    n, statistics = cast(tuple[int, int], top.shape)
    if not n:
        return np.full((draws, statistics), np.nan)
    parts = [_divide(counts @ top, counts @ bottom) for counts in resamples(n, draws, seed)]
    return np.concatenate(parts) if parts else np.empty((0, statistics))


def means(values: ArrayLike, draws: int, seed: int) -> NDArray[np.float64]:
    """
    Resample means over all images.

    Parameters
    ----------
    values : array_like, (N,) or (N, M)
        Of each image.

    Returns
    -------
    ndarray, (B, M)
        `ratios` with a denominator of one an image.
    """
    array = np.asarray(values, float)
    columns = array[:, None] if array.ndim == 1 else array
    parts = [counts @ columns for counts in resamples(len(columns), draws, seed)]
    return np.concatenate(parts) / len(columns) if parts else np.empty((0, columns.shape[1]))


def interval(samples: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Take the 95 % percentile interval.

    Parameters
    ----------
    samples : array_like, (B, …)
        Resampled statistics; NaN draws are left out.

    Returns
    -------
    tuple of ndarray
        Lower and upper end, NaN where no draw is defined.
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


def _columns(values: ArrayLike | sparse.csc_array) -> NDArray[np.float64] | sparse.csc_array:
    if isinstance(values, sparse.csc_array):
        return values
    array = np.asarray(values, float)
    return array[:, None] if array.ndim == 1 else array


def _divide(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)
