"""Keys with several candidate images: their distinct rows, and the one that each key takes.

Keys are of one kind if their candidates are the same distinct rows, counted. A row of the problem is a distinct row of
a kind, and stands for its part of a uniform draw of a candidate: of n keys with k candidates, m of them alike, n m / k.
Its weight is relative to that draw (`stages.balance.caps`), so weights of 1 draw a candidate at random.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import duckdb
import numpy as np
import pyarrow as pa

from stages.balance import mixing
from stages.balance.moments import Cells
from stages.balance.problem import Vector
from stages.balance.selection import Allotment


@dataclass(frozen=True)
class Kinds:
    """
    What the N rows of a problem with candidates are.

    Attributes
    ----------
    kind : ndarray of int, (N,)
        Kind of key, from 0; the rows of a kind are adjacent.
    code : ndarray of int, (N,)
        Number of the distinct row, inside the connection.
    """

    kind: np.ndarray
    code: np.ndarray


def count(
    connection: duckdb.DuckDBPyConnection, groups: Sequence[tuple[str, str]], labels: Sequence[str]
) -> tuple[Cells, Kinds]:
    """
    Count the distinct rows of each kind of key: N rows, whose counts are parts of keys.

    Parameters
    ----------
    connection : DuckDBPyConnection
        After `mixing.mix` with several candidates; gets the tables ``coded`` and ``kinds``.
    """
    cells, codes = mixing.count(connection, groups, labels)
    names = [f"word{i}" for i in range(codes.words.shape[1])]
    columns = {name: np.ascontiguousarray(codes.words[:, i]) for i, name in enumerate(names)}
    columns |= {"level": codes.level, "code": np.arange(len(codes.level))}
    connection.register("codes", pa.table(columns))
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE coded AS
        SELECT row, key, place, candidate, code FROM leveled JOIN codes USING ({", ".join([*names, "level"])});
        CREATE OR REPLACE TABLE kinds AS
        SELECT *, dense_rank() OVER (ORDER BY codes) - 1 AS kind FROM (
            SELECT row, any_value(key) AS key, any_value(place) AS place, list_sort(list(code)) AS codes
            FROM coded GROUP BY row
        )
        """
    )
    found = connection.execute("SELECT kind, codes, count(*) FROM kinds GROUP BY kind, codes ORDER BY kind").fetchall()
    rows = [
        (kind, code, keys * alike / len(of_kind))
        for kind, of_kind, keys in found
        for code, alike in sorted(Counter(of_kind).items())
    ]
    kind, code = (np.array([row[i] for row in rows], np.int64) for i in (0, 1))
    size = np.array([row[2] for row in rows])
    utility = cells.utility[code]
    utility = utility * size.sum() / (size @ utility)
    cells = replace(cells, sensitive=cells.sensitive[code], labels=cells.labels[code], utility=utility, count=size)
    return cells, Kinds(kind, code)


def write_selection(
    connection: duckdb.DuckDBPyConnection, kinds: Kinds, chance: Vector, allotment: Allotment, path: str
) -> None:
    """
    Let keys take their candidates, and write the rows in the order of the samples.

    Parameters
    ----------
    chance : ndarray, (kinds,)
        Probability that a key of each kind takes any candidate: column ``q``.
    path : str
        Parquet file as `mixing.write_selection` writes it, with the candidate that a key takes, or else would be the
        first to.
    """
    end = np.cumsum(allotment.rows)
    before = np.concatenate([[0], end])[np.searchsorted(kinds.kind, kinds.kind)]  # rows of the kinds before
    slots = {"kind": kinds.kind, "code": kinds.code, "first": end - allotment.rows - before, "last": end - before}
    connection.register("slots", pa.table(slots))
    connection.register("chances", pa.table({"kind": np.arange(len(chance)), "q": chance}))
    connection.execute(
        f"""
        COPY (
            WITH ranked AS (
                SELECT row, kind, row_number() OVER (PARTITION BY kind ORDER BY place, key) AS rank FROM kinds
            ),
            chosen AS (
                SELECT row, min(candidate) AS candidate FROM ranked
                JOIN slots ON ranked.kind = slots.kind AND rank > slots.first AND rank <= slots.last
                JOIN coded USING (row, code) GROUP BY row
            ),
            samples AS (
                SELECT row, any_value(key) AS key, any_value(shard) AS shard, any_value(source) AS source,
                       bool_or(kept) AS kept, coalesce(min(candidate) FILTER (kept), 0) AS candidate
                FROM mix GROUP BY row
            )
            SELECT key, shard, source, coalesce(q, 0.0) AS q,
                   CAST(chosen.candidate IS NOT NULL AS INTEGER) AS copies, kept,
                   CAST(coalesce(chosen.candidate, samples.candidate) AS SMALLINT) AS candidate
            FROM samples LEFT JOIN chosen USING (row) LEFT JOIN ranked USING (row) LEFT JOIN chances USING (kind)
            ORDER BY row
        ) TO {mixing.quoted(path)} (FORMAT parquet, COMPRESSION zstd)
        """
    )
