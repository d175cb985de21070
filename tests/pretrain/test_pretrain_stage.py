"""The generator's training on a handful of drawings, end to end, and the model that is in git."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
import yaml
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

from stages.core.errors import InputError
from stages.corpus.images import encode_png
from stages.corpus.shards import write_shard
from stages.generate.sampler import Sampler, Sampling, load_pipeline
from stages.pretrain.__main__ import settling
from stages.pretrain.corpus import held_out
from stages.pretrain.denoiser import Encoded, tokenizer
from stages.pretrain.optimise import Recipe
from stages.pretrain.quality.card import card_table
from stages.pretrain.settings import Settle
from tests.helpers import programs

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "data" / "pretrained" / "emoji-sd"
CLIP = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
}


@pytest.fixture
def project_with_corpus(tmp_path: Path) -> Path:
    home = tmp_path / "data" / "pretrained"
    values = yaml.safe_load((ROOT / "data" / "pretrained" / "params.yaml").read_text())["pretrain"]
    recipe = {"steps": 3, "learning_rate": 1e-3, "warmup": 1, "decay": 0.5, "ema": 0.9}
    values["autoencoder"] |= {"channels": [8, 16], "latent_channels": 4, "batch_size": 4, "recipe": recipe}
    values["text"] |= {"vocabulary": 400, "length": 10, "width": 16, "layers": 1, "heads": 2, "batch_size": 4}
    values["held_out"] = 0.5
    values["text"]["recipe"] = values["recogniser"]["recipe"] = recipe
    values["denoiser"] |= {"channels": [16], "heads": 2, "batch_size": 4, "recipe": recipe}
    values["settle"] |= {"batch_size": 4, "recipe": recipe}
    values["recogniser"] |= {"width": 8, "features": 8, "batch_size": 4}
    values["quality"] |= {"occupations": 4, "objects": 2, "distances": 16, "images": 4, "batch_size": 8, "steps": 2}
    home.mkdir(parents=True)
    (home / "params.yaml").write_text(yaml.safe_dump({"pretrain": values}))
    for folder, seed in (("corpus", 0), ("unseen", 1)):
        write_corpus(home / "build" / folder, seed)
    return tmp_path


def write_corpus(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 80
    occupation = rng.choice(["judge", "cook", "pilot", "", ""], count)
    table = pd.DataFrame(
        {
            "key": [f"{i:09d}" for i in range(count)],
            "shard": "00000",
            "kind": np.where(occupation == "", "object", "person"),
            "occupation": occupation,
            "label": np.where(occupation == "", rng.choice(["apple", "boat"], count), occupation),
            "gender": np.where(occupation == "", "", rng.choice(["woman", "man"], count)),
            "skin_tone": np.where(occupation == "", "", rng.choice(list("12345"), count)),
            "mentions_gender": rng.random(count) < 0.5,
            "mentions_skin_tone": rng.random(count) < 0.5,
        }
    )
    table["caption"] = table["label"] + " " + table["gender"] + f" {seed} " + table["key"]
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    encoded = ((key, {"png": encode_png(image)}) for key, image in zip(table["key"], images, strict=True))
    write_shard(folder / "real" / "00000.tar", encoded)
    table.to_parquet(folder / "samples.parquet")
    shares = {"occupation": ["judge", "cook", "pilot"], "women_generator": [0.1, 0.5, None]}
    pd.DataFrame(shares).to_csv(folder / "occupations.csv", index=False)


def run(project: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COUNTERWEIGHT_WORK": str(project / "work")}
    if module.startswith("stages."):
        return programs.run(module, *arguments, folder=project, environment=environment)
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_the_parts_make_a_pipeline_that_draws_and_is_measured(project_with_corpus: Path) -> None:
    home = project_with_corpus / "data" / "pretrained"
    pipeline_file = yaml.safe_load((ROOT / "data" / "pretrained" / "dvc.yaml").read_text())
    parts = [command for command in pipeline_file["stages"]["emoji-sd"]["cmd"] if "stages.pretrain" in command]
    assert len(parts) == 5 and sum(command.startswith("torchrun") for command in parts) == 2
    for command in parts:
        words = command.removeprefix("python -m ").replace("torchrun", "torch.distributed.run").split()
        done = run(project_with_corpus, *words)
        assert done.returncode == 0, done.stderr[-3000:]
    made, settled = (
        folder / "unet" / "diffusion_pytorch_model.safetensors"
        for folder in (home / "build" / "denoiser", home / "emoji-sd")
    )
    assert made.stat().st_mtime < settled.stat().st_mtime and made.read_bytes() != settled.read_bytes()
    assert "build" not in (home / "emoji-sd" / "unet" / "config.json").read_text()
    pipeline = load_pipeline(str(home / "emoji-sd"), None, "dpmsolver++", False, torch.float32, torch.device("cpu"))
    images, _ = Sampler(pipeline, Sampling(2, 2.0, 1.0, "", 32)).images(["a judge"], [0])
    assert images.shape == (1, 32, 32, 3)

    clip = open_clip.model.CLIP(8, CLIP["vision_cfg"], CLIP["text_cfg"])
    folder = project_with_corpus / "clip"
    folder.mkdir()
    config = {"model_cfg": CLIP, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(clip.state_dict(), folder / "open_clip_model.safetensors")
    done = run(project_with_corpus, "stages.pretrain.quality", "--clip", str(folder))
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((home / "quality" / "quality.json").read_text())
    assert report["recognised"]["real"]["occupation"]["n"] > 0
    assert report["frechet"]["generated"] > 0
    assert pd.read_csv(home / "quality" / "bias.csv")["occupation"].tolist() == ["judge", "cook"]
    sheets = {path.name for path in (home / "quality").glob("*.png")}
    assert sheets == {
        f"{name}.png" for name in ("autoencoder", "bias", "occupations", "unseen-objects", "unseen-occupations")
    }


def test_quality_without_a_clip_model_says_what_to_run(project_with_corpus: Path) -> None:
    done = run(project_with_corpus, "stages.pretrain.quality")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        "error: data/emoji/models/0/clip: no CLIP model here; run `dvc repro`"
    )


def test_settling_before_the_denoiser_says_what_to_run(project_with_corpus: Path) -> None:
    done = run(project_with_corpus, "stages.pretrain", "settle")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: data/pretrained/build/denoiser: no denoiser here; run")


def test_half_of_a_settling_batch_names_an_occupation_and_an_epoch_of_it_each_of_them_once() -> None:
    settings = Settle(occupations=0.5, dropout=0.0, batch_size=8, recipe=Recipe(5, 1e-3, 1, 0.5, 0.9))
    named = torch.arange(900, 940)
    steps = torch.stack([settling(1000, named, settings, 3, step) for step in range(10)])
    assert steps.shape == (10, 8)
    assert sorted(steps[:, 4:].flatten().tolist()) == named.tolist()
    assert len(set(steps[:, :4].flatten().tolist())) == 40 and steps[:, :4].min() < 900
    assert torch.equal(steps[7], settling(1000, named, settings, 3, 7))
    with pytest.raises(InputError, match=r"pretrain\.settle: 4 of 8 samples a step are drawn from 3"):
        settling(1000, named[:3], settings, 3, 0)


def test_latents_are_scaled_and_captions_dropped_to_the_empty_one() -> None:
    captions = torch.arange(12).view(4, 3)
    encoded = Encoded(torch.full((4, 2, 1, 1), 3.0), torch.zeros(4, 2, 1, 1), 0.5, captions, torch.tensor([9, 9, 9]))
    rows = torch.tensor([2, 0])
    latents, kept = encoded.drawn(rows, 0.0, torch.Generator().manual_seed(0))
    assert torch.equal(latents, torch.full((2, 2, 1, 1), 1.5)) and torch.equal(kept, captions[rows])
    _, none = encoded.drawn(rows, 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(none, torch.full((2, 3), 9))
    spread = Encoded(torch.zeros(4, 2, 1, 1), torch.full((4, 2, 1, 1), 2.0), 0.5, captions, captions[0])
    first, second = (spread.drawn(rows, 0.5, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1]) and first[0].std() > 0


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


def test_the_model_in_git_is_drawn_with_by_the_library_as_it_is() -> None:
    pipeline: Any = StableDiffusionPipeline.from_pretrained(MODEL)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline("a judge", num_inference_steps=2, output_type="np").images.shape == (1, 64, 64, 3)


def test_the_card_states_what_was_measured() -> None:
    home = MODEL.parent
    report = json.loads((home / "quality" / "quality.json").read_text())
    assert card_table(report) in (home / "README.md").read_text()


def test_the_model_in_git_draws_what_the_caption_says() -> None:
    """An apple is redder than a police officer, who is bluer: by the mean colour of six images each."""
    pipeline = load_pipeline(str(MODEL), None, "dpmsolver++", False, torch.float32, torch.device("cpu"))
    sampler = Sampler(pipeline, Sampling(6, 3.0, 1.0, "", 64))
    centre = (slice(None), slice(16, 48), slice(16, 48))
    warmth = {}
    for caption in ("an emoji of a red apple", "an emoji of a police officer"):
        images, _ = sampler.images([caption] * 6, list(range(6)))
        red, _, blue = images[centre].astype(float).mean(axis=(0, 1, 2))
        warmth[caption] = red - blue
    assert warmth["an emoji of a red apple"] > warmth["an emoji of a police officer"] + 50
