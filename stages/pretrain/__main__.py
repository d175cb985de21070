"""Make the small text-to-image model, and the recogniser that judges it.

python -m stages.pretrain denoiser
torchrun --nproc_per_node 2 -m stages.pretrain denoiser
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import PartialState
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

from stages.core.atomic import replaced
from stages.core.errors import InputError, run
from stages.core.scratch import digest, work_folder
from stages.core.settings import Section, load_section
from stages.pretrain import autoencoder, denoiser
from stages.pretrain.contrast import Contrast
from stages.pretrain.corpus import corpus_digest, held_out, load_images, load_samples
from stages.pretrain.denoiser import Encoded
from stages.pretrain.optimise import DEVICE, batch, generator
from stages.pretrain.paths import BUILD, CORPUS, HOME, JUDGE, MODEL, VAE_WEIGHTS, WEIGHTS
from stages.pretrain.pipeline import load, save
from stages.pretrain.progress import fitted
from stages.pretrain.recogniser import Recogniser, classes
from stages.pretrain.settings import Pretrain, Settle


def load_training(settings: Pretrain) -> pd.DataFrame:
    """Read the table of the training samples."""
    samples = load_samples(CORPUS)
    kept = np.flatnonzero(~held_out(samples, settings.held_out, settings.seed))
    return samples.iloc[kept].reset_index(drop=True)


def _images(samples: pd.DataFrame) -> torch.Tensor:
    """Read the images of some samples, to the device that trains: uint8, (N, H, W, 3)."""
    return load_images(CORPUS, samples).to(DEVICE)


def train_autoencoder(settings: Pretrain) -> None:
    """Train the autoencoder and write it to the work-in-progress folder of the model."""
    ours = settings.autoencoder
    images = _images(load_training(settings))
    torch.manual_seed(settings.seed)
    model: Any = autoencoder.build(ours.channels, ours.latent_channels, images.shape[1])
    model.to(DEVICE)

    def loss(step: int) -> torch.Tensor:
        rows = batch(len(images), ours.batch_size, settings.seed, step)
        with torch.autocast(DEVICE.type, torch.bfloat16):
            return autoencoder.loss(
                model, autoencoder.to_signed(images[rows]), generator(settings.seed + 1, step), ours.kl_weight
            )

    work = _work(settings, ours, held_out=settings.held_out)
    weights = fitted(model, loss, ours.recipe, work / "autoencoder.pt", "autoencoder")
    model.load_state_dict(weights, strict=False)
    means, deviations = autoencoder.encode(model.eval(), images[: 64 * 64])
    scale = (means.float().var() + deviations.float().square().mean()).rsqrt().item()
    model.register_to_config(scaling_factor=scale)
    with replaced(BUILD / "autoencoder") as folder:
        model.half().save_pretrained(folder)


def train_text(settings: Pretrain) -> None:
    """Build the tokenizer, train the text encoder by contrast, and write both to the work folder of the model."""
    ours = settings.text
    samples = load_training(settings)
    images, captions = _images(samples), samples["caption"].tolist()
    words = denoiser.tokenizer(captions, ours.vocabulary, ours.length)
    tokens = denoiser.tokens(words, captions).to(DEVICE)
    torch.manual_seed(settings.seed)
    text = denoiser.text_encoder(words, ours.width, ours.layers, ours.heads)
    model = Contrast(text, images.shape[1]).to(DEVICE)

    def loss(step: int) -> torch.Tensor:
        rows = batch(len(images), ours.batch_size, settings.seed + 3, step)
        return model.loss(autoencoder.to_signed(images[rows]), tokens[rows])

    work = _work(settings, ours, held_out=settings.held_out)
    weights = fitted(model, loss, ours.recipe, work / "text.pt", "text")
    model.load_state_dict(weights, strict=False)
    with replaced(BUILD / "text") as folder:
        text.save_pretrained(folder)
        words.save_pretrained(folder)


def train_denoiser(settings: Pretrain) -> None:
    """Train the denoiser, and the text encoder along, and write the pipeline to the work folder of the model."""
    ours = settings.denoiser
    samples = load_training(settings)
    vae: Any = AutoencoderKL.from_pretrained(BUILD / "autoencoder", dtype=torch.float32).eval()
    vae.to(DEVICE)
    text = CLIPTextModel.from_pretrained(BUILD / "text", attn_implementation="eager")
    words = CLIPTokenizer.from_pretrained(BUILD / "text")
    encoded = Encoded.of(vae, words, _images(samples).split(256), samples["caption"].tolist())
    torch.manual_seed(settings.seed)
    _, latent_channels, side, _ = encoded.means.shape
    unet = denoiser.denoiser(ours.channels, latent_channels, side, settings.text.width, ours.heads)
    model = denoiser.TextToLatent(text, unet).to(DEVICE)

    def loss(step: int) -> torch.Tensor:
        random = generator(settings.seed + 2, step)
        rows = batch(len(samples), ours.batch_size, settings.seed + 1, step)
        return model.loss(*encoded.drawn(rows, ours.dropout, random), random)

    work = _work(
        settings,
        ours,
        held_out=settings.held_out,
        autoencoder=digest([BUILD / "autoencoder" / VAE_WEIGHTS]),
        text=digest([BUILD / "text" / WEIGHTS]),
    )
    weights = fitted(model, loss, ours.recipe, work / "denoiser.pt", "denoiser")
    model.load_state_dict(weights, strict=False)
    save(BUILD / "denoiser", vae, words, model)


def settle(settings: Pretrain) -> None:
    """
    Train denoiser and text encoder on, at a falling rate, with more captions of occupations, and write the pipeline.

    They are a third of the corpus, and who is shown as what takes more turns to learn than what an object looks like.
    """
    ours = settings.settle
    made = BUILD / "denoiser"
    if not (made / "model_index.json").exists():
        raise InputError(f"{made}: no denoiser here; run `python -m stages.pretrain denoiser`")
    samples = load_training(settings)
    parts: Any = load(str(made))
    encoded = Encoded.of(parts.vae, parts.tokenizer, _images(samples).split(256), samples["caption"].tolist())
    model = denoiser.TextToLatent(parts.text_encoder, parts.unet)
    named = torch.from_numpy(np.flatnonzero(samples["occupation"] != ""))

    def loss(step: int) -> torch.Tensor:
        random = generator(settings.seed + 6, step)
        rows = settling(len(samples), named, ours, settings.seed + 5, step)
        return model.loss(*encoded.drawn(rows, ours.dropout, random), random)

    work = _work(
        settings,
        ours,
        held_out=settings.held_out,
        denoiser=digest(sorted(made.glob("*/*.safetensors"))),
        length=[ours.recipe.steps, ours.recipe.decay],  # the rate falls from the start: not to be lengthened
    )
    weights = fitted(model, loss, ours.recipe, work / "settled.pt", "settle")
    model.load_state_dict(weights, strict=False)
    save(MODEL, parts.vae, parts.tokenizer, model)


def settling(count: int, named: torch.Tensor, settings: Settle, seed: int, step: int) -> torch.Tensor:
    """
    Choose this process's rows of one step: some of all, some of those whose captions name an occupation.

    Parameters
    ----------
    named : Tensor
        int64: rows whose captions name an occupation.
    settings : Settle
        Batch size, and their share of it.
    seed : int
        Of the order; the next one is used, too.

    Returns
    -------
    Tensor
        int64, (batch size / processes,).

    Raises
    ------
    InputError
        If there are not enough rows of a kind for one step.
    """
    more = round(settings.occupations * settings.batch_size)
    for rows, wanted in ((len(named), more), (count, settings.batch_size - more)):
        if not 0 < wanted <= rows:
            raise InputError(
                f"pretrain.settle: {wanted} of {settings.batch_size} samples a step are drawn from {rows}; expected "
                "at least one, and no more than there are; change occupations or batch_size"
            )
    return torch.cat(
        [batch(count, settings.batch_size - more, seed, step), named[batch(len(named), more, seed + 1, step)]]
    )


def train_recogniser(settings: Pretrain) -> None:
    """Train the recogniser on the real images of all pairs, and write it."""
    ours = settings.recogniser
    samples = load_samples(CORPUS)
    images = _images(samples)
    names = classes(samples)
    targets = {head: torch.from_numpy(target).to(DEVICE) for head, target in names.targets(samples).items()}
    torch.manual_seed(settings.seed)
    model = Recogniser(names, ours.width, ours.features, images.shape[1]).to(DEVICE)

    def loss(step: int) -> torch.Tensor:
        rows = batch(len(images), ours.batch_size, settings.seed + 4, step)
        of = {head: target[rows] for head, target in targets.items()}
        return model.loss(autoencoder.to_signed(images[rows]), of, generator(settings.seed + 4, step))

    weights = fitted(model, loss, ours.recipe, _work(settings, ours) / "recogniser.pt", "recogniser")
    model.load_state_dict(weights, strict=False)
    config = {"width": ours.width, "features": ours.features, "resolution": images.shape[1], "classes": names.names}
    with replaced(JUDGE) as folder:
        save_file(model.half().state_dict(), folder / WEIGHTS)
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def _work(settings: Pretrain, section: Section, **further: Any) -> Path:
    """Return the work folder of all that shapes a training, but its length: a run may be lengthened."""
    shape = section.model_dump(mode="json")
    shape["recipe"] = {key: value for key, value in shape["recipe"].items() if key not in ("steps", "decay")}
    common = {"seed": settings.seed, "corpus": corpus_digest(CORPUS), type(section).__name__: shape}
    return work_folder("pretrain", {**common, **further})


PARTS = {
    "autoencoder": train_autoencoder,
    "text": train_text,
    "denoiser": train_denoiser,
    "settle": settle,
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
    PartialState()  # joins the processes of a launcher
    PARTS[arguments.part](load_section(HOME / "params.yaml", "pretrain", Pretrain))


if __name__ == "__main__":
    run(main)
