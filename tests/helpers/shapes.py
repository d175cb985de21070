"""A project with a small corpus in the real format: drawn images, shards, selection, evaluation sets."""

import colorsys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image, ImageDraw

COLOURS = ("red", "yellow", "green", "cyan", "blue", "pink")
SHAPES = ("circle", "square", "triangle", "cross")
TINY = {  # two layer-normalised transformers: no batch statistics
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 400, "width": 32, "heads": 2, "layers": 1},
}
TINY_RESNET = TINY | {"vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 32}}
SETTINGS = {
    "model": TINY,
    "tokenizer": "corpus",
    "vocabulary": 400,
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 0.003,
    "warmup": 2,
    "betas": [0.9, 0.98],
    "epsilon": 1e-6,
    "weight_decay": 0.1,
    "precision": "float32",
    "workers": 0,
    "threads": 1,
    "memory": 0.01,
    "on_bad_sample": "fail",
    "log_every": 0.25,
    "probe": 8,
    "checkpoint_every": 0.25,
}


def draw(colour: str, shape: str, rng: np.random.Generator, side: int = 32) -> np.ndarray:
    image = Image.new("RGB", (side, side), tuple(rng.integers(0, 60, 3).tolist()))
    pen = ImageDraw.Draw(image)
    hue = COLOURS.index(colour) / len(COLOURS)
    fill = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.9, 0.9))
    x, y, r = *rng.integers(side // 3, side - side // 3, 2).tolist(), side // 4
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill)
    elif shape == "square":
        pen.rectangle((x - r, y - r, x + r, y + r), fill)
    elif shape == "triangle":
        pen.polygon([(x - r, y + r), (x + r, y + r), (x, y - r)], fill)
    else:
        pen.line((x - r, y, x + r, y), fill, 4)
        pen.line((x, y - r, x, y + r), fill, 4)
    return np.asarray(image)


@dataclass(frozen=True)
class Project:
    """A project folder with a corpus of 24 real samples, every second one also synthetic."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data" / "smoke"

    def configure(self, **changes: object) -> None:
        """Write the train section of the profile; `loss` and `schedule` go into params.yaml."""
        science_path, scale_path = self.root / "params.yaml", self.root / "stages" / "profiles" / "smoke.yaml"
        science, scale = yaml.safe_load(science_path.read_text()), yaml.safe_load(scale_path.read_text())
        values = {**SETTINGS, **changes}
        science["train"] = {
            "loss": values.pop("loss", "clip"),
            "schedule": values.pop("schedule", [{"data": "balanced", "share": 1.0}]),
        }
        scale["train"] = values
        science_path.write_text(yaml.safe_dump(science))
        scale_path.write_text(yaml.safe_dump(scale))

    def select(self, table: pd.DataFrame) -> None:
        table.to_parquet(self.data / "selection.parquet", index=False)

    def weights(self, seed: int = 0) -> bytes:
        return (self.data / "models" / str(seed) / "clip" / "model.safetensors").read_bytes()
