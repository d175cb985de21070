"""Representation bias of a model: which group do images without any person resemble?

The main figure is the margin: the mean difference of the cosines to the prompts of the first group ("a photo of a man")
and of the second ("a photo of a woman"), averaged over several pairs of prompts, since one pair is noisy. 0 is neutral;
the sign says whom, and nothing saturates. Beside it stands the published RB = |share − ½|, share = share of neutral
images that are nearer to the first group's prompt: 0 without a preference, ½ where every image prefers the same group.
A share jumps where images lie near the border, so it is noisier between equally trained models than the margin.

References
----------
Alabdulmohsin et al., ICLR 2024, arXiv 2403.04547, section 4 [S]; bare labels as prompts: Wang et al., arXiv 2502.07617
(WebLI-100B) [P].
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stages.corpus.measures import preference
from stages.evaluate import bootstrap
from stages.evaluate.features import checked


@dataclass(frozen=True)
class RepresentationBias:
    """
    Preference of neutral images.

    Attributes
    ----------
    bias : tuple of float
        RB in [0, ½], lower and upper end of its interval.
    share : tuple of float
        Share that prefers the first group, in [0, 1], with its interval; ½ is neutral.
    margin : tuple of float
        Mean cosine of the first minus the second, with its interval; 0 is neutral.
    by_pair : ndarray, (P, 3)
        The share by each pair of prompts, with its interval.
    """

    bias: tuple[float, float, float]
    share: tuple[float, float, float]
    margin: tuple[float, float, float]
    by_pair: NDArray[np.float64]
    n: int


def representation_bias(
    images: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    draws: int = 1000,
    seed: int = 0,
    cluster: ArrayLike | None = None,
) -> RepresentationBias:
    """
    Measure which group's prompts neutral images prefer; an equal score is half a preference.

    Parameters
    ----------
    images : array_like, (N, D)
        Unit rows of images without persons.
    first, second : array_like, (P, D)
        Prompts of the groups, pair by pair, unit rows.
    cluster : array_like of int, (N,), optional
        Cluster of each image; each its own by default.

    Raises
    ------
    ValueError
        If there are no images, or the prompts do not pair up.
    """
    rows, one, two = checked(images, "neutral images"), checked(first, "prompts"), checked(second, "prompts")
    if not len(rows) or one.shape != two.shape or not len(one):
        raise ValueError(f"found {len(rows)} images and {len(one)} against {len(two)} prompts, expected pairs")
    difference = np.asarray(rows @ (one - two).T, float)
    preferred = preference(difference, 0)
    values = np.column_stack([preferred.mean(axis=1), difference.mean(axis=1), preferred])
    samples = bootstrap.means(values, draws, seed, cluster)
    share, margin, *shares = values.mean(axis=0)
    return RepresentationBias(
        bias=(abs(share - 0.5), *_ends(np.abs(samples[:, 0] - 0.5))),
        share=(float(share), *_ends(samples[:, 0])),
        margin=(float(margin), *_ends(samples[:, 1])),
        by_pair=np.column_stack([shares, *bootstrap.interval(samples[:, 2:])]),
        n=len(rows),
    )


def _ends(samples: ArrayLike) -> tuple[float, float]:
    low, high = bootstrap.interval(samples)
    return float(low), float(high)
