"""Pictures: drawn by hash, encoded faithfully."""

import base64
import io

import numpy as np
from PIL import Image

from stages.core.seeds import derive
from stages.plot.sheets import Pair, contact_sheet, data_uri, draw

KEYS = [f"{i:05d}" for i in range(200)]


def flat(colour, side=64):
    return np.full((side, side, 3), colour, np.uint8)


def decoded(uri):
    head, data = uri.split(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def test_draw_does_not_depend_on_the_order():
    assert draw(KEYS, 24, 0) == draw(KEYS[::-1], 24, 0)


def test_draw_takes_the_smallest_hashes():
    assert draw(KEYS, 1, 3) == [min(KEYS, key=lambda key: derive(3, key, "sheet"))]


def test_a_larger_draw_holds_the_smaller_one():
    assert draw(KEYS, 24, 0)[:8] == draw(KEYS, 8, 0)


def test_another_seed_draws_others():
    assert set(draw(KEYS, 24, 0)) != set(draw(KEYS, 24, 1))


def test_draw_of_few_takes_all():
    assert sorted(draw(KEYS[:3], 24, 0)) == KEYS[:3]


def test_data_uri_holds_the_picture():
    picture = decoded(data_uri(flat((200, 40, 90))))
    assert picture.shape == (64, 64, 3)
    assert np.abs(picture.astype(int) - (200, 40, 90)).max() <= 6


def test_large_pictures_shrink():
    assert decoded(data_uri(flat((0, 0, 0), 512))).shape == (128, 128, 3)


def test_contact_sheet_shows_real_left_and_synthetic_right():
    pair = Pair("k", "a red and a blue square", flat((250, 0, 0)), flat((0, 0, 250)), {})
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet([pair] * 7, columns=3))).convert("RGB")).astype(int)
    red, blue = (sheet[..., 0] - sheet[..., 2] > 230), (sheet[..., 2] - sheet[..., 0] > 230)
    assert red.sum() == blue.sum() > 7 * 60 * 60
    third = slice(0, sheet.shape[1] // 3)
    assert np.nonzero(red[:, third])[1].max() < np.nonzero(blue[:, third])[1].min()


def test_contact_sheet_is_the_same_twice():
    pair = Pair("k", "a caption", flat((9, 99, 9)), flat((0, 0, 250)), {})
    assert contact_sheet([pair]) == contact_sheet([pair])
