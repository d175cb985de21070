"""Recall at k of text→image and image→text retrieval, overall and by group.

A caption has one image, an image has several captions (five, usually). The index convention, on two images and three
captions with ``owner = [0, 0, 1]``::

                 image 0   image 1
    caption 0      +                    text→image: a row is a query, its + the one right answer
    caption 1      +
    caption 2                +          image→text: a column is a query, any + in it is a right answer

Text→image hits its *own* image, also where other images carry the same caption: that is the published definition, and
the one in which a model's preference for one group shows (of two images called "a cook", which comes first?).
``shared=True`` counts every image with the same caption as right. Image→text searches distinct captions, and a caption
shared by several images is right for each of them. A tie counts against the model in both directions.

References
----------
Chen et al., CVPR 2024, arXiv 2404.03242 (R@1/5/10 by group on PHASE and COCO) [P].
CLIP_benchmark ``zeroshot_retrieval`` (hit if any positive is in the top k): equal where no caption repeats.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stages.corpus.measures import own_ranks
from stages.evaluate.features import checked

KS = (1, 5, 10)
BLOCK = 2**23  # scores held at a time


def text_to_image_ranks(
    texts: ArrayLike, images: ArrayLike, owner: ArrayLike, caption: ArrayLike | None = None, shared: bool = False
) -> NDArray[np.int64]:
    """
    Rank the right image of each caption.

    Parameters
    ----------
    texts : array_like, (T, D)
        Caption features.
    images : array_like, (N, D)
        Image features, as they shall be compared (unit rows; the published code had others).
    owner : array_like of int, (T,)
        Image of each caption.
    caption : array_like of int, (T,), optional
        Equal numbers mark equal captions; needed for `shared`.
    shared : bool
        Whether every image with the same caption is right.

    Returns
    -------
    ndarray of int, (T,)
        0 is the top. Wrong images that score at least as much as the best right one are counted.
    """
    queries, items, owners = _checked(texts, images, owner)
    if shared and caption is None:
        raise ValueError("shared captions need `caption`: which captions are equal")
    ranks = np.empty(len(queries), np.int64)
    positives = _positives(np.asarray(caption), owners) if shared else None
    for rows in _blocks(len(queries), len(items)):
        scores = queries[rows] @ items.T
        if positives is None:
            ranks[rows] = own_ranks(scores, owners[rows])
        else:
            captions = np.asarray(caption)[rows]
            for i, row in enumerate(scores):
                right = row[positives[captions[i]]]
                best = right.max()
                ranks[rows.start + i] = np.count_nonzero(row >= best) - np.count_nonzero(right >= best)
    return ranks


def image_to_text_ranks(
    texts: ArrayLike, images: ArrayLike, owner: ArrayLike, caption: ArrayLike | None = None
) -> NDArray[np.int64]:
    """
    Rank the best right caption of each image.

    Parameters
    ----------
    owner : array_like of int, (T,)
        Image of each caption.
    caption : array_like of int, (T,), optional
        Equal numbers mark equal captions, which are searched once; by default all are distinct.

    Returns
    -------
    ndarray of int, (N,)
        0 is the top. Wrong captions that score at least as much as the best right one are counted.

    Raises
    ------
    ValueError
        If an image has no caption.
    """
    captions, items, owners = _checked(texts, images, owner)
    number = np.arange(len(captions)) if caption is None else np.asarray(caption)
    _, first, distinct = np.unique(number, return_index=True, return_inverse=True)
    candidates = captions[first]
    right_of = _positives(owners, distinct)
    missing = set(range(len(items))) - right_of.keys()
    if missing:
        raise ValueError(f"image {min(missing)} (of {len(missing)}) has no caption")
    ranks = np.empty(len(items), np.int64)
    for rows in _blocks(len(items), len(candidates)):
        scores = items[rows] @ candidates.T
        for i, row in enumerate(scores):
            right = row[right_of[rows.start + i]]
            best = right.max()
            ranks[rows.start + i] = np.count_nonzero(row >= best) - np.count_nonzero(right >= best)
    return ranks


def hits(ranks: NDArray[np.int64], ks: Sequence[int] = KS) -> dict[int, NDArray[np.bool_]]:
    """
    Turn ranks into hits, whose mean is R@k.

    Parameters
    ----------
    ranks : ndarray of int, (Q,)
        Of queries; 0 is the top.
    """
    return {k: ranks < k for k in ks}


def reciprocal(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Turn ranks into reciprocal ranks, (Q,); their mean is the mean reciprocal rank, in (0, 1]."""
    return 1 / (ranks + 1)


def per_image(values: ArrayLike, owner: ArrayLike, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Sum the captions' figures by image, so that images can be resampled: sums and numbers of captions.

    Parameters
    ----------
    owner : array_like of int, (T,)
        Image of each caption.
    """
    owners = np.asarray(owner)
    sums = np.bincount(owners, np.asarray(values, float), minlength=n)
    return sums.astype(float), np.bincount(owners, minlength=n).astype(float)


def _checked(
    texts: ArrayLike, images: ArrayLike, owner: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    queries, items, owners = checked(texts, "captions"), checked(images, "images"), np.asarray(owner)
    if len(owners) != len(queries):
        raise ValueError(f"{len(owners)} owners for {len(queries)} captions")
    if len(owners) and (owners.min() < 0 or owners.max() >= len(items)):
        raise ValueError(f"owners lie in {owners.min()}…{owners.max()}, expected 0…{len(items) - 1}")
    return queries, items, owners


def _positives(query: NDArray[np.int64], item: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """Collect the distinct items of each query."""
    pairs = np.unique(np.column_stack([query, item]), axis=0)
    starts = np.flatnonzero(np.diff(pairs[:, 0], prepend=pairs[0, 0] - 1)) if len(pairs) else np.empty(0, int)
    return {int(pairs[start, 0]): part[:, 1] for start, part in zip(starts, np.split(pairs, starts[1:]), strict=True)}


def _blocks(rows: int, columns: int) -> list[slice]:
    size = max(1, BLOCK // max(columns, 1))
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
