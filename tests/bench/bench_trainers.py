"""Final retrieval of models from the train stage and from `open_clip_train.main`: same settings, data and seeds.

Text-to-image R@5 and R@1 on the evaluation set `people`, each seed of each trainer, mean and spread. The two differ in
the order of the images, the draws of the augmentation, and one batch an epoch that open_clip's loader drops. Finished
seeds are kept in the work folder, so that a second run goes on where the first was stopped.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import open_clip
import torch
from PIL import Image
from train_runs import ROOT, add_options, export, kept, ours, project, settings, spread, theirs

from stages.corpus.evaluation_sets import read_set
from stages.train.probe import recall


@torch.no_grad()
def retrieval(clip: Path, weights: Path) -> dict[str, float]:
    """Return recall of the first caption of each picture; `clip` has configuration and vocabulary."""
    model, _, preprocess = cast(Any, open_clip.create_model_and_transforms(f"local-dir:{clip}"))
    open_clip.load_checkpoint(model, str(weights), weights_only=False)
    model.eval()
    people = read_set(ROOT / "data" / "emoji" / "eval", "people")
    images = torch.stack([preprocess(Image.fromarray(people.images.read_image(key))) for key in people.table["key"]])
    texts = open_clip.get_tokenizer(f"local-dir:{clip}")([captions[0] for captions in people.table["captions"]])
    pictures = torch.cat([model.encode_image(part, normalize=True) for part in images.split(256)])
    scores = model.encode_text(texts, normalize=True) @ pictures.T
    return {f"R@{k}": 100 * recall(scores, k) for k in (1, 5)}


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser, seeds=3)
    arguments = parser.parse_args()
    changes = {**settings(arguments), "probe": 0}
    found: dict[str, list[dict[str, float]]] = {"stages.train": [], "open_clip_train": []}
    for seed in range(arguments.seeds):
        shape = {**changes, "seed": seed, "samples": arguments.samples, "open_clip": open_clip.__version__}
        both = kept("trainers", shape, lambda seed=seed: _both(changes, seed, arguments))
        for name, values in both.items():
            found[name].append(values)
        print(f"seed {seed}: {both}", flush=True)
    print(f"\nText to image, {arguments.seeds} seeds, percent, mean ± standard deviation:\n")
    print("| trainer | R@1 | R@5 |\n|---|---|---|")
    for name, values in found.items():
        cells = [spread([value[metric] for value in values]) for metric in ("R@1", "R@5")]
        print(f"| {name} | {' | '.join(cells)} |")


def _both(changes: Mapping[str, Any], seed: int, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Train a model with each trainer; return their retrieval."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = project(Path(scratch), changes, rows=arguments.samples)
        ours(folder, seed, arguments.threads)
        clip = folder / "data" / "emoji" / "models" / str(seed) / "clip"
        _, checkpoint = theirs(folder, export(folder), clip, seed, arguments.threads, 0)
        weights = {"stages.train": clip / "model.safetensors", "open_clip_train": checkpoint}
        return {name: retrieval(clip, path) for name, path in weights.items()}


if __name__ == "__main__":
    main()
