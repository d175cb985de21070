"""`caption --seed N`: train the captioners on the features of one CLIP, and caption an evaluation set.

Reads selection.parquet, samples.parquet, the shards and models/<seed>/clip/; writes captions/<seed>/<captioner>.parquet
(`key, caption`) and captions/<seed>/training.json. CLIP's features are computed once, into the work folder, for both
captioners; a killed run goes on there, and ends with the same captions. A finished one leaves nothing there.
"""

import argparse
import hashlib
import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from stages.caption.captioner import Captioner, Standardise, count_parameters
from stages.caption.clipcap import ClipCap, pretrained_gpt2, small_gpt2
from stages.caption.data import batches, training_rows
from stages.caption.decoding import caption
from stages.caption.features import extract, load_tower
from stages.caption.settings import Fitting, LanguageModel, Settings
from stages.caption.training import Optimisation, Trainer
from stages.caption.transformer import TransformerCaptioner
from stages.caption.vocabulary import Vocabulary, words_of, words_of_model
from stages.core.atomic import written
from stages.core.errors import InputError, missing, run
from stages.core.progress import progress
from stages.core.scratch import alone, contents, digest, work_folder
from stages.core.settings import check_member, load
from stages.corpus import columns
from stages.corpus.evaluation_sets import EvalSet, read_set
from stages.corpus.schedule import spans
from stages.corpus.selection import SAMPLES, SELECTION, image_keys
from stages.corpus.shards import Shard

SCALE_ROWS = 20_000  # rows behind mean and spread of a feature: enough for two digits


@dataclass(frozen=True)
class Features:
    """Features of N images: pooled (N, D) and spatial (N, P, C), float16, in memory maps of a work folder."""

    folder: Path
    pooled: NDArray[np.float16]
    spatial: NDArray[np.float16]

    def read(self, captioner: Captioner) -> NDArray[np.float16]:
        """Return what a captioner reads."""
        return self.pooled if captioner.reads == "pooled" else self.spatial


@dataclass(frozen=True)
class Job:
    """What all captioners of a model share: rows and features in one order, rows of an epoch, what shapes the work."""

    params: Settings
    seed: int
    device: torch.device
    rows: pd.DataFrame
    features: Features
    mix: int
    shape: dict[str, object]


def main() -> None:
    """Caption `caption.evaluation_set` with every captioner of the profile in params.yaml."""
    parser = argparse.ArgumentParser(prog="python -m stages.caption", description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="which model of models/, and the seed of the training")
    seed = parser.parse_args().seed
    params = load(Settings)
    check_member("seed", seed, params.seeds, "seeds")
    settings, folder = params.caption, params.folder
    output = folder / "captions" / str(seed)
    if not settings.captioners:
        output.mkdir(parents=True, exist_ok=True)
        with written(output / "training.json") as file:
            file.write_text("{}\n")
        return
    selection = columns.read(folder / "selection.parquet", SELECTION)
    rows = training_rows(
        selection,
        columns.read(folder / "samples.parquet", SAMPLES),
        [phase.data for phase in params.train.schedule],
        settings.max_images,
        seed,
    )
    people = read_set(folder / "eval", settings.evaluation_set)
    clip = folder / "models" / str(seed) / "clip"
    weights = clip / "model.safetensors"
    if not weights.is_file():
        raise missing(f"{weights}: no such file", "train the model first (`dvc repro train`)")
    shape: dict[str, object] = {"clip": digest([weights, clip / "open_clip_config.json"])}
    with alone("caption", shape):  # models of one CLIP share its features
        mix = min(len(selection), settings.max_images or len(selection))  # all rows, whatever balancing and filter
        _caption(params, seed, clip, shape, rows, people, mix)


def _caption(
    params: Settings, seed: int, clip: Path, shape: dict[str, object], rows: pd.DataFrame, people: EvalSet, mix: int
) -> None:
    """Train the captioners of one CLIP as long as `mix` rows say, and caption the set with each."""
    settings, folder = params.caption, params.folder
    output, keys = folder / "captions" / str(seed), people.table["key"].tolist()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shape |= {"rows": _hash_rows(rows), "shards": _shards(folder, rows)}
    seen = _features(
        clip,
        len(rows),
        lambda start: _training_images(folder, rows.iloc[start:]),
        shape,
        settings.feature_batch,
        device,
    )
    asked = _features(
        clip,
        len(keys),
        lambda start: (people.images.read_image(key) for key in keys[start:]),
        {**shape, "rows": keys, "shards": contents([people.images.path])},
        settings.feature_batch,
        device,
    )
    job = Job(params, seed, device, rows, seen, mix, {**shape, "mix": mix})
    output.mkdir(parents=True, exist_ok=True)
    training, scratch = {}, [seen.folder, asked.folder]
    for name in settings.captioners:
        captioner, vocabulary = _build(name, job)
        work = work_folder("caption", {**job.shape, "name": name, "seed": seed, "params": _shaping(params)})
        training[name] = _train(name, captioner, vocabulary, job, work)
        said = caption(
            captioner,
            vocabulary,
            asked.read(captioner),
            beams=settings.beams,
            max_tokens=settings.max_tokens,
            batch_size=settings.decode_batch,
            device=device,
        )
        captions = list(progress(said, f"{name}: caption", len(keys), unit="image"))
        table = pd.DataFrame({"key": keys, "caption": captions})
        with written(output / f"{name}.parquet") as file:
            table.to_parquet(file, index=False)
        scratch.append(work)
    text = json.dumps(training, indent=2, sort_keys=True) + "\n"
    with written(output / "training.json") as file:
        file.write_text(text)
    for work in scratch:
        shutil.rmtree(work)


def _shaping(params: Settings) -> dict[str, object]:
    """Return the parameters that the weights of a captioner depend on."""
    schedule = [phase.model_dump() for phase in params.train.schedule]
    return {"caption": params.caption.model_dump(mode="json"), "schedule": schedule}


def _build(name: str, job: Job) -> tuple[Captioner, Vocabulary]:
    """Make a captioner with its first weights, and its words."""
    settings = job.params.caption
    with torch.random.fork_rng(devices=[]):  # first weights draw from the global generator: give it back unchanged
        torch.manual_seed(job.seed)
        if name == "clipcap":
            clipcap = settings.clipcap
            if isinstance(clipcap.language_model, LanguageModel):
                vocabulary = words_of(job.rows["caption"], settings.min_count)
                positions = clipcap.prefix + settings.max_tokens
                language_model = small_gpt2(len(vocabulary), positions, **clipcap.language_model.model_dump())
            else:
                vocabulary = words_of_model(clipcap.language_model, clipcap.revision)
                language_model = pretrained_gpt2(clipcap.language_model, clipcap.revision)
            captioner: Captioner = ClipCap(
                language_model,
                _scale(job.features.pooled),
                vocabulary.ends,
                **clipcap.model_dump(include={"mapper", "prefix", "mapper_layers", "tune"}),
            )
        else:
            vocabulary = words_of(job.rows["caption"], settings.min_count)
            captioner = TransformerCaptioner(
                _scale(job.features.spatial),
                vocabulary.ends,
                vocabulary=len(vocabulary),
                places=job.features.spatial.shape[1],
                max_tokens=settings.max_tokens,
                **settings.transformer.model_dump(exclude={"fitting"}),
            )
    return captioner.to(job.device), vocabulary


def _train(name: str, captioner: Captioner, vocabulary: Vocabulary, job: Job, work: Path) -> dict[str, float]:
    """Train, with a checkpoint in the work folder every so often; return what is worth knowing of it."""
    settings, schedule, rows = job.params.caption, job.params.train.schedule, job.rows
    fitting: Fitting = getattr(settings, name).fitting
    tokens = vocabulary.encode(rows["caption"].tolist(), settings.max_tokens)
    steps = max(1, round(fitting.epochs * job.mix / fitting.batch_size))
    cut = spans([(phase.data, phase.share) for phase in schedule], steps)
    plan = [(span.data, span.stop - span.start) for span in cut]
    optimisation = Optimisation(
        steps, fitting.warmup, fitting.learning_rate, fitting.weight_decay, job.seed, settings.bfloat16
    )
    trainer, losses, checkpoint = Trainer(captioner, optimisation), [], work / "checkpoint.pt"
    if checkpoint.is_file():
        try:
            state = torch.load(checkpoint, map_location=job.device, weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
            print(f"{checkpoint}: not a readable checkpoint; {name} starts again", file=sys.stderr)
        else:
            trainer.load_state_dict(state["trainer"])
            losses = state["losses"]
    features = job.features.read(captioner)
    copies = {data: rows[data].to_numpy() for data in ("mixed", "balanced")}
    with progress(what=f"{name}: train", total=steps, initial=trainer.done, unit="step") as bar:
        for step, batch in enumerate(batches(copies, plan, fitting.batch_size, job.seed)):
            if step < trainer.done:
                continue
            text = tokens[batch]
            text = text[:, : int((text != vocabulary.ends.pad).sum(axis=1).max()) + 1].astype(np.int64)
            images = torch.from_numpy(features[batch]).to(job.device)
            losses.append(trainer.step(images, torch.from_numpy(text).to(job.device)))
            bar.update()
            if not np.isfinite(losses[-1]):
                raise InputError(
                    f"caption.{name}: the loss is {losses[-1]} at step {step}; lower fitting.learning_rate"
                )
            if trainer.done % settings.checkpoint_steps == 0 or trainer.done == steps:
                state = {"trainer": trainer.state_dict(), "losses": losses}
                with written(checkpoint) as path, path.open("wb") as file:
                    torch.save(state, file)
    return {
        "steps": steps,
        "rows": len(rows),
        "synthetic_share": float((rows["source"] == "synthetic").mean()),
        "words": len(vocabulary),
        "parameters": count_parameters(captioner),
        "first_loss": losses[0],
        "last_loss": float(np.mean(losses[-max(1, steps // 10) :])),
    }


def _features(
    clip: Path,
    count: int,
    images: Callable[[int], Iterator[NDArray[np.uint8]]],
    shape: Mapping[str, object],
    batch_size: int,
    device: torch.device,
) -> Features:
    """Compute features into memory maps of the work folder, from where an earlier run stopped; or find them there."""
    folder = work_folder("features", shape)
    paths = {part: folder / f"{part}.npy" for part in ("pooled", "spatial")}
    counter = folder / "done"
    done = int(counter.read_text()) if counter.is_file() else 0
    maps: dict[str, np.memmap] = {}
    if done:
        try:
            maps = {part: np.lib.format.open_memmap(path, mode="r+") for part, path in paths.items()}
        except (OSError, ValueError):
            print(f"{folder}: features that cannot be read; computing them again", file=sys.stderr)
            maps, done = {}, 0
    if done < count:
        tower = load_tower(clip, device)
        with progress(what="features", total=count, initial=done, unit="image") as bar:
            for parts in extract(tower, images(done), batch_size):
                if not maps:
                    for (part, path), values in zip(paths.items(), parts, strict=True):
                        maps[part] = np.lib.format.open_memmap(
                            path, mode="w+", dtype=np.float16, shape=(count, *values.shape[1:])
                        )
                        _reserve(path)
                for part, values in zip(paths, parts, strict=True):
                    maps[part][done : done + len(values)] = values
                done += len(parts[0])
                bar.update(len(parts[0]))
                for array in maps.values():
                    array.flush()
                with written(counter) as file:
                    file.write_text(str(done))
    return Features(folder, maps["pooled"], maps["spatial"])


def _reserve(path: Path) -> None:
    """Take the whole of a file's room on the disk: a map of a full one is no error, but the end of the process."""
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _training_images(folder: Path, rows: pd.DataFrame) -> Iterator[NDArray[np.uint8]]:
    """Read real and synthetic images in the order of the rows."""
    for name, of_shard in rows.groupby("shard", sort=False):
        shards = {source: Shard(folder / source / f"{name}.tar") for source in of_shard["source"].unique()}
        for key, source in zip(image_keys(of_shard), of_shard["source"], strict=True):
            yield shards[source].read_image(key)
        for shard in shards.values():
            shard.close()


def _scale(features: NDArray[np.float16]) -> Standardise:
    """Measure mean and spread of each feature over training images (and places)."""
    some = np.asarray(features[:: max(1, len(features) // SCALE_ROWS)], np.float32).reshape(-1, features.shape[-1])
    return Standardise(torch.from_numpy(some.mean(axis=0)), torch.from_numpy(some.std(axis=0)))


def _hash_rows(rows: pd.DataFrame) -> str:
    return hashlib.blake2b(rows.to_csv(index=False).encode(), digest_size=8).hexdigest()


def _shards(folder: Path, rows: pd.DataFrame) -> list[str]:
    """Tell one state of the shards from another."""
    pairs = rows[["source", "shard"]].drop_duplicates().itertuples(index=False)
    return contents(folder / str(source) / f"{shard}.tar" for source, shard in pairs)


if __name__ == "__main__":
    run(main)
