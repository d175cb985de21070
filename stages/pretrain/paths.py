"""Where the text-to-image model, its judge and their makings lie."""

from pathlib import Path

HOME = Path("data/pretrained")
BUILD = HOME / "build"  # not in git
CORPUS, UNSEEN = BUILD / "corpus", BUILD / "unseen"
MODEL, JUDGE, FIGURES = HOME / "emoji-sd", HOME / "recogniser", HOME / "quality"
VAE_WEIGHTS, WEIGHTS = "diffusion_pytorch_model.safetensors", "model.safetensors"
