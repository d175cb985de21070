"""Final retrieval of models from the train stage and from `open_clip_train.main`: same settings, data and seeds.

Text-to-image R@5 and R@1 on the evaluation set `people`, each seed of each trainer, mean and spread. The two differ in
the order of the images, the draws of the augmentation, and one batch an epoch that open_clip's loader drops.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import open_clip
import torch
from PIL import Image
from train_runs import ROOT, export, ours, project, theirs

from stages.evalsets import read_set
from stages.train.probe import recall


@torch.no_grad()
def retrieval(clip: Path, weights: Path) -> dict[str, float]:
    """Return recall of the first caption of each picture; `clip` has configuration and vocabulary."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{clip}")
    open_clip.load_checkpoint(model, str(weights), weights_only=False)
    model.eval()
    people = read_set(ROOT / "data" / "emoji" / "eval", "people")
    images = torch.stack([preprocess(Image.fromarray(people.images.read_image(key))) for key in people.table["key"]])
    texts = open_clip.get_tokenizer(f"local-dir:{clip}")([captions[0] for captions in people.table["captions"]])
    pictures = torch.cat([model.encode_image(part, normalize=True) for part in images.split(256)])
    scores = model.encode_text(texts, normalize=True) @ pictures.T
    return {f"R@{k}": 100 * recall(scores, k) for k in (1, 5)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, help="those of the profile by default")
    arguments = parser.parse_args()
    settings = {"probe": 0, "threads": arguments.threads}
    if arguments.epochs:
        settings["epochs"] = arguments.epochs
    found: dict[str, list[dict[str, float]]] = {"stages.train": [], "open_clip_train": []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = project(Path(scratch), settings)
        csv = export(folder)
        for seed in range(arguments.seeds):
            ours(folder, seed, arguments.threads)
            clip = folder / "data" / "emoji" / "models" / str(seed) / "clip"
            found["stages.train"].append(retrieval(clip, clip / "model.safetensors"))
            _, checkpoint = theirs(folder, csv, clip, seed, arguments.threads, 0)
            found["open_clip_train"].append(retrieval(clip, checkpoint))
            print(seed, {name: values[-1] for name, values in found.items()}, flush=True)
    for metric in ("R@1", "R@5"):
        for name, values in found.items():
            numbers = [value[metric] for value in values]
            spread = statistics.stdev(numbers) if len(numbers) > 1 else float("nan")
            print(f"{metric} {name:16} mean {statistics.mean(numbers):6.2f}  std {spread:5.2f}  n {len(numbers)}")


if __name__ == "__main__":
    main()
