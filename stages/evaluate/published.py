"""The published evaluation with its defects, so that a reader sees what they change.

Repeated exactly:

a. retrieval divides *all* image features by the norm of the first image: a longer feature wins against every caption;
d. self-similarity and person preference are averages over 10,000 random draws, from NumPy's global generator (here: a
   `RandomState` of its own, seed 0, which gives the same numbers);
e. features of self-trained models come from a model in train mode, one image at a time
   (`embed.per_image_statistics`);
f. features are computed under autocast to float16 (`embed.half_precision`).

What follows from the published code [P]: self-similarity uses SciPy's cosine distance and person preference normalises
its rows, so (a) touches only retrieval; the draws of (d) have the closed forms of `similarity` and `preference` as
expectations, so (d) costs hours and adds noise but no bias; (e) changes every figure of a batch-normalised model; (f)
rounds features to three digits, which matters where scores nearly tie. The published order of intersections is that of
a Python set, which changes from run to run; here it is sorted.

References
----------
Chen et al., CVPR 2024, arXiv 2404.03242: the code of the authors' repository [P].
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stages.evaluate.features import checked
from stages.evaluate.groups import Group

ITERATIONS = 10_000
SAMPLE = 22
BLOCK = 256  # draws at a time: 256 × 22 rows of features


def normalised_by_first(images: ArrayLike) -> NDArray[np.float64]:
    """
    Divide all rows by the norm of the first (defect a): only that one has norm 1.

    Parameters
    ----------
    images : array_like, (N, D)
        Raw features.
    """
    rows = checked(images, "images")
    return rows / np.linalg.norm(rows[0])


def self_similarity_loop(
    features: ArrayLike, groups: Sequence[Group], iterations: int = ITERATIONS, seed: int = 0
) -> dict[tuple[str, str], float]:
    """
    Average the mean pairwise cosine of 22 images drawn with replacement (defect d).

    Parameters
    ----------
    features : array_like, (N, D)
        Unit rows.
    groups : sequence of Group
        In the order in which the generator serves them.
    seed : int
        Of the one generator that runs through all groups.

    Returns
    -------
    dict of (attribute, value) to float
        Mean over the draws. The mean cosine over the pairs of a draw is (‖Σu‖² − 22)/(22·21), so draws are summed in
        blocks instead of compared pair by pair; the random numbers are those of the published loop.
    """
    rows = checked(features, "features")
    generator = np.random.RandomState(seed)
    result = {}
    for group in groups:
        own = np.asarray(rows[group.members], float)
        total = 0.0
        for start in range(0, iterations, BLOCK):
            block = min(BLOCK, iterations - start)
            sums = own[generator.randint(len(own), size=(block, SAMPLE))].sum(axis=1)
            total += ((np.einsum("bd,bd->b", sums, sums) - SAMPLE) / (SAMPLE * (SAMPLE - 1))).sum()
        result[group.attribute, group.value] = total / iterations
    return result


def preference_loop(
    unmarked: ArrayLike, groups: Sequence[Group], iterations: int = ITERATIONS, seed: int = 0
) -> dict[str, float]:
    """
    Average the person preference of groups that are down-sampled to the smallest (defect d).

    Parameters
    ----------
    groups : sequence of Group
        The groups of one attribute; they are down-sampled in the order of their first images, as published.

    Returns
    -------
    dict of str to float
        By value. As published, all groups are sampled anew for each group whose share is taken.
    """
    values = np.asarray(unmarked, float)
    groups = sorted(groups, key=lambda group: int(np.argmax(group.members)))
    members = [values[group.members] for group in groups]
    smallest = min(range(len(groups)), key=lambda g: len(members[g]))
    size = len(members[smallest])
    generator = np.random.RandomState(seed)
    totals = np.zeros(len(groups))
    for _ in range(iterations):
        for target in range(len(groups)):
            for g, own in enumerate(members):
                if g == smallest:
                    continue
                dropped = generator.permutation(len(own))[: len(own) - size]
                if g == target:
                    kept = np.ones(len(own), bool)
                    kept[dropped] = False
                    totals[g] += own[kept].mean()
            if target == smallest:
                totals[smallest] += members[smallest].mean()
    return {group.value: float(total / iterations) for group, total in zip(groups, totals, strict=True)}
