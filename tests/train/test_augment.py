from dataclasses import replace

import numpy as np
import pytest
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from PIL import Image
from scipy.stats import ks_2samp
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as pil

from stages.train import augment
from stages.train.settings import Augmentation

WILD = Augmentation(scale=(0.3, 1.0), color_jitter=(0.4, 0.4, 0.4, 0.1), color_jitter_prob=0.8, gray_scale_prob=0.2)


def picture(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def test_crops_follow_torchvisions_law() -> None:
    n, height, width = 4000, 48, 64
    changes = augment.draw(np.random.default_rng(0), n, WILD)
    ours = augment.boxes(changes, np.full(n, height), np.full(n, width), WILD.ratio)
    torch.manual_seed(0)
    blank = torch.zeros(3, height, width)
    theirs = np.array([RandomResizedCrop.get_params(blank, [0.3, 1.0], [3 / 4, 4 / 3]) for _ in range(n)])
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3


def test_crops_stay_inside_the_image() -> None:
    changes = augment.draw(np.random.default_rng(1), 500, WILD)
    height, width = np.random.default_rng(2).integers(1, 90, (2, 500))
    top, left, h, w = augment.boxes(changes, height, width, WILD.ratio).T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + h <= height).all()
    assert (left + w <= width).all()
    assert (h > 0).all()
    assert (w > 0).all()


def test_without_a_fitting_crop_the_central_one_is_taken() -> None:
    changes = augment.draw(np.random.default_rng(0), 1, Augmentation(scale=(1.0, 1.0)))
    assert augment.boxes(changes, np.array([10]), np.array([100]), (3 / 4, 4 / 3)).tolist() == [[0, 43, 10, 13]]


def test_pixels_are_those_of_open_clips_transform_but_for_rounding() -> None:
    image = picture()
    changes = augment.draw(np.random.default_rng(3), 1, Augmentation(scale=(0.5, 0.9)))
    top, left, h, w = augment.boxes(changes, np.array([48]), np.array([64]), (3 / 4, 4 / 3))[0].tolist()
    ours = augment.apply([image], changes, (3 / 4, 4 / 3), (32, 32))[0].permute(1, 2, 0).numpy()
    theirs = np.asarray(
        pil.resized_crop(Image.fromarray(image), top, left, h, w, [32, 32], pil.InterpolationMode.BICUBIC)
    )
    difference = np.abs(ours.astype(int) - theirs.astype(int))
    assert difference.max() <= 3
    assert difference.mean() < 0.1


def test_a_part_of_a_batch_changes_as_it_does_in_the_whole() -> None:
    images = [picture(40 + i, 50, seed=i) for i in range(6)]
    changes = augment.draw(np.random.default_rng(4), 6, WILD)
    whole = augment.apply(images, changes, WILD.ratio, (32, 32))
    parts = [augment.apply(images[s], changes[s], WILD.ratio, (32, 32)) for s in (slice(0, 2), slice(2, 6))]
    assert torch.equal(whole, torch.cat(parts))


def test_without_jitter_nothing_is_recoloured() -> None:
    changes = augment.draw(np.random.default_rng(5), 100, Augmentation(color_jitter=(0.4, 0.4, 0.4, 0.1)))
    assert (changes.jitter == [1, 1, 1, 0]).all()
    assert not changes.gray.any()


def test_jitter_has_the_strength_and_the_probability_asked_for() -> None:
    changes = augment.draw(np.random.default_rng(6), 5000, WILD)
    changed = (changes.jitter != [1, 1, 1, 0]).any(axis=1)
    assert changed.mean() == pytest.approx(0.8, abs=0.03)
    assert np.abs(changes.jitter[:, :3] - 1).max() <= 0.4
    assert np.abs(changes.jitter[:, 3]).max() <= 0.1
    assert changes.gray.mean() == pytest.approx(0.2, abs=0.03)


def test_gray_pictures_have_equal_channels() -> None:
    changes = augment.draw(np.random.default_rng(7), 1, Augmentation(gray_scale_prob=1.0))
    red, green, blue = augment.apply([picture()], changes, (3 / 4, 4 / 3), (32, 32))[0]
    assert torch.equal(red, green)
    assert torch.equal(red, blue)


def test_normalised_as_open_clip_does() -> None:
    image = picture(32, 32)
    ours = augment.normalise(torch.from_numpy(image).permute(2, 0, 1)[None], OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)
    theirs = pil.normalize(pil.to_tensor(image), list(OPENAI_DATASET_MEAN), list(OPENAI_DATASET_STD))
    torch.testing.assert_close(ours[0], theirs, atol=1e-5, rtol=0)


def test_mixed_styles_change_nothing_else_that_is_drawn() -> None:
    with_style = WILD.model_copy(update={"mix_style": 0.5})
    off, on = (augment.draw(np.random.default_rng(8), 200, kind) for kind in (WILD, with_style))
    for name in ("area", "log_ratio", "place", "jitter", "order", "gray"):
        assert np.array_equal(getattr(off, name), getattr(on, name)), name
    assert not off.style.any()
    assert (on.style > 0).mean() == pytest.approx(0.5, abs=0.1)
    assert sorted(on.partner) == list(range(200))


def test_without_mixed_styles_a_partner_changes_no_pixel() -> None:
    images = [picture(seed=i) for i in range(4)]
    changes = augment.draw(np.random.default_rng(9), 4, Augmentation())
    partners = {i: 255 - image for i, image in enumerate(images)}
    alone = augment.apply(images, changes, (3 / 4, 4 / 3), (32, 32))
    assert torch.equal(augment.apply(images, changes, (3 / 4, 4 / 3), (32, 32), partners), alone)


def flat(low: tuple[int, int, int], high: tuple[int, int, int]) -> np.ndarray:
    """Draw two halves of one colour each."""
    return np.concatenate([np.full((4, 8, 3), colour, np.uint8) for colour in (low, high)])


def styled(share: float, own: np.ndarray, other: np.ndarray) -> list[list[int]]:
    """Return the colours of the first and the last row."""
    changes = augment.draw(np.random.default_rng(0), 1, Augmentation(scale=(1.0, 1.0), ratio=(1.0, 1.0)))
    changes = replace(changes, style=np.array([share]))
    pixels = augment.apply([own], changes, (1.0, 1.0), (8, 8), {0: other})[0].permute(1, 2, 0)
    return [pixels[0, 0].tolist(), pixels[-1, 0].tolist()]


def test_mean_and_spread_of_the_colours_are_mixed() -> None:
    # red: mean 50, spread 10; the other's: mean 150, spread 30. λ = 1/2: mean 100, spread 20
    own, other = flat((40, 40, 0), (60, 60, 200)), flat((120, 40, 0), (180, 60, 200))
    assert styled(0.5, own, other) == [[80, 40, 0], [120, 60, 200]]
    assert styled(1.0, own, other) == [[120, 40, 0], [180, 60, 200]]


def test_a_channel_without_spread_takes_the_mean_and_colours_stay_in_range() -> None:
    own, other = flat((40, 240, 10), (40, 250, 20)), flat((90, 250, 0), (90, 250, 0))
    assert styled(1.0, own, other) == [[90, 250, 0], [90, 250, 0]]
    assert styled(1.0, flat((0, 0, 0), (250, 250, 250)), flat((250,) * 3, (254,) * 3)) == [[250] * 3, [254] * 3]
    assert styled(1.0, flat((49, 49, 49), (51, 51, 51)), flat((0,) * 3, (250,) * 3)) == [[0] * 3, [250] * 3]
    tall = np.concatenate([np.full((7, 8, 3), 100, np.uint8), np.full((1, 8, 3), 120, np.uint8)])
    assert styled(1.0, tall, flat((0,) * 3, (200,) * 3))[1] == [255] * 3
