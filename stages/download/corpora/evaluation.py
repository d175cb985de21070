"""Evaluation sets of a user's own: a table of images, captions and attributes, or a folder of WebDataset tars."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.core.errors import InputError
from stages.corpus import tables
from stages.corpus.attributes import known_value
from stages.corpus.evaluation_sets import TEXT_COLUMNS, check_group
from stages.corpus.images import UnreadableError, kept
from stages.corpus.text import decode, parse
from stages.download.benchmarks.layout import Row, load_image, read_text
from stages.download.corpora import fields, wds
from stages.download.corpora.paths import METADATA

CAPTION = re.compile(r"captions?(_\d+)?")
CLASSES = "classnames.txt"


def table_in(path: Path) -> Path:
    """Find the table of a folder that has one (`paths.METADATA`); else the path itself."""
    return next((path / name for name in METADATA if (path / name).is_file()), path)


def is_table(path: Path) -> bool:
    """Tell a table from a folder of tars; a folder of parquet files is one, unless tars lie beside them."""
    return not path.is_dir() or (any(path.glob("*.parquet")) and not any(path.glob("*.tar")))


def read(path: Path, captioned: bool = False) -> Iterator[Row]:
    """
    Read a table of evaluation images.

    Parameters
    ----------
    path : Path
        csv, tsv, jsonl or parquet: ``image`` or ``file_name`` (relative to the table's folder, or bytes), and as known
        ``key`` (else the number of the row), ``caption``, ``caption_2``, … (or a list ``captions``), the columns of
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
    image = next((name for name in ("image", "file_name") if name in names), None)
    if image is None:
        raise InputError(f"{path}: no column image (found: {tables.shown(names)}); rename the column of the images")
    said = [name for name in names if CAPTION.fullmatch(name)]
    if captioned and not said:
        raise InputError(
            f"{path}: no column caption (found: {tables.shown(names)}); add it: this set is measured by its captions"
        )
    _check(path, said, captioned)
    for number, row in enumerate(tables.rows(path), 1):
        where = f"{path}: row {number}"
        captions = [text for name in said for text in fields.captions(row[name], f"{where}: column {name}")]
        known = {name: _known(name, row[name], where) for name in names if name not in (*said, image, "key")}
        yield {"key": _key(row, number), **known, "captions": captions}, *_image(row[image], path, where)


def read_tars(folder: Path, captioned: bool = False, attributes: Sequence[str] = ()) -> Iterator[Row]:
    """
    Read a folder of WebDataset tars, or its folder `test`: CLIP_benchmark's layout.

    Parameters
    ----------
    folder : Path
        Each sample has an image, and as known ``txt`` (a caption per line), ``cls`` (the line of its class in
        `classnames.txt` of the folder, from 0) and ``json`` (columns of `stages.corpus.evaluation_sets`).
    captioned : bool
        Whether the set is of no use without captions.
    attributes : sequence of str
        Further fields of ``json`` that are read.

    Yields
    ------
    Row
        In the order of the tars; of several, the tar's name precedes the key.

    Raises
    ------
    InputError
        As `read`; names the sample.
    """
    tars = wds.tars(folder if any(folder.glob("*.tar")) else folder / "test")
    names = read_text(folder / CLASSES).strip("\n").split("\n") if (folder / CLASSES).is_file() else []
    for tar in tars:
        with tar.open("rb") as file:
            for given, sample in wds.samples(tar).items():
                where = f"{tar}: sample {given}"
                suffix = next((name for name in wds.SUFFIXES if name in sample), None)
                if suffix is None:
                    raise InputError(f"{where}: {wds.NO_IMAGE}; make the shard again")
                known = {name: wds.read(file, part) for name, part in sample.items() if name in ("txt", "cls", "json")}
                row = _of_members(known, names, where, attributes)
                if captioned and not row["captions"]:
                    raise InputError(f"{where}: no caption (member txt); this set is measured by its captions")
                key = wds.key_of(tar, given, prefix=len(tars) > 1)
                yield {"key": key, **row}, *_kept(wds.read(file, sample[suffix]), f"{where}: member {suffix}")


def _of_members(
    members: Mapping[str, bytes], names: list[str], where: str, attributes: Sequence[str]
) -> dict[str, Any]:
    row: dict[str, Any] = {"captions": []}
    try:
        texts = {name: decode(data) for name, data in members.items()}
        fields_of = parse(texts.get("json", "{}"))
    except ValueError as error:
        raise InputError(f"{where}: a member cannot be read ({error}); make the shard again") from None
    if not isinstance(fields_of, dict):
        raise InputError(f"{where}: member json: found {fields.shown(fields_of)}, expected an object {{…}}")
    chosen = (*TEXT_COLUMNS[1:], *attributes)
    row |= {name: _known(name, fields_of[name], where) for name in chosen if name in fields_of}
    if "txt" in texts:
        row["captions"] = [line.strip() for line in texts["txt"].splitlines() if line.strip()]
    if "cls" in texts:
        number = texts["cls"].strip()
        if not re.fullmatch("[0-9]+", number) or int(number) >= len(names):
            raise InputError(
                f"{where}: member cls: found {number!r}, expected the number of a line of {CLASSES}, from 0 (it has "
                f"{len(names)} lines)"
            )
        row["label"] = names[int(number)].strip()
    for name in TEXT_COLUMNS[1:]:
        check_group(name, row.get(name, ""), f"{where}: {name}")
    return row


def _check(path: Path, said: list[str], captioned: bool) -> None:
    """Check what is quickly checked of all rows: keys, groups, captions."""
    numbers: dict[str, int] = {}
    without = with_captions = 0
    for number, row in enumerate(tables.rows(path), 1):
        where = f"{path}: row {number}"
        key = fields.key(row["key"], f"{where}: column key") if "key" in row else _key(row, number)
        if (first := numbers.setdefault(key, number)) != number:
            raise InputError(
                f"{where}: column key: {key!r} comes twice (row {first}), expected unique keys; rename one"
            )
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
    if name not in TEXT_COLUMNS:  # kept as it is
        return "" if value is None or value != value else str(value)
    return known_value(value, name)


def _image(value: Any, path: Path, where: str) -> tuple[str, bytes]:
    name, data = fields.image(value, f"{where}: column image")
    if data is None:
        base = path if path.is_dir() else path.parent
        return load_image(base / name, where) if name else _no_image(where)
    return _kept(data, f"{where}: image {name}")


def _kept(data: bytes, where: str) -> tuple[str, bytes]:
    try:
        return kept(data)
    except UnreadableError as reason:
        raise InputError(f"{where}: {reason}; correct it, or leave it out") from None


def _no_image(where: str) -> tuple[str, bytes]:
    raise InputError(f"{where}: column image: found nothing, expected the path of a file; leave the row out")
