"""The rows to train on: which image, which caption, how often.

A row is a key with the source that the selection gives it, real or synthetic. Both kinds of shards stay as they are; a
row holds where its image lies (shard, byte offset, size), 22 bytes a row beside the caption, so millions fit in memory
and a batch reads exactly its own images.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from stages.corpus.selection import image_keys
from stages.corpus.shards import Shard


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


def locate(
    table: pd.DataFrame, folder: Path, tolerant: bool = False, progress: Callable[[Iterable], Iterable] = iter
) -> Rows:
    """
    Find the image of each row in its shard.

    Parameters
    ----------
    table : DataFrame
        From `stages.corpus.selection.join`.
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
            for row, key in zip(rows, image_keys(table.iloc[rows]), strict=True):
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
