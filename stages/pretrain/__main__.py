"""Make the small text-to-image model, and the recogniser that judges it.

python -m stages.pretrain denoiser
torchrun --nproc_per_node 2 -m stages.pretrain denoiser
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
from diffusers import AutoencoderKL, StableDiffusionPipeline
from safetensors.torch import save_file
from tqdm import tqdm
from transformers import CLIPTextModel, CLIPTokenizer

from stages import params
from stages.errors import run
from stages.pretrain import autoencoder, denoiser
from stages.pretrain.contrast import Contrast
from stages.pretrain.corpus import corpus_digest, held_out, load_images, load_samples
from stages.pretrain.optimise import Recipe, batch, fit, generator, place
from stages.pretrain.places import BUILD, CORPUS, HOME, JUDGE, MODEL, VAE_WEIGHTS, WEIGHTS
from stages.pretrain.recogniser import Recogniser, classes
from stages.pretrain.settings import Pretrain
from stages.staging import replaced
from stages.workdir import digest, work_folder


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
    """
    samples = load_samples(CORPUS)
    samples = samples.iloc[np.flatnonzero(~held_out(samples, settings.held_out, settings.seed))]
    return load_images(CORPUS, samples), samples["caption"].tolist()


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

    work = _work(settings, ours, held_out=settings.held_out)
    weights = _fit(model, loss, ours.recipe, work / "autoencoder.pt", "autoencoder")
    model.load_state_dict(weights, strict=False)
    means, deviations = autoencoder.encode(model.eval(), images[: 64 * 64])
    scale = (means.float().var() + deviations.float().square().mean()).rsqrt().item()
    model.register_to_config(scaling_factor=scale)
    with replaced(BUILD / "autoencoder") as folder:
        model.half().save_pretrained(folder)


def train_text(settings: Pretrain) -> None:
    """
    Build the tokenizer, train the text encoder by contrast, and write both to the work-in-progress folder of the model.

    Parameters
    ----------
    settings : Pretrain
        Seed, size, recipe.
    """
    ours = settings.text
    images, captions = load_corpus(settings)
    words = denoiser.tokenizer(captions, ours.vocabulary, ours.length)
    tokens = _tokens(words, captions)
    torch.manual_seed(settings.seed)
    text = denoiser.text_encoder(words, ours.width, ours.layers, ours.heads)
    model = Contrast(text, images.shape[1])

    def loss(step: int) -> torch.Tensor:
        rows = batch(len(images), ours.batch_size, settings.seed + 3, step)
        return model.loss(autoencoder.to_signed(images[rows]), tokens[rows])

    work = _work(settings, ours, held_out=settings.held_out)
    weights = _fit(model, loss, ours.recipe, work / "text.pt", "text")
    model.load_state_dict(weights, strict=False)
    with replaced(BUILD / "text") as folder:
        text.save_pretrained(folder)
        words.save_pretrained(folder)


def train_denoiser(settings: Pretrain) -> None:
    """
    Train the denoiser, and the text encoder along, and write the pipeline.

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
    words = CLIPTokenizer.from_pretrained(BUILD / "text")
    tokens = _tokens(words, captions)
    empty = _tokens(words, [""])[0]
    text = CLIPTextModel.from_pretrained(BUILD / "text", attn_implementation="eager")
    torch.manual_seed(settings.seed)
    unet = denoiser.denoiser(ours.channels, means.shape[1], means.shape[2], settings.text.width, ours.heads)
    model = denoiser.TextToLatent(text, unet)

    def loss(step: int) -> torch.Tensor:
        random = generator(settings.seed + 2, step)
        rows = batch(len(means), ours.batch_size, settings.seed + 1, step)
        mean = means[rows].float()
        latents = mean + deviations[rows].float() * torch.randn(mean.shape, generator=random)
        dropped = torch.rand(len(rows), generator=random) < ours.dropout
        chosen = torch.where(dropped[:, None], empty, tokens[rows])
        return model.loss(latents * scale, chosen, random)

    work = _work(
        settings,
        ours,
        held_out=settings.held_out,
        autoencoder=digest([BUILD / "autoencoder" / VAE_WEIGHTS]),
        text=digest([BUILD / "text" / WEIGHTS]),
    )
    weights = _fit(model, loss, ours.recipe, work / "denoiser.pt", "denoiser")
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
    with replaced(MODEL) as folder:
        pipeline.save_pretrained(folder)
        stated = folder / "text_encoder" / "config.json"  # else transformers loads float16 beside diffusers' float32
        stated.write_text(stated.read_text().replace('"dtype": "float16"', '"dtype": "float32"'))


def train_recogniser(settings: Pretrain) -> None:
    """
    Train the recogniser on the real images of all pairs, and write it.

    Parameters
    ----------
    settings : Pretrain
        Seed, size, recipe.
    """
    ours = settings.recogniser
    samples = load_samples(CORPUS)
    images = load_images(CORPUS, samples)
    names = classes(samples)
    targets = {head: torch.from_numpy(target) for head, target in names.targets(samples).items()}
    torch.manual_seed(settings.seed)
    model = Recogniser(names, ours.width, ours.features, images.shape[1])

    def loss(step: int) -> torch.Tensor:
        rows = batch(len(images), ours.batch_size, settings.seed + 4, step)
        of = {head: target[rows] for head, target in targets.items()}
        return model.loss(autoencoder.to_signed(images[rows]), of, generator(settings.seed + 4, step))

    weights = _fit(model, loss, ours.recipe, _work(settings, ours) / "recogniser.pt", "recogniser")
    model.load_state_dict(weights, strict=False)
    config = {"width": ours.width, "features": ours.features, "resolution": images.shape[1], "classes": names.names}
    with replaced(JUDGE) as folder:
        save_file(model.half().state_dict(), folder / WEIGHTS)
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def _tokens(words: CLIPTokenizer, captions: list[str]) -> torch.Tensor:
    """Encode captions as `StableDiffusionPipeline` does: int64, (N, length)."""
    return words(
        captions, padding="max_length", truncation=True, max_length=words.model_max_length, return_tensors="pt"
    ).input_ids


def _work(settings: Pretrain, section: params.Section, **further: Any) -> Path:
    """Return the work folder of all that shapes a training, but its length: a run may be lengthened."""
    shape = section.model_dump(mode="json")
    shape["recipe"] = {key: value for key, value in shape["recipe"].items() if key not in ("steps", "decay")}
    common = {"seed": settings.seed, "corpus": corpus_digest(CORPUS), type(section).__name__: shape}
    return work_folder("pretrain", {**common, **further})


def _fit(model: torch.nn.Module, loss, recipe: Recipe, checkpoint: Path, name: str) -> dict[str, torch.Tensor]:
    """Train; only the first of several processes comes back, to write the result."""
    rank, _ = place()
    with tqdm(total=recipe.steps, desc=name, unit="step", mininterval=5, disable=rank > 0) as bar:
        smooth = 0.0

        def report(step: int, value: float) -> None:
            nonlocal smooth
            smooth = value if not smooth else 0.99 * smooth + 0.01 * value
            bar.set_postfix(loss=f"{smooth:.4f}", refresh=False)
            bar.update(step - bar.n)

        weights = fit(model, loss, recipe, checkpoint, report)
    if rank > 0:
        sys.exit(0)
    return weights


PARTS = {
    "autoencoder": train_autoencoder,
    "text": train_text,
    "denoiser": train_denoiser,
    "recogniser": train_recogniser,
}


def main() -> None:
    """Run one part of the training."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.pretrain",
        description=(__doc__ or "").strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=tuple(PARTS), help="what to train; in this order")
    arguments = parser.parse_args()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        torch.distributed.init_process_group("gloo")
    PARTS[arguments.part](params.load_section(HOME / "params.yaml", "pretrain", Pretrain))


if __name__ == "__main__":
    run(main)
