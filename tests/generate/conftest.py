"""A tiny latent diffusion pipeline of real diffusers parts, with random weights, saved as a folder."""

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline

from stages.pretrain import autoencoder, denoiser

CAPTIONS = [
    "a judge",
    "a firefighter with dark skin",
    "a picture of a red apple",
    "an emoji of a woman singer",
    "a cat",
]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    words = denoiser.tokenizer(CAPTIONS, 400, 12)
    pipeline = StableDiffusionPipeline(
        vae=autoencoder.build([8, 16], 4, 16),
        text_encoder=denoiser.text_encoder(words, 16, 1, 2),
        tokenizer=words,
        unet=denoiser.denoiser([16, 32], 4, 8, 16, 2),
        scheduler=denoiser.scheduler(),
        safety_checker=None,  # pyright: ignore[reportArgumentType]
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )
    pipeline.unet.set_default_attn_processor()
    folder = tmp_path_factory.mktemp("tiny-sd")
    pipeline.save_pretrained(folder)
    return folder
