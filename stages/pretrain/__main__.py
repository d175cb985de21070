"""Train the small text-to-image model: `python -m stages.pretrain autoencoder`, then `… denoiser`."""

import argparse
import hashlib
import shutil
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from pydantic import Field
from tqdm import tqdm
from transformers import CLIPTokenizer

from stages import params
from stages.errors import InputError, run
from stages.pretrain import autoencoder, denoiser
from stages.pretrain.optimise import Recipe, batch, fit, generator
from stages.seeds import uniform
from stages.shards import read_images
from stages.workdir import work_folder

HOME = Path("data/pretrained")
BUILD = HOME / "build"  # not in git
CORPUS = BUILD / "corpus"
MODEL = HOME / "emoji-sd"
VAE_WEIGHTS = "diffusion_pytorch_model.safetensors"


class Autoencoder(params.Section):
    """The autoencoder: size and recipe."""

    channels: list[params.Count] = Field(description="channels of the levels")
    latent_channels: params.Count = Field(description="channels of the latents")
    kl_weight: params.NonNegative = Field(description="weight of the Kullback-Leibler term")
    batch_size: params.Count = Field(description="images a step")
    recipe: Recipe = Field(description="optimisation")


class Text(params.Section):
    """The text encoder: size."""

    vocabulary: params.Count = Field(description="largest number of tokens")
    length: Annotated[int, Field(ge=3)] = Field(description="tokens a caption, start and end included")
    width: params.Count = Field(description="width of the hidden states")
    layers: params.Count = Field(description="transformer layers")
    heads: params.Count = Field(description="attention heads")


class Denoiser(params.Section):
    """The denoiser: size and recipe."""

    channels: list[params.Count] = Field(description="channels of the levels")
    heads: params.Count = Field(description="attention heads")
    text: Text = Field(description="the text encoder")
    dropout: params.Share = Field(description="share of captions left empty, for classifier-free guidance")
    batch_size: params.Count = Field(description="samples a step")
    recipe: Recipe = Field(description="optimisation")


class Pretrain(params.Section):
    """Everything that shapes the model."""

    seed: params.Seed = Field(description="seed of weights, order and noise")
    held_out: params.Share = Field(description="share of (occupation, skin tone) pairs never trained on")
    autoencoder: Autoencoder = Field(description="images to latents")
    denoiser: Denoiser = Field(description="captions to latents")


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
    seed : int
        The run's seed.

    Returns
    -------
    np.ndarray
        bool, a row each.
    """
    pairs = samples["occupation"] + "/" + samples["skin_tone"]
    chosen = {pair: uniform(seed, pair, "held out") < share for pair in pairs.unique()}
    at_work = (samples["kind"] == "person") & (samples["occupation"] != "")
    return (at_work & pairs.map(chosen)).to_numpy()


def load_corpus(settings: Pretrain) -> tuple[torch.Tensor, list[str]]:
    """
    Read the training images and captions.

    Parameters
    ----------
    settings : Pretrain
        Says what is held out.

    Returns
    -------
    tuple of (Tensor, list of str)
        uint8, (N, H, W, 3), and N captions.

    Raises
    ------
    InputError
        If the corpus is not there.
    """
    table = CORPUS / "samples.parquet"
    if not table.exists():
        raise InputError(f"{table}: no such file; run `dvc repro data/pretrained/dvc.yaml`, which writes it first")
    samples = pd.read_parquet(table)
    samples = samples[~held_out(samples, settings.held_out, settings.seed)]
    images = []
    for shard, rows in samples.groupby("shard", sort=True):
        images += [image for _, image in read_images(CORPUS / "real" / f"{shard}.tar", rows["key"])]
    order: Any = samples.sort_values(by=["shard", "key"])  # pyright: ignore[reportCallIssue]
    return torch.from_numpy(np.stack(images)), order["caption"].tolist()


def train_autoencoder(settings: Pretrain) -> None:
    """
    Train the autoencoder and write it to the work-in-progress folder of the model.

    Parameters
    ----------
    settings : Pretrain
        Seed, size, recipe.
    """
    ours = settings.autoencoder
    images, _ = load_corpus(settings)
    torch.manual_seed(settings.seed)
    model = autoencoder.build(ours.channels, ours.latent_channels, images.shape[1])

    def loss(step: int) -> torch.Tensor:
        rows = batch(len(images), ours.batch_size, settings.seed, step)
        with torch.autocast("cpu", torch.bfloat16):
            return autoencoder.loss(
                model, autoencoder.to_signed(images[rows]), generator(settings.seed + 1, step), ours.kl_weight
            )

    work = work_folder("pretrain", {"seed": settings.seed, "held_out": settings.held_out, **_shape(ours)})
    weights = _fit(model, loss, ours.recipe, work / "autoencoder.pt", "autoencoder")
    model.load_state_dict(weights, strict=False)
    means, deviations = autoencoder.encode(model.eval(), images[: 64 * 64])
    scale = (means.float().var() + deviations.float().square().mean()).rsqrt().item()
    model.register_to_config(scaling_factor=scale)
    _replace(lambda folder: model.half().save_pretrained(folder), BUILD / "autoencoder")


def train_denoiser(settings: Pretrain) -> None:
    """
    Train text encoder and denoiser, and write the pipeline.

    Parameters
    ----------
    settings : Pretrain
        Seed, size, recipe.
    """
    ours = settings.denoiser
    images, captions = load_corpus(settings)
    vae = AutoencoderKL.from_pretrained(BUILD / "autoencoder", torch_dtype=torch.float32).eval()
    scale: float = vae.config["scaling_factor"]
    means, deviations = autoencoder.encode(vae, images)
    words: CLIPTokenizer = denoiser.tokenizer(captions, ours.text.vocabulary, ours.text.length)
    tokens = _tokens(words, captions)
    empty = _tokens(words, [""])[0]
    torch.manual_seed(settings.seed)
    text = denoiser.text_encoder(words, ours.text.width, ours.text.layers, ours.text.heads)
    unet = denoiser.denoiser(ours.channels, means.shape[1], means.shape[2], ours.text.width, ours.heads)
    model = denoiser.TextToLatent(text, unet)

    def loss(step: int) -> torch.Tensor:
        random = generator(settings.seed + 2, step)
        rows = batch(len(means), ours.batch_size, settings.seed + 1, step)
        mean = means[rows].float()
        latents = mean + deviations[rows].float() * torch.randn(mean.shape, generator=random)
        dropped = torch.rand(len(rows), generator=random) < ours.dropout
        chosen = torch.where(dropped[:, None], empty, tokens[rows])
        return model.loss(latents * scale, chosen, random)

    vae_hash = hashlib.blake2b((BUILD / "autoencoder" / VAE_WEIGHTS).read_bytes(), digest_size=8).hexdigest()
    shape = {"seed": settings.seed, "held_out": settings.held_out, "autoencoder": vae_hash, **_shape(ours)}
    weights = _fit(model, loss, ours.recipe, work_folder("pretrain", shape) / "denoiser.pt", "denoiser")
    model.load_state_dict(weights, strict=False)
    unet.set_default_attn_processor()
    parts: Any = {"safety_checker": None, "feature_extractor": None, "scheduler": denoiser.scheduler()}
    pipeline = StableDiffusionPipeline(
        vae=vae.half(),
        text_encoder=text.half(),
        tokenizer=words,
        unet=unet.half(),
        requires_safety_checker=False,
        **parts,
    )
    _replace(pipeline.save_pretrained, MODEL)


def _tokens(words: CLIPTokenizer, captions: list[str]) -> torch.Tensor:
    """Encode captions as `StableDiffusionPipeline` does: int64, (N, length)."""
    return words(
        captions, padding="max_length", truncation=True, max_length=words.model_max_length, return_tensors="pt"
    ).input_ids


def _shape(section: params.Section) -> dict:
    """Everything of a section that shapes its training, but its length: a run may be lengthened."""
    shape = section.model_dump(mode="json")
    shape["recipe"] = {key: value for key, value in shape["recipe"].items() if key not in ("steps", "decay")}
    return {type(section).__name__: shape}


def _fit(model: torch.nn.Module, loss, recipe: Recipe, checkpoint: Path, name: str) -> dict[str, torch.Tensor]:
    with tqdm(total=recipe.steps, desc=name, unit="step", mininterval=5) as bar:
        smooth = 0.0

        def report(step: int, value: float) -> None:
            nonlocal smooth
            smooth = value if not smooth else 0.99 * smooth + 0.01 * value
            bar.set_postfix(loss=f"{smooth:.4f}", refresh=False)
            bar.update(step - bar.n)

        return fit(model, loss, recipe, checkpoint, report)


def _replace(write, folder: Path) -> None:
    """Write a folder under a temporary name, then put it in place of the old one."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    write(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def main() -> None:
    """Run one part of the training."""
    parser = argparse.ArgumentParser(prog="python -m stages.pretrain", description=(__doc__ or ""))
    parser.add_argument("part", choices=("autoencoder", "denoiser"), help="what to train")
    arguments = parser.parse_args()
    settings = params.load_section(HOME / "params.yaml", "pretrain", Pretrain)
    {"autoencoder": train_autoencoder, "denoiser": train_denoiser}[arguments.part](settings)


if __name__ == "__main__":
    run(main)
