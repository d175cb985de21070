"""The autoencoder: 64 px images to 8 × 8 latents, diffusers' `AutoencoderKL` (arXiv 2112.10752).

Shapes: B images, 3 channels, H = W pixels in [-1, 1]; latents (B, C, H / 8, W / 8).
"""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch.nn import functional


def build(channels: Sequence[int], latent_channels: int, resolution: int) -> AutoencoderKL:
    """
    Make an untrained autoencoder.

    Parameters
    ----------
    channels : sequence of int
        Channels of the levels; n levels reduce the side by 2 ** (n - 1).
    resolution : int
        Side of the images, pixels.

    Returns
    -------
    AutoencoderKL
        Random weights from the global generator.
    """
    blocks: Any = {  # diffusers annotates these as tuples of one
        "down_block_types": ("DownEncoderBlock2D",) * len(channels),
        "up_block_types": ("UpDecoderBlock2D",) * len(channels),
        "block_out_channels": tuple(channels),
    }
    return AutoencoderKL(
        **blocks,
        layers_per_block=1,
        latent_channels=latent_channels,
        norm_num_groups=8,
        sample_size=resolution,
        mid_block_add_attention=False,
    )


def loss(model: AutoencoderKL, images: torch.Tensor, noise: torch.Generator, kl_weight: float) -> torch.Tensor:
    """
    Compute the reconstruction loss: pixels, edges, and a weak pull of the latents to a standard normal.

    Parameters
    ----------
    images : Tensor
        (B, 3, H, W) in [-1, 1].
    kl_weight : float
        Weight of the Kullback-Leibler term, a latent element.
    """
    posterior = _posterior(model, images)
    latents: Any = posterior.sample(noise)
    decoded: Any = model.decode(latents)
    decoded = decoded.sample.float()
    pixels = functional.l1_loss(decoded, images)
    edges = sum(
        functional.l1_loss(torch.diff(decoded, dim=axis), torch.diff(images, dim=axis)) for axis in (2, 3)
    )  # outlines carry the faces; without this term they blur
    kl = posterior.kl().float().mean() / posterior.mean[0].numel()
    return pixels + edges + kl_weight * kl


@torch.no_grad()
def encode(model: AutoencoderKL, images: torch.Tensor, size: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Encode many images.

    Parameters
    ----------
    images : Tensor
        uint8, (N, H, W, 3).

    Returns
    -------
    tuple of (Tensor, Tensor)
        Mean and standard deviation of the latents, bfloat16, (N, C, H / 8, W / 8).
    """
    means, deviations = [], []
    for chunk in images.split(size):
        posterior = _posterior(model, to_signed(chunk))
        means.append(posterior.mean.bfloat16())
        deviations.append(posterior.std.bfloat16())
    return torch.cat(means), torch.cat(deviations)


def _posterior(model: AutoencoderKL, images: torch.Tensor) -> DiagonalGaussianDistribution:
    encoded: Any = model.encode(images)
    return encoded.latent_dist


def to_signed(images: torch.Tensor) -> torch.Tensor:
    """
    Map stored images to the model's range.

    Parameters
    ----------
    images : Tensor
        uint8, (B, H, W, 3).

    Returns
    -------
    Tensor
        float32, (B, 3, H, W) in [-1, 1].
    """
    return images.permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous()
