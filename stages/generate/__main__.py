"""Generate the synthetic images of one shard: `python -m stages.generate --shard 00000`.

Resumes after a kill and runs on any number of processes (LAUNCH="accelerate launch -m"): the shard is cut into parts of
`batch_size` samples whatever the number of processes; finished parts lie in the work folder, and the tar is written
from them at the end, so its bytes do not depend on either. The parts are removed when the tar is there.
"""

import argparse
import hashlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import diffusers
import numpy as np
import torch
from accelerate import PartialState
from safetensors.numpy import load_file, save_file
from tqdm import tqdm

from stages.core.atomic import written
from stages.core.errors import run
from stages.core.scratch import alone, digest, work_folder
from stages.core.seeds import derive, uniform
from stages.core.settings import check_member, load
from stages.corpus.images import square
from stages.corpus.shards import Shard, encode_png, write_shard
from stages.generate.sampler import Sampler, Sampling, load_pipeline
from stages.generate.settings import Settings


def read_captions(shard: Path, seed: int, max_alpha: float) -> dict[str, str]:
    """
    Read the captions of the samples that some α can make synthetic.

    Parameters
    ----------
    seed : int
        Seed of the samples' fixed uniform numbers u.
    max_alpha : float
        Samples with u below it are kept.

    Returns
    -------
    dict of str to str
        Key to caption, in the order of the shard.
    """
    with Shard(shard) as real:
        return {key: real.read(key, "txt").decode() for key in real.keys if uniform(seed, key) < max_alpha}


def model_fingerprint(model: str, revision: str | None) -> str:
    """Identify the weights: a folder by names, sizes and heads of its files, a hub model by id and revision."""
    digest = hashlib.blake2b(f"{model}@{revision}".encode(), digest_size=8)
    if Path(model).is_dir():
        for path in sorted(Path(model).rglob("*.*")):
            if path.is_file():
                digest.update(f"{path.relative_to(model)}{path.stat().st_size}".encode())
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()


def main() -> None:
    """Generate one shard."""
    parser = argparse.ArgumentParser(prog="python -m stages.generate", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--shard", required=True, help="name of the shard, e.g. 00000")
    shard = parser.parse_args().shard
    settings = load(Settings)
    check_member("shard", shard, settings.shards, "shards")
    ours = settings.generate
    state = PartialState()
    source = settings.folder / "real" / f"{shard}.tar"
    captions = read_captions(source, settings.download.seed, ours.max_alpha)
    shape: dict[str, object] = {
        "generate": ours.model_dump(mode="json"),
        "model": model_fingerprint(ours.model, ours.revision),
        "side": settings.download.resolution,
        "captions": hashlib.blake2b(repr(captions).encode()).hexdigest(),
        "versions": [torch.__version__, diffusers.__version__],
        "code": digest(sorted(Path(__file__).parent.glob("*.py"))),
    }
    if state.is_main_process:
        print(f"generate {shard}: processes: {state.num_processes}, on {state.device}", flush=True)
    with alone("generate", shape) if state.is_main_process else nullcontext():
        state.wait_for_everyone()
        _generate(settings, shard, captions, shape, state)


def _generate(
    settings: Settings, shard: str, captions: dict[str, str], shape: dict[str, object], state: PartialState
) -> None:
    """Generate the parts that are not there yet, each process its own, and write the shard."""
    ours, keys, source = settings.generate, list(captions), settings.folder / "real" / f"{shard}.tar"
    work = work_folder("generate", shape)
    parts = [keys[start : start + ours.batch_size] for start in range(0, len(keys), ours.batch_size)]
    files = [work / f"{index:06d}.safetensors" for index in range(len(parts))]
    mine = [index for index in range(state.process_index, len(parts), state.num_processes) if not files[index].exists()]
    if mine:
        pipeline = load_pipeline(
            ours.model,
            ours.revision,
            ours.scheduler,
            ours.safety_checker,
            getattr(torch, ours.dtype),
            state.device or torch.device("cpu"),
        )
        sampler = Sampler(
            pipeline, Sampling(ours.steps, ours.guidance, ours.guidance_stop, ours.negative_prompt, ours.resolution)
        )
        if state.is_main_process:
            _say_odd_captions(source, sampler, captions)
        done = sum(len(parts[i]) for i in range(len(parts)) if i not in mine)
        with tqdm(
            total=len(keys), initial=done, desc=f"generate {shard}", unit="image", disable=not state.is_main_process
        ) as bar:
            for index in mine:
                texts = [captions[key] for key in parts[index]]
                images, flagged = sampler.images(texts, [derive(ours.seed, key, "noise") for key in parts[index]])
                side = settings.download.resolution
                images = np.ascontiguousarray([square(image, side) for image in images])  # safetensors ignores strides
                with written(files[index]) as file:
                    save_file({"images": images, "flagged": flagged}, file)
                bar.update(len(texts))
    state.wait_for_everyone()
    if state.is_main_process:
        count = write_shard(settings.folder / "synthetic" / f"{shard}.tar", _members(parts, files))
        flagged = sum(int(load_file(file)["flagged"].sum()) for file in files)
        shutil.rmtree(work)
        note = f", {flagged} blanked by the safety checker" if flagged else ""
        print(f"generate {shard}: {count} images{note}")


def _members(parts: list[list[str]], files: list[Path]) -> Iterator[tuple[str, dict[str, bytes]]]:
    for part, file in zip(parts, files, strict=True):
        for key, image in zip(part, load_file(file)["images"], strict=True):
            yield key, {"png": encode_png(image)}


def _say_odd_captions(source: Path, sampler: Sampler, captions: dict[str, str]) -> None:
    keys, texts = list(captions), list(captions.values())
    empty = [key for key, text in captions.items() if not text.strip()]
    if empty:
        print(f"{source}: {len(empty)} empty captions (first: {empty[0]}) draw unconditional images", file=sys.stderr)
    if cut := sampler.overlong(texts):
        print(f"{source}: {len(cut)} captions are cut by the text encoder (first: {keys[cut[0]]})", file=sys.stderr)


if __name__ == "__main__":
    run(main)
