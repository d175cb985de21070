"""`source: table`: a csv, tsv, JSON lines or parquet file of image, caption and, optionally, known attributes.

The table is read once, row by row, and checked: an image is the path of a file, or bytes (Hugging Face's
``{bytes, path}``, img2dataset's parquet); a caption is a text, or a list of texts. Attributes of `TEXT` become text,
empty where unknown. Any other column becomes numbers, or true and false, if all of its values are, and else stays as it
was written. DuckDB then writes the rows in the order of the keys, out of core; shards read their own rows of that file.
"""

import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.atomic import written
from stages.core.errors import InputError
from stages.corpus import tables
from stages.corpus.attributes import UNKNOWN, is_unknown, known_value
from stages.corpus.evaluation_sets import check_group
from stages.download.corpora import fields
from stages.download.corpora.packing import NO_FILE, Entry, bounds
from stages.download.settings import OURS

MEMORY = "512MB"  # what DuckDB may hold; it spills the rest
ROWS = 4096  # of a row group: what a shard reads at a time
TEXT = ("gender", "skin_tone", "age", "ethnicity", "occupation", "label", "style", "kind")  # "" where unknown
BYTES = "images.bin"  # beside the ordered table: what the table holds as bytes
IMAGE = pa.struct([("path", pa.string()), ("offset", pa.int64()), ("size", pa.int64())])  # no size: a file
INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
NUMBER = re.compile(r"-?((0|[1-9]\d*)\.\d*([eE][+-]?\d+)?|(0|[1-9]\d*)[eE][+-]?\d+|\.\d+([eE][+-]?\d+)?)")
LONG = " LONG"  # whole numbers that no float holds
KINDS = [{"BIGINT"}, {f"BIGINT{LONG}"}, {"BIGINT", f"BIGINT{LONG}"}, {"BOOLEAN"}, {"DOUBLE"}, {"BIGINT", "DOUBLE"}]


@dataclass(frozen=True)
class TableSource:
    """
    The samples of a table.

    Attributes
    ----------
    ordered : Path
        As `order` writes it.
    shards : int
        How many it is cut into.
    """

    path: Path
    ordered: Path
    shards: int

    @property
    def columns(self) -> list[tuple[str, pa.DataType]]:
        """Every column but key, image and captions."""
        layout = pq.read_schema(self.ordered)
        return [(field.name, field.type) for field in layout if field.name not in ("key", "image", "captions")]

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return pq.read_metadata(self.ordered).num_rows

    def entries(self, shard: int) -> Iterator[Entry]:
        """
        Read the rows of a shard.

        Yields
        ------
        Entry
            In the order of the keys.
        """
        names = [name for name, _ in self.columns]
        with pq.ParquetFile(self.ordered, memory_map=False) as file:
            first, last = bounds(file.metadata.num_rows, self.shards, shard)
            for row in _slice(file, first, last):
                path = (self.path if self.path.is_dir() else self.path.parent) / row["image"]["path"]
                yield Entry(
                    key=row["key"],
                    where=f"{self.path}: row with key {row['key']}: image {path}",
                    captions=tuple(row["captions"]),
                    image=self._image(row["image"], path),
                    known={name: row[name] for name in names},
                    lost=NO_FILE,
                )

    def _image(self, place: dict[str, Any], path: Path) -> bytes | None:
        if place["size"] is not None:
            with self.ordered.with_name(BYTES).open("rb") as file:
                return os.pread(file.fileno(), place["size"], place["offset"])
        try:
            return path.read_bytes() if place["path"] and path.is_file() else None  # a pipe would be waited for
        except (OSError, ValueError):  # not there, a folder, another user's; a name that is too long, or holds NUL
            return None


def _slice(file: pq.ParquetFile, first: int, last: int) -> Iterator[dict[str, Any]]:
    """Rows [first, last) of a parquet file, a row group at a time."""
    start = 0
    for group in range(file.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        if start < last and first < start + count:
            table = file.read_row_group(group)
            yield from table.slice(max(0, first - start), min(last, start + count) - max(first, start)).to_pylist()
        start += count


def order(path: Path, image: str, caption: str, key: str | None, ordered: Path, numbers: Sequence[str] = ()) -> int:
    """
    Check a table, and write it in the order of its keys; return its number of rows.

    Parameters
    ----------
    path : Path
        csv or tsv with header, JSON lines or parquet.
    image, caption : str
        Columns of images and captions.
    key : str or None
        Column of keys; None: the number of the row, from 0, nine digits.
    ordered : Path
        Parquet file to write: ``key, image, captions`` and all other columns; `BYTES` lies beside it.
    numbers : sequence of str
        Columns that must be numbers, whatever they hold.

    Raises
    ------
    InputError
        If the file cannot be read, a row has more or fewer fields than the header, a column is missing or has a
        reserved name, a value is not what its column means, or a key is missing, illegal or twice; names the row.
    """
    names = tables.columns(path)
    _check_columns(path, names, {"image": image, "caption": caption, "key": key}, numbers)
    others = {name: _Column(path, name, name in numbers) for name in names if name not in (image, caption, key)}
    unordered = ordered.with_name("rows.parquet")
    try:
        with written(ordered) as partial, written(ordered.with_name(BYTES)) as blob:
            _write_rows(path, image, caption, key, others, unordered, blob)
            if not (rows := pq.read_metadata(unordered).num_rows):
                raise InputError(f"{path}: no rows; expected one per image")
            _sort(path, key, others, unordered, partial)
    finally:
        unordered.unlink(missing_ok=True)
    return rows


def _write_rows(
    path: Path, image: str, caption: str, key: str | None, others: Mapping[str, "_Column"], out: Path, blob: Path
) -> None:
    """Write the rows as they come, the other columns as text, and image bytes into a file of their own."""
    layout = pa.schema(
        [("row", pa.int64()), ("key", pa.string()), ("image", IMAGE), ("captions", pa.list_(pa.string()))]
        + [(f"of {name}", pa.string()) for name in others]  # no name of the user's is one of ours
    )
    batch: list[dict[str, Any]] = []
    with blob.open("wb") as file, pq.ParquetWriter(out, layout, compression="zstd") as writer:
        for number, row in enumerate(tables.rows(path), 1):
            where = f"{path}: row {number}"
            name, data = fields.image(row[image], f"{where}: column {image}")
            place = {"path": name, "offset": file.tell(), "size": None if data is None else file.write(data)}
            batch.append(
                {
                    "row": number,
                    "key": fields.key(row[key], f"{where}: column {key}") if key else f"{number - 1:09d}",
                    "image": place,
                    "captions": fields.captions(row[caption], f"{where}: column {caption}"),
                    **{f"of {name}": column.text(row[name], where) for name, column in others.items()},
                }
            )
            if len(batch) == ROWS:
                writer.write_table(pa.Table.from_pylist(batch, layout))
                batch = []
        writer.write_table(pa.Table.from_pylist(batch, layout))


class _Column:
    """One of the other columns: what its values are written as, and what all of them were."""

    def __init__(self, path: Path, name: str, number: bool) -> None:
        self.name, self._number, self._untyped = name, number, tables.untyped(path)
        self.kinds: set[str] = set()

    def text(self, value: Any, where: str) -> str | None:
        """Write a value as text; remember what it is."""
        where = f"{where}: column {self.name}"
        if self.name in TEXT:
            if isinstance(value, (bytes, list, dict)):
                raise InputError(f"{where}: found {fields.shown(value)}, expected one text")
            group = known_value(value, self.name)
            check_group(self.name, group, where)
            return group
        text, kind = self._read(value, where)
        if kind:
            self.kinds.add(kind)
        if self._number and (kind == "VARCHAR" or kind == "BOOLEAN"):
            raise InputError(f"{where}: found {fields.shown(value)}, expected a number (download.table.numbers)")
        return text

    def _read(self, value: Any, where: str) -> tuple[str | None, str]:
        """Return the text of a value, and its kind as a type of DuckDB; empty where it is unknown."""
        if isinstance(value, str):
            return value, _kind(value) if self._untyped or self._number else "VARCHAR"
        if value is None or value != value:  # nan differs from itself
            return None, ""
        if isinstance(value, bool):
            return str(value).lower(), "BOOLEAN"
        if isinstance(value, int):
            return str(value), _whole(value)
        if isinstance(value, (float, Decimal)):
            if not math.isfinite(value):
                raise InputError(f"{where}: found {value}, expected a finite number, or nothing where it is unknown")
            same = isinstance(value, float) or Decimal(repr(float(value))) == value
            return str(value), "DOUBLE" if same else "VARCHAR"
        if isinstance(value, (list, dict)):
            try:
                return json.dumps(value, ensure_ascii=False, default=_within), "VARCHAR"
            except (TypeError, ValueError):
                pass
        raise InputError(f"{where}: found {fields.shown(value)}, which no table of samples holds; remove the column")

    @property
    def sql(self) -> str:
        """The column with the type of all its values; words for unknown are nulls among numbers."""
        given, name = _name(f"of {self.name}"), _name(self.name)
        kind = "VARCHAR"
        if self.name not in TEXT and self.kinds in KINDS:
            kind = max(self.kinds).removesuffix(LONG)
        if self._number and not self.kinds:
            kind = "DOUBLE"
        if kind == "VARCHAR":
            return f"{given} AS {name}"
        unknown = ", ".join(f"'{word}'" for word in sorted(UNKNOWN))
        return f"CASE WHEN lower(trim({given})) NOT IN ({unknown}) THEN CAST(trim({given}) AS {kind}) END AS {name}"


def _whole(number: int) -> str:
    """Tell which type holds a whole number; among others that are not whole, a long one stays text."""
    return "BIGINT" if abs(number) <= 2**53 else f"BIGINT{LONG}" if abs(number) < 2**63 else "VARCHAR"


def _within(value: object) -> str:
    """Write what JSON has no type for, within a list or a struct."""
    if isinstance(value, (date, time, timedelta, Decimal, UUID)):
        return str(value)
    raise TypeError


def _kind(text: str) -> str:
    """Tell what a text stands for; 007 is text, and so is a whole number that no float holds."""
    text = text.strip()
    if is_unknown(text):
        return ""
    if INTEGER.fullmatch(text):
        return _whole(int(text))
    if NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return "DOUBLE"
    return "BOOLEAN" if text.casefold() in ("true", "false") else "VARCHAR"


def _sort(path: Path, key: str | None, others: Mapping[str, _Column], rows: Path, ordered: Path) -> None:
    config: dict[str, Any] = {"memory_limit": MEMORY, "temp_directory": str(ordered.with_name("spill"))}
    given = f"read_parquet({_literal(rows)}, hive_partitioning = false)"  # no column by a folder named key=7
    try:
        with duckdb.connect(config=config) as connection:
            connection.execute("SET enable_progress_bar = false")
            twice = f"SELECT key, min(row), max(row) FROM {given} GROUP BY key HAVING count(*) > 1 ORDER BY 2 LIMIT 1"
            if key and (found := connection.execute(twice).fetchone()):
                name, first, second = found
                raise InputError(
                    f"{path}: column {key}: {name!r} comes twice (rows {first} and {second}), expected unique keys; "
                    "rename one"
                )
            chosen = ", ".join(["key", "image", "captions", *(column.sql for column in others.values())])
            by = "ORDER BY key" if key else ""  # row numbers are in order
            connection.execute(
                f"COPY (SELECT {chosen} FROM {given} {by}) TO {_literal(ordered)} "
                f"(FORMAT parquet, ROW_GROUP_SIZE {ROWS}, COMPRESSION zstd)"
            )
    except duckdb.Error as error:
        raise InputError(
            f"{path}: cannot be put in order ({' '.join(str(error).split())[:200]}); "
            "make room in the work folder (COUNTERWEIGHT_WORK)"
        ) from None


def _check_columns(path: Path, found: list[str], wanted: dict[str, str | None], numbers: Sequence[str]) -> None:
    for parameter, name in [*wanted.items(), *(("numbers", name) for name in numbers)]:
        if name is not None and name not in found:
            raise InputError(
                f"{path}: no column {name} (download.table.{parameter}; found: {tables.shown(found)}); "
                "correct the file, or name the column"
            )
    if wanted["image"] == wanted["caption"]:
        raise InputError(
            f"{path}: download.table: image and caption both name column {wanted['image']}; name two columns"
        )
    if "" in found:
        raise InputError(f"{path}: column {found.index('') + 1} has no name (found: {tables.shown(found)}); name it")
    others = [name for name in found if name not in wanted.values()]
    alike = Counter(name.casefold() for name in others)  # DuckDB tells no cases apart
    if twice := [name for name in others if alike[name.casefold()] > 1]:
        raise InputError(f"{path}: columns {', '.join(twice)} differ in case only; rename or remove one of them")
    if taken := [name for name in others if name.casefold() in OURS]:
        remedy = (
            f"set download.table.{taken[0]}: {taken[0]}, or rename the column"
            if taken[0] == "key" and wanted["key"] is None
            else "rename the column"
        )
        raise InputError(f"{path}: column {taken[0]}: the name is this project's; {remedy}")


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
