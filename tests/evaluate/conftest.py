"""A real, tiny CLIP (ResNet, random weights, 64 px) in a folder as `train` writes it, and sets of drawings."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from stages.corpus.evaluation_sets import write_set
from stages.evaluate.embed import Encoder, load_encoder
from tests.helpers.figures import COLOURS, drawing

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None, "head_width": 64},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
TONES = ("1", "2", "3", "4", "5")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    torch.manual_seed(0)
    model: Any = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    with torch.no_grad():  # running statistics of a trained model, which differ from those of any one image
        model.train()
        for _ in range(5):
            model.encode_image(torch.randn(16, 3, 64, 64))
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="session")
def encoder(model_folder: Path) -> Encoder:
    return load_encoder(str(model_folder))


@pytest.fixture(scope="session")
def images() -> list[np.ndarray]:
    return [drawing(COLOURS["woman"], seed) for seed in range(7)]


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def people(n: int, part: str = "") -> Iterator[tuple[dict[str, Any], str, bytes]]:
    for i in range(n):
        gender, tone = ("woman", "man")[i % 2], TONES[i % 5]
        row = {
            "key": f"p{part}{i:04d}",
            "captions": [f"a {gender} number {i}", "a person"],
            "gender": gender,
            "skin_tone": tone,
            "part": part,
        }
        yield row, "png", png(drawing(COLOURS[gender], i))


def objects(n: int) -> Iterator[tuple[dict[str, Any], str, bytes]]:
    for i in range(n):
        yield (
            {"key": f"o{i:04d}", "label": f"thing {i % 8}", "coarse": f"kind {i % 8 // 3}"},
            "png",
            png(drawing((30 * (i % 8), 200, 90), i)),
        )


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "eval").mkdir()
    write_set(folder / "eval", "people", people(40))
    write_set(folder / "eval", "portraits", [*people(40, "unseen"), *people(40, "seen")])
    write_set(folder / "eval", "objects", objects(24))
    pd.DataFrame(
        {
            "occupation": ["nurse", "teacher", "cook", "judge", "pilot", "mechanic", "student"],
            "women_corpus": [0.9, 0.8, 0.6, 0.3, 0.04, 0.05, None],
            "women_generator": [0.97, 0.9, 0.55, 0.01, 0.001, 0.002, None],
        }
    ).to_csv(folder / "occupations.csv", index=False)
    return folder
