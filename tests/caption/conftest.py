"""A real tiny CLIP, a GPT-2, and a project folder with drawn images."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from stages.caption.clipcap import small_gpt2
from stages.corpus.evaluation_sets import write_set
from stages.corpus.images import encode_png
from stages.corpus.shards import write_shard
from tests.helpers.captioners import KINDS

CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None, "head_width": 64},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1},
}
SHAPES = {"circle": "ellipse", "square": "rectangle"}
COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220)}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP as `train` saves it; the running moments of its BatchNorm are those of noise."""
    folder = tmp_path_factory.mktemp("clip")
    preprocess = {"size": 32, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CLIP, "preprocess_cfg": preprocess}))
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    with torch.no_grad():
        model.train()
        model(torch.rand(16, 3, 32, 32) * 4 - 2)
    save_file(model.state_dict(), folder / "model.safetensors")
    return folder


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 in the format of the hub: byte-level pairs, one special token, which ends and pads."""
    folder = tmp_path_factory.mktemp("gpt2")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"], show_progress=False
    )
    texts = ["A dark-skinned woman, happy", "a man who's happy", "a red circle, on paper", "a blue square"]
    tokenizer.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>").save_pretrained(folder)
    small_gpt2(tokenizer.get_vocab_size(), 24, width=16, layers=1, heads=2, dropout=0.0).save_pretrained(folder)
    return folder


def draw(shape: str, colour: str, rng: np.random.Generator) -> np.ndarray:
    image = Image.new("RGB", (32, 32), tuple(rng.integers(150, 255, 3).tolist()))
    left, top = rng.integers(0, 8, 2).tolist()
    getattr(ImageDraw.Draw(image), SHAPES[shape])((left, top, left + 22, top + 22), fill=COLOURS[colour])
    return np.asarray(image)


@pytest.fixture
def captioning(project: Callable[..., Path], clip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a maker of a project with 24 real images, 8 synthetic ones, 10 images to caption, and a CLIP of seed 0."""

    def make(**caption: object) -> Path:
        root = project(profile="smoke")
        path = root / "stages" / "profiles" / "smoke.yaml"
        profile = yaml.safe_load(path.read_text())
        for dotted, value in caption.items():
            *parents, last = dotted.split("__")
            block = profile["caption"]
            for parent in parents:
                block = block[parent]
            block[last] = value
        path.write_text(yaml.safe_dump(profile))
        monkeypatch.setenv("COUNTERWEIGHT_WORK", str(root / "work"))
        monkeypatch.chdir(root)
        data, rng = root / "data" / "smoke", np.random.default_rng(0)
        kinds = [(shape, colour) for shape in SHAPES for colour in COLOURS] * 6
        images = {
            f"{index:06d}": (draw(*kind, rng), f"a {kind[1]} {kind[0]}, on paper") for index, kind in enumerate(kinds)
        }
        members = [(key, {"png": encode_png(image), "txt": text}) for key, (image, text) in images.items()]
        write_shard(data / "real" / "00000.tar", members[:12])
        write_shard(data / "real" / "00001.tar", members[12:])
        write_shard(
            data / "synthetic" / "00001.tar",
            [(key, {"png": encode_png(255 - images[key][0])}) for key in [*images][16:]],
        )
        table = pd.DataFrame({"key": [*images], "caption": [text for _, text in images.values()]})
        table.assign(shard=["00000"] * 12 + ["00001"] * 12).to_parquet(data / "samples.parquet")
        pd.DataFrame(
            {
                "key": table["key"], "shard": ["00000"] * 12 + ["00001"] * 12,
                "source": ["real"] * 16 + ["synthetic"] * 8, "q": 1.0,
                "copies": np.array([2, 0, *[1] * 22], np.int32),
                "kept": True,
            }
        ).to_parquet(data / "selection.parquet")  # fmt: skip
        (data / "eval").mkdir()
        rows = [
            ({"key": f"p{index}", "captions": [f"a {kind[1]} {kind[0]}"]}, "png", encode_png(draw(*kind, rng)))
            for index, kind in enumerate(kinds[:10])
        ]
        write_set(data / "eval", "people", rows)
        (data / "models" / "0").mkdir(parents=True)
        (data / "models" / "0" / "clip").symlink_to(clip_folder)
        return data

    return make
