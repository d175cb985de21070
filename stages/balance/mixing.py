"""The mix at α as a table: which source each key has, and which distinct row (s, y, u) it is.

A key is synthetic iff its fixed number u < α, so mixes are nested. All of it happens inside DuckDB, which streams the
parquet files and spills what exceeds its memory limit; Python sees the distinct rows only, never the rows.

The connection has the views ``samples`` (key, shard, u, …) and ``attributes`` (key, source, boolean columns).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from stages.balance.moments import Cells
from stages.balance.problem import Vector
from stages.balance.selection import Allotment
from stages.core.errors import InputError

_BITS = 60  # boolean columns packed into one 64-bit word: grouping by words is several times faster than by columns


@dataclass(frozen=True)
class Codes:
    """
    Identity of the distinct rows inside the connection: what joins weights back to rows.

    Attributes
    ----------
    words : ndarray of int64, (N, W)
        The boolean columns, packed.
    level : ndarray, (N,)
        The utility's bin, or value.
    """

    words: np.ndarray
    level: Vector


def mix(
    connection: duckdb.DuckDBPyConnection, alpha: float, columns: Sequence[str], utility: str | None, bins: int
) -> tuple[int, int]:
    """
    Make the table ``mix``: one row a key, of the source that α gives it.

    Parameters
    ----------
    connection : DuckDBPyConnection
        With the views ``samples`` and ``attributes``.
    alpha : float
        Share of synthetic rows, in [0, 1].
    columns : sequence of str
        Boolean columns of ``attributes`` that tell rows apart.
    utility : str or None
        Column of ``samples`` with numbers ≥ 0; None: all rows are equally useful.
    bins : int
        Bins of equal width for the utility; 0: distinct values, exactly.

    Returns
    -------
    tuple of int
        Rows, and how many of them are synthetic.

    Raises
    ------
    InputError
        If a number, a key or a value is missing, or comes twice.
    """
    # The high bits of u decide the source; its low bits, independent of them, order the rows of a cell.
    words = _packed(columns)
    value = f'CAST(s."{utility}" AS DOUBLE)' if utility else "1.0"
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE mix AS
        SELECT s.file_row_number AS row, s.key, s.shard, a.source, s.u * 1024 - floor(s.u * 1024) AS place,
               {", ".join(words)}, {value} AS utility
        FROM samples s LEFT JOIN attributes a
        ON a.key = s.key AND a.source = CASE WHEN s.u < CAST({alpha!r} AS DOUBLE) THEN 'synthetic' ELSE 'real' END
        """
    )
    _check(connection, len(words), utility)
    level = "0.0"
    if utility and bins == 0:
        level = "utility"
    elif utility:
        low, high = _one(connection, "SELECT min(utility), max(utility) FROM mix")
        width = (high - low) / bins or 1.0
        level = f"least(floor((utility - CAST({low!r} AS DOUBLE)) / CAST({width!r} AS DOUBLE)), {bins - 1})"
    connection.execute(f"CREATE OR REPLACE VIEW leveled AS SELECT *, CAST({level} AS DOUBLE) AS level FROM mix")
    rows, synthetic = _one(connection, "SELECT count(*), count_if(source = 'synthetic') FROM mix")
    return rows, synthetic


def count(
    connection: duckdb.DuckDBPyConnection, groups: Sequence[tuple[str, str]], labels: Sequence[str]
) -> tuple[Cells, Codes]:
    """
    Count the distinct rows of the mix.

    Parameters
    ----------
    connection : DuckDBPyConnection
        After `mix`, whose columns were those of the groups, then those of the labels.
    labels : sequence of str
        Names of the other c columns.

    Returns
    -------
    tuple of Cells and Codes
        N distinct rows in lexicographic order; a bin's utility is the mean over its rows, and the mean over all is 1.
    """
    words = [f"word{i}" for i in range(-(-(len(groups) + len(labels)) // _BITS))]
    by = ", ".join([*words, "level"])
    table = connection.execute(
        f"SELECT {by}, count(*) AS rows, avg(utility) AS utility FROM leveled GROUP BY {by} ORDER BY {by}"
    ).fetchnumpy()
    codes = Codes(np.column_stack([table[word] for word in words]).astype(np.int64), np.asarray(table["level"], float))
    width = [min(_BITS, len(groups) + len(labels) - i * _BITS) for i in range(len(words))]
    bits = np.hstack([codes.words[:, [i]] >> np.arange(n - 1, -1, -1) & 1 for i, n in enumerate(width)]) > 0
    rows, utility = np.asarray(table["rows"], np.int64), np.asarray(table["utility"], float)
    utility = utility * rows.sum() / (rows @ utility)
    m = len(groups)
    return Cells(bits[:, :m], bits[:, m:], utility, rows, tuple(groups), tuple(labels)), codes


def write_selection(
    connection: duckdb.DuckDBPyConnection, codes: Codes, q: Vector, allotment: Allotment, path: str
) -> None:
    """
    Join weights and copies back to the rows, and write them in the order of the samples.

    Parameters
    ----------
    connection : DuckDBPyConnection
        After `count`.
    q : ndarray, (N,)
        Their weights.
    path : str
        Parquet file: key, shard, source, q float64, copies int32; one row a key.
    """
    words = [f"word{i}" for i in range(codes.words.shape[1])]
    by = ", ".join([*words, "level"])
    columns = {name: codes.words[:, i] for i, name in enumerate(words)}
    columns |= {"level": codes.level, "q": q}
    columns |= {"taken": allotment.rows, "copies": allotment.copies, "extra": allotment.extra}
    connection.register("weights", pa.table({name: np.ascontiguousarray(column) for name, column in columns.items()}))
    connection.execute(
        f"""
        COPY (
            SELECT key, shard, source, q,
                   CAST(CASE WHEN rank <= taken THEN copies + CAST(rank <= extra AS BIGINT) ELSE 0 END AS INTEGER)
                   AS copies
            FROM (SELECT *, row_number() OVER (PARTITION BY {by} ORDER BY place, key) AS rank FROM leveled)
            JOIN weights USING ({by})
            ORDER BY row
        ) TO {quoted(path)} (FORMAT parquet, COMPRESSION zstd)
        """
    )


def quoted(text: str) -> str:
    """Write a string as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _packed(columns: Sequence[str]) -> list[str]:
    """SQL of the words: the first column is the highest bit of the first word."""
    chunks = [columns[i : i + _BITS] for i in range(0, len(columns), _BITS)]
    return [
        " + ".join(f'(CAST(a."{name}" AS BIGINT) << {len(chunk) - 1 - i})' for i, name in enumerate(chunk))
        + f" AS word{number}"
        for number, chunk in enumerate(chunks)
    ]


def _check(connection: duckdb.DuckDBPyConnection, words: int, utility: str | None) -> None:
    """Refuse what a left join lets pass: keys without a match, with two, and values that are missing or impossible."""
    some_key = "SELECT any_value(key), count(*) FROM mix WHERE "
    key, lost = _one(connection, some_key + "source IS NULL")
    if lost:
        raise InputError(
            f"attributes.parquet: no row of the source that α gives it for {lost} keys, e.g. {key!r}; annotate again"
        )
    rows, distinct = _one(connection, "SELECT (SELECT count(*) FROM mix), (SELECT count(*) FROM samples)")
    if rows > distinct:  # the join is from the left: more rows can only come from a key that matches twice
        key, _ = _one(connection, "SELECT any_value(key), 0 FROM mix GROUP BY row HAVING count(*) > 1 LIMIT 1")
        raise InputError(
            f"attributes.parquet: key {key!r} comes twice with one source, expected one row; annotate again"
        )
    key, bad = _one(connection, some_key + "place IS NULL OR isnan(place)")
    if bad:
        raise InputError(
            f"samples.parquet: column u: no number for key {key!r}, expected one in [0, 1); download again"
        )
    key, bad = _one(connection, some_key + " OR ".join(f"word{i} IS NULL" for i in range(words)))
    if bad:
        raise InputError(
            f"attributes.parquet: a value is missing for key {key!r}, expected true or false; annotate again"
        )
    key, bad = _one(connection, some_key + "utility IS NULL OR isnan(utility) OR isinf(utility) OR utility < 0")
    if bad:
        raise InputError(f"samples.parquet: column {utility}: key {key!r} has no finite number ≥ 0; correct it")
    if _one(connection, "SELECT max(utility), 0 FROM mix")[0] == 0:
        raise InputError(f"samples.parquet: column {utility}: all 0, expected some utility above 0; correct it")


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row
