import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import resize, to_tensor

from stages.train import quality
from tests.helpers.shapes import TINY


def test_the_least_similar_share_is_dropped() -> None:
    assert quality.keep(np.array([0.3, 0.1, 0.9, 0.2], np.float32), 0.5).tolist() == [True, False, True, False]


def test_quantile_zero_keeps_everything() -> None:
    assert quality.keep(np.array([0.3, -1], np.float32), 0.0).all()


def test_of_equal_pairs_the_later_goes_first() -> None:
    assert quality.keep(np.full(4, 0.5, np.float32), 0.25).tolist() == [True, True, True, False]


def test_similarity_is_the_cosine_and_unreadable_images_come_last() -> None:
    torch.manual_seed(0)
    model = open_clip.CLIP(**TINY).eval()
    images = [np.random.default_rng(i).integers(0, 256, (32, 32, 3), dtype=np.uint8) for i in range(3)]
    texts = torch.randint(1, 399, (4, 8))

    def preprocess(image: Image.Image) -> torch.Tensor:
        return to_tensor(resize(image, [32, 32]))

    found = quality.similarity(model, preprocess, [images[0], None, images[1], images[2]], texts)
    assert found[1] == -1
    with torch.no_grad():
        picture = model.encode_image(to_tensor(images[1])[None], normalize=True)
        text = model.encode_text(texts[2:3], normalize=True)
    assert found[2] == pytest.approx(float(picture @ text.T), abs=1e-5)
