import json
import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from stages.core.errors import InputError
from stages.train import models, tokens
from tests.helpers.shapes import TINY, TINY_RESNET

CAPTIONS = ["a red circle", "a blue square", "a green cross"] * 3


def built(tmp_path: Path, model=TINY_RESNET, loss: Any = "clip", seed: int = 0):
    shape = models.architecture(model, loss)
    shape = shape.with_vocabulary(tokens.learn(CAPTIONS, 400, shape.context), "models/0/clip")
    network = models.create(shape, None, seed, tmp_path / "design")
    return shape, network, models.tokenizer(shape, tmp_path / "design")


def outputs(model: torch.nn.Module, texts: torch.Tensor) -> torch.Tensor:
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.cat([model.eval().encode_image(images), model.encode_text(texts)])  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("loss", ["clip", "siglip"])
def test_a_saved_model_is_loaded_by_open_clip_alone_and_gives_the_same_outputs(tmp_path: Path, loss: str) -> None:
    shape, model, tokenize = built(tmp_path, loss=loss)
    model = model.to(memory_format=torch.channels_last)
    folder = tmp_path / "clip"
    folder.mkdir()
    models.save(model, shape, tokenize, folder)
    loaded, _, preprocess = cast(Any, open_clip.create_model_and_transforms(f"local-dir:{folder}"))
    texts = open_clip.get_tokenizer(f"local-dir:{folder}")(CAPTIONS[:3])
    assert torch.equal(texts, tokenize(CAPTIONS[:3]))
    assert torch.allclose(outputs(loaded, texts), outputs(model, texts), atol=1e-6)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    assert torch.equal(preprocess(image), image_transform_v2(PreprocessCfg(size=32), is_train=False)(image))


def test_the_bare_configuration_is_one_that_open_clip_adds(tmp_path: Path) -> None:
    shape, model, tokenize = built(tmp_path)
    folder = tmp_path / "clip"
    folder.mkdir()
    models.save(model, shape, tokenize, folder)
    named = tmp_path / "counterweight-test.json"
    named.write_text((folder / "model_config.json").read_text())
    open_clip.add_model_config(named)
    loaded = open_clip.create_model("counterweight-test", pretrained=str(folder / "model.safetensors"))
    texts = tokenize(CAPTIONS[:3])
    assert torch.allclose(outputs(loaded, texts), outputs(model, texts), atol=1e-6)


def test_equal_seeds_give_equal_weights_and_leave_the_global_generator_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, two, other = (built(tmp_path, seed=seed)[1].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["visual.conv1.weight"], other["visual.conv1.weight"])
    assert torch.equal(torch.get_rng_state(), state)


def test_the_token_embedding_has_the_size_of_the_vocabulary(tmp_path: Path) -> None:
    shape, model, _ = built(tmp_path)
    assert shape.vocabulary is not None
    assert model.state_dict()["token_embedding.weight"].shape == (shape.vocabulary.get_vocab_size(), 32)


def test_the_sigmoid_loss_starts_at_its_papers_temperature_and_bias(tmp_path: Path) -> None:
    _, model, _ = built(tmp_path, loss="siglip")
    assert model.state_dict()["logit_scale"].item() == pytest.approx(math.log(10))
    assert model.state_dict()["logit_bias"].item() == -10


def test_initial_weights_come_from_a_local_folder(tmp_path: Path) -> None:
    shape, model, tokenize = built(tmp_path)
    folder = tmp_path / "clip"
    folder.mkdir()
    models.save(model, shape, tokenize, folder)
    again = models.architecture(f"local-dir:{folder}", "clip")
    tuned = models.create(again, None, 7, tmp_path / "other")
    assert all(torch.equal(value, tuned.state_dict()[name]) for name, value in model.state_dict().items())
    assert torch.equal(models.tokenizer(again, tmp_path / "other")(CAPTIONS), tokenize(CAPTIONS))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("RN51", "open_clip has no model 'RN51'"),
        ("local-dir:nowhere", "train.model: local-dir:nowhere"),
        (TINY | {"vision_cfg": {"depth": 3}}, "not a configuration open_clip understands: .*depth"),
    ],
)
def test_a_model_that_does_not_exist_is_refused(tmp_path: Path, model, message: str) -> None:
    with pytest.raises(InputError, match=message):
        models.create(models.architecture(model, "clip"), None, 0, tmp_path)


def test_weights_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"RN50.*no_such_tag"):
        models.create(models.architecture("RN50", "clip"), "no_such_tag", 0, tmp_path)


def test_decay_spares_what_open_clips_trainer_spares(tmp_path: Path) -> None:
    _, model, _ = built(tmp_path)
    free, decayed = models.parameter_groups(model, 0.2)
    assert (free["weight_decay"], decayed["weight_decay"]) == (0.0, 0.2)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    spared = {names[id(parameter)] for parameter in free["params"]}
    assert {"logit_scale", "visual.bn1.weight", "visual.attnpool.q_proj.bias", "ln_final.weight"} <= spared
    assert not spared & {"visual.conv1.weight", "token_embedding.weight", "text_projection", "positional_embedding"}
    assert len(free["params"]) + len(decayed["params"]) == len(list(model.parameters()))


def test_a_repeated_forward_pass_leaves_the_running_moments(tmp_path: Path) -> None:
    _, model, _ = built(tmp_path)
    norm = next(module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d))
    image = torch.randn(4, 3, 32, 32)
    with models.frozen_statistics(model):
        held = model.train().encode_image(image)  # pyright: ignore[reportCallIssue]
    assert norm.num_batches_tracked == 0
    assert (norm.running_mean == 0).all()
    assert torch.equal(held, model.encode_image(image))  # pyright: ignore[reportCallIssue]
    assert norm.num_batches_tracked == 1


def test_the_folder_holds_no_path_of_this_machine(tmp_path: Path) -> None:
    shape, model, tokenize = built(tmp_path)
    folder = tmp_path / "clip"
    folder.mkdir()
    models.save(model, shape, tokenize, folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "model.safetensors", "model_config.json", "open_clip_config.json", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    for path in folder.glob("*.json"):
        assert str(tmp_path) not in path.read_text()
    assert json.loads((folder / "model_config.json").read_text())["text_cfg"]["hf_tokenizer_name"] == "models/0/clip"
