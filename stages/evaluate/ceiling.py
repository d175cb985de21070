"""The recall that no model can pass: captions fit several images, and what they leave open cannot be ranked.

A model that knows all that a caption says ranks the images that it fits at random. Of m images that fit, the own one is
among the first k with probability min(1, k / m); where several of m candidates are right, at least one of them is with
the probability of a hypergeometric draw.

An image fits a caption if it carries that caption, or if both show the same `label` and the image agrees with every
sensitive attribute that the caption names. Without labels only equal captions are known to fit: the ceiling is then an
upper bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import hypergeom

from stages.corpus.words import GROUPS, says_group
from stages.evaluate.bootstrap import numbered

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Fitting:
    """
    How many candidates fit each query, and how many of them count as right.

    Attributes
    ----------
    images, carriers : ndarray of int, (T,)
        Images that a caption fits, and those that carry it.
    captions, own : ndarray of int, (N,)
        Distinct captions that fit an image, and those that it carries.
    """

    images: Counts
    carriers: Counts
    captions: Counts
    own: Counts

    def recall(self, k: int) -> dict[str, NDArray[np.float64]]:
        """Return the chance of a hit of each query at best, by direction as in `suite`."""
        return {
            "t2i": np.minimum(1.0, k / self.images),
            "t2i_shared": _any_of(self.carriers, self.images, k),
            "i2t": _any_of(self.own, self.captions, k),
        }


def fitting(table: pd.DataFrame, owner: Counts, number: Counts) -> Fitting:
    """
    Count what fits.

    Parameters
    ----------
    table : DataFrame, N rows
        label, gender, skin_tone and captions of the images; empty where unknown.
    owner : ndarray of int, (T,)
        Image of each caption, in the order of the lists.
    number : ndarray of int, (T,)
        Equal numbers mark equal captions.
    """
    texts = [text for captions in table["captions"] for text in captions]
    _, first, distinct = np.unique(number, return_index=True, return_inverse=True)
    says = np.array([[says_group(texts[i], attribute) for attribute in GROUPS] for i in first], bool)
    shown = table["label"].where(table["label"] != "", "\0" + table["key"].astype(str))
    base = numbered(shown)
    values = [numbered(table[attribute].astype(str)) for attribute in GROUPS]
    images = np.zeros(len(first), np.int64)
    captions = np.zeros(len(table), np.int64)
    for named in np.unique(says, axis=0):
        key = base
        for value, use in zip(values, named, strict=True):
            key = numbered(key * (value.max() + 1) + value) if use else key
        chosen = np.flatnonzero((says == named).all(axis=1))
        places = key[owner[first[chosen]]]
        images[chosen] = np.bincount(key)[places]
        captions += np.bincount(places, minlength=key.max() + 1)[key]
    pairs = np.unique(np.column_stack([distinct, owner]), axis=0)
    carriers = np.bincount(pairs[:, 0], minlength=len(first))
    own = np.bincount(pairs[:, 1], minlength=len(table))
    return Fitting(np.maximum(images, carriers)[distinct], carriers[distinct], np.maximum(captions, own), own)


def _any_of(right: Counts, fit: Counts, k: int) -> NDArray[np.float64]:
    return np.asarray(hypergeom.sf(0, fit, right, np.minimum(k, fit)), float)


def chance_of_coarse(coarse: Sequence[str], target: NDArray[np.int64]) -> float:
    """Return the accuracy, in [0, 1], of a class drawn at random where only its coarse class counts."""
    number = numbered(coarse)
    return float((np.bincount(number) / len(number))[number[target]].mean())
