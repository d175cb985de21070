"""Self-similarity: how alike does a model see the images of one group?

The published figure is the mean cosine over the pairs of 22 images drawn with replacement, 10,000 times. The draws are
independent, so its expectation is the mean cosine of two independent draws,

    E = (1/n²) Σ_i Σ_j u_iᵀu_j = ‖m‖²,   m = mean of the unit rows,

one pass over the features instead of 10,000 samples. Over *distinct* images it is (n‖m‖² − 1)/(n − 1), which does not
depend on the size of the group: the corrected figure. Both are in [−1, 1]; 1: all images alike.

The interval is a bootstrap of the first-order (Hájek) expansion, ‖m*‖² ≈ ‖m‖² + 2 (mean* of u_iᵀm − ‖m‖²), so it costs
one number an image instead of D; it is exact up to terms of order 1/n.

References
----------
Wolfe & Caliskan, FAccT 2022, arXiv 2205.11378 (22 = size of the smallest intersection in FairFace) [P].
The closed forms are derived here [D].
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from stages.evaluate import bootstrap
from stages.evaluate.features import checked
from stages.evaluate.groups import Group, GroupFigures, spread

BLOCK = 4096  # rows taken at a time; their sum goes on in double precision


def with_replacement(features: ArrayLike) -> float:
    """
    Take the mean cosine ‖m‖² over pairs drawn with replacement, in [0, 1]; NaN for an empty group; 1 for one image.

    Parameters
    ----------
    features : array_like, (n, D)
        Unit rows of one group.
    """
    rows = checked(features, "features")
    if not len(rows):
        return float("nan")
    mean = rows.mean(axis=0, dtype=float)
    return float(mean @ mean)


def without_replacement(features: ArrayLike) -> float:
    """
    Take the mean cosine over distinct pairs, (n‖m‖² − 1)/(n − 1), in [−1, 1]; NaN for fewer than two images.

    Parameters
    ----------
    features : array_like, (n, D)
        Unit rows of one group.
    """
    n = len(np.asarray(features))
    return (n * with_replacement(features) - 1) / (n - 1) if n > 1 else float("nan")


def by_group(
    features: ArrayLike,
    groups: Sequence[Group],
    draws: int = 1000,
    seed: int = 0,
    min_n: int = 30,
    cluster: ArrayLike | None = None,
) -> GroupFigures:
    """
    Tabulate the self-similarity of each group.

    Parameters
    ----------
    features : array_like, (N, D)
        Unit rows.
    draws, seed : int
        Bootstrap, each group on its own; 0 draws leave the intervals NaN.
    min_n : int
        Groups with fewer images are flagged.
    cluster : array_like of int, (N,), optional
        Cluster of each image; each its own by default.

    Returns
    -------
    GroupFigures
        Table: ``attribute, group, n, value`` (distinct pairs), ``lo, hi, small, published`` (expectation of the
        published loop, with replacement), ``relative`` (value ÷ mean over the attribute's groups, percent). The worst
        group of the spread is the most alike.
    """
    rows = checked(features, "features")
    n = np.array([group.n for group in groups], int)
    sums = group_sums(rows, groups)
    squares = np.einsum("gd,gd->g", sums, sums)  # n²‖m‖²
    value = np.divide(squares - n, n * (n - 1), out=np.full(len(groups), np.nan), where=n > 1)
    samples = np.full((draws, len(groups)), np.nan)
    for column in np.flatnonzero(n > 1).tolist() if draws else ():
        mean = (sums[column] / n[column]).astype(rows.dtype)
        own = np.array_split(np.flatnonzero(groups[column].members), -(-n[column] // BLOCK))
        projection = np.concatenate([rows[part] @ mean for part in own]).astype(float)
        numbers = None if cluster is None else bootstrap.numbered(np.asarray(cluster)[groups[column].members])
        means = bootstrap.means(projection, draws, seed + column, numbers)[:, 0]
        samples[:, column] = value[column] + 2 * (means - projection.mean())
    low, high = bootstrap.interval(samples)
    table = pd.DataFrame(
        {
            "attribute": [group.attribute for group in groups],
            "group": [group.value for group in groups],
            "n": n,
            "value": value,
            "lo": low,
            "hi": high,
            "small": n < min_n,
            "published": np.divide(squares, n * n, out=np.full(len(groups), np.nan), where=n > 0),
        }
    )
    table["relative"] = 100 * table["value"] / table.groupby("attribute")["value"].transform("mean")
    return GroupFigures(table, spread(table, samples, higher_is_better=False))


def group_sums(features: ArrayLike, groups: Sequence[Group]) -> NDArray[np.float64]:
    """Sum the rows of each group: (G, D); blocks of rows are summed as they are, and the blocks in double precision."""
    rows = np.asarray(features)
    index = [np.flatnonzero(group.members) for group in groups]
    column = np.concatenate([np.empty(0, int), *index])
    row = np.repeat(np.arange(len(groups)), [len(own) for own in index])
    members = sparse.csc_array((np.ones(len(row), rows.dtype), (row, column)), shape=(len(groups), len(rows)))
    sums = np.zeros((len(groups), rows.shape[1]))
    for start in range(0, len(rows), BLOCK):
        sums += members[:, start : start + BLOCK] @ rows[start : start + BLOCK]
    return sums
