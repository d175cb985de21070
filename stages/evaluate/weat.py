"""Embedding association test on images (iEAT) and words (WEAT): effect size and permutation p.

s(w) = mean_{a∈A} cos(w, a) − mean_{b∈B} cos(w, b) is how much nearer target w is to attribute A than to B.

    d = [mean_{x∈X} s(x) − mean_{y∈Y} s(y)] / std_{w∈X∪Y} s(w)        (ddof 1)

0: X and Y associate alike; |d| ≤ 2 for equal sizes up to the ddof. p is the share of re-assignments of X ∪ Y to sets of
the same sizes whose difference of means is at least the observed one (one-sided), the observed one included; images of
one cluster are re-assigned together.

References
----------
Caliskan, Bryson, Narayanan, Science 2017, arXiv 1608.07187; Steed & Caliskan, FAccT 2021, arXiv 2010.15052 (images).
"""

from collections.abc import Iterable
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stages.evaluate.features import checked
from stages.evaluate.permutation import relabelled

EXACT = 10_000  # enumerate all re-assignments up to this many


def association(targets: ArrayLike, a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """
    Measure how much nearer each target is to A than to B: s(w), in [−2, 2].

    Parameters
    ----------
    targets : array_like, (N, D)
        Unit rows.
    a, b : array_like, (·, D)
        Attribute sets, unit rows.
    """
    rows = checked(targets, "targets")
    difference = checked(a, "A").mean(axis=0) - checked(b, "B").mean(axis=0)
    return np.asarray(rows @ difference, float)


def effect(x: ArrayLike, y: ArrayLike) -> float:
    """
    Take the effect size d of the associations of X and of Y; NaN where a set is empty or all are equal.

    Parameters
    ----------
    x, y : array_like, (n,), (m,)
        s(w) of the target sets.
    """
    one, two = np.asarray(x, float), np.asarray(y, float)
    pooled = np.concatenate([one, two])
    if not len(one) or not len(two) or np.ptp(pooled) == 0:
        return float("nan")
    return float((one.mean() - two.mean()) / pooled.std(ddof=1))


def p_value(
    values: ArrayLike,
    one: ArrayLike,
    permutations: int = 10_000,
    seed: int = 0,
    cluster: ArrayLike | None = None,
) -> float:
    """
    Test by permutation whether X associates more with A than Y does; p in (0, 1], NaN without X or Y.

    Parameters
    ----------
    one : array_like of bool, (N,)
        Members of X; the others are Y.
    permutations : int
        Random re-assignments, where there are more than 10,000 in all; otherwise all are enumerated.
    cluster : array_like of int, (N,), optional
        Cluster of each target, re-assigned as a whole (`permutation.relabelled`); each its own by default.
    """
    scores, member = np.asarray(values, float), np.asarray(one, bool)
    if member.all() or not member.any():
        return float("nan")
    number = np.arange(len(scores)) if cluster is None else np.asarray(cluster)
    size, inside = np.bincount(number), np.bincount(number, member)
    whole = bool(np.isin(inside / size, (0, 1)).all())
    chosen = int((inside > 0).sum())
    exact = whole and comb(len(size), chosen) <= EXACT
    drawn: Iterable[NDArray[np.bool_]] = relabelled(member, number, permutations, seed)
    if exact:
        drawn = (np.isin(number, index) for index in combinations(range(len(size)), chosen))
    observed = _difference(scores, member) - 1e-12 * max(1.0, np.abs(scores).max())
    reached = [_difference(scores, group) >= observed for group in drawn]
    return float(np.mean(reached) if exact else (1 + np.sum(reached)) / (1 + len(reached)))


def _difference(values: NDArray[np.float64], one: NDArray[np.bool_]) -> float:
    total, n = values @ one, np.count_nonzero(one)
    return float(total / n - (values.sum() - total) / (len(values) - n))
