"""The table of attributes: one row an image, one boolean column a group (s), an occupation or a proxy (y)."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.annotate.classifier import UNKNOWN
from stages.annotate.proxies import words
from stages.core.errors import InputError
from stages.corpus.attributes import (
    ORIGIN,
    ORIGINS,
    known_value,
    occupation_column,
    proxy_column,
    says_column,
    sensitive_column,
    tone_group,
)
from stages.corpus.words import GROUPS, OCCUPATIONS, caption_group, caption_occupations, says_group

MOST_GROUPS = 100  # of a column: more are names or numbers
Groups = Mapping[str, Sequence[str]]  # attribute: the group of each image, empty where it is in none
Codes = Mapping[str, NDArray[np.int8]]  # the same, numbered: one byte an image


def groups_of_metadata(samples: pd.DataFrame) -> dict[str, list[str]]:
    """
    Read the groups of real images from what is known of them.

    Parameters
    ----------
    samples : DataFrame, N rows
        With columns gender and skin_tone; unknown values empty.

    Raises
    ------
    InputError
        If a column is missing or holds an unknown value.
    """
    for attribute, known in (("gender", {"", *GROUPS["gender"]}), ("skin_tone", {"", *"12345", *GROUPS["skin_tone"]})):
        if attribute not in samples:
            raise InputError(
                f"samples.parquet: no column {attribute}: the attributes of this corpus are not known; "
                "set annotate.source to caption or zero_shot"
            )
        if other := sorted(set(samples[attribute].map(partial(known_value, name=attribute))) - known):
            raise InputError(
                f"samples.parquet: column {attribute}: found {other[0]!r}, expected one of "
                f"{', '.join(sorted(known - {''}))}, or nothing; correct the source"
            )
    gender, skin_tone = (
        samples[name].map(partial(known_value, name=name)).tolist() for name in ("gender", "skin_tone")
    )
    return {"gender": gender, "skin_tone": [tone_group(tone) for tone in skin_tone]}


def groups_of_captions(captions: Sequence[str]) -> dict[str, list[str]]:
    """Read the groups from the words of the captions."""
    return {attribute: [caption_group(caption, attribute) for caption in captions] for attribute in GROUPS}


def further_groups(samples: Path, attributes: Sequence[str]) -> dict[str, list[str]]:
    """
    Find the groups of columns that a corpus knows: their distinct values, sorted.

    Raises
    ------
    InputError
        If a column is missing, or holds fewer than two values or more than `MOST_GROUPS`; if `ORIGIN` holds anything
        but truth values.
    """
    found = {}
    for attribute in attributes:
        schema = pq.read_schema(samples)
        if attribute not in schema.names:
            raise InputError(
                f"{samples}: no column {attribute} (annotate.columns; found: {', '.join(schema.names)}); name another"
            )
        values = pq.read_table(samples, columns=[attribute])[attribute].unique().to_pylist()
        groups = sorted({known_value(value, attribute) for value in values} - {""})
        if attribute == ORIGIN:  # both groups, whatever it holds: generated images are in one of them
            if other := sorted(set(groups) - set(ORIGINS)):
                raise InputError(
                    f"{samples}: column {ORIGIN}: found {other[0]!r}, expected true, false or nothing "
                    "(annotate.columns); correct the source"
                )
            groups = list(ORIGINS)
        if not 1 < len(groups) <= MOST_GROUPS or any('"' in group for group in groups):
            raise InputError(
                f"{samples}: column {attribute}: found {len(groups)} values, e.g. {groups[:3]}, expected 2 to "
                f"{MOST_GROUPS}, without quotes (annotate.columns); put them into groups first"
            )
        spelt: dict[str, str] = {}
        for group in groups:
            if (other := spelt.setdefault(group.casefold(), group)) != group:
                raise InputError(
                    f"{samples}: column {attribute}: found {other!r} and {group!r}, which differ in case alone "
                    "(annotate.columns); spell them alike"
                )
        found[attribute] = groups
    return found


def group_fields(groups: Mapping[str, Sequence[str]]) -> list[pa.Field]:
    """Describe the columns of further attributes: each says its attribute and group in its metadata."""
    return [
        pa.field(sensitive_column(attribute, group), pa.bool_(), metadata={"attribute": attribute, "group": group})
        for attribute, names in groups.items()
        for group in names
    ]


def encode(groups: Groups) -> dict[str, NDArray[np.int8]]:
    """Number the groups, to hold millions of them; what is in no group gets the number of groups."""
    codes = {}
    for attribute, found in groups.items():
        index = {name: number for number, name in enumerate((*GROUPS[attribute], ""))}
        codes[attribute] = np.fromiter((index[group] for group in found), np.int8, len(found))
    return codes


def decode(codes: Codes) -> dict[str, list[str]]:
    """Name numbered groups."""
    return {attribute: np.asarray((*GROUPS[attribute], ""))[found].tolist() for attribute, found in codes.items()}


def targets(groups: Groups, nobody: NDArray[np.bool_]) -> NDArray[np.int64]:
    """
    Number the groups for the classifier: "nobody" last, `classifier.UNKNOWN` where a person is in no group.

    Parameters
    ----------
    nobody : ndarray of bool, (N,)
        Where no person is shown.
    """
    columns = []
    for attribute, names in GROUPS.items():
        index = {name: number for number, name in enumerate(names)}
        column = np.asarray([index.get(group, UNKNOWN) for group in groups[attribute]], np.int64)
        columns.append(np.where(nobody, len(names), column))
    return np.column_stack(columns)


def attribute_rows(
    keys: Sequence[str], source: str, groups: Groups, captions: Sequence[str], proxies: Sequence[str]
) -> pd.DataFrame:
    """
    Tabulate images of one source.

    Parameters
    ----------
    source : str
        ``"real"`` or ``"synthetic"``.
    captions : sequence of str
        N captions: occupations and proxies are what these name, whatever the image shows.

    Returns
    -------
    DataFrame
        Columns key, source, ``s_*``, ``says_*`` (whether the caption says a group), ``y_occupation_*``,
        ``y_proxy_*``; the latter bool.
    """
    columns: dict[str, object] = {"key": list(keys), "source": source}
    for attribute, names in GROUPS.items():
        for name in names:
            columns[sensitive_column(attribute, name)] = [group == name for group in groups[attribute]]
    for attribute in GROUPS:
        columns[says_column(attribute)] = [says_group(caption, attribute) for caption in captions]
    named = [set(caption_occupations(caption)) for caption in captions]
    for occupation in OCCUPATIONS:
        columns[occupation_column(occupation)] = [occupation in found for found in named]
    said = [words(caption) for caption in captions]
    for word in proxies:
        columns[proxy_column(word)] = [word in found for found in said]
    booleans = [name for name in columns if name not in ("key", "source")]
    return pd.DataFrame(columns, index=range(len(keys))).astype(dict.fromkeys(booleans, bool))
