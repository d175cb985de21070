"""The generator's training on a handful of drawings, end to end, and the model that is in git."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from stages.generate.sampler import Sampler, Settings, load_pipeline
from stages.pretrain.__main__ import held_out
from stages.pretrain.denoiser import tokenizer
from stages.shards import encode_png, write_shard

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "data" / "pretrained" / "emoji-sd"


@pytest.fixture
def project_with_corpus(tmp_path: Path) -> Path:
    home = tmp_path / "data" / "pretrained"
    values = yaml.safe_load((ROOT / "data" / "pretrained" / "params.yaml").read_text())
    recipe = {"steps": 3, "learning_rate": 1e-3, "warmup": 1, "decay": 0.5, "ema": 0.9}
    values["pretrain"]["autoencoder"] |= {"channels": [8, 16], "latent_channels": 4, "batch_size": 4, "recipe": recipe}
    text = {"vocabulary": 400, "length": 10, "width": 16, "layers": 1, "heads": 2}
    values["pretrain"]["denoiser"] |= {"channels": [16], "heads": 2, "text": text, "batch_size": 4, "recipe": recipe}
    home.mkdir(parents=True)
    (home / "params.yaml").write_text(yaml.safe_dump(values))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    keys = [f"{i:09d}" for i in range(8)]
    write_shard(
        home / "build" / "corpus" / "real" / "00000.tar",
        ((key, {"png": encode_png(image)}) for key, image in zip(keys, images, strict=True)),
    )
    table = {"key": keys, "shard": "00000", "caption": "a judge", "kind": "object", "occupation": "", "skin_tone": ""}
    pd.DataFrame(table).to_parquet(home / "build" / "corpus" / "samples.parquet")
    return tmp_path


def test_both_parts_make_a_pipeline_that_draws(project_with_corpus: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COUNTERWEIGHT_WORK": str(project_with_corpus / "work")}
    for part in ("autoencoder", "denoiser"):
        command = [sys.executable, "-m", "stages.pretrain", part]
        done = subprocess.run(
            command, cwd=project_with_corpus, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
    made = str(project_with_corpus / "data" / "pretrained" / "emoji-sd")
    pipeline = load_pipeline(made, None, "dpmsolver++", False, torch.float32, torch.device("cpu"))
    images, _ = Sampler(pipeline, Settings(2, 2.0, 1.0, "", 16)).images(["a judge"], [0])
    assert images.shape == (1, 16, 16, 3)


def test_held_out_pairs_keep_the_share_of_women() -> None:
    rows = [
        {"kind": "person", "occupation": f"job {job}", "skin_tone": str(tone), "gender": gender}
        for job in range(20)
        for tone in range(1, 6)
        for gender in ("woman", "man", "man")
    ]
    samples = pd.DataFrame([*rows, {"kind": "portrait", "occupation": "job 1", "skin_tone": "1", "gender": "man"}])
    out = held_out(samples, 0.2, seed=0)
    assert 0.1 < out.mean() < 0.3
    assert not out[-1]
    shares = (
        samples[~out & (samples["kind"] == "person")]
        .groupby("occupation")["gender"]
        .apply(lambda g: (g == "woman").mean())
    )
    assert np.allclose(shares, 1 / 3)


def test_the_tokenizer_speaks_any_text() -> None:
    words = tokenizer(["a judge", "a picture of a firefighter"], 300, 12)
    assert words.decode(words("A Judge").input_ids, skip_special_tokens=True) == "a judge"
    assert words.unk_token_id not in words("ñ 漢 ☃ xyz").input_ids[1:-1]


def test_the_model_in_git_is_small_and_holds_no_pickle() -> None:
    files = [path for path in MODEL.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 25e6
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".txt"}


def test_the_model_in_git_draws_what_the_caption_says() -> None:
    """An apple is redder than a police officer, who is bluer: by the mean colour of six images each."""
    pipeline = load_pipeline(str(MODEL), None, "dpmsolver++", False, torch.float32, torch.device("cpu"))
    sampler = Sampler(pipeline, Settings(6, 3.0, 1.0, "", 64))
    centre = (slice(None), slice(16, 48), slice(16, 48))
    warmth = {}
    for caption in ("an emoji of a red apple", "an emoji of a police officer"):
        images, _ = sampler.images([caption] * 6, list(range(6)))
        red, _, blue = images[centre].astype(float).mean(axis=(0, 1, 2))
        warmth[caption] = red - blue
    assert warmth["an emoji of a red apple"] > warmth["an emoji of a police officer"] + 50
