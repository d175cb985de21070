"""`annotate`: who is on each image (s) and what its caption names (y), for real and synthetic images.

Writes `attributes.parquet` and `annotation.json` (how good the classifier is) into `data/<profile>/`.
"""

import argparse
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from stages.annotate import classifier, proxies
from stages.annotate.table import Groups, attribute_rows, groups_of_captions, groups_of_metadata, targets
from stages.attributes import GROUPS, caption_group
from stages.errors import InputError, run
from stages.evalsets import read_set
from stages.params import Annotate, Params, load
from stages.seeds import uniform
from stages.shards import Shard


def main() -> None:
    """Annotate the corpus of the profile in params.yaml."""
    argparse.ArgumentParser(prog="python -m stages.annotate", description=__doc__).parse_args()
    params = load()
    samples = _read_samples(params.folder / "samples.parquet")
    real = _shards(params, samples, "real")
    synthetic = _shards(params, samples, "synthetic")
    captions = dict(zip(samples["key"], samples["caption"], strict=True))
    made = [key for shard in synthetic for key in shard.keys]
    if params.annotate.source == "caption":
        groups = groups_of_captions(samples["caption"].tolist())
        guessed = groups_of_captions([captions[key] for key in made])
        quality: dict[str, float] = {}
    else:
        groups = groups_of_metadata(samples)
        guessed, quality = _classify(params, samples, groups, real, synthetic)
    words = proxies.find(samples["caption"].tolist(), groups, params.annotate.proxies, params.annotate.proxy_captions)
    table = pd.concat(
        [
            attribute_rows(samples["key"].tolist(), "real", groups, samples["caption"].tolist(), words),
            attribute_rows(made, "synthetic", guessed, [captions[key] for key in made], words),
        ],
        ignore_index=True,
    )
    quality |= {"rows.real": len(samples), "rows.synthetic": len(made), "proxies": len(words)}
    _write(params.folder, table, {name: value for name, value in quality.items() if math.isfinite(value)})


def _classify(
    params: Params, samples: pd.DataFrame, groups: Groups, real: Sequence[Shard], synthetic: Sequence[Shard]
) -> tuple[dict[str, list[str]], dict[str, float]]:
    """Train on real images, measure on held-out ones, and classify the synthetic ones."""
    settings = params.annotate
    nobody = (samples["kind"] == "object").to_numpy() if "kind" in samples else np.zeros(len(samples), bool)
    goal = targets(groups, nobody)
    held_out = np.asarray([uniform(settings.seed, key, "annotate") < settings.held_out for key in samples["key"]])
    images = classifier.shrink(_images(real, "read real"))
    with tqdm(total=settings.epochs, desc="classifier", unit="epoch", disable=None) as bar:
        model = classifier.fit(images[~held_out], goal[~held_out], settings.epochs, settings.seed, bar.update)
    quality = _quality("scenes", classifier.probabilities(model, images[held_out]), goal[held_out], settings)
    people = read_set(params.folder / "eval", "people")
    unseen = classifier.shrink(np.stack([people.images.read_image(key) for key in people.table["key"]]))
    known = targets(groups_of_metadata(people.table), np.zeros(len(people.table), bool))
    quality |= _quality("style", classifier.probabilities(model, unseen), known, settings)
    made = [key for shard in synthetic for key in shard.keys]
    if not made:
        return {attribute: [] for attribute in GROUPS}, quality
    guesses = classifier.probabilities(model, classifier.shrink(_images(synthetic, "read synthetic")))
    guessed = {
        attribute: classifier.decide(guess, names, settings.threshold)
        for (attribute, names), guess in zip(GROUPS.items(), guesses, strict=True)
    }
    captions = samples.set_index("key")["caption"].loc[made]
    for attribute, found in guessed.items():
        said = [caption_group(caption, attribute) for caption in captions]
        agree = [a == b for a, b in zip(found, said, strict=True) if a and b]
        quality[f"synthetic.{attribute}.agreement"] = float(np.mean(agree)) if agree else math.nan
        quality[f"synthetic.{attribute}.n"] = len(agree)
    return guessed, quality


def _quality(held_out: str, guesses: Sequence[np.ndarray], goal: np.ndarray, settings: Annotate) -> dict[str, float]:
    figures: dict[str, float] = {}
    for head, attribute in enumerate(GROUPS):
        measured = classifier.accuracy(guesses[head], goal[:, head], settings.threshold)
        for name in ("n", "accuracy", "coverage", "confident"):
            figures[f"{held_out}.{attribute}.{name}"] = getattr(measured, name)
    return figures


def _read_samples(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `python -m stages.download` first") from None


def _shards(params: Params, samples: pd.DataFrame, source: str) -> list[Shard]:
    """Open the shards of a source, and check their keys against the samples."""
    shards = [Shard(params.folder / source / f"{name}.tar") for name in params.shards]
    for name, shard in zip(params.shards, shards, strict=True):
        rows = samples.loc[samples["shard"] == name, "key"].tolist()
        if source == "synthetic":
            rows = [key for key in rows if key in shard]
        if shard.keys != rows:
            raise InputError(
                f"{shard.path}: {len(shard)} keys that are not those of samples.parquet in the same order "
                f"({len(rows)}); run the stage that writes it again"
            )
    return shards


def _images(shards: Sequence[Shard], label: str) -> np.ndarray:
    keys = [(shard, key) for shard in shards for key in shard.keys]
    images = [shard.read_image(key) for shard, key in tqdm(keys, desc=label, unit="image", disable=None)]
    return np.stack(images)


def _write(folder: Path, table: pd.DataFrame, quality: dict[str, float]) -> None:
    partial = [folder / f".{name}.{os.getpid()}.partial" for name in ("attributes", "annotation")]
    try:
        table.to_parquet(partial[0], index=False)
        partial[1].write_text(json.dumps(quality, indent=2, sort_keys=True) + "\n")
        partial[0].replace(folder / "attributes.parquet")
        partial[1].replace(folder / "annotation.json")
    finally:
        for file in partial:
            file.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main)
