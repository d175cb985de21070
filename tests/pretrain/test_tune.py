"""Training a text-to-image model on, on a mix: killed and continued, frozen parts, models of others, bad input."""

import functools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import DDPMScheduler
from safetensors.torch import load_file

from stages.core.errors import InputError
from stages.corpus.images import encode_png
from stages.corpus.shards import write_shard
from stages.pretrain import denoiser, optimise, progress
from stages.pretrain.mix import load_mix, plan, read_parts
from stages.pretrain.pipeline import load
from stages.pretrain.settings import Tune
from stages.pretrain.tune_command import add_low_rank, tune

MODEL = Path(__file__).parents[2] / "data" / "pretrained" / "emoji-sd"
SETTINGS = Tune(steps=6, batch_size=4, learning_rate=1e-3, warmup=2, decay=0.5, ema=0.9, dropout=0.1, text=True)


class Killed(Exception):  # noqa: N818
    pass


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve rows: six real, of which one is taken twice, and six synthetic, of which one is left out."""
    monkeypatch.setenv("COUNTERWEIGHT_WORK", str(tmp_path / "work"))
    random = np.random.default_rng(0)
    keys = [f"{i:03d}" for i in range(12)]
    for source in ("real", "synthetic"):
        images = {key: random.integers(0, 256, (64, 64, 3), dtype=np.uint8) for key in keys}
        write_shard(tmp_path / source / "00000.tar", ((key, {"png": encode_png(of)}) for key, of in images.items()))
    captions = [f"a picture of a judge {key}" for key in keys]
    pd.DataFrame({"key": keys, "shard": "00000", "caption": captions}).to_parquet(tmp_path / "samples.parquet")
    rows = {"key": keys, "shard": "00000", "source": ["real"] * 6 + ["synthetic"] * 6, "copies": [2, *[1] * 10, 0]}
    pd.DataFrame({**rows, "kept": True}).to_parquet(tmp_path / "selection.parquet")
    return tmp_path


def weights(folder: Path) -> dict[str, torch.Tensor]:
    files = (folder / "unet" / "diffusion_pytorch_model.safetensors", folder / "text_encoder" / "model.safetensors")
    return {f"{path.parent.name}.{name}": value for path in files for name, value in load_file(path).items()}


def test_the_mix_has_each_row_as_often_as_it_is_taken(data: Path) -> None:
    rows = load_mix(data)
    assert rows["image"].value_counts().to_dict() == {"000": 2, **{f"{i:03d}": 1 for i in range(1, 11)}}
    assert rows.groupby("source").size().to_dict() == {"real": 7, "synthetic": 5}
    parts = [*read_parts(data, rows, 32, 5)]
    assert [len(part) for part in parts] == [5, 5, 2] and parts[0].shape[1:] == (32, 32, 3)
    assert torch.equal(parts[0][0], parts[0][1])


def test_only_rows_that_come_are_read_and_each_step_finds_its_own() -> None:
    used, steps = plan(100, 8, 3, seed=1)
    assert len(used) == 24
    assert all(torch.equal(used[step], optimise.batch(100, 8, 1, i)) for i, step in enumerate(steps))
    with pytest.raises(InputError, match="batch_size: found 8, more than the 7 rows"):
        plan(7, 8, 3, seed=1)


def test_killed_and_continued_it_makes_the_same_model(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tune(SETTINGS, str(MODEL), None, data, data / "whole", 3)

    def cut(*arguments: object, **_: object) -> None:
        *rest, report = arguments

        def reported(step: int, value: float) -> None:
            if step == 4:
                raise Killed
            report(step, value)  # pyright: ignore[reportCallIssue]

        optimise.fit(*rest, reported, save_every=0.0)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patch:
        patch.setattr(progress, "fit", cut)
        with pytest.raises(Killed):
            tune(SETTINGS, str(MODEL), None, data, data / "cut", 3)
    assert [*(data / "work" / "tune").glob("*/tuned.pt")] and not (data / "cut").exists()
    tune(SETTINGS, str(MODEL), None, data, data / "cut", 3)
    whole, again, before = (weights(folder) for folder in (data / "whole", data / "cut", MODEL))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert not all(torch.equal(whole[name], before[name]) for name in whole)
    assert not [*(data / "work" / "tune").iterdir()]


def test_a_text_encoder_can_stay_as_it_is(data: Path) -> None:
    tune(SETTINGS.model_copy(update={"text": False, "steps": 1}), str(MODEL), None, data, data / "made", 3)
    made, before = weights(data / "made"), weights(MODEL)
    same = {name.split(".")[0]: torch.equal(made[name], before[name]) for name in made if name.endswith("weight")}
    assert same["text_encoder"] and not same["unet"]


def test_noise_is_predicted_where_the_model_of_others_does() -> None:
    """A perfect prediction of the noise has loss 0; one of v has not."""
    parts = load(str(MODEL))
    made = denoiser.TextToLatent(parts.text_encoder, parts.unet, DDPMScheduler(prediction_type="epsilon"))
    latents, tokens = torch.zeros(2, 16, 8, 8), denoiser.tokens(parts.tokenizer, ["a judge", "a cook"])

    class Perfect(torch.nn.Module):
        def forward(self, noisy: torch.Tensor, times: torch.Tensor, _: torch.Tensor) -> object:
            alpha = made.alphas[times].view(-1, 1, 1, 1)
            return type("Output", (), {"sample": noisy / (1 - alpha).sqrt()})

    made.unet = Perfect()  # pyright: ignore[reportAttributeAccessIssue]
    loss = functools.partial(made.loss, latents, tokens)
    assert loss(torch.Generator().manual_seed(0)).item() == pytest.approx(0, abs=1e-8)
    made.predicts = "v_prediction"
    assert loss(torch.Generator().manual_seed(0)).item() > 1e-4
    with pytest.raises(InputError, match="prediction_type: found 'sample'"):
        denoiser.TextToLatent(parts.text_encoder, parts.unet, DDPMScheduler(prediction_type="sample"))


def test_low_rank_updates_are_merged_into_a_whole_model(data: Path) -> None:
    low = SETTINGS.model_copy(update={"lora": 2, "text": False, "steps": 2})
    tune(low, str(MODEL), None, data, data / "made", 3)
    made, before = weights(data / "made"), weights(MODEL)
    assert made.keys() == before.keys()
    changed = {name for name in made if not torch.equal(made[name], before[name])}
    assert changed and all(".attn" in name and "unet" in name for name in changed)


def test_low_rank_updates_without_their_library_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    unet = load(str(MODEL), None).unet
    monkeypatch.setitem(sys.modules, "peft", None)  # an import of it fails
    with pytest.raises(InputError, match="lora: found 2, which needs peft"):
        add_low_rank(unet, 2)
    assert all(weight.requires_grad for weight in unet.parameters())  # nothing is frozen
