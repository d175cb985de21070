"""The published definition of a figure beside the corrected one, same model, same images."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.evaluate import preference, published, retrieval, similarity
from stages.evaluate.features import unit
from stages.evaluate.groups import Group, means

Array = NDArray[np.float64]


def retrieval_table(
    images: NDArray[np.float32],
    as_published: NDArray[np.float32],
    captions: Array,
    owner: NDArray[np.int64],
    groups: Sequence[Group],
) -> pd.DataFrame:
    """
    Compare text→image recall (defects a and e).

    Parameters
    ----------
    images, as_published : ndarray, (N, D)
        Raw features in eval mode, and as the published code makes them.
    captions : ndarray, (T, D)
        Unit rows.
    owner : ndarray of int, (T,)
        Image of each caption.
    groups : sequence of Group
        Of single attributes.

    Returns
    -------
    DataFrame
        ``metric, attribute, group, n, as_published, corrected, difference``; percent.
    """
    variants = {"as_published": published.normalised_by_first(as_published), "corrected": unit(images)}
    ranks = {name: retrieval.text_to_image_ranks(captions, rows, owner) for name, rows in variants.items()}
    parts = []
    for k in retrieval.KS:
        figures = {}
        for name in variants:
            sums, counts = retrieval.per_image(ranks[name] < k, owner, len(images))
            figures[name] = means(100 * sums, groups, count=counts, draws=0).table
        keys = figures["corrected"].loc[:, ["attribute", "group", "n"]]
        keys.insert(0, "metric", f"t2i.r{k}")
        parts.append(keys.assign(**{name: table["value"] for name, table in figures.items()}))
    return _with_difference(pd.concat(parts, ignore_index=True))


def persons_table(
    images: NDArray[np.float32],
    as_published: NDArray[np.float32],
    prompts: Mapping[str, Array],
    groups: Sequence[Group],
    iterations: int,
) -> pd.DataFrame:
    """
    Compare self-similarity and person preference (defects d and e).

    Parameters
    ----------
    images, as_published : ndarray, (N, D)
        Raw features in eval mode, and as the published code makes them.
    prompts : mapping of str to ndarray, (1 + V, D)
        By attribute: "a photo of a person", then one prompt a value; unit rows.
    groups : sequence of Group
        Of single attributes.
    iterations : int
        Draws of the published loops.

    Returns
    -------
    DataFrame
        ``metric, attribute, group, n, as_published, corrected, difference``; preference in percent.
    """
    old, new = unit(as_published), unit(images)
    looped = published.self_similarity_loop(old, groups, iterations)
    rows = [
        ("self_similarity", g.attribute, g.value, g.n, looped[g.attribute, g.value], _alike(new, g)) for g in groups
    ]
    for attribute, embedded in prompts.items():
        own = [group for group in groups if group.attribute == attribute]
        if not own:
            continue
        before, after = (preference.unmarked(features, embedded[0], embedded[1:]) for features in (old, new))
        drawn = published.preference_loop(before, own, iterations)
        rows += [
            ("person_preference", attribute, g.value, g.n, 100 * drawn[g.value], 100 * after[g.members].mean())
            for g in own
        ]
    table = pd.DataFrame(rows, columns=pd.Index(["metric", "attribute", "group", "n", "as_published", "corrected"]))
    return _with_difference(table)


def _alike(features: Array, group: Group) -> float:
    return similarity.without_replacement(features[group.members])


def _with_difference(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(difference=table["as_published"] - table["corrected"])
