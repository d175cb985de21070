"""Parquet tables that a stage takes from another: the columns that it needs are there, of their type, without nulls."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.errors import InputError, missing

Kind = Literal["text", "whole number", "number", "truth value", "list of texts"]

AGAIN = "run the stage that writes it (`dvc repro`)"


def _text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


_IS: dict[Kind, Callable[[pa.DataType], bool]] = {
    "text": _text,
    "whole number": pa.types.is_integer,
    "number": lambda kind: pa.types.is_integer(kind) or pa.types.is_floating(kind),
    "truth value": pa.types.is_boolean,
    "list of texts": lambda kind: pa.types.is_list(kind) and (_text(of := kind.value_type) or pa.types.is_null(of)),
}


def schema(path: Path) -> pa.Schema:
    """
    Return the columns of a table and their types.

    Raises
    ------
    InputError
        If the file is missing or unreadable.
    """
    with _opened(path) as file:
        return file.schema_arrow


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise missing(f"{path}: no such file", AGAIN) from None
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a readable parquet file ({error}); {AGAIN} again") from None


def check(path: Path, needed: Mapping[str, Kind], known: Mapping[str, Kind] | None = None) -> None:
    """
    Check the columns that are needed, by what the file says of itself; its rows are not read.

    Parameters
    ----------
    known : mapping, optional
        Columns that may be missing, or hold nulls, but if they are there are of this type.

    Raises
    ------
    InputError
        If the file is missing or unreadable, or a column is missing, of another type, or holds a null.
    """
    with _opened(path) as file:
        found, metadata = file.schema_arrow, file.metadata
    expected: dict[str, Kind] = {**(known or {}), **needed}
    for name, kind in expected.items():
        if name not in found.names:
            if name not in needed:
                continue
            raise InputError(f"{path}: column {name} is missing (found: {', '.join(found.names)}); {AGAIN} again")
        if not _IS[kind](of := found.field(name).type):
            raise InputError(f"{path}: column {name}: found {of}, expected {kind}; {AGAIN} again")
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            part = metadata.row_group(group).column(place)
            name = part.path_in_schema
            if name in needed and part.statistics is not None and part.statistics.null_count:
                raise InputError(f"{path}: column {name}: found a null, expected a value in every row; {AGAIN} again")


def read(path: Path, needed: Mapping[str, Kind], unique: tuple[str, ...] = ("key",), **options: Any) -> pd.DataFrame:
    """
    Read a table, other columns and all, after `check`.

    Parameters
    ----------
    unique : tuple of str
        Columns whose values together come once.

    Raises
    ------
    InputError
        See `check`; or if a key comes twice.
    """
    check(path, needed)
    try:
        table = pd.read_parquet(path, **options)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable parquet file ({error}); {AGAIN} again") from None
    if (twice := table.duplicated([*unique])).any():
        row = table.loc[twice, [*unique]].iloc[0]
        raise InputError(f"{path}: {' '.join(unique)} {' '.join(map(str, row))} comes twice; {AGAIN} again")
    return table
