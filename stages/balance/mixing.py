"""The mix at α as a table: which source each key has, and which distinct row (s, y, u) it is.

A key is synthetic iff its number u < α, so the mixes of one draw are nested. Draw 0 takes the number that comes with
the samples, every other draw a hash of (draw, key). What a filter leaves out stays in the table, and out of all that is
counted, balanced and trained on: the mix is filtered first, so what is certified is what is trained on.

All of it happens inside DuckDB, which streams the
parquet files and spills what exceeds its memory limit; Python sees the distinct rows only, never the rows.

The connection has the views ``samples`` (key, shard, u, …) and ``attributes`` (key, source, boolean columns).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd
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
    synthetic : ndarray, (N,)
        Share of generated images among the rows.
    """

    words: np.ndarray
    level: Vector
    synthetic: Vector


@dataclass(frozen=True)
class Mixed:
    """Rows of a mix after its filter, how many of them are synthetic, and how many rows the filter left out."""

    rows: int
    synthetic: int
    left_out: int


def mix(
    connection: duckdb.DuckDBPyConnection,
    alpha: float,
    columns: Sequence[str],
    utility: str | None,
    bins: int,
    draw: int = 0,
    quantile: float = 0.0,
    blanked: bool = False,
    several: bool = False,
) -> Mixed:
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
    draw : int
        Which numbers decide: 0: column ``u`` of ``samples``.
    quantile : float
        Share of the rows to leave out, those of least ``similarity``, a column of ``attributes``; of equal rows the
        later goes first.
    blanked : bool
        Whether keys are left out whose synthetic row has ``blanked``, so that every α has the same keys.
    several : bool
        Whether a key has a row for each of its images, numbered by column ``candidate`` of ``attributes``; a key then
        is left out as blanked if all are.

    Raises
    ------
    InputError
        If a number, a key or a value is missing, or comes twice.
    """
    # The high bits of u decide the source; its low bits, independent of them, order the rows of a cell.
    words = _packed(columns)
    value = f'CAST(s."{utility}" AS DOUBLE)' if utility else "1.0"
    number = "u" if draw == 0 else f"(md5_number_lower(concat('{draw}', chr(0), key)) >> 11) / {2.0**53!r}"
    blank = "a.key IN (SELECT key FROM attributes WHERE source = 'synthetic' AND blanked)" if blanked else "false"
    if blanked and several:
        of_key = "SELECT key FROM attributes WHERE source = 'synthetic' GROUP BY key HAVING bool_and(blanked)"
        blank = f"((a.source = 'synthetic' AND a.blanked) OR a.key IN ({of_key}))"
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE mix AS
        SELECT s.file_row_number AS row, s.key, s.shard, a.source, number * 1024 - floor(number * 1024) AS place,
               {", ".join(words)}, {value} AS utility,
               {"a.similarity" if quantile else "0.0"} AS similarity, NOT {blank} AS kept,
               {"a.candidate" if several else "0"} AS candidate
        FROM (SELECT *, {number} AS number FROM samples) s LEFT JOIN attributes a
        ON a.key = s.key AND a.source = CASE WHEN number < CAST({alpha!r} AS DOUBLE) THEN 'synthetic' ELSE 'real' END
        """
    )
    _check(connection, len(words), utility, draw)
    if quantile:
        _leave_out(connection, quantile)
    level = "0.0"
    if utility and bins == 0:
        level = "utility"
    elif utility:
        low, high = _one(connection, "SELECT min(utility), max(utility) FROM mix")
        width = (high - low) / bins or 1.0
        level = f"least(floor((utility - CAST({low!r} AS DOUBLE)) / CAST({width!r} AS DOUBLE)), {bins - 1})"
    connection.execute(
        f"CREATE OR REPLACE VIEW leveled AS SELECT *, CAST({level} AS DOUBLE) AS level FROM mix WHERE kept"
    )
    keys = "mix"
    if several:
        keys = "(SELECT row, any_value(source) AS source, bool_or(kept) AS kept FROM mix GROUP BY row)"
    facts = f"SELECT count_if(kept), count_if(kept AND source = 'synthetic'), count_if(NOT kept) FROM {keys}"
    return Mixed(*_one(connection, facts))


def _leave_out(connection: duckdb.DuckDBPyConnection, quantile: float) -> None:
    key, bad = _one(
        connection, "SELECT any_value(key), count(*) FROM mix WHERE similarity IS NULL OR isnan(similarity)"
    )
    if bad:
        raise InputError(f"attributes.parquet: column similarity: no number for key {key!r}; annotate again")
    connection.execute(
        f"""
        UPDATE mix SET kept = false WHERE row IN (
            SELECT row FROM mix WHERE kept ORDER BY similarity, row DESC
            LIMIT (SELECT CAST(floor({quantile!r} * count(*)) AS BIGINT) FROM mix WHERE kept)
        )
        """
    )


def left_out(connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> pd.DataFrame:
    """
    Say whom a filter leaves out.

    Returns
    -------
    DataFrame
        One row per column and per source: name, before, after (rows), kept (share, NaN where there were none). A group
        whose share is below the others' is filtered more than they are.
    """
    words = [f"word{i}" for i in range(-(-len(columns) // _BITS))]
    by = ", ".join([*words, "source"])
    found = connection.execute(
        f"SELECT {by}, count(*) AS before, count_if(kept) AS after FROM mix GROUP BY {by}"
    ).fetchnumpy()
    bits = _unpacked(np.column_stack([found[word] for word in words]).astype(np.int64), len(columns))
    sources = np.asarray(found["source"], str)
    member = np.column_stack([bits, sources == "real", sources == "synthetic", np.ones(len(bits), bool)])
    table = pd.DataFrame({"name": [*columns, "real", "synthetic", "all"]})
    for name in ("before", "after"):
        table[name] = np.asarray(found[name], np.int64) @ member
    return table.assign(kept=table["after"] / table["before"].where(table["before"] > 0))


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
        f"SELECT {by}, count(*) AS rows, count_if(source = 'synthetic') AS made, avg(utility) AS utility "
        f"FROM leveled GROUP BY {by} ORDER BY {by}"
    ).fetchnumpy()
    codes = Codes(
        np.column_stack([table[word] for word in words]).astype(np.int64),
        np.asarray(table["level"], float),
        np.asarray(table["made"], float) / np.asarray(table["rows"], float),
    )
    bits = _unpacked(codes.words, len(groups) + len(labels))
    rows, utility = np.asarray(table["rows"], np.int64), np.asarray(table["utility"], float)
    utility = utility * rows.sum() / (rows @ utility)
    m = len(groups)
    return Cells(bits[:, :m], bits[:, m:], utility, rows, tuple(groups), tuple(labels)), codes


def write_selection(
    connection: duckdb.DuckDBPyConnection,
    codes: Codes,
    q: Vector,
    allotment: Allotment,
    path: str,
    numbered: bool = False,
) -> None:
    """
    Join weights and copies back to the rows, and write them in the order of the samples.

    Parameters
    ----------
    path : str
        Parquet file: key, shard, source, q float64, copies int32, kept bool; one row per key. What the filter leaves
        out has q = 0, no copies, and is not kept.
    numbered : bool
        Whether to write column ``candidate``, 0 everywhere: keys have several images, of which the first is taken.
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
            SELECT key, shard, source, q, copies, kept{", CAST(0 AS SMALLINT) AS candidate" if numbered else ""} FROM (
                SELECT row, key, shard, source, q, kept,
                       CAST(CASE WHEN rank <= taken THEN copies + CAST(rank <= extra AS BIGINT) ELSE 0 END AS INTEGER)
                       AS copies
                FROM (SELECT *, row_number() OVER (PARTITION BY {by} ORDER BY place, key) AS rank FROM leveled)
                JOIN weights USING ({by})
                UNION ALL BY NAME
                SELECT row, key, shard, source, 0.0 AS q, kept, CAST(0 AS INTEGER) AS copies FROM mix WHERE NOT kept
            )
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


def _unpacked(words: np.ndarray, columns: int) -> np.ndarray:
    """Bits of the packed columns, (N, columns), bool."""
    width = [min(_BITS, columns - i * _BITS) for i in range(words.shape[1])]
    return np.hstack([words[:, [i]] >> np.arange(n - 1, -1, -1) & 1 for i, n in enumerate(width)]) > 0


def _check(connection: duckdb.DuckDBPyConnection, words: int, utility: str | None, draw: int) -> None:
    """Refuse what a left join lets pass: keys without a match, with two, and values that are missing or impossible."""
    some_key = "SELECT any_value(key), count(*) FROM mix WHERE "
    key, lost = _one(connection, some_key + "source IS NULL")
    if lost:
        remedy = "annotate again"
        if draw:
            remedy = f"contamination.seed {draw} takes images that draw 0 does not: set generate.max_alpha to 1"
        raise InputError(
            f"attributes.parquet: no row of the source that α gives it for {lost} keys, e.g. {key!r}; {remedy}"
        )
    rows, distinct = _one(connection, "SELECT count(*), (SELECT count(*) FROM samples) FROM mix")
    twice = "SELECT any_value(key), 0 FROM mix GROUP BY row, candidate HAVING count(*) > 1 LIMIT 1"
    # the join is from the left: more rows can only come from a key that matches twice
    if rows > distinct and (found := connection.execute(twice).fetchone()):
        key, _ = found
        raise InputError(
            f"attributes.parquet: key {key!r} comes twice with one source, expected one row; annotate again"
        )
    if found := connection.execute("SELECT key FROM samples GROUP BY key HAVING count(*) > 1 LIMIT 1").fetchone():
        raise InputError(f"samples.parquet: key {found[0]!r} comes twice, expected one row; download again")
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
