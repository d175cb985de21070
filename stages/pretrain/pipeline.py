"""Read and write the parts of a `StableDiffusionPipeline` that are trained."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from transformers import CLIPTokenizer

from stages.core.atomic import replaced
from stages.core.errors import missing
from stages.core.weights import UNREADABLE, reason
from stages.pretrain import denoiser
from stages.pretrain.optimise import DEVICE


def load(model: str, revision: str | None = None) -> StableDiffusionPipeline:
    """
    Load a pipeline to be trained on: safetensors only, float32, on the device that trains.

    Raises
    ------
    InputError
        If it is missing or not in this format.
    """
    without: Any = {"safety_checker": None, "requires_safety_checker": False}
    try:
        parts: Any = StableDiffusionPipeline.from_pretrained(
            model, revision=revision, dtype=torch.float32, use_safetensors=True, **without
        )
    except UNREADABLE as error:
        raise missing(
            f"{model}: cannot be loaded ({reason(error)})",
            "expected a StableDiffusionPipeline in safetensors, as a folder or as a hub id that this machine can reach",
        ) from None
    if DEVICE.type == "cpu":
        parts.text_encoder.set_attn_implementation("eager")
    denoiser.plain_attention(parts.unet)
    return parts.to(DEVICE)


def save(
    target: Path, vae: AutoencoderKL, words: CLIPTokenizer, model: denoiser.TextToLatent, schedule: Any = None
) -> None:
    """Write a pipeline of its parts, in float16, whole or not at all."""
    model.unet.set_default_attn_processor()
    parts: Any = {"safety_checker": None, "feature_extractor": None, "scheduler": schedule or denoiser.scheduler()}
    pipeline = StableDiffusionPipeline(
        vae=vae.half(),
        text_encoder=model.text.half(),
        tokenizer=words,
        unet=model.unet.half(),
        requires_safety_checker=False,
        **parts,
    )
    with replaced(target) as folder:
        pipeline.save_pretrained(folder)
        for config in (folder / part / "config.json" for part in ("unet", "vae")):  # not where its makings lay
            known = json.loads(config.read_text())
            known.pop("_name_or_path", None)
            config.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
        stated = folder / "text_encoder" / "config.json"  # else transformers loads float16 beside diffusers' float32
        stated.write_text(stated.read_text().replace('"dtype": "float16"', '"dtype": "float32"'))
