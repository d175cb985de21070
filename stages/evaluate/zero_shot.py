"""Zero-shot classification: top-1 and top-5 accuracy, mean reciprocal rank, coarse classes, mean recall, every class.

An image belongs to the class whose embedding (mean of the normalised prompts, normalised again) is nearest. A tie
counts against the model. Where classes are many and small models rarely hit the very one, the mean reciprocal rank and
the coarse class of the nearest class leave room to rise and to fall.

References
----------
Radford et al., ICML 2021, arXiv 2103.00020, section 3.1.4 (ensembles of prompts).
CLIP_benchmark ``zeroshot_classification`` (acc1, acc5, mean_per_class_recall): equal without ties.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from stages.evaluate.features import checked


def ranks(images: ArrayLike, classes: ArrayLike, target: ArrayLike) -> NDArray[np.int64]:
    """
    Rank the right class of each image: 0 is the top; wrong classes that score at least as much are counted.

    Parameters
    ----------
    images : array_like, (N, D)
        Unit rows.
    classes : array_like, (L, D)
        Class embeddings, unit rows.
    """
    rows, columns, right = checked(images, "images"), checked(classes, "classes"), np.asarray(target)
    scores = rows @ columns.T
    own = scores[np.arange(len(rows)), right]
    return (scores >= own[:, None]).sum(axis=1) - 1


def classify(images: ArrayLike, classes: ArrayLike, target: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """
    Score each image.

    Parameters
    ----------
    images : array_like, (N, D)
        Unit rows.
    classes : array_like, (L, D)
        Class embeddings, unit rows.

    Returns
    -------
    dict of str to ndarray, (N,)
        ``acc1``, ``acc5`` (hits; their means are the accuracies; ``acc5`` only with more than 5 classes), ``mrr`` and
        ``recall``, weighted so that its sum over the images is the mean recall of the classes that occur.
    """
    right = np.asarray(target)
    position = ranks(images, classes, right)
    counts = np.bincount(right, minlength=len(np.asarray(classes)))
    scored = {"acc1": (position < 1).astype(float)}
    if len(counts) > 5:
        scored["acc5"] = (position < 5).astype(float)
    scored["mrr"] = 1 / (position + 1)
    scored["recall"] = scored["acc1"] / counts[right] / np.count_nonzero(counts)
    return scored


def coarse_hits(images: ArrayLike, classes: ArrayLike, target: ArrayLike, coarse: ArrayLike) -> NDArray[np.bool_]:
    """
    Say for which images the nearest class lies in the right coarse class.

    Parameters
    ----------
    images : array_like, (N, D)
        Unit rows.
    classes : array_like, (L, D)
        Class embeddings, unit rows.
    coarse : array_like, (L,)
        Coarse class of each class.
    """
    group, right = np.asarray(coarse), np.asarray(target)
    scores = checked(images, "images") @ checked(classes, "classes").T
    inside = group[None, :] == group[right][:, None]
    best = np.where(inside, scores, -np.inf).max(axis=1)
    return best > np.where(inside, -np.inf, scores).max(axis=1)


def by_class(hit: ArrayLike, target: ArrayLike, names: list[str]) -> pd.DataFrame:
    """
    Tabulate the recall of each class.

    Returns
    -------
    DataFrame
        ``class, n, recall, lo, hi``, one row a class that occurs, with Wilson's 95 % interval (a bootstrap of a few
        images that are all right or all wrong has no width).
    """
    table = pd.DataFrame({"class": np.asarray(names, object)[np.asarray(target)], "recall": np.asarray(hit, float)})
    grouped = table.groupby("class", sort=True)["recall"].agg(n="size", hits="sum").reset_index()
    ends = [
        binomtest(int(hits), int(n)).proportion_ci(method="wilson")
        for hits, n in zip(grouped["hits"], grouped["n"], strict=True)
    ]
    return pd.DataFrame(
        {
            "class": grouped["class"],
            "n": grouped["n"],
            "recall": grouped["hits"] / grouped["n"],
            "lo": [interval.low for interval in ends],
            "hi": [interval.high for interval in ends],
        }
    )
