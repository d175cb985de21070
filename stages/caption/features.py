"""CLIP's features of images: the embedding, and the map of the last block before it is pooled, place by place."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from stages.core.errors import InputError, missing
from stages.core.weights import reason

CONFIG, WEIGHTS = "open_clip_config.json", "model.safetensors"


@dataclass(frozen=True)
class Tower:
    """
    The image side of a CLIP.

    Attributes
    ----------
    model : nn.Module
        An open_clip model, in eval mode, without gradients.
    prepare : callable
        PIL image to Tensor, (3, H, W).
    """

    model: nn.Module
    prepare: Callable[[Image.Image], Tensor]
    device: torch.device


def load_tower(folder: Path, device: torch.device) -> Tower:
    """
    Load a trained CLIP in eval mode: else BatchNorm would make features depend on the batch.

    Parameters
    ----------
    folder : Path
        Of the train stage: an open_clip `local-dir:`.

    Raises
    ------
    InputError
        If a file is missing, damaged, or does not fit the other.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise missing(f"{folder / name}: no such file", "train the model first (`dvc repro train`)")
    try:
        model, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{folder}", device=device)
    except Exception as error:  # open_clip, torch and safetensors each raise errors of their own
        raise InputError(
            f"{folder}: not a CLIP of open_clip with its weights ({reason(error)}); train it again"
        ) from None
    return Tower(model.eval().requires_grad_(False), prepare, device)  # pyright: ignore[reportArgumentType]


def extract(
    tower: Tower, images: Iterable[NDArray[np.uint8]], batch_size: int
) -> Iterator[tuple[NDArray[np.float16], NDArray[np.float16]]]:
    """
    Compute the features of images, batch by batch.

    Parameters
    ----------
    images : iterable of ndarray of uint8, (H, W, 3)
        In order, of any size.
    batch_size : int
        B; features do not depend on it but for rounding.

    Yields
    ------
    tuple of ndarray of float16
        Unit embeddings (B, D), and maps (B, P, C), row by row of the image.

    Raises
    ------
    InputError
        If a feature is not finite.
    """
    rest = iter(images)
    while batch := [tower.prepare(Image.fromarray(image)) for image in islice(rest, batch_size)]:
        yield _forward(tower, torch.stack(batch).to(tower.device))


@torch.no_grad()
def _forward(tower: Tower, pixels: Tensor) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    output = tower.model.forward_intermediates(  # pyright: ignore[reportCallIssue]
        image=pixels, image_indices=1, normalize=True, normalize_intermediates=True
    )
    maps = output["image_intermediates"][-1].flatten(2).transpose(1, 2)
    pair = output["image_features"].half().cpu().numpy(), maps.half().cpu().numpy()
    if not all(np.isfinite(part).all() for part in pair):
        raise InputError(
            "the CLIP model gives features that are not finite: it has diverged; "
            "train it again, with a lower train.learning_rate"
        )
    return pair
