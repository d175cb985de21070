"""`source: table`: a csv, tsv or parquet file of image path, caption and, optionally, known attributes.

DuckDB reads the table once, out of core, checks it and writes it in the order of the keys; shards then read their own
rows of that file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.atomic import written
from stages.core.errors import InputError
from stages.corpus.evaluation_sets import VALUES, check_group
from stages.download.corpora import fields
from stages.download.corpora.packing import NO_FILE, RESERVED, Entry, bounds

MEMORY = "512MB"  # what DuckDB may hold; it spills the rest
ROWS = 4096  # of a row group: what a shard reads at a time
TEXT = ("gender", "skin_tone", "age", "ethnicity", "occupation", "label", "style", "kind")  # "" where unknown


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
        """Every column but key, image and caption."""
        layout = pq.read_schema(self.ordered)
        return [(field.name, field.type) for field in layout if field.name not in ("key", "image", "caption")]

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
                path = self.path.parent / row["image"] if row["image"] else None
                image = path.read_bytes() if path and path.is_file() else None
                yield Entry(
                    key=row["key"],
                    where=f"{self.path}: row with key {row['key']}: image {path}",
                    caption=row["caption"] or "",
                    image=image,
                    known={name: row[name] for name in names},
                    lost=NO_FILE,
                )


def _slice(file: pq.ParquetFile, first: int, last: int) -> Iterator[dict[str, Any]]:
    """Rows [first, last) of a parquet file, a row group at a time."""
    start = 0
    for group in range(file.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        if start < last and first < start + count:
            table = file.read_row_group(group)
            yield from table.slice(max(0, first - start), min(last, start + count) - max(first, start)).to_pylist()
        start += count


def order(path: Path, image: str, caption: str, key: str | None, ordered: Path) -> int:
    """
    Check a table, and write it in the order of its keys.

    Parameters
    ----------
    path : Path
        csv or tsv with header, fields with the delimiter, a quote or a newline in double quotes; or parquet.
    image, caption : str
        Columns of image paths and captions.
    key : str or None
        Column of keys; None: the number of the row, from 0, nine digits.
    ordered : Path
        Parquet file to write: ``key, image, caption`` and all other columns.

    Raises
    ------
    InputError
        If the file cannot be read, a row has more or fewer fields than the header, a column is missing or has a
        reserved name, a group is unknown, or a key is missing, illegal or twice.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".tsv", ".parquet"):
        raise InputError(f"{path}: found a {suffix or 'nameless'} file, expected .csv, .tsv or .parquet")
    literal = "'" + str(path).replace("'", "''") + "'"
    if suffix == ".parquet":
        reader = f"read_parquet({literal}, file_row_number = false)"
    else:  # all but the columns' types is said, and nothing left to guess
        dialect = f"header = true, skip = 0, delim = '{fields.DELIMITERS[suffix]}', quote = '\"', escape = '\"'"
        reader = f"read_csv({literal}, {dialect}, comment = '')"
    spill = str(ordered.parent / "spill")
    with (
        written(ordered) as partial,
        duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": spill}) as connection,
    ):
        connection.execute("SET enable_progress_bar = false")
        try:
            source = connection.sql(f"SELECT * FROM {reader}")
            _check_columns(path, source.columns, {"image": image, "caption": caption, "key": key})
            others = [name for name in source.columns if name not in (image, caption, key)]
            kinds = dict(zip(source.columns, map(str, source.types), strict=True))
            chosen = [
                f"{_text(name, kinds[name])} AS {_name(name)}" if name in TEXT else _name(name) for name in others
            ]
            keys = f"CAST({_name(key)} AS VARCHAR)" if key else "printf('%09d', row_number() OVER () - 1)"
            columns = [f"{keys} AS key", f"CAST({_name(image)} AS VARCHAR) AS image"]
            columns += [f"CAST({_name(caption)} AS VARCHAR) AS caption", *chosen]
            connection.execute(f"CREATE VIEW given AS SELECT {', '.join(columns)} FROM {reader}")
            if key:
                _check_keys(connection, path, key)
            _check_groups(connection, path, [name for name in others if name in VALUES])
            target = "'" + str(partial).replace("'", "''") + "'"
            by = "ORDER BY key" if key else ""  # row numbers are in order
            connection.execute(
                f"COPY (SELECT * FROM given {by}) TO {target} (FORMAT parquet, ROW_GROUP_SIZE {ROWS}, COMPRESSION zstd)"
            )
        except duckdb.Error as error:
            if suffix != ".parquet":
                fields.check(path)
            raise InputError(
                f"{path}: cannot be read ({' '.join(str(error).split())[:300]}); correct the file"
            ) from None
        rows = pq.read_metadata(partial).num_rows
        if not rows:
            raise InputError(f"{path}: no rows")
    return rows


def _check_columns(path: Path, found: list[str], wanted: dict[str, str | None]) -> None:
    for parameter, name in wanted.items():
        if name is not None and name not in found:
            raise InputError(
                f"{path}: no column {name} (download.table.{parameter}; found: {', '.join(found)}); "
                "correct the file, or name the column"
            )
    others = set(found) - set(wanted.values())
    if taken := sorted(others & (RESERVED | {"image"})):
        raise InputError(f"{path}: column {taken[0]}: the name is this project's; rename the column")


def _check_keys(connection: duckdb.DuckDBPyConnection, path: Path, key: str) -> None:
    wrong = "key IS NULL OR NOT regexp_full_match(key, '[A-Za-z0-9_-]+')"
    if found := connection.execute(f"SELECT key FROM given WHERE {wrong} LIMIT 1").fetchone():
        raise InputError(f"{path}: column {key}: found {found[0]!r}, expected letters, digits, _ and -")
    twice = connection.execute("SELECT key FROM given GROUP BY key HAVING count(*) > 1 LIMIT 1").fetchone()
    if twice:
        raise InputError(f"{path}: column {key}: {twice[0]!r} comes twice, expected unique keys")


def _check_groups(connection: duckdb.DuckDBPyConnection, path: Path, attributes: list[str]) -> None:
    for attribute in attributes:
        known = ", ".join(f"'{value}'" for value in VALUES[attribute])
        rows = f"SELECT row_number() OVER () AS number, {_name(attribute)} AS value FROM given"
        found = connection.execute(f"SELECT * FROM ({rows}) WHERE value NOT IN ({known}) ORDER BY number LIMIT 1")
        if row := found.fetchone():
            check_group(attribute, row[1], f"{path}: row {row[0]}: column {attribute}")


def _text(column: str, kind: str) -> str:
    """SQL of a column as text; whole numbers that nulls made fractions (1.0) are whole again."""
    name = _name(column)
    if kind in ("DOUBLE", "FLOAT"):
        whole = f"CAST(CAST({name} AS BIGINT) AS VARCHAR)"
        name = f"CASE WHEN {name} = floor({name}) THEN {whole} ELSE CAST({name} AS VARCHAR) END"
    return f"coalesce(CAST({name} AS VARCHAR), '')"


def _name(column: str | None) -> str:
    return '"' + str(column).replace('"', '""') + '"'
