import math

import numpy as np
import pytest
import torch

from stages.annotate import classifier
from stages.annotate.classifier import UNKNOWN

GROUPS = ("woman", "man")


def coloured(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images whose gender is red or green and whose skin tone is dark or bright; one in five shows nobody: blue."""
    rng = np.random.default_rng(seed)
    gender, tone = rng.integers(0, 2, n), rng.integers(0, 2, n)
    nobody = rng.random(n) < 0.2
    images = rng.integers(0, 40, (n, 64, 64, 3))
    level = np.where(tone == 0, 200, 110)
    for row in range(n):
        channel = 2 if nobody[row] else gender[row]
        images[row, 16:48, 16:48, channel] = level[row]
    targets = np.column_stack([np.where(nobody, 2, gender), np.where(nobody, 2, tone)])
    return images.astype(np.uint8), targets.astype(np.int64)


@pytest.fixture(scope="module")
def trained() -> classifier.Network:
    images, targets = coloured(400, seed=0)
    return classifier.fit(classifier.shrink(images), targets, epochs=40, seed=0)


def test_shrinking_averages_areas() -> None:
    image = np.zeros((1, 64, 64, 3), np.uint8)
    image[0, 0, 0] = 255
    small = classifier.shrink(image)
    assert small.shape == (1, 3, 32, 32)
    assert small[0, 0, 0, 0].item() == pytest.approx(0.25)
    assert small.sum().item() == pytest.approx(0.75)


def test_it_learns_what_can_be_seen(trained: classifier.Network) -> None:
    images, targets = coloured(200, seed=1)
    guesses = classifier.probabilities(trained, classifier.shrink(images))
    for head, guess in enumerate(guesses):
        assert guess.shape == (200, 3)
        assert np.allclose(guess.sum(1), 1, atol=1e-5)
        assert (guess.argmax(1) == targets[:, head]).mean() > 0.97


def test_equal_seeds_give_equal_weights() -> None:
    images, targets = coloured(64, seed=2)
    small = classifier.shrink(images)
    first, second, other = (classifier.fit(small, targets, 2, seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_global_randomness_is_left_alone() -> None:
    images, targets = coloured(32, seed=2)
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    classifier.fit(classifier.shrink(images), targets, 2, seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_unknown_targets_do_not_teach() -> None:
    """With every gender unknown, the gender head keeps its initial weights but for weight decay."""
    images, targets = coloured(64, seed=3)
    targets[:, 0] = UNKNOWN
    small = classifier.shrink(images)
    few, more = (classifier.fit(small, targets, epochs, seed=0).state_dict()["heads.0.weight"] for epochs in (2, 20))
    assert torch.cosine_similarity(few.flatten(), more.flatten(), dim=0).item() == pytest.approx(1)


def test_below_the_threshold_nobody_is_in_a_group() -> None:
    guess = np.asarray([[0.9, 0.1, 0], [0.1, 0.85, 0.05], [0.7, 0.3, 0], [0.05, 0.05, 0.9]], np.float32)
    assert classifier.decide(guess, GROUPS, 0.8) == ["woman", "man", "", ""]


def test_accuracy_by_hand() -> None:
    guess = np.asarray([[0.9, 0.1, 0], [0.9, 0.1, 0], [0.4, 0.6, 0], [0.2, 0.1, 0.7], [0, 0, 1], [1, 0, 0]], np.float32)
    target = np.asarray([0, 1, 1, 0, 2, UNKNOWN])
    measured = classifier.accuracy(guess, target, 0.8)
    assert (measured.n, measured.accuracy, measured.coverage, measured.confident) == (4, 0.75, 0.5, 0.5)


def test_accuracy_without_known_images_is_undefined() -> None:
    measured = classifier.accuracy(np.full((2, 3), 1 / 3, np.float32), np.asarray([UNKNOWN, 2]), 0.8)
    assert measured.n == 0
    assert math.isnan(measured.accuracy)
