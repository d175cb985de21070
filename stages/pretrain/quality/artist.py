"""The text-to-image model at work, drawing as `StableDiffusionPipeline` does."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline

from stages.core.seeds import derive
from stages.pretrain import autoencoder
from stages.pretrain.settings import Quality


class Artist:
    """
    The text-to-image model, drawing as `StableDiffusionPipeline` does.

    Parameters
    ----------
    seed : int
        With the prompt's key it gives the seed of an image.
    """

    def __init__(self, folder: Path, settings: Quality, seed: int) -> None:
        self.pipeline = StableDiffusionPipeline.from_pretrained(folder, use_safetensors=True).to(torch.float32)
        self.pipeline.set_progress_bar_config(disable=True)
        self._settings, self._seed = settings, seed

    def draw(self, prompts: Sequence[str], keys: Sequence[str], report: Callable[[int], object]) -> torch.Tensor:
        """
        Draw an image a prompt.

        Parameters
        ----------
        prompts, keys : sequence of str
            N captions, and what their seeds derive from.
        report : callable
            Called with the number of images after each batch.

        Returns
        -------
        Tensor
            uint8, (N, H, W, 3).
        """
        out = []
        size = self._settings.batch_size
        for start in range(0, len(prompts), size):
            seeds = [derive(self._seed, key, "quality") for key in keys[start : start + size]]
            drawn: Any = self.pipeline(
                list(prompts[start : start + size]),
                num_inference_steps=self._settings.steps,
                guidance_scale=self._settings.guidance,
                generator=[torch.Generator().manual_seed(seed) for seed in seeds],
                output_type="np",
            )
            report(len(seeds))
            out.append(torch.from_numpy((drawn.images * 255).round().astype(np.uint8)))
        return torch.cat(out)

    @torch.inference_mode()
    def reconstruct(self, images: torch.Tensor) -> torch.Tensor:
        """
        Encode and decode images.

        Parameters
        ----------
        images : Tensor
            uint8, (N, H, W, 3).

        Returns
        -------
        Tensor
            uint8, (N, H, W, 3).
        """
        vae: AutoencoderKL = self.pipeline.vae
        out = []
        for part in images.split(self._settings.batch_size):
            latents, _ = autoencoder.encode(vae, part)
            whole: Any = latents.float()
            decoded: Any = vae.decode(whole)
            out.append(decoded.sample.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).permute(0, 2, 3, 1))
        return torch.cat(out)
