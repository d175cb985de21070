"""The corpora of the text-to-image model: the one it is trained on, and another draw to measure it by."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from stages.core.errors import InputError
from stages.core.scratch import digest
from stages.core.seeds import uniform
from stages.corpus.shards import read_images


def held_out(samples: pd.DataFrame, share: float, seed: int) -> np.ndarray:
    """
    Mark the rows that show a held-out pair of occupation and skin tone.

    Both genders of a pair go together, so that an occupation's share of women stays what it was.

    Parameters
    ----------
    samples : DataFrame
        With columns kind, occupation and skin_tone.
    share : float
        Expected share of pairs.
    """
    pairs = samples["occupation"] + "/" + samples["skin_tone"]
    chosen = {pair: uniform(seed, pair, "held out") < share for pair in pairs.unique()}
    at_work = (samples["kind"] == "person") & (samples["occupation"] != "")
    return (at_work & pairs.map(chosen)).to_numpy()


def load_images(folder: Path, samples: pd.DataFrame) -> torch.Tensor:
    """
    Read images.

    Parameters
    ----------
    samples : DataFrame
        N rows with columns shard and key, ordered by both.

    Returns
    -------
    Tensor
        uint8, (N, H, W, 3).
    """
    images: list[np.ndarray] = []
    for shard, rows in samples.groupby("shard", sort=True):
        images += [image for _, image in read_images(folder / "real" / f"{shard}.tar", rows["key"])]
    return torch.from_numpy(np.stack(images))


def load_samples(folder: Path) -> pd.DataFrame:
    """
    Read the table of a corpus.

    Raises
    ------
    InputError
        If the corpus is not there.
    """
    table = folder / "samples.parquet"
    if not table.exists():
        raise InputError(
            f"{table}: no such file; run the download commands of data/pretrained/dvc.yaml, which write it"
        )
    samples = pd.read_parquet(table)
    return samples.iloc[np.lexsort((samples["key"], samples["shard"]))].reset_index(drop=True)


def corpus_digest(folder: Path) -> str:
    """
    Hash a corpus.

    Returns
    -------
    str
        16 hex digits.
    """
    return digest([folder / "samples.parquet", *sorted((folder / "real").glob("*.tar"))])
