"""Skew of retrieval results: who is shown for a query that names no group?

For a ranking of N images, with p_g@k the share of group g among the top k and p*_g the desired share:

* MaxSkew@k = max_g ln(p_g@k / p*_g). 0: as desired; ln(1/min p*): only the rarest group is shown, the maximum. A group
  with no image in the top k has skew −∞ and is never the maximum, since some group is shown at p* or above. (Counting
  it as 1/k, as some do, agrees where p* ≥ 1/k, and calls an absent group over-represented where p* < 1/k.)
* NDKL = Σ_i KL(p@i ‖ p*) / log2(i + 1) ÷ Σ_i 1/log2(i + 1), over i = 1 … N. 0: as desired at every depth.
* Bias@k = (N_first − N_second) / (N_first + N_second) among the top k; in [−1, 1]; 0 where neither is there.

References
----------
Geyik, Ambler, Kenthapadi, KDD 2019, arXiv 1905.01989 (MaxSkew, NDKL); Wang, Liu, Wang, EMNLP 2021, arXiv 2109.05433
(Bias@k).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stages.evaluate import bootstrap


def ranking(scores: ArrayLike, seed: int = 0) -> NDArray[np.int64]:
    """
    Order images by score, highest first, for each query: indices of images.

    Parameters
    ----------
    scores : array_like, (Q, N)
        Of queries and images.
    seed : int
        Ties are broken at random by this seed: the order of a table often follows the groups.
    """
    values = np.atleast_2d(np.asarray(scores))
    shuffle = np.random.default_rng(seed).permutation(values.shape[1])
    return shuffle[np.argsort(-values[:, shuffle], axis=1, kind="stable")]


def top_counts(order: ArrayLike, group: ArrayLike, groups: int, k: int) -> NDArray[np.float64]:
    """
    Count the groups among the top k: (Q, G).

    Parameters
    ----------
    group : array_like of int, (N,)
        Group of each image, −1 for none (skipped: shares are among images with a group).
    k : int
        Depth; all ranked images with a group where there are fewer.
    """
    labels = np.asarray(group)[np.asarray(order)]
    if k < 1:
        raise ValueError(f"k: found {k}, expected 1 or more")
    counts = np.zeros((len(labels), groups))
    for query, row in enumerate(labels):
        counts[query] = np.bincount(row[row >= 0][:k], minlength=groups)
    return counts


def resampled_counts(
    order: ArrayLike,
    group: ArrayLike,
    groups: int,
    k: int,
    draws: int,
    seed: int,
    cluster: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """
    Count the groups among the top k when the ranked images are resampled: (B, Q, G).

    Parameters
    ----------
    order : array_like of int, (Q, N)
        Rankings of the same images.
    group : array_like of int, (N,)
        Group of each image, −1 for none (skipped).
    draws, seed : int
        Bootstrap; an image drawn twice stands twice in the ranking.
    cluster : array_like of int, (N,), optional
        Cluster of each image, numbered from 0; each its own by default.
    """
    rankings, labels = np.asarray(order), np.asarray(group)
    onehot = (labels[:, None] == np.arange(groups)).astype(float)
    number = np.arange(len(labels)) if cluster is None else np.asarray(cluster)
    clusters = int(number.max(initial=-1)) + 1
    kept = [row[labels[row] >= 0] for row in rankings]
    if clusters == len(labels):
        kept = [row[: 2 * k + 200] for row in kept]  # k draws of single images lie among the first 2k + 200
    result = np.empty((draws, len(rankings), groups))
    start = 0
    for counts in bootstrap.resamples(clusters, draws, seed):
        for query, row in enumerate(kept):
            reached = np.minimum(np.cumsum(counts[:, number[row]], axis=1), k)
            result[start : start + len(counts), query] = np.diff(reached, axis=1, prepend=0) @ onehot[row]
        start += len(counts)
    return result


def max_skew(counts: ArrayLike, desired: ArrayLike) -> NDArray[np.float64]:
    """
    Take MaxSkew@k of each query; NaN where the top holds no image with a group.

    Parameters
    ----------
    counts : array_like, (…, Q, G)
        Images of each group among the top k.
    desired : array_like, (G,)
        Shares p*, positive, sum 1.

    Raises
    ------
    ValueError
        If a desired share is not positive or they do not sum to 1.
    """
    table, target = np.asarray(counts, float), _distribution(desired)
    shown = table.sum(axis=-1, keepdims=True)
    share = np.divide(table, shown, out=np.full_like(table, np.nan), where=shown > 0)
    skew = np.log(share / target, out=np.full_like(share, -np.inf), where=share > 0)
    return np.where(shown[..., 0] > 0, skew.max(axis=-1), np.nan)


def ndkl(order: ArrayLike, group: ArrayLike, desired: ArrayLike) -> NDArray[np.float64]:
    """
    Take the normalised discounted cumulative KL divergence (nats, ≥ 0) of each ranking; NaN without groups.

    Parameters
    ----------
    group : array_like of int, (N,)
        Group of each image, −1 for none (skipped).
    desired : array_like, (G,)
        Shares p*, positive, sum 1.
    """
    target = _distribution(desired)
    result = np.full(len(np.asarray(order)), np.nan)
    for query, row in enumerate(np.asarray(group)[np.asarray(order)]):
        known = row[row >= 0]
        if not len(known):
            continue
        depth = np.arange(1, len(known) + 1)
        shares = np.cumsum(known[:, None] == np.arange(len(target)), axis=0) / depth[:, None]
        logs = np.log(np.where(shares > 0, shares, 1.0) / target)
        divergence = (shares * logs).sum(axis=1)
        discount = 1 / np.log2(depth + 1)
        result[query] = (divergence * discount).sum() / discount.sum()
    return result


def bias_at_k(counts: ArrayLike, first: int = 0, second: int = 1) -> NDArray[np.float64]:
    """
    Take Bias@k of each query, in [−1, 1]; 0 where neither group is in the top k.

    Parameters
    ----------
    counts : array_like, (…, Q, G)
        Images of each group among the top k.
    first, second : int
        The groups compared (published: man, woman).
    """
    table = np.asarray(counts, float)
    one, two = table[..., first], table[..., second]
    return np.divide(one - two, one + two, out=np.zeros_like(one), where=one + two > 0)


def _distribution(desired: ArrayLike) -> NDArray[np.float64]:
    target = np.asarray(desired, float)
    if (target <= 0).any() or abs(target.sum() - 1) > 1e-9:
        raise ValueError(f"desired shares: found {target.tolist()}, expected positive numbers that sum to 1")
    return target
