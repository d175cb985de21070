"""Training rows of a captioner: which images and captions it sees, how often, in which order."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.core.errors import InputError
from stages.core.seeds import uniform
from stages.corpus.selection import image_columns, join


def training_rows(
    selection: pd.DataFrame, samples: pd.DataFrame, data: Sequence[str], max_images: int | None, seed: int
) -> pd.DataFrame:
    """
    Take the rows that CLIP was trained on: key, shard, source, caption, mixed (1), balanced (copies).

    Parameters
    ----------
    selection : DataFrame
        Of the balance stage: key, shard, source, copies, kept; one row per sample of the mix.
    samples : DataFrame
        Of the download stage: key, caption.
    data : sequence of {'mixed', 'balanced'}
        What the phases of the schedule use: rows without copies are left out where all is balanced.
    max_images : int, optional
        At most so many rows, drawn by hash of the key: nested when the number grows, and the same keys for every α.

    Raises
    ------
    InputError
        If columns are missing, a key has no caption, or no row is left.
    """
    rows = join(samples, selection, "selection.parquet")
    key, *others = image_columns(rows)
    rows = rows[[key, "shard", *others, "caption", "copies"]]
    rows = rows.assign(mixed=1, balanced=rows["copies"].astype(int)).drop(columns="copies")
    rows = rows.loc[rows[list(dict.fromkeys(data))].to_numpy().sum(axis=1) > 0]
    if not len(rows):
        raise InputError("selection.parquet: no row is trained on (copies are all 0); run balance again")
    if max_images is not None and len(rows) > max_images:
        rank = np.array([uniform(seed, key, "caption") for key in rows["key"]])
        rows = rows.iloc[np.argsort(rank, kind="stable")[:max_images]]
    return rows.sort_values(["shard", "key"], ignore_index=True)


def batches(
    copies: Mapping[str, NDArray[np.integer]], phases: Sequence[tuple[str, int]], batch_size: int, seed: int
) -> Iterator[NDArray[np.intp]]:
    """
    Draw the batches of a whole training, the same for every start and resume.

    Parameters
    ----------
    copies : mapping, data → (N,)
        How often each row comes in an epoch, by what a phase uses.
    phases : sequence of (str, int)
        Data and steps of each phase.
    batch_size : int
        Rows a batch; the last of an epoch is filled from the next.

    Yields
    ------
    ndarray of int, (batch_size,)
        Row indices.
    """
    for number, (data, steps) in enumerate(phases):
        rows = np.repeat(np.arange(len(copies[data])), copies[data])
        epoch, left = 0, np.empty(0, np.intp)
        for _ in range(steps):
            while len(left) < batch_size:
                left = np.concatenate([left, np.random.default_rng([seed, number, epoch]).permutation(rows)])
                epoch += 1
            yield left[:batch_size]
            left = left[batch_size:]
