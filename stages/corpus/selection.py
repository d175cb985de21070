"""The rows that are trained on: what the selection of the balance stage keeps, with the captions of the samples."""

from pathlib import Path

import pandas as pd

from stages.core.errors import InputError
from stages.corpus.columns import Kind, schema
from stages.corpus.shards import image_key

SELECTION: dict[str, Kind] = {
    "key": "text", "shard": "text", "source": "text", "copies": "whole number", "kept": "truth value",
}  # fmt: skip
SAMPLES: dict[str, Kind] = {"key": "text", "caption": "text"}
SOURCES = ("real", "synthetic")
CANDIDATE = "candidate"  # column of tables of images, there where samples have several synthetic ones


def image_columns(table: pd.DataFrame | Path) -> list[str]:
    """Name the columns of a table, or of a parquet file, that tell images apart; InputError if it is unreadable."""
    known = schema(table).names if isinstance(table, Path) else table.columns.tolist()
    return ["key", "source", *([CANDIDATE] if CANDIDATE in known else [])]


def image_keys(table: pd.DataFrame) -> pd.Series:
    """Name the image of each row in its shard: the key, but of another candidate than the first."""
    if CANDIDATE not in table:
        return pd.Series(table["key"])
    named = [image_key(key, place) for key, place in zip(table["key"], table[CANDIDATE], strict=True)]
    return pd.Series(named, table.index, dtype=object)


def join(samples: pd.DataFrame, selection: pd.DataFrame, where: str) -> pd.DataFrame:
    """
    Give each row that passed the filter its caption, by key; the order of the rows stays.

    Parameters
    ----------
    selection : DataFrame
        `key, shard, source, copies, kept`.
    where : str
        The selection's path, named in errors.

    Raises
    ------
    InputError
        If the selection is empty, keeps nothing, or does not fit the samples.
    """
    for table, named, columns in ((selection, where, SELECTION), (samples, "samples.parquet", SAMPLES)):
        if absent := [name for name in columns if name not in table]:
            raise InputError(
                f"{named}: column {absent[0]} is missing (found: {', '.join(table.columns)}); run `dvc repro`"
            )
    if not len(selection):
        raise InputError(f"{where}: no rows, so nothing to train on; balance again (`dvc repro`)")
    if other := set(selection["source"].unique()) - set(SOURCES):
        raise InputError(
            f"{where}: source: found {min(other)!r}, expected real or synthetic; balance again (`dvc repro`)"
        )
    if twice := selection.loc[selection["key"].duplicated(), "key"].tolist():
        raise InputError(
            f"{where}: key {twice[0]!r} comes twice, expected one row per key; balance again (`dvc repro`)"
        )
    if (selection["copies"] < 0).any():
        raise InputError(
            f"{where}: copies: found {selection['copies'].min()}, expected 0 or more; balance again (`dvc repro`)"
        )
    kept = selection.loc[selection["kept"].to_numpy(bool)].drop(columns="kept")
    if not len(kept):
        raise InputError(f"{where}: no row is kept, so nothing to train on; raise balance.eta")
    joined = kept.merge(samples[["key", "caption"]], on="key", how="left")
    if lost := joined.loc[joined["caption"].isna(), "key"].tolist():
        raise InputError(
            f"{where}: key {lost[0]!r} is not in the samples ({len(lost)} such keys); balance again (`dvc repro`)"
        )
    return joined
