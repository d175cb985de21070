"""Groups of images by sensitive attribute and by their intersections; means, gaps and the worst group.

An image without a value (missing, unsure, or persons that differ) is in no group of that attribute. Groups below a
stated size are flagged, and left out of gaps and of the worst group, since the extreme of noisy figures is noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from stages.corpus.attributes import tone_group
from stages.evaluate import bootstrap

CROSS = " x "

# Group 1 and group 0 where a metric compares two groups.
CONTRASTS = {"gender": ("woman", "man"), "skin_tone": ("darker", "lighter")}


@dataclass(frozen=True)
class Group:
    """
    Images that share a value.

    Attributes
    ----------
    attribute : str
        ``"gender"``, or ``"gender x skin_tone"`` for an intersection.
    value : str
        ``"woman"``, or ``"woman x darker"``.
    """

    attribute: str
    value: str
    members: NDArray[np.bool_]

    @property
    def n(self) -> int:
        """Images in the group."""
        return int(self.members.sum())


def partition(table: pd.DataFrame, attributes: Sequence[str], depth: int = 3) -> list[Group]:
    """
    Form the non-empty groups of each attribute and of each intersection, in their order, then by value.

    Parameters
    ----------
    table : DataFrame, N rows
        Attribute columns; ``""`` where there is no value.
    attributes : sequence of str
        Columns to group by; a column without two values makes no groups, alone or crossed.
    """
    usable = [name for name in attributes if name in table and table.loc[table[name] != "", name].nunique() > 1]
    groups = []
    for size in range(1, depth + 1):
        for names in combinations(usable, size):
            values = table[list(names)].astype(str)
            known = (values != "").all(axis=1).to_numpy()
            label = values.agg(CROSS.join, axis=1).to_numpy()
            groups += [Group(CROSS.join(names), value, known & (label == value)) for value in sorted(set(label[known]))]
    return groups


def contrast(table: pd.DataFrame, attribute: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Find the images of group 1 and of group 0 of a contrast; an image may be in neither."""
    values = table[attribute].map(tone_group) if attribute == "skin_tone" else table[attribute]
    one, zero = CONTRASTS[attribute]
    return (values == one).to_numpy(), (values == zero).to_numpy()


@dataclass(frozen=True)
class GroupFigures:
    """
    A figure by group.

    Attributes
    ----------
    table : DataFrame
        One row a group, ``all`` first: attribute, group, n, value, lo, hi, small (bool: below the stated size).
    spread : DataFrame
        One row an attribute with two large enough groups: attribute, gap (max − min), lo, hi, worst (value), group,
        ratio (min ÷ max, NaN unless both are ≥ 0 and max > 0), ratio_lo, ratio_hi.
    """

    table: pd.DataFrame
    spread: pd.DataFrame


def means(
    total: ArrayLike,
    groups: Sequence[Group],
    *,
    count: ArrayLike | None = None,
    higher_is_better: bool = True,
    draws: int = 1000,
    seed: int = 0,
    min_n: int = 30,
    cluster: ArrayLike | None = None,
) -> GroupFigures:
    """
    Take the mean over all images and over each group, with 95 % intervals.

    Parameters
    ----------
    total : array_like, (N,)
        Sum of the figure over the queries of an image (its value, where an image is one query).
    count : array_like, (N,), optional
        Queries of an image; 1 by default.
    higher_is_better : bool
        Whether the worst group is the lowest or the highest.
    draws, seed : int
        Bootstrap over clusters; one draw resamples all groups together, so gaps keep their correlation.
    min_n : int
        Groups with fewer images are flagged, and kept out of gap and worst group.
    cluster : array_like of int, (N,), optional
        Cluster of each image, numbered from 0; each its own by default.

    Returns
    -------
    GroupFigures
        Table and spread; the interval of a gap is that of max − min in each draw, which noise pushes up.

    Raises
    ------
    ValueError
        If lengths differ or a value is not finite.
    """
    values = np.asarray(total, float)
    queries = np.ones_like(values) if count is None else np.asarray(count, float)
    if values.shape != queries.shape or any(len(group.members) != len(values) for group in groups):
        raise ValueError(f"total {values.shape}, count {queries.shape} and the groups' members must have one length")
    if not np.isfinite(values).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} of {len(values)} values are not finite")
    members = sparse.csc_array(np.column_stack([np.ones(len(values), bool), *(group.members for group in groups)]))
    rows = members.indices
    top, bottom = (
        sparse.csc_array((figures[rows], rows, members.indptr), shape=members.shape) for figures in (values, queries)
    )
    sums = np.asarray(bottom.sum(axis=0), float)
    value = np.divide(top.sum(axis=0), sums, out=np.full(len(sums), np.nan), where=sums > 0)
    samples = bootstrap.ratios(top, bottom, draws, seed, cluster)
    low, high = bootstrap.interval(samples)
    n = np.diff(members.indptr)
    table = pd.DataFrame(
        {
            "attribute": ["", *(group.attribute for group in groups)],
            "group": ["all", *(group.value for group in groups)],
            "n": n,
            "value": value,
            "lo": low,
            "hi": high,
            "small": n < min_n,
        }
    )
    return GroupFigures(table, spread(table, samples, higher_is_better))


def spread(table: pd.DataFrame, samples: NDArray[np.float64], higher_is_better: bool) -> pd.DataFrame:
    """
    Take gap and worst group of each attribute, as in `GroupFigures`.

    Parameters
    ----------
    table : DataFrame, G rows
        ``attribute, group, value, small``; rows without an attribute, small ones and undefined ones take no part.
    higher_is_better : bool
        Whether the worst group is the lowest or the highest.
    """
    rows, value = [], table["value"].to_numpy()
    for attribute in dict.fromkeys(table.loc[table["attribute"] != "", "attribute"]):
        index = np.flatnonzero((table["attribute"] == attribute) & ~table["small"] & table["value"].notna())
        if len(index) < 2:
            continue
        differences = samples[:, index].max(axis=1) - samples[:, index].min(axis=1)
        gap_low, gap_high = bootstrap.interval(differences)
        ratio = _ratios(value[None, index])[0], *bootstrap.interval(_ratios(samples[:, index]))
        worst = index[np.argmin(value[index]) if higher_is_better else np.argmax(value[index])]
        rows.append(
            {
                "attribute": attribute,
                "gap": float(np.ptp(value[index])),
                "lo": float(gap_low),
                "hi": float(gap_high),
                "worst": float(value[worst]),
                "group": table["group"][worst],
                **dict(zip(("ratio", "ratio_lo", "ratio_hi"), map(float, ratio), strict=True)),
            }
        )
    names = ["attribute", "gap", "lo", "hi", "worst", "group", "ratio", "ratio_lo", "ratio_hi"]
    return pd.DataFrame(rows, columns=pd.Index(names))


def _ratios(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide the lowest of each row, (B, G), by the highest: 1 is parity, below .8 the four-fifths rule is broken."""
    low, high = values.min(axis=1), values.max(axis=1)
    return np.divide(low, high, out=np.full(len(values), np.nan), where=(low >= 0) & (high > 0))
