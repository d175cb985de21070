"""The published definition of a figure beside the corrected one, same model, same images.

Beside both stand figures with one defect alone, so that a reader sees which one changes what: ``only_a`` (images
divided by the norm of the first), ``only_d`` (sampling loops), ``only_ef`` (batch normalisation in train mode and
float16: what changes the features themselves).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.evaluate import preference, published, retrieval, similarity
from stages.evaluate.features import unit
from stages.evaluate.groups import Group, means

Array = NDArray[np.float64]


COLUMNS = (
    "metric", "attribute", "group", "n", "as_published", "only_a", "only_d", "only_ef", "corrected", "difference",
)  # fmt: skip


def retrieval_table(
    images: NDArray[np.floating],
    as_published: NDArray[np.floating],
    captions: Array,
    owner: NDArray[np.int64],
    groups: Sequence[Group],
) -> pd.DataFrame:
    """
    Compare text→image recall (defects a, e and f).

    Parameters
    ----------
    images, as_published : ndarray, (N, D)
        Raw features in eval mode, and as the published code makes them.
    captions : ndarray, (T, D)
        Unit rows.
    owner : ndarray of int, (T,)
        Image of each caption.

    Returns
    -------
    DataFrame
        `COLUMNS`; percent; ``only_d`` is empty, since nothing is sampled.
    """
    variants = {
        "as_published": published.normalised_by_first(as_published),
        "only_a": published.normalised_by_first(images),
        "only_ef": unit(as_published),
        "corrected": unit(images),
    }
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
    images: NDArray[np.floating],
    as_published: NDArray[np.floating],
    prompts: Mapping[str, Array],
    groups: Sequence[Group],
    iterations: int,
) -> pd.DataFrame:
    """
    Compare self-similarity and person preference (defects d, e and f).

    Parameters
    ----------
    images, as_published : ndarray, (N, D)
        Raw features in eval mode, and as the published code makes them.
    prompts : mapping of str to ndarray, (1 + V, D)
        By attribute: "a photo of a person", then one prompt a value; unit rows.

    Returns
    -------
    DataFrame
        `COLUMNS`; preference in percent; ``only_a`` is empty, since the published code normalises these rows.
    """
    old, new = unit(as_published), unit(images)
    rows = []
    loops = [published.self_similarity_loop(features, groups, iterations) for features in (old, new)]
    for g in groups:
        drawn = [loop[g.attribute, g.value] for loop in loops]
        exact = [similarity.without_replacement(features[g.members]) for features in (old, new)]
        rows.append(("self_similarity", g.attribute, g.value, g.n, *drawn, *exact))
    for attribute, embedded in prompts.items():
        own = [group for group in groups if group.attribute == attribute]
        if not own:
            continue
        chosen = [preference.unmarked(features, embedded[0], embedded[1:]) for features in (old, new)]
        shares = [published.preference_loop(unmarked, own, iterations) for unmarked in chosen]
        for g in own:
            figures = [share[g.value] for share in shares] + [unmarked[g.members].mean() for unmarked in chosen]
            rows.append(("person_preference", attribute, g.value, g.n, *(100 * figure for figure in figures)))
    columns = ["metric", "attribute", "group", "n", "as_published", "only_d", "only_ef", "corrected"]
    return _with_difference(pd.DataFrame(rows, columns=pd.Index(columns)))


def _with_difference(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(difference=table["as_published"] - table["corrected"]).reindex(columns=list(COLUMNS))
