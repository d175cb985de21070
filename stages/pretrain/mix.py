"""The mix of a run as a text-to-image model is trained on it: real and synthetic images with their captions."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from stages.core.errors import InputError
from stages.corpus.images import square
from stages.corpus.selection import image_keys, join
from stages.corpus.shards import Shard
from stages.pretrain.optimise import batch


def load_mix(folder: Path) -> pd.DataFrame:
    """
    Read the rows that a run's CLIP is trained on, each as often as it is taken.

    Parameters
    ----------
    folder : Path
        Of the run: data/<profile>, with selection.parquet and samples.parquet.

    Returns
    -------
    DataFrame
        `shard, source, image` (its name in the shard) and `caption`.

    Raises
    ------
    InputError
        If it is not there, or keeps nothing.
    """
    tables = [folder / "samples.parquet", folder / "selection.parquet"]
    if absent := [path for path in tables if not path.is_file()]:
        raise InputError(f"{absent[0]}: no such file; run `dvc repro balance`, which writes it")
    samples, selection = (pd.read_parquet(path) for path in tables)
    rows = join(samples, selection, str(tables[1]))
    rows = rows.assign(image=image_keys(rows)).sort_values(["source", "shard", "image"])
    return rows.loc[rows.index.repeat(rows["copies"]), ["shard", "source", "image", "caption"]].reset_index(drop=True)


def read_parts(folder: Path, rows: pd.DataFrame, side: int, size: int) -> Iterator[torch.Tensor]:
    """
    Read the images of some rows of a mix, part by part.

    Parameters
    ----------
    side : int
        To which each is resized, pixels.
    size : int
        Images of a part.

    Yields
    ------
    Tensor
        uint8, (n, side, side, 3).
    """
    shards: dict[tuple[str, str], Shard] = {}
    for start in range(0, len(rows), size):
        part = rows.iloc[start : start + size]
        images = []
        for source, name, image in zip(part["source"], part["shard"], part["image"], strict=True):
            if (source, name) not in shards:
                shards[source, name] = Shard(folder / source / f"{name}.tar")
            images.append(square(shards[source, name].read_image(image), side))
        yield torch.from_numpy(np.stack(images))


def plan(count: int, size: int, steps: int, seed: int) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
    """
    Choose this process's rows of all steps.

    Returns
    -------
    tuple of (Tensor, sequence of Tensor)
        The rows that come at all, int64, sorted; and of each step the places in these of its rows.

    Raises
    ------
    InputError
        If there are fewer rows than a batch takes.
    """
    if count < size:
        raise InputError(f"tune: batch_size: found {size}, more than the {count} rows of the mix; lower it")
    order = torch.stack([batch(count, size, seed, step) for step in range(steps)])
    used, places = torch.unique(order, return_inverse=True)
    return used, [*places]
