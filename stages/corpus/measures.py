"""Rules that every measure of a model follows, of a finished one or during training: ties, recall, pairs of labels.

A tie of two scores is half a preference; in retrieval a tie counts against the model. R@k is in percent.

References
----------
Pairwise association is made for this project's corpus [D].
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
MAJORITY, FEW = 0.5, 0.05  # pairs of labels: A has a larger share of group 1 than the first, B at most the second


def preference(first: ArrayLike, second: ArrayLike) -> Floats:
    """Tell whether the first score is preferred to the second: 1, 0, or ½ for a tie; shapes broadcast."""
    return 0.5 * (np.sign(np.asarray(first, float) - np.asarray(second, float)) + 1)


def pairwise_preference(scores: ArrayLike, share: ArrayLike) -> Floats | None:
    """
    Average the preference for labels of group 1 over labels of group 0, image by image.

    Parameters
    ----------
    scores : array_like, (N, L)
        Logits or cosines.
    share : array_like, (L,)
        Known share of group 1 in each label; NaN where unknown. A: above one half; B: at most 5 %.

    Returns
    -------
    ndarray, (N,), or None
        Mean over all pairs (A, B) of the preference for A, in [0, 1]; None where A or B is empty.
    """
    values, known = np.asarray(scores, float), np.asarray(share, float)
    a, b = values[:, known > MAJORITY], values[:, known <= FEW]
    return preference(a[:, :, None], b[:, None, :]).mean(axis=(1, 2)) if a.shape[1] and b.shape[1] else None


def own_ranks(scores: ArrayLike, own: ArrayLike) -> NDArray[np.int64]:
    """
    Rank the one right item of each query.

    Parameters
    ----------
    scores : array_like, (Q, N)
        A query per row.
    own : array_like of int, (Q,)
        Column of its item.

    Returns
    -------
    ndarray of int, (Q,)
        0 is the top; wrong items that score at least as much as the right one are counted.
    """
    values = np.asarray(scores)
    right = values[np.arange(len(values)), np.asarray(own)]
    return (values >= right[:, None]).sum(axis=1) - 1


def recall(ranks: ArrayLike, k: int) -> float:
    """Take R@k of ranks, in percent."""
    return 100 * float(np.mean(np.asarray(ranks) < k))
