"""Evaluation sets: one schema for every benchmark, a tar of images beside a parquet table.

`<set>.parquet` has one row per image: `key`, `captions` (list, may be empty), `label` (class), `gender` (woman, man),
`skin_tone` ("1"…"5" where it is known in five steps, else lighter, darker), `age`, `ethnicity`, `occupation`, `part`,
`style`, `coarse` (class of classes) and `cluster`: images that are no independent evidence of each other, such as one
figure in several skin tones, share it, and are resampled together; by default each image is a cluster of its own.
A set with a name of its own states what it is for (`stages.corpus.kinds`), and which further columns are attributes;
both are kept in the metadata of its parquet file. A value that is missing, unsure, or differs between the persons of an
image is the empty string.
`<set>.tar` has the image of each key. Images and rows are joined by key, never by position.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from stages.core.atomic import merged
from stages.core.errors import InputError, missing
from stages.corpus import columns
from stages.corpus.attributes import known_value
from stages.corpus.kinds import KINDS, Kind
from stages.corpus.shards import Shard, write_shard

ATTRIBUTES = ("gender", "skin_tone", "age", "ethnicity")
TEXT_COLUMNS = ("key", "label", *ATTRIBUTES, "occupation", "part", "style", "coarse", "cluster")
COLUMNS = ("key", "captions", *TEXT_COLUMNS[1:])
AGAIN = "write the set again (`dvc repro -f download`)"
GROUPED = (*ATTRIBUTES, "occupation")  # whose unknown values are `stages.corpus.attributes.UNKNOWN`
VALUES = {"gender": {"", "woman", "man"}, "skin_tone": {"", "1", "2", "3", "4", "5", "lighter", "darker"}}


@dataclass(frozen=True)
class EvalSet:
    """
    One evaluation set.

    Attributes
    ----------
    table : DataFrame
        One row an image, in the order of the table's file; columns of `COLUMNS`, and others.
    kind : str
        ``retrieval``, ``persons`` or ``objects``: what is measured on it.
    attributes : tuple of str
        Columns that images are grouped by.
    """

    name: str
    table: pd.DataFrame
    images: Shard
    kind: Kind
    attributes: tuple[str, ...] = ATTRIBUTES


def read_set(folder: Path, name: str) -> EvalSet:
    """
    Read a set, and check its columns, known values, unique keys, and that every row has an image.

    Parameters
    ----------
    folder : Path
        Holds `<name>.tar` and `<name>.parquet`.

    Raises
    ------
    InputError
        If a file is missing or does not fit the schema.
    """
    path = folder / f"{name}.parquet"
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        found = ", ".join(sorted(file.stem for file in folder.glob("*.parquet"))) or "none"
        raise missing(
            f"{path}: no such evaluation set (found: {found})",
            "name it in download.evaluation and run `dvc repro download`, or leave it out of evaluate.sets",
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable parquet file ({error}); {AGAIN}") from None
    columns.check(path, {**dict.fromkeys(TEXT_COLUMNS, "text"), "captions": "list of texts"})
    stated = table.attrs
    kind: Any = stated.get("kind") or KINDS.get(name)
    if kind not in get_args(Kind):
        raise InputError(
            f"{path}: found no kind of set, expected one of {', '.join(get_args(Kind))}; state it in "
            f"download.evaluation.{name} (path, kind)"
        )
    further = [str(attribute) for attribute in stated.get("attributes", ())]
    columns.check(path, dict.fromkeys(further, "text"))
    for attribute in (*GROUPED, *further):
        if attribute in table:
            table[attribute] = [_known(value, attribute) for value in table[attribute]]
    check(table, str(path))
    images = Shard(folder / f"{name}.tar")
    lost = [key for key in table["key"] if key not in images]
    if lost:
        raise InputError(
            f"{images.path}: no image for {len(lost)} of {len(table)} keys of {path}, e.g. {lost[0]}; {AGAIN}"
        )
    return EvalSet(name, table, images, kind, (*ATTRIBUTES, *further))


def check(table: pd.DataFrame, where: str) -> None:
    """
    Check a table against the schema.

    Raises
    ------
    InputError
        If a column is missing, a value is not known, keys repeat, or only some rows have captions.
    """
    if absent := [name for name in COLUMNS if name not in table]:
        raise InputError(f"{where}: column {absent[0]} is missing (found: {', '.join(table.columns)}); {AGAIN}")
    if not len(table):
        raise InputError(f"{where}: no rows; expected one per image")
    if twice := [key for key, count in Counter(table["key"]).items() if count > 1]:
        raise InputError(f"{where}: key {twice[0]!r} comes twice, expected unique keys; rename one, or {AGAIN}")
    for name in TEXT_COLUMNS:
        if table[name].isna().to_numpy().any():
            raise InputError(f"{where}: column {name} holds nulls; a missing value is the empty string")
    for key, captions in zip(table["key"], table["captions"], strict=True):
        if captions is None or not all(isinstance(text, str) for text in captions):
            raise InputError(f"{where}: column captions: found a null for key {key!r}; no caption is an empty list")
    empty = [key for key, captions in zip(table["key"], table["captions"], strict=True) if not _said(captions)]
    if empty and len(empty) < len(table):
        raise InputError(
            f"{where}: no caption, or an empty one, for {len(empty)} of {len(table)} keys, e.g. {empty[0]}; fill it "
            "in, leave the row out, or give no row a caption"
        )
    if alone := [key for key, cluster in zip(table["key"], table["cluster"], strict=True) if not cluster]:
        raise InputError(f"{where}: column cluster is empty for key {alone[0]!r}; a cluster of one image is its key")
    for name in VALUES:
        for value in sorted(set(table[name])):
            check_group(name, value, f"{where}: column {name}")


def _said(captions: Iterable[str]) -> bool:
    """Tell whether there are captions, none of them empty."""
    texts = list(captions)
    return bool(texts) and all(text.strip() for text in texts)


def check_group(attribute: str, value: str, where: str) -> None:
    """
    Check a value of an attribute; those without known values may have any.

    Raises
    ------
    InputError
        If the attribute is one of `VALUES`, and the value none of its own.
    """
    if value not in (known := VALUES.get(attribute, {value})):
        expected = ", ".join(sorted(known - {""}))
        raise InputError(f"{where}: found {value!r}, expected one of {expected}, or nothing")


def write_set(
    folder: Path,
    name: str,
    rows: Iterable[tuple[dict[str, Any], str, bytes]],
    kind: Kind | None = None,
    attributes: Sequence[str] = (),
) -> int:
    """
    Write a set: the tar streams, the table follows, both appear under their names only when complete.

    Parameters
    ----------
    rows : iterable of (dict, str, bytes)
        Row of the table (missing columns are empty, a missing cluster is the key), suffix and content of the image
        file, in any order.
    kind : str, optional
        What a set is for whose name is none of `KINDS`.
    attributes : sequence of str
        Further columns that are attributes.

    Raises
    ------
    InputError
        If the rows do not fit the schema.
    """
    records: list[dict[str, Any]] = []

    def samples() -> Iterable[tuple[str, dict[str, bytes | str | dict]]]:
        for row, suffix, image in rows:
            if absent := [attribute for attribute in attributes if attribute not in row]:
                raise InputError(f"{name}: no column {absent[0]} (download.evaluation.{name}.attributes); name another")
            known = {column: _known(row[column], column) for column in (*GROUPED, *attributes) if column in row}
            record = {**dict.fromkeys(TEXT_COLUMNS, ""), "captions": [], **row, **known}
            records.append({**record, "cluster": record["cluster"] or record["key"]})
            yield row["key"], {suffix: image}

    with merged(folder) as staging:
        count = write_shard(staging / f"{name}.tar", samples())
        table = pd.DataFrame(records, columns=pd.Index([*COLUMNS, *_extra(records)]))
        check(table, name)
        if kind is not None or attributes:
            table.attrs = {"kind": kind or KINDS[name], "attributes": [*attributes]}
        table.to_parquet(staging / f"{name}.parquet", index=False)
    return count


def _known(value: Any, name: str) -> Any:
    return known_value(value, name) if isinstance(value, str) else value


def _extra(records: list[dict[str, Any]]) -> list[str]:
    return sorted({name for record in records for name in record} - set(COLUMNS))
