"""How alike image and caption are, against open_clip pair by pair."""

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from stages.annotate.settings import Similarity
from stages.annotate.similarity import Judge
from stages.core.errors import InputError
from tests.helpers import tiny_clip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_clip.save(tmp_path_factory.mktemp("models") / "tiny")


def test_similarity_is_the_cosine_of_each_pair(model: str) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (40, 48, 3), dtype=np.uint8) for _ in range(5)]
    captions = ["a cat", "a dog", "a red hat", "somebody", "a cat"]
    found = Judge(Similarity(model=model, batch_size=2)).similarity(iter(images), captions)
    network, _, preprocess = open_clip.create_model_and_transforms(model)
    network, tokenize = network.eval(), open_clip.get_tokenizer(model)
    with torch.no_grad():
        for image, caption, cosine in zip(images, captions, found, strict=True):
            picture = network.encode_image(preprocess(Image.fromarray(image))[None], normalize=True)
            text = network.encode_text(tokenize([caption]), normalize=True)
            assert cosine == pytest.approx(float(picture @ text.T), abs=1e-5)
    assert found.dtype == np.float32


def test_no_pair_gives_no_score(model: str) -> None:
    assert Judge(Similarity(model=model)).similarity(iter([]), []).shape == (0,)


def test_a_name_without_weights_judges_nothing() -> None:
    with pytest.raises(InputError, match=r"annotate\.similarity\.model: ViT-S-32-alt: cannot be loaded"):
        Judge(Similarity(model="ViT-S-32-alt"))


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"annotate\.similarity\.model: local-dir:nowhere: cannot be loaded"):
        Judge(Similarity(model="local-dir:nowhere"))
