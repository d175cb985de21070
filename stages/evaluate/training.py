"""What the model of a run was trained on: captions, groups and occupations of the rows, and how often each came."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.core.errors import InputError
from stages.corpus.attributes import occupation_column, sensitive_columns
from stages.corpus.selection import image_columns, join
from stages.corpus.words import GROUPS, OCCUPATIONS, says_group
from stages.evaluate.transfer import open_rows

_GROUP_COLUMNS = {attribute: sensitive_columns([attribute]) for attribute in GROUPS}
_TASK_COLUMNS = [occupation_column(occupation) for occupation in OCCUPATIONS]
_WANTED = ["key", "source", *(name for names in _GROUP_COLUMNS.values() for name in names), *_TASK_COLUMNS]


@dataclass(frozen=True)
class Rows:
    """
    M rows of a training set.

    Attributes
    ----------
    groups : dict of str to ndarray of bool, (M, G)
        Attribute to the groups of each row, in the order of `stages.corpus.words.GROUPS`.
    occupations : ndarray of bool, (M, T)
        What its caption names, in the order of `OCCUPATIONS`.
    weights : ndarray, (M,)
        Share of the training that it makes up.
    captions : Series of str, M rows
        Empty where captions are not asked for.
    """

    groups: dict[str, NDArray[np.bool_]]
    occupations: NDArray[np.bool_]
    weights: NDArray[np.float64]
    captions: pd.Series = field(default_factory=lambda: pd.Series(dtype=str))

    def knows(self, attribute: str) -> bool:
        """Tell whether any row that is trained on lies in a group of the attribute."""
        return bool(self.weights[self.groups[attribute].any(axis=1)].any())

    def open_shares(self, attribute: str, labels: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """
        Take the shares that an ideal learner finds: rows whose caption names a label and leaves the attribute open.

        Returns
        -------
        tuple of ndarray, (labels,)
            Share of group 1 (NaN without rows, as for labels that are no occupation of the corpus), number of rows.
        """
        shown = self.groups[attribute]
        rows = np.flatnonzero(shown.any(axis=1) & self.occupations.any(axis=1) & (self.weights > 0))
        rows = rows[[not says_group(caption, attribute) for caption in self.captions.iloc[rows]]]
        share, n = open_rows(self.occupations[rows], shown[rows, 0], shown[rows, 1], self.weights[rows])
        place = [OCCUPATIONS.index(label) if label in OCCUPATIONS else -1 for label in labels]
        return np.append(share, np.nan)[place], np.append(n, 0.0)[place]

    def majority(self) -> str:
        """Return the caption that comes most often; the first in the alphabet of several."""
        number, captions = pd.factorize(self.captions, sort=True)
        return str(captions[np.argmax(np.bincount(number, self.weights).round(12))])


def trained(
    selection: pd.DataFrame, attributes: pd.DataFrame, samples: pd.DataFrame, phases: Sequence[tuple[str, float]]
) -> Rows:
    """
    Describe the rows of a selection that are kept, in its order.

    Parameters
    ----------
    selection : DataFrame
        Of the balance stage: key, shard, source, copies, kept; one row per sample of the mix.
    attributes : DataFrame
        Of the annotate stage: key, source, ``s_*``, ``y_occupation_*``.
    samples : DataFrame
        Of the download stage: key, caption.
    phases : sequence of (str, float)
        Of the training's schedule: ``mixed`` (each row that is kept once) or ``balanced`` (`copies` times), and the
        share of steps.

    Raises
    ------
    InputError
        If columns are missing, or a row has no attributes or no caption.
    """
    _check("attributes.parquet", attributes, _WANTED)
    images = image_columns(selection)
    rows = join(samples, selection, "selection.parquet")[[*images, "caption", "copies"]].merge(
        attributes[[*images, *_WANTED[2:]]], on=images, how="left", validate="1:1", indicator=True
    )
    if lost := rows.loc[(rows["_merge"] != "both").to_numpy(bool), ["key", "source"]].to_numpy().tolist():
        key, source = lost[0]
        raise InputError(
            f"attributes.parquet: no row for key {key} ({source}; {len(lost)} such rows of selection.parquet); "
            "annotate again (`dvc repro`)"
        )
    copies = {"mixed": np.ones(len(rows)), "balanced": rows["copies"].to_numpy(float)}
    weights = np.zeros(len(rows))
    for data, share in phases:
        weights += share * copies[data] / max(copies[data].sum(), 1)
    return _rows(rows, weights, pd.Series(rows["caption"]))


def unbalanced(attributes: pd.DataFrame) -> Rows:
    """Describe the corpus as it came: every real row once, whatever α and the balancing of the run."""
    _check("attributes.parquet", attributes, _WANTED)
    rows = attributes.loc[(attributes["source"] == "real").to_numpy(bool)]
    return _rows(rows, np.full(len(rows), 1 / max(len(rows), 1)), pd.Series(dtype=str))


def _rows(table: pd.DataFrame, weights: NDArray[np.float64], captions: pd.Series) -> Rows:
    groups = {attribute: table[names].to_numpy(bool) for attribute, names in _GROUP_COLUMNS.items()}
    return Rows(groups, table[_TASK_COLUMNS].to_numpy(bool), weights, captions)


def _check(name: str, table: pd.DataFrame, columns: Sequence[str]) -> None:
    if missing := [column for column in columns if column not in table]:
        raise InputError(f"{name}: column {missing[0]} is missing (found: {', '.join(table.columns)}); run `dvc repro`")
