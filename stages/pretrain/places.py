"""Where the text-to-image model, its judge and their makings lie."""

import shutil
from collections.abc import Callable
from pathlib import Path

HOME = Path("data/pretrained")
BUILD = HOME / "build"  # not in git
CORPUS, UNSEEN = BUILD / "corpus", BUILD / "unseen"
MODEL, JUDGE, FIGURES = HOME / "emoji-sd", HOME / "recogniser", HOME / "quality"
VAE_WEIGHTS, WEIGHTS = "diffusion_pytorch_model.safetensors", "model.safetensors"


def replace(write: Callable[[Path], object], folder: Path) -> None:
    """
    Write a folder under a temporary name, then put it in place of the old one.

    Parameters
    ----------
    write : callable
        Writes the folder that it is given.
    folder : Path
        Where it shall lie.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    write(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
