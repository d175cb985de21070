"""Generate the synthetic images of one shard: `python -m stages.generate --shard 00000`.

Resumes after a kill and runs on any number of processes (LAUNCH="accelerate launch -m"): the shard is cut into parts of
`batch_size` samples whatever the number of processes; finished parts lie in the work folder, and the tar is written
from them at the end, so its bytes do not depend on either. Without a GPU, a process with several threads
(`OMP_NUM_THREADS`) forks into as many with one, which share the weights and are faster than threads that share a batch.
The parts are removed when the tar is there.
"""

import argparse
import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import diffusers
import numpy as np
import torch
from accelerate import PartialState
from safetensors.numpy import load_file, save_file

from stages.core.atomic import written
from stages.core.errors import run
from stages.core.forks import in_forks
from stages.core.progress import progress
from stages.core.scratch import alone, digest, work_folder
from stages.core.seeds import derive, uniform
from stages.core.settings import check_member, load
from stages.corpus.images import encode_png, square
from stages.corpus.shards import Shard, image_key, write_shard
from stages.generate import drawings
from stages.generate.prompts import Prompt, balanced
from stages.generate.sampler import Sampler, Sampling, load_pipeline
from stages.generate.settings import Generate, Settings

WORTH_COMPILING = 1000  # images of one process: what compiling takes, on a GPU, is saved by about as many


def read_captions(shard: Path, seed: int, max_alpha: float) -> dict[str, str]:
    """
    Read, by key, the captions of the samples that some α can make synthetic, in the order of the shard.

    Parameters
    ----------
    seed : int
        Seed of the samples' fixed uniform numbers u.
    max_alpha : float
        Samples with u below it are kept.
    """
    with Shard(shard) as real:
        return {key: real.read(key, "txt").decode() for key in real.keys if uniform(seed, key) < max_alpha}


def ask(captions: dict[str, str], ours: Generate) -> dict[str, Prompt]:
    """
    Decide what each image is drawn from.

    Returns
    -------
    dict of str to Prompt
        By key of the image: every caption `generate.candidates` times, candidates side by side.
    """
    images = {image_key(key, place): text for key, text in captions.items() for place in range(ours.candidates)}
    if ours.prompts == "as_is":
        return {key: Prompt(text) for key, text in images.items()}
    return {key: balanced(text, ours.prompt_shares, ours.seed, key) for key, text in images.items()}


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
    prompts = ask(read_captions(source, settings.download.seed, ours.max_alpha), ours)
    captions = {key: prompt.text for key, prompt in prompts.items()}
    shape: dict[str, object] = {
        "generate": ours.model_dump(mode="json"),
        "model": model_fingerprint(ours.model, ours.revision),
        "side": settings.download.resolution,
        "captions": hashlib.blake2b(repr(captions).encode()).hexdigest(),
        "versions": [torch.__version__, diffusers.__version__],
        "code": digest(sorted(Path(__file__).parent.glob("*.py"))),
    }
    if ours.source != "diffusion":
        drawn = settings.folder / "oracle" / f"{shard}.tar"
        with Shard(drawn) as oracle:
            drawings.check(oracle, list(captions), ours.source)
        shape["drawings"] = digest([drawn])
    if state.is_main_process:
        print(f"generate {shard}: processes: {state.num_processes}, on {state.device}", flush=True)
    with alone("generate", shape) if state.is_main_process else nullcontext():
        state.wait_for_everyone()
        _generate(settings, shard, prompts, shape, state)


def _generate(
    settings: Settings, shard: str, prompts: dict[str, Prompt], shape: dict[str, object], state: PartialState
) -> None:
    """Generate the parts that are not there yet, each process its own, and write the shard."""
    captions = {key: prompt.text for key, prompt in prompts.items()}
    ours, keys = settings.generate, list(captions)
    work = work_folder("generate", shape)
    parts = [keys[start : start + ours.batch_size] for start in range(0, len(keys), ours.batch_size)]
    files = [work / f"{index:06d}.safetensors" for index in range(len(parts))]
    mine = [index for index in range(state.process_index, len(parts), state.num_processes) if not files[index].exists()]
    if mine:
        device = state.device or torch.device("cpu")
        compiled = device.type == "cuda" and sum(len(parts[index]) for index in mine) >= WORTH_COMPILING
        forks = 1
        if device.type == "cpu":
            if sys.platform == "linux":  # elsewhere forks are unsafe
                forks = min(torch.get_num_threads(), len(mine))
            torch.set_num_threads(1)  # before OpenMP starts a pool, which a fork would lack
        paint = _painter(settings, shard, captions, device, compiled)

        def draw(fork: int) -> Iterator[None]:
            kept: Future[None] | None = None
            with ThreadPoolExecutor(1) as writer:  # a batch is resized and written while the next one is drawn
                for index in mine[fork::forks]:
                    images, flagged = paint(parts[index])
                    if kept is not None:
                        kept.result()
                        yield
                    kept = writer.submit(_keep, files[index], images, flagged, settings.download.resolution)
                if kept is not None:
                    kept.result()
                    yield

        def done() -> int:
            return sum(len(part) for part, file in zip(parts, files, strict=True) if file.exists())

        steps = draw(0) if forks == 1 else in_forks(draw, forks)
        with progress(
            what=f"generate {shard}", total=len(keys), initial=done(), unit="image", silent=not state.is_main_process
        ) as bar:
            for _ in steps:
                bar.update(done() - bar.n)
    state.wait_for_everyone()
    if state.is_main_process:
        count = write_shard(settings.folder / "synthetic" / f"{shard}.tar", _members(parts, files, prompts))
        flagged = sum(int(load_file(file)["flagged"].sum()) for file in files)
        shutil.rmtree(work)
        note = f", {flagged} blanked by the safety checker" if flagged else ""
        print(f"generate {shard}: {count} images{note}")


def _painter(
    settings: Settings, shard: str, captions: dict[str, str], device: torch.device, compiled: bool
) -> Callable[[Sequence[str]], tuple[np.ndarray, np.ndarray]]:
    """Return what makes the images of some keys, and says which of them the safety checker blanked."""
    ours, dtype = settings.generate, getattr(torch, settings.generate.dtype)
    if ours.source != "diffusion":
        through = ours.source == "autoencoder"
        vae = drawings.load_autoencoder(ours.model, ours.revision, dtype, device) if through else None
        oracle = Shard(settings.folder / "oracle" / f"{shard}.tar")
        return lambda keys: (drawings.read(oracle, keys, vae, ours.resolution), np.zeros(len(keys), bool))
    pipeline = load_pipeline(ours.model, ours.revision, ours.scheduler, ours.safety_checker, dtype, device, compiled)
    sampling = Sampling(ours.steps, ours.guidance, ours.guidance_stop, ours.negative_prompt, ours.resolution)
    sampler = Sampler(pipeline, sampling, ours.batch_size if compiled else 0)
    if PartialState().is_main_process:
        _say_odd_captions(settings.folder / "real" / f"{shard}.tar", sampler, captions)
    return lambda keys: sampler.images(
        [captions[key] for key in keys], [derive(ours.seed, key, "noise") for key in keys]
    )


def _keep(file: Path, images: np.ndarray, flagged: np.ndarray, side: int) -> None:
    """Resize a batch and write it whole; safetensors ignores strides."""
    with ThreadPoolExecutor() as pool:
        squares = np.ascontiguousarray([*pool.map(lambda image: square(image, side), images)])
    with written(file) as partial:
        save_file({"images": squares, "flagged": flagged}, partial)


def _members(
    parts: list[list[str]], files: list[Path], prompts: dict[str, Prompt] | None = None
) -> Iterator[tuple[str, dict[str, bytes | str | dict]]]:
    """Image of each key; a second member says that it was blanked, which `annotate` reads, and what was drawn."""
    with ThreadPoolExecutor() as pool:
        for part, file in zip(parts, files, strict=True):
            held = load_file(file)
            for key, data, flagged in zip(part, pool.map(encode_png, held["images"]), held["flagged"], strict=True):
                members: dict[str, bytes | str | dict] = {"png": data}
                said: dict[str, object] = {"blanked": True} if flagged else {}
                if prompts and prompts[key].drawn:
                    said |= {"drawn": prompts[key].drawn, "prompt": prompts[key].text}
                if said:
                    members["json"] = said
                yield key, members


def _say_odd_captions(source: Path, sampler: Sampler, captions: dict[str, str]) -> None:
    keys, texts = list(captions), list(captions.values())
    empty = [key for key, text in captions.items() if not text.strip()]
    if empty:
        print(f"{source}: {len(empty)} empty captions (first: {empty[0]}) draw unconditional images", file=sys.stderr)
    if cut := sampler.overlong(texts):
        print(f"{source}: {len(cut)} captions are cut by the text encoder (first: {keys[cut[0]]})", file=sys.stderr)


if __name__ == "__main__":
    run(main)
