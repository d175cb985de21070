"""The one path from any picture to a stored square."""

import numpy as np

from stages.corpus.images import square


def test_a_square_of_the_right_side_is_untouched() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert square(image, 8) is image


def test_a_wide_picture_keeps_its_centre_and_gets_no_border() -> None:
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, 10:20] = 200
    assert np.array_equal(square(image, 5), np.full((5, 5, 3), 200, np.uint8))


def test_a_constant_colour_survives_any_resize() -> None:
    assert np.array_equal(square(np.full((512, 512, 3), 77, np.uint8), 64), np.full((64, 64, 3), 77, np.uint8))
