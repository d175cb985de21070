"""Images/s of the generate stage against one `StableDiffusionPipeline` call a prompt at the library's defaults.

The same model, in turn, in rounds, on captions of people at work and of objects; the library gets the first of the
stage's captions, since it is slow. Beside the speed stands what the recogniser of data/pretrained/ reads in the images
of the captions that both drew: fewer steps gain nothing if pictures get worse. `--guidance`, `--stop` and `--steps` try
other settings of the stage. Needs `dvc repro download` of the default profile.
"""

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from diffusers import StableDiffusionPipeline

from stages.core.seeds import derive
from stages.corpus.images import encode_png
from stages.generate.sampler import Sampler, Sampling, load_pipeline
from stages.pretrain import autoencoder
from stages.pretrain.quality.__main__ import load_recogniser
from stages.pretrain.quality.measures import recognised
from stages.pretrain.recogniser import recognise
from stages.tools import params

SAMPLES = Path("data/emoji/samples.parquet")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="alternations")
    parser.add_argument("--captions", type=int, default=512, help="captions of the stage's share of a round")
    parser.add_argument("--single", type=int, default=64, help="captions of the library's share of a round")
    parser.add_argument("--threads", type=int, default=2)
    ours = params.load().generate
    parser.add_argument("--steps", type=int, default=ours.steps, help="of the stage")
    parser.add_argument("--guidance", type=float, default=ours.guidance, help="of the stage")
    parser.add_argument("--stop", type=float, default=ours.guidance_stop, help="share of the steps that are guided")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    samples = pd.read_parquet(SAMPLES)
    named = ((samples["kind"] == "person") & (samples["occupation"] != "")) | (samples["kind"] == "object")
    samples = samples[named].sample(arguments.rounds * arguments.captions, random_state=0)
    stage_pipeline = load_pipeline(
        ours.model, ours.revision, ours.scheduler, ours.safety_checker, getattr(torch, ours.dtype), torch.device("cpu")
    )
    settings = Sampling(arguments.steps, arguments.guidance, arguments.stop, ours.negative_prompt, ours.resolution)
    sampler = Sampler(stage_pipeline, settings)
    library: Any = StableDiffusionPipeline.from_pretrained(
        ours.model, use_safetensors=True, safety_checker=None, torch_dtype=torch.float32
    )
    library.set_progress_bar_config(disable=True)
    images: dict[str, list[np.ndarray]] = {"stage": [], "library": []}
    rows: list[pd.DataFrame] = []
    account: dict[str, float] = defaultdict(float)
    ratios: list[float] = []
    for number in range(arguments.rounds):
        chunk = samples.iloc[number * arguments.captions : (number + 1) * arguments.captions]
        few = chunk.iloc[: arguments.single]
        with timed(stage_pipeline, account) as clock:
            drawn = [
                sampler.images(part["caption"].tolist(), [derive(0, key) for key in part["key"]])[0]
                for part in (chunk.iloc[i : i + ours.batch_size] for i in range(0, len(chunk), ours.batch_size))
            ]
            mark = time.perf_counter()
            for image in np.concatenate(drawn):
                encode_png(image)
            account["png"] += time.perf_counter() - mark
        stage = len(chunk) / clock()
        start = time.perf_counter()
        single = [
            library(row.caption, generator=torch.Generator().manual_seed(derive(0, row.key)), output_type="np").images
            for row in few.itertuples()
        ]
        default = len(few) / (time.perf_counter() - start)
        images["stage"].append(np.concatenate(drawn)[: len(few)])
        images["library"].append((np.concatenate(single) * 255).round().astype(np.uint8))
        rows.append(few)
        ratios.append(stage / default)
        print(
            f"{number}: stage {stage:6.1f} images/s, library {default:5.2f} images/s, ratio {ratios[-1]:.1f}",
            flush=True,
        )
    print(f"median ratio {statistics.median(ratios):.1f}")
    total = sum(account.values())
    print("time of the stage: " + ", ".join(f"{name} {100 * spent / total:.0f} %" for name, spent in account.items()))
    judge, names = load_recogniser()
    chosen = pd.concat(rows)
    print(f"recognised in {len(chosen)} images of the same captions, 95 % interval:")
    for name in images:
        batches = [autoencoder.to_signed(torch.from_numpy(part)) for part in images[name]]
        found = recognised(chosen, names.targets(chosen), recognise(judge, batches))
        shares = [
            f"{key} {one['share']:.3f} [{one['low']:.2f}, {one['high']:.2f}] (n {one['n']})"
            for key, one in found.items()
        ]
        print(f"{name}: {', '.join(shares)}")


@contextmanager
def timed(pipeline: StableDiffusionPipeline, account: dict[str, float]) -> Iterator[Callable[[], float]]:
    """
    Add the seconds of each part of a pipeline to an account.

    Parameters
    ----------
    pipeline : StableDiffusionPipeline
        Its text encoder, denoiser and decoder are timed.
    account : dict
        Seconds by part; added to.

    Yields
    ------
    callable
        Seconds since the start, and at the end the whole.
    """
    parts: dict[str, tuple[Any, str]] = {
        "text encoder": (pipeline.text_encoder, "forward"),
        "denoiser": (pipeline.unet, "forward"),
        "decoder": (pipeline.vae, "decode"),
    }
    plain = {name: getattr(owner, attribute) for name, (owner, attribute) in parts.items()}
    spent: dict[str, float] = defaultdict(float)

    def wrap(name: str) -> Callable:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return plain[name](*args, **kwargs)
            finally:
                spent[name] += time.perf_counter() - start

        return call

    start = time.perf_counter()
    whole = 0.0
    for name, (owner, attribute) in parts.items():
        setattr(owner, attribute, wrap(name))
    before = account.get("png", 0.0)
    try:
        yield lambda: whole or time.perf_counter() - start
    finally:
        whole = time.perf_counter() - start
        for name, (owner, attribute) in parts.items():
            setattr(owner, attribute, plain[name])
            account[name] += spent[name]
        account["scheduler, copies"] += whole - sum(spent.values()) - (account["png"] - before)


if __name__ == "__main__":
    main()
