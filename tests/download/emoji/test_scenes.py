from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from stages.download.emoji.scenes import Scene, draw_scene, render

RED = Image.new("RGBA", (80, 80), (255, 0, 0, 255))
CLEAR = Image.new("RGBA", (80, 80))
STILL = Scene(((0, 0, 255), (0, 0, 255)), 0.0, False, 0.5, (0.0, 0.0), 0.0, False)


def scene(seed: int) -> Scene:
    return draw_scene(np.random.default_rng(seed))


def test_a_seed_gives_one_scene() -> None:
    assert scene(3) == scene(3)
    assert scene(3) != scene(4)


def test_a_square_in_the_middle() -> None:
    picture = render(STILL, RED, 64)
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    red = (picture == (255, 0, 0)).all(-1)
    assert red.sum() == 32 * 32
    assert red[16:48, 16:48].all()


def test_shift_moves_right_and_down() -> None:
    red = (render(replace(STILL, shift=(0.25, 0.125)), RED, 64) == (255, 0, 0)).all(-1)
    assert red[24:56, 32:64].all()


def test_flip_mirrors_the_drawing() -> None:
    half = RED.copy()
    half.paste(CLEAR.crop((0, 0, 40, 80)), (0, 0))
    plain, flipped = (render(replace(STILL, flip=flip), half, 64) for flip in (False, True))
    assert plain[32, 40].tolist() == [255, 0, 0]
    assert np.array_equal(plain[:, ::-1], flipped)


def test_transparent_drawings_show_the_background_alone() -> None:
    assert (render(STILL, CLEAR, 64) == (0, 0, 255)).all()


def test_a_gradient_runs_along_its_direction() -> None:
    picture = render(replace(STILL, colours=((0, 0, 0), (200, 200, 200))), CLEAR, 64)[..., 0].astype(int)
    assert (np.diff(picture[0]) >= 0).all()
    assert picture[0, 0] < picture[0, -1]
    assert (picture == picture[0]).all()


def test_an_edge_parts_two_flat_halves() -> None:
    picture = render(replace(STILL, colours=((0, 0, 0), (200, 200, 200)), edge=True), CLEAR, 64)
    assert np.unique(picture[:, :32]).tolist() == [0]
    assert np.unique(picture[:, 32:]).tolist() == [200]


@pytest.mark.parametrize("seed", range(8))
def test_a_scene_is_the_same_at_any_resolution(seed: int) -> None:
    """Averaging a large picture gives the small one, but for rounding at edges."""
    large = render(scene(seed), RED, 256).reshape(64, 4, 64, 4, 3).mean((1, 3))
    small = render(scene(seed), RED, 64)
    assert np.abs(large - small).mean() < 6


def test_drawings_fill_most_of_the_picture() -> None:
    scenes = [scene(seed) for seed in range(200)]
    assert min(s.scale for s in scenes) >= 0.7
    for s in scenes:
        assert max(abs(offset) + s.scale / 2 for offset in s.shift) <= 0.5 + 1e-9
