import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from stages.caption import __main__ as stage
from stages.caption.clipcap import pretrained_gpt2
from stages.caption.training import Trainer
from stages.caption.vocabulary import words_of_model
from stages.core.errors import InputError
from stages.corpus.shards import Shard, write_shard

FITTING = {"epochs": 3, "batch_size": 8, "learning_rate": 3e-3, "warmup": 1}
Captioning = Callable[..., Path]


def caption() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["stages.caption", "--seed", "0"])
        stage.main()


def outputs(data: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((data / "captions" / "0").iterdir())}


@pytest.fixture
def data(captioning: Captioning) -> Path:
    return captioning(checkpoint_steps=2, clipcap__fitting=FITTING, transformer__fitting=FITTING)


def test_every_image_is_captioned_by_both(data: Path) -> None:
    caption()
    keys = pd.read_parquet(data / "eval" / "people.parquet")["key"].tolist()
    known = {"a", "red", "blue", "circle", "square", ",", "on", "paper"}
    for name in ("clipcap", "transformer"):
        table = pd.read_parquet(data / "captions" / "0" / f"{name}.parquet")
        assert table.columns.tolist() == ["key", "caption"]
        assert table["key"].tolist() == keys
        assert all(text and set(text.replace(",", " ,").split()) <= known for text in table["caption"])
    training = json.loads((data / "captions" / "0" / "training.json").read_text())
    assert training["clipcap"]["steps"] == round(3 * 24 / 8)  # of all rows of the mix, as CLIP counts
    assert training["clipcap"]["rows"] == 23  # one of the 24 has no copies
    assert training["clipcap"]["synthetic_share"] == pytest.approx(8 / 23)
    assert training["transformer"]["last_loss"] < training["transformer"]["first_loss"]


def test_a_second_run_writes_the_same_bytes_and_the_work_folder_is_left_empty(data: Path) -> None:
    caption()
    first = outputs(data)
    kept = {"locks", "contents"}  # empty files, and hashes of shards
    work = data.parents[1] / "work"
    assert not [path for path in work.rglob("*") if path.is_file() and path.relative_to(work).parts[0] not in kept]
    caption()
    assert outputs(data) == first


@pytest.mark.parametrize("steps_before_the_kill", [1, 5, 12])
def test_a_killed_run_goes_on_to_the_same_captions(
    data: Path, steps_before_the_kill: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    caption()
    whole = outputs(data)
    for path in (data / "captions" / "0").iterdir():
        path.unlink()
    taken, step = [], Trainer.step

    def until_killed(trainer: Trainer, images: torch.Tensor, tokens: torch.Tensor) -> float:
        if len(taken) == steps_before_the_kill:
            raise KeyboardInterrupt
        taken.append(trainer.done)
        return step(trainer, images, tokens)

    monkeypatch.setattr(Trainer, "step", until_killed)
    with pytest.raises(KeyboardInterrupt):
        caption()
    rest: list[int] = []

    def counted(trainer: Trainer, images: torch.Tensor, tokens: torch.Tensor) -> float:
        rest.append(trainer.done)
        return step(trainer, images, tokens)

    monkeypatch.setattr(Trainer, "step", counted)
    caption()
    assert outputs(data) == whole
    assert len(rest) < 18 or steps_before_the_kill == 1  # from the last checkpoint, not from the start


def test_features_that_were_cut_off_are_completed(captioning: Captioning, monkeypatch: pytest.MonkeyPatch) -> None:
    data = captioning(feature_batch=8, clipcap__fitting=FITTING, transformer__fitting=FITTING)
    caption()
    whole = outputs(data)
    extract, calls = stage.extract, []

    def first_batch_only(*arguments):
        for part in extract(*arguments):
            calls.append(len(part[0]))
            yield part
            raise KeyboardInterrupt

    monkeypatch.setattr(stage, "extract", first_batch_only)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            caption()
    assert calls == [8, 8, 7]
    monkeypatch.setattr(stage, "extract", extract)
    caption()
    assert outputs(data) == whole


def test_another_seed_or_selection_gives_another_captioner(data: Path) -> None:
    caption()
    first = json.loads((data / "captions" / "0" / "training.json").read_text())
    selection = pd.read_parquet(data / "selection.parquet")
    selection.assign(copies=np.array([1] * 16 + [0] * 8, np.int32)).to_parquet(data / "selection.parquet")
    caption()
    real = json.loads((data / "captions" / "0" / "training.json").read_text())
    assert real["clipcap"]["synthetic_share"] == 0
    assert real["clipcap"]["last_loss"] != first["clipcap"]["last_loss"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: (data / "models" / "0" / "clip").unlink(), "no such file; train the model first"),
        (lambda data: (data / "selection.parquet").unlink(), "selection.parquet: no such file"),
        (lambda data: (data / "samples.parquet").write_bytes(b"no"), "samples.parquet: not a readable parquet"),
        (lambda data: (data / "synthetic" / "00001.tar").unlink(), "00001.tar: no such file"),
        (lambda data: (data / "eval" / "people.tar").unlink(), "people.tar"),
        (lambda data: drop_image(data), r"00000.tar: no member|00000.tar: sample 000002 has no image"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(data: Path, damage, message: str) -> None:
    damage(data)
    with pytest.raises(InputError, match=message):
        caption()
    assert not (data / "captions").exists() or not list((data / "captions" / "0").iterdir())


def drop_image(data: Path) -> None:
    path = data / "real" / "00000.tar"
    with Shard(path) as shard:
        members = [(key, {"png": shard.read(key, "png")} if key != "000002" else {"txt": "a"}) for key in shard.keys]
    write_shard(path, members)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_pretrained_gpt2_learns_as_the_full_scale_profile_asks(
    captioning: Captioning, gpt2_folder: Path, frozen: bool
) -> None:
    """The keys of `cc3m`: a language model by name, its own vocabulary, beams, bfloat16."""
    published = {
        "clipcap__mapper": "transformer" if frozen else "mlp",
        "clipcap__tune": not frozen,
        "clipcap__prefix": 4,
        "clipcap__mapper_layers": 1,
    }
    data = captioning(
        captioners=["clipcap"], beams=5, bfloat16=True, max_tokens=16, clipcap__language_model=str(gpt2_folder),
        clipcap__fitting={**FITTING, "epochs": 12, "learning_rate": 1e-2}, **published,
    )  # fmt: skip
    caption()
    assert [path.name for path in sorted((data / "captions" / "0").iterdir())] == ["clipcap.parquet", "training.json"]
    said = pd.read_parquet(data / "captions" / "0" / "clipcap.parquet")["caption"]
    training = json.loads((data / "captions" / "0" / "training.json").read_text())["clipcap"]
    assert said.str.len().gt(0).all()
    assert training["words"] == len(words_of_model(str(gpt2_folder), None))
    # a language model without knowledge, frozen, can be moved but little by its prefix
    assert training["last_loss"] < (1.0 if frozen else 0.8) * training["first_loss"]
    language_model = sum(parameter.numel() for parameter in pretrained_gpt2(str(gpt2_folder), None).parameters())
    assert (training["parameters"] > language_model) is not frozen


def test_a_diverging_training_says_what_to_lower(captioning: Captioning) -> None:
    captioning(clipcap__fitting={**FITTING, "learning_rate": 1e30}, transformer__fitting=FITTING)
    with pytest.raises(InputError, match=r"caption.clipcap: the loss is nan .*learning_rate"):
        caption()
