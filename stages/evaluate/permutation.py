"""Permutations of two groups over clusters of images: what is exchangeable if the group does not matter.

Clusters that lie in one group (a figure has one gender) swap their group as a whole; in a cluster that lies in both (a
figure, lighter and darker) its images swap theirs. Where every image is a cluster, images are permuted.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray


def relabelled(
    one: NDArray[np.bool_], cluster: ArrayLike | None, permutations: int, seed: int
) -> Iterator[NDArray[np.bool_]]:
    """
    Draw groups at random.

    Parameters
    ----------
    one : ndarray of bool, (N,)
        Members of group 1; the others are group 0.
    cluster : array_like of int, (N,), or None
        Cluster of each image, numbered from 0; None: each its own.

    Yields
    ------
    ndarray of bool, (N,)
        Members of group 1. Their number varies where clusters differ in size.
    """
    number = np.arange(len(one)) if cluster is None else np.asarray(cluster)
    size, inside = np.bincount(number), np.bincount(number, one)
    mixed = (inside > 0) & (inside < size)
    pure = np.flatnonzero(~mixed)
    shuffled = np.flatnonzero(mixed[number])
    shuffled = shuffled[np.argsort(number[shuffled], kind="stable")]
    generator = np.random.default_rng(seed)
    for _ in range(permutations):
        label = inside == size
        label[pure] = generator.permutation(label[pure])
        result = label[number]
        if len(shuffled):
            order = np.lexsort((generator.random(len(shuffled)), number[shuffled]))
            result[shuffled] = one[shuffled[order]]
        yield result
