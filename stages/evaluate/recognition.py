"""Recognition of a sensitive attribute: does balancing blind the model to who is shown?

An image is given to the group whose prompt is nearer. Balanced accuracy (mean recall of the two groups; ½ is chance)
tells whether the decision is right, the area under the ROC curve of the margin (½ is chance) whether the *order* is,
without a threshold that a representation bias would shift.

References
----------
Alabdulmohsin et al., ICLR 2024, arXiv 2403.04547: balancing leaves the recognition of gender unharmed [S].
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score

from stages.evaluate.features import checked


def margins(images: ArrayLike, first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """
    Return how much nearer each image is to the first group's prompts: a difference of mean cosines.

    Parameters
    ----------
    images : array_like, (N, D)
        Unit rows.
    first, second : array_like, (P, D)
        Prompts of the groups, unit rows; averaged.
    """
    difference = checked(first, "prompts").mean(axis=0) - checked(second, "prompts").mean(axis=0)
    return np.asarray(checked(images, "images") @ difference, float)


def correct(margin: ArrayLike, is_first: ArrayLike) -> NDArray[np.float64]:
    """
    Score each decision: 1 right, 0 wrong, ½ undecided (margin 0).

    Parameters
    ----------
    margin : array_like, (N,)
        Positive: the first group.
    """
    sign = np.where(np.asarray(is_first, bool), 1.0, -1.0)
    return 0.5 * (np.sign(np.asarray(margin, float)) * sign + 1)


def auc(margin: ArrayLike, is_first: ArrayLike) -> float:
    """Take the area under the ROC curve of the first group's margins, ties half; NaN where a group is empty."""
    truth = np.asarray(is_first, bool)
    return float(roc_auc_score(truth, np.asarray(margin, float))) if 0 < truth.sum() < len(truth) else float("nan")
