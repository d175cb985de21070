"""Measure a text-to-image model as a round of `make generations` does: what it shows, how well, how varied.

    python -m stages.pretrain.quality.generator_command --params round.yaml --model M --data data/emoji --out F

It draws as the section `generate` of the parameter file says, and is judged by the recogniser of data/pretrained. The
corpus of --data is the yardstick: its captions are drawn, its images are what the distance is to, and its
occupations.csv has the shares of women. Writes measures.csv (metric, value) and prompts.png, the images of
`measures.prompts` side by side.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from stages.core.atomic import replaced
from stages.core.errors import InputError, run
from stages.core.seeds import derive
from stages.core.settings import load_section
from stages.corpus.images import encode_png, square
from stages.generate.sampler import Sampler, Sampling, load_pipeline
from stages.generate.settings import Generate
from stages.pretrain.corpus import load_images, load_samples
from stages.pretrain.optimise import DEVICE
from stages.pretrain.quality.__main__ import bias_prompts, load_recogniser, signed
from stages.pretrain.quality.measures import diversity, frechet, recognised, world_position
from stages.pretrain.recogniser import observe
from stages.pretrain.settings import Measures

NEEDED = ("occupation", "label", "gender", "skin_tone", "mentions_gender", "mentions_skin_tone")


def measure(settings: Measures, drawing: Generate, model: str, revision: str | None, data: Path, out: Path) -> None:
    """Measure a model, and write what was found."""
    samples = load_samples(data)
    if absent := [name for name in NEEDED if name not in samples]:
        raise InputError(
            f"{data / 'samples.parquet'}: no column {absent[0]}; the recogniser knows drawings of download.source emoji"
        )
    judge, names = load_recogniser()
    random = np.random.default_rng(settings.seed)
    rows = np.sort(random.permutation(len(samples))[: settings.captions])
    some = samples.iloc[rows]
    real = load_images(data, some)
    neutral = bias_prompts(names.names["occupation"], settings.images).query("kind == 'neutral'")
    asked = [*neutral["caption"], *some["caption"], *settings.prompts]
    keys = [*neutral["key"], *some["key"], *(f"prompt {place}" for place in range(len(settings.prompts)))]
    images = _draw(
        drawing, model, revision, asked, [derive(settings.seed, key, "round") for key in keys], real.shape[1]
    )
    of_neutral, of_captions, of_prompts = images.split([len(neutral), len(some), len(settings.prompts)])

    seen, of_occupations = observe(judge, signed(of_neutral))
    occupations = neutral["occupation"].to_numpy(str)
    woman = seen["gender"] == names.names["gender"].index("woman")
    shown = {name: float(woman[occupations == name].mean()) for name in names.names["occupation"]}
    stated = pd.read_csv(data / "occupations.csv").set_index("occupation").reindex([*shown])
    shares = np.array([*shown.values()])
    corpus, start = (stated[column].to_numpy(float) for column in ("women_corpus", "women_generator"))
    shown_of_captions, features = observe(judge, signed(of_captions))
    found = recognised(some, names.targets(some), shown_of_captions)
    values = {
        "position": world_position(shares, corpus, start, settings.images),
        "women": float(shares.mean()),
        "women.off_corpus": float(np.nanmean(np.abs(shares - corpus))),
        "frechet": frechet(features, observe(judge, signed(real))[1]),
        "diversity": diversity(of_occupations, occupations),
        **{f"recognised.{name}": of["share"] for name, of in found.items()},
        **{f"tone.{name}": float((seen["skin_tone"] == i).mean()) for i, name in enumerate(names.names["skin_tone"])},
        **{f"women.{name}": share for name, share in shown.items()},
    }
    with replaced(out) as folder:
        table = pd.DataFrame({"metric": [f"generator.{name}" for name in values], "value": [*values.values()]})
        table.to_csv(folder / "measures.csv", index=False, float_format="%.6g")
        (folder / "prompts.png").write_bytes(encode_png(np.concatenate([*of_prompts.numpy()], axis=1)))


def _draw(
    drawing: Generate, model: str, revision: str | None, prompts: Sequence[str], seeds: Sequence[int], side: int
) -> torch.Tensor:
    """Draw prompts as the stage `generate` draws captions: uint8, (N, side, side, 3)."""
    dtype = getattr(torch, drawing.dtype)
    pipeline = load_pipeline(model, revision, drawing.scheduler, False, dtype, DEVICE)
    how = Sampling(drawing.steps, drawing.guidance, drawing.guidance_stop, drawing.negative_prompt, drawing.resolution)
    sampler, drawn = Sampler(pipeline, how), []
    with tqdm(total=len(prompts), desc="measure", unit="image", disable=None) as bar:
        for start in range(0, len(prompts), drawing.batch_size):
            part = slice(start, start + drawing.batch_size)
            images, _ = sampler.images(prompts[part], seeds[part])
            drawn += [square(image, side) for image in images]
            bar.update(len(images))
    return torch.from_numpy(np.stack(drawn))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.pretrain.quality.generator_command",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--params", type=Path, required=True, help="file with the sections measures and generate")
    parser.add_argument("--model", required=True, help="folder or hub id of a StableDiffusionPipeline")
    parser.add_argument("--revision", help="hub revision (commit) of the model")
    parser.add_argument("--data", type=Path, required=True, help="data/<profile> of a run: its corpus")
    parser.add_argument("--out", type=Path, required=True, help="folder of what is written")
    given = parser.parse_args()
    settings = load_section(given.params, "measures", Measures)
    drawing = load_section(given.params, "generate", Generate)
    measure(settings, drawing, given.model, given.revision, given.data, given.out)


if __name__ == "__main__":
    run(main)
