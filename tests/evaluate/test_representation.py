"""Representation bias: a hand-computed 3×3 case, symmetry, ties."""

import numpy as np
import pytest

from stages.evaluate.representation import representation_bias


def test_three_images_by_hand():
    images = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    man, woman = np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]])
    # differences 1, −.2, 0: prefer man, woman, neither
    result = representation_bias(images, man, woman)
    assert result.share[0] == pytest.approx((1 + 0 + 0.5) / 3)
    assert result.bias[0] == pytest.approx(0)
    assert result.margin[0] == pytest.approx(0.8 / 3)
    assert result.n == 3


def test_pairs_are_averaged():
    images = np.eye(2)[[0, 0]]
    man, woman = np.eye(2), np.eye(2)[::-1]
    result = representation_bias(images, man, woman)
    assert result.by_pair.tolist() == [[1, 1, 1], [0, 0, 0]]
    assert result.share[0] == 0.5


def test_one_sided_model_has_the_largest_bias():
    images = np.tile([[0.8, 0.6]], (10, 1))
    result = representation_bias(images, [[1.0, 0.0]], [[0.0, 1.0]])
    assert result.bias == pytest.approx((0.5, 0.5, 0.5))


def test_swapping_the_groups_mirrors_share_and_margin():
    rng = np.random.default_rng(0)
    images, man, woman = rng.normal(size=(50, 4)), rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    one, two = representation_bias(images, man, woman), representation_bias(images, woman, man)
    assert one.share[0] == pytest.approx(1 - two.share[0])
    assert one.margin[0] == pytest.approx(-two.margin[0])
    assert one.bias[0] == pytest.approx(two.bias[0])


def test_prompts_must_pair_up():
    with pytest.raises(ValueError, match="2 against 1 prompts"):
        representation_bias(np.eye(2), np.eye(2), np.eye(2)[:1])
