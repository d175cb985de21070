"""Evaluation sets of a user's own: a table of images, captions and attributes, or a folder of WebDataset tars."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.core.errors import InputError
from stages.corpus import tables
from stages.corpus.attributes import known_value
from stages.corpus.evaluation_sets import TEXT_COLUMNS, check_group
from stages.corpus.images import UnreadableError, kept
from stages.download.benchmarks.layout import Row, load_image
from stages.download.corpora import fields

CAPTION = re.compile(r"captions?(_\d+)?")


def read(path: Path, captioned: bool = False) -> Iterator[Row]:
    """
    Read a table of evaluation images.

    Parameters
    ----------
    path : Path
        csv, tsv, jsonl or parquet: ``image`` (file, relative to the table's folder, or bytes), and as known ``key``
        (else the number of the row), ``caption``, ``caption_2``, … (or a list ``captions``), the columns of
        `stages.corpus.evaluation_sets`, and others, which are kept as text.
    captioned : bool
        Whether the set is of no use without captions.

    Yields
    ------
    Row
        In the order of the table.

    Raises
    ------
    InputError
        If the table cannot be read, there is no column ``image``, a group is unknown, an image is missing or cannot be
        read, a key is illegal or comes twice, or a row has no caption where others have; names the row.
    """
    names = tables.columns(path)
    if "image" not in names:
        raise InputError(f"{path}: no column image (found: {tables.shown(names)}); rename the column of the images")
    said = [name for name in names if CAPTION.fullmatch(name)]
    if captioned and not said:
        raise InputError(f"{path}: no column caption (found: {tables.shown(names)}); this set is measured by captions")
    _check(path, said, captioned)
    for number, row in enumerate(tables.rows(path), 1):
        where = f"{path}: row {number}"
        captions = [text for name in said for text in fields.captions(row[name], f"{where}: column {name}")]
        known = {name: _known(name, row[name], where) for name in names if name not in (*said, "image", "key")}
        yield {"key": _key(row, number), **known, "captions": captions}, *_image(row["image"], path, where)


def _check(path: Path, said: list[str], captioned: bool) -> None:
    """Check what is quickly checked of all rows: keys, groups, captions."""
    numbers: dict[str, int] = {}
    without = with_captions = 0
    for number, row in enumerate(tables.rows(path), 1):
        where = f"{path}: row {number}"
        key = fields.key(row["key"], f"{where}: column key") if "key" in row else _key(row, number)
        if (first := numbers.setdefault(key, number)) != number:
            raise InputError(f"{where}: column key: {key!r} comes twice (row {first}), expected unique keys")
        for name in TEXT_COLUMNS:
            if name in row:
                check_group(name, _known(name, row[name], where), f"{where}: column {name}")
        if any(fields.captions(row[name], f"{where}: column {name}") for name in said):
            with_captions += 1
        else:
            without = without or number
    if not numbers:
        raise InputError(f"{path}: no rows; expected one per image")
    if without and (with_captions or captioned):
        raise InputError(
            f"{path}: row {without}: no caption; fill it in, or leave the row out"
            + ("" if captioned else ", or give no row a caption")
        )


def _key(row: Mapping[str, Any], number: int) -> str:
    return str(row["key"]) if "key" in row else f"{number - 1:09d}"


def _known(name: str, value: Any, where: str) -> str:
    if isinstance(value, (bytes, list, dict)):
        raise InputError(f"{where}: column {name}: found {fields.shown(value)}, expected one text; remove the column")
    return known_value(value)


def _image(value: Any, path: Path, where: str) -> tuple[str, bytes]:
    name, data = fields.image(value, f"{where}: column image")
    if data is None:
        return load_image(path.parent / name, where) if name else _no_image(where)
    try:
        return kept(data)
    except UnreadableError as reason:
        raise InputError(f"{where}: image {name}: {reason}; correct it, or leave the row out") from None


def _no_image(where: str) -> tuple[str, bytes]:
    raise InputError(f"{where}: column image: found nothing, expected the path of a file; leave the row out")
