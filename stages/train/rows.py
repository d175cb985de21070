"""The rows to train on: which image, which caption, how often.

A row is a key with the source that the selection gives it, real or synthetic. Both kinds of shards stay as they are; a
row holds where its image lies (shard, byte offset, size), 22 bytes a row beside the caption, so millions fit in memory
and a batch reads exactly its own images.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from stages.core.errors import InputError
from stages.corpus.columns import Kind
from stages.corpus.shards import Shard

SELECTION: dict[str, Kind] = {"key": "text", "shard": "text", "source": "text", "copies": "whole number"}
SAMPLES: dict[str, Kind] = {"key": "text", "caption": "text"}
SOURCES = ("real", "synthetic")


@dataclass(frozen=True)
class Rows:
    """
    N rows, in the order of the selection.

    Attributes
    ----------
    keys : ndarray of str, (N,)
        Keys of the samples.
    captions : pyarrow.StringArray, (N,)
        One buffer: millions of Python strings would be copied into every reading process.
    shard : ndarray, (N,)
        Index into `paths`.
    offset, size : ndarray, (N,)
        Where the image lies in its shard, bytes; size 0: the shard does not hold it.
    copies : ndarray, (N,)
        How often the row comes in an epoch of the balanced data; 0: not at all. In the mix each row comes once.
    """

    keys: NDArray[np.str_]
    captions: pa.StringArray
    paths: tuple[Path, ...]
    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    copies: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.keys)

    def keep(self, kept: NDArray[np.bool_]) -> "Rows":
        """
        Drop rows.

        Parameters
        ----------
        kept : ndarray of bool, (N,)
            Which stay.
        """
        return replace(
            self,
            captions=self.captions.filter(pa.array(kept)),
            **{name: getattr(self, name)[kept] for name in ("keys", "shard", "offset", "size", "copies")},
        )


def join(samples: pd.DataFrame, selection: pd.DataFrame, where: str) -> pd.DataFrame:
    """
    Give each selected row its caption, by key.

    Parameters
    ----------
    samples : DataFrame
        `key`, `caption`.
    selection : DataFrame
        `key, shard, source, copies`.
    where : str
        The selection's path, named in errors.

    Returns
    -------
    DataFrame
        The selection with a column `caption`, in its own order.

    Raises
    ------
    InputError
        If the selection is empty or does not fit the samples.
    """
    if absent := [name for name in SELECTION if name not in selection]:
        raise InputError(f"{where}: column {absent[0]} is missing (found: {', '.join(selection.columns)})")
    if not len(selection):
        raise InputError(f"{where}: no rows; nothing to train on")
    if other := set(selection["source"].unique()) - set(SOURCES):
        raise InputError(f"{where}: source: found {min(other)!r}, expected real or synthetic")
    if twice := selection.loc[selection["key"].duplicated(), "key"].tolist():
        raise InputError(f"{where}: key {twice[0]!r} comes twice; expected one row a key")
    if (selection["copies"] < 0).any():
        raise InputError(f"{where}: copies: found {selection['copies'].min()}, expected 0 or more")
    joined = selection.merge(samples[["key", "caption"]], on="key", how="left")
    if lost := joined.loc[joined["caption"].isna(), "key"].tolist():
        raise InputError(
            f"{where}: key {lost[0]!r} is not in the samples ({len(lost)} such keys); balance again (`dvc repro`)"
        )
    return joined


def locate(
    table: pd.DataFrame, folder: Path, tolerant: bool = False, progress: Callable[[Iterable], Iterable] = iter
) -> Rows:
    """
    Find the image of each row in its shard.

    Parameters
    ----------
    table : DataFrame
        From `join`.
    folder : Path
        Holds `real/<shard>.tar` and `synthetic/<shard>.tar`.
    tolerant : bool
        Whether an image that its shard does not hold gets size 0; else it is an error.

    Returns
    -------
    Rows
        In the order of the table.

    Raises
    ------
    InputError
        If a shard is missing, or, unless tolerant, cut off or without the image of a row.
    """
    groups = table.groupby(["source", "shard"], sort=True).indices
    shard = np.zeros(len(table), np.int32)
    offset, size = np.zeros((2, len(table)), np.int64)
    paths = []
    for (source, name), rows in progress(groups.items()):
        with Shard(folder / source / f"{name}.tar", tolerant=tolerant) as tar:
            for row, key in zip(rows, table["key"].iloc[rows], strict=True):
                if tolerant and key not in tar:
                    continue
                member = tar.image_member(key)
                offset[row], size[row] = member.offset, member.size
            shard[rows] = len(paths)
            paths.append(tar.path)
    captions = pa.Table.from_pandas(table[["caption"]], preserve_index=False)["caption"]
    longest = int(table["key"].str.len().max())
    return Rows(
        keys=np.fromiter(table["key"], f"U{longest}", len(table)),  # never all of them as Python strings
        captions=captions.combine_chunks().cast(pa.string()),
        paths=tuple(paths),
        shard=shard,
        offset=offset,
        size=size,
        copies=table["copies"].to_numpy(np.int32),
    )
