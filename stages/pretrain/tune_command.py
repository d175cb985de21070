"""Train a text-to-image model on, on the mix of a run: any Stable Diffusion in diffusers' format.

    python -m stages.pretrain.tune_command --params tune.yaml --model data/pretrained/emoji-sd --data data/emoji --out F
    accelerate launch -m stages.pretrain.tune_command …

Real and synthetic images come as the mix has them. The trainer is that of the default's model: moving average of the
weights, a checkpoint, and after a kill the same result. The section `tune` of the parameter file says how
(docs/parameters.md, `generations.tune`); the model that it writes is a whole pipeline, whatever was trained.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from diffusers import UNet2DConditionModel

from stages.core.errors import InputError, run
from stages.core.scratch import digest, work_folder
from stages.core.seeds import derive
from stages.core.settings import load_section
from stages.generate.__main__ import model_fingerprint
from stages.pretrain.denoiser import Encoded, TextToLatent
from stages.pretrain.mix import load_mix, plan, read_parts
from stages.pretrain.optimise import DEVICE, generator
from stages.pretrain.pipeline import load, save
from stages.pretrain.progress import fitted
from stages.pretrain.settings import Tune

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]  # what low-rank updates are added to
PIXELS = 256 * 64 * 64  # that the autoencoder takes at once


def tune(settings: Tune, model: str, revision: str | None, data: Path, out: Path, seed: int) -> None:
    """Train a model on the mix of a run, and write it."""
    if DEVICE.type == "cpu":
        torch.set_num_threads(settings.threads)
    rows = load_mix(data)
    used, steps = plan(len(rows), settings.batch_size, settings.steps, derive(seed, "order"))
    parts: Any = load(model, revision)
    side = parts.unet.config.sample_size * parts.vae_scale_factor
    chosen = rows.iloc[used.numpy()]
    images = read_parts(data, chosen, side, max(1, PIXELS // side**2))
    encoded = Encoded.of(parts.vae, parts.tokenizer, images, chosen["caption"].tolist())
    torch.manual_seed(derive(seed, "weights"))
    trained = TextToLatent(parts.text_encoder, parts.unet, parts.scheduler)
    trained.text.requires_grad_(settings.text)
    if settings.lora:
        add_low_rank(trained.unet, settings.lora)

    def loss(step: int) -> torch.Tensor:
        random = generator(derive(seed, "noise"), step)
        return trained.loss(*encoded.drawn(steps[step], settings.dropout, random), random)

    shards = sorted(set(rows["source"] + "/" + rows["shard"]))
    shape = {
        "tune": settings.model_dump(mode="json"), "seed": seed, "model": model_fingerprint(model, revision),
        "rows": digest([data / "selection.parquet", data / "samples.parquet"]),
        "images": digest([data / f"{shard}.tar" for shard in shards]),
    }  # fmt: skip
    work = work_folder("tune", shape)
    weights = fitted(trained, loss, settings.recipe, work / "tuned.pt", "tune")
    trained.load_state_dict(weights, strict=False)
    if settings.lora:
        unet: Any = trained.unet
        unet.fuse_lora()
        unet.unload_lora()
    save(out, parts.vae, parts.tokenizer, trained, parts.scheduler)
    shutil.rmtree(work)


def add_low_rank(unet: UNet2DConditionModel, rank: int) -> None:
    """
    Freeze a denoiser, and add low-rank updates of its attention, which are trained in its place.

    Raises
    ------
    InputError
        If peft is not installed.
    """
    try:
        from peft import LoraConfig  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise InputError(
            f"tune: lora: found {rank}, which needs peft, which is not installed; install it, or set lora to 0"
        ) from None
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=ATTENTION))


def main() -> None:
    """Train on."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.pretrain.tune_command",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--params", type=Path, required=True, help="file with the section tune")
    parser.add_argument("--model", required=True, help="folder or hub id of a StableDiffusionPipeline")
    parser.add_argument("--revision", help="hub revision (commit) of the model")
    parser.add_argument("--data", type=Path, required=True, help="data/<profile> of a run, with its mix")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model that is written")
    parser.add_argument("--seed", type=int, default=0, help="of order, noise and new weights (default: 0)")
    given = parser.parse_args()
    PartialState()  # joins the processes of a launcher
    settings = load_section(given.params, "tune", Tune)
    tune(settings, given.model, given.revision, given.data, given.out, given.seed)


if __name__ == "__main__":
    run(main)
