"""Evaluation sets of a user's own: a table of image files, captions and attributes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from stages.core.errors import InputError
from stages.corpus.evaluation_sets import TEXT_COLUMNS, check_group
from stages.download.benchmarks.layout import Row, load_image
from stages.download.corpora import fields


def read(path: Path) -> Iterator[Row]:
    """
    Read a table of evaluation images.

    Parameters
    ----------
    path : Path
        csv, tsv or parquet: ``image`` (file, relative to the table's folder), and as known ``key`` (else the number of
        the row), ``caption``, ``caption_2``, … (or a list ``captions``), and the columns of
        `stages.corpus.evaluation_sets`.

    Yields
    ------
    Row
        In the order of the table; files as they are.

    Raises
    ------
    InputError
        If the table cannot be read, a row has more or fewer fields than the header, there is no column ``image``, a
        group is unknown, or a file is missing.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in fields.DELIMITERS:
            fields.check(path)  # pandas pads a row that is too short
        if suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, sep="\t" if suffix == ".tsv" else ",", dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); expected csv, tsv or parquet") from None
    if "image" not in table:
        raise InputError(f"{path}: no column image (found: {', '.join(table.columns)})")
    said = [name for name in table if str(name).startswith("caption")]
    for number, row in enumerate(table.to_dict("records")):
        file = path.parent / str(row["image"])
        if not file.is_file():
            raise InputError(f"{path}: row {number + 1}: image {file}: no such file")
        known = {name: _text(row[name]) for name in TEXT_COLUMNS if name in row}
        for name, value in known.items():
            check_group(name, value, f"{path}: row {number + 1}: column {name}")
        captions = [text for name in said for text in _texts(row[name])]
        yield {"key": f"{number:09d}", **known, "captions": captions}, *load_image(file)


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)  # nan differs from itself


def _texts(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    return [text for text in map(_text, texts) if text]
