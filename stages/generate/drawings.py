"""Generated images that no model believed in: real drawings of the captions, as they are or through the autoencoder.

`download` made them at the shares of the generator's world (`oracle/<shard>.tar`). As they are, they have what the
generator believes and nothing of how it draws; through its autoencoder they also have that part of how it draws.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from stages.core.errors import InputError, missing
from stages.core.weights import UNREADABLE, reason
from stages.corpus.images import square
from stages.corpus.shards import Shard
from stages.generate.sampler import DECODED, as_pixels


def check(shard: Shard, keys: Sequence[str], source: str) -> None:
    """
    Refuse keys without a drawing.

    Raises
    ------
    InputError
        Naming the first of them.
    """
    if absent := [key for key in keys if key not in shard]:
        raise InputError(
            f"{shard.path}: no drawing for {len(absent)} of {len(keys)} captions, e.g. {absent[0]!r}; generate.source "
            f"{source} needs download.source emoji with download.emoji.oracle true; or set it to diffusion"
        )


def load_autoencoder(model: str, revision: str | None, dtype: torch.dtype, device: torch.device) -> AutoencoderKL:
    """
    Load the autoencoder of a pipeline from a folder or the hub: safetensors only.

    Raises
    ------
    InputError
        If it is missing or not in this format.
    """
    try:
        found: Any = AutoencoderKL.from_pretrained(
            model, subfolder="vae", revision=revision, dtype=dtype, use_safetensors=True
        )
    except UNREADABLE as error:
        raise missing(
            f"generate.model: {model}: its autoencoder cannot be loaded ({reason(error)})",
            "expected a StableDiffusionPipeline in safetensors, as a folder or as a hub id that this machine can reach",
        ) from None
    return found.to(device).eval()


@torch.inference_mode()
def through(vae: AutoencoderKL, images: np.ndarray) -> np.ndarray:
    """
    Encode images, and decode the means of their latents: uint8, the same shape.

    Parameters
    ----------
    images : np.ndarray
        uint8, (N, side, side, 3).
    """
    signed = torch.from_numpy(images).to(vae.device).permute(0, 3, 1, 2).float() / 127.5 - 1
    size = len(images) if vae.device.type == "cpu" else DECODED
    parts: list[Tensor] = []
    for part in signed.to(vae.dtype).split(max(1, size)):
        latents: Any = vae.encode(part)
        decoded: Any = vae.decode(latents.latent_dist.mode(), return_dict=False)[0]
        parts.append(as_pixels(decoded).permute(0, 2, 3, 1))
    return torch.cat(parts).cpu().numpy()


def read(shard: Shard, keys: Sequence[str], vae: AutoencoderKL | None, side: int) -> np.ndarray:
    """
    Read the drawings of some captions: uint8, (N, height, width, 3).

    Parameters
    ----------
    vae : AutoencoderKL or None
        What they go through; None: they stay as they are.
    side : int
        Side at which they go through it, pixels.
    """
    images = [shard.read_image(key) for key in keys]
    return np.stack(images) if vae is None else through(vae, np.stack([square(image, side) for image in images]))
