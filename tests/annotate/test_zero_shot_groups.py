import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from stages.annotate.zero_shot import NOBODY, PHRASES, TEMPLATES, Recogniser
from stages.core.errors import InputError
from stages.corpus.words import GROUPS
from tests.helpers import tiny_clip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_clip.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40, 48, 3), dtype=np.uint8) for _ in range(5)]


def test_probabilities_are_those_of_open_clip_prompt_by_prompt(model: str, images: list[np.ndarray]) -> None:
    network, _, preprocess = open_clip.create_model_and_transforms(model)
    tokenize = open_clip.get_tokenizer(model)
    network = network.eval()

    def direction(phrase: str) -> torch.Tensor:
        rows = [network.encode_text(tokenize([template.format(phrase)]))[0] for template in TEMPLATES]
        mean = torch.stack([row / row.norm() for row in rows]).mean(0)
        return mean / mean.norm()

    found = Recogniser(model, None, batch_size=2).probabilities(images)
    with torch.no_grad():
        for (attribute, groups), probability in zip(GROUPS.items(), found, strict=True):
            classes = [PHRASES[attribute, group] for group in groups] + [NOBODY]
            for image, row in zip(images, probability, strict=True):
                pixels = network.encode_image(preprocess(Image.fromarray(image))[None])[0]
                pixels = pixels / pixels.norm()
                weights = [
                    sum(float((network.logit_scale.exp() * direction(phrase) @ pixels).exp()) for phrase in phrases)
                    for phrases in classes
                ]
                assert np.allclose(row, np.asarray(weights) / sum(weights), atol=1e-4)


def test_no_image_gives_no_row(model: str) -> None:
    assert [part.shape for part in Recogniser(model, None, 4).probabilities([])] == [(0, 3), (0, 3)]


def test_groups_have_as_many_phrases_so_that_none_is_favoured() -> None:
    for attribute, groups in GROUPS.items():
        assert len({len(PHRASES[attribute, group]) for group in groups}) == 1


def test_random_weights_annotate_nothing(model: str, tmp_path: Path) -> None:
    shutil.copytree(model.removeprefix("local-dir:"), tmp_path / "copy")
    for weights in (tmp_path / "copy").glob("*.safetensors"):
        weights.unlink()
    for name in (f"local-dir:{tmp_path / 'copy'}", "ViT-S-32-alt"):
        with pytest.raises(InputError, match=r"annotate\.zero_shot\.model: .*cannot be loaded .*pretrained weights"):
            Recogniser(name, None, 4)


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(
        InputError, match=r"annotate\.zero_shot\.model: local-dir:nowhere: cannot be loaded.*docs/scale"
    ):
        Recogniser("local-dir:nowhere", None, 4)
