"""Embedding association test on images (iEAT) and words (WEAT): effect size and permutation p.

s(w) = mean_{a∈A} cos(w, a) − mean_{b∈B} cos(w, b) is how much nearer target w is to attribute A than to B.

    d = [mean_{x∈X} s(x) − mean_{y∈Y} s(y)] / std_{w∈X∪Y} s(w)        (ddof 1)

0: X and Y associate alike; |d| ≤ 2 for equal sizes up to the ddof. p is the share of re-assignments of X ∪ Y to sets of
the same sizes whose difference of means is at least the observed one (one-sided), the observed one included.

References
----------
Caliskan, Bryson, Narayanan, Science 2017, arXiv 1608.07187; Steed & Caliskan, FAccT 2021, arXiv 2010.15052 (images).
"""

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stages.evaluate.features import checked

EXACT = 10_000  # enumerate all re-assignments up to this many


def association(targets: ArrayLike, a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """
    Measure how much nearer each target is to A than to B.

    Parameters
    ----------
    targets : array_like, (N, D)
        Unit rows.
    a, b : array_like, (·, D)
        Attribute sets, unit rows.

    Returns
    -------
    ndarray, (N,)
        s(w), in [−2, 2].
    """
    rows = checked(targets, "targets")
    difference = checked(a, "A").mean(axis=0) - checked(b, "B").mean(axis=0)
    return np.asarray(rows @ difference, float)


def effect(x: ArrayLike, y: ArrayLike) -> float:
    """
    Take the effect size d from the associations of X and of Y.

    Parameters
    ----------
    x, y : array_like, (n,), (m,)
        s(w) of the target sets.

    Returns
    -------
    float
        NaN where a set is empty or all associations are equal.
    """
    one, two = np.asarray(x, float), np.asarray(y, float)
    pooled = np.concatenate([one, two])
    if not len(one) or not len(two) or np.ptp(pooled) == 0:
        return float("nan")
    return float((one.mean() - two.mean()) / pooled.std(ddof=1))


def p_value(x: ArrayLike, y: ArrayLike, permutations: int = 10_000, seed: int = 0) -> float:
    """
    Test whether X associates more with A than Y does, by permutation.

    Parameters
    ----------
    x, y : array_like, (n,), (m,)
        s(w) of the target sets.
    permutations : int
        Random re-assignments, where there are more than 10,000 in all; otherwise all are enumerated.

    Returns
    -------
    float
        In (0, 1]; NaN where a set is empty.
    """
    one, two = np.asarray(x, float), np.asarray(y, float)
    n, pooled = len(one), np.concatenate([one, two])
    if not n or not len(two):
        return float("nan")
    observed = one.sum()  # with fixed sizes, the difference of means grows with the sum of X
    tolerance = 1e-12 * max(1.0, np.abs(pooled).sum())
    if comb(len(pooled), n) <= EXACT:
        sums = np.array([pooled[list(index)].sum() for index in combinations(range(len(pooled)), n)])
        return float(np.mean(sums >= observed - tolerance))
    generator = np.random.default_rng(seed)
    sums = np.array([generator.permutation(pooled)[:n].sum() for _ in range(permutations)])
    return float((1 + np.count_nonzero(sums >= observed - tolerance)) / (1 + permutations))
