from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.core.errors import InputError
from stages.download.emoji.icons import Art, plain
from stages.download.emoji.packages import STYLES, read_json

MAN = "1f468-{}"
TONES = ("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff")


def luminance(image: Image.Image) -> float:
    """Mean luminance of the middle of the face."""
    pixels = np.asarray(image.crop((28, 26, 36, 34)), float)
    assert pixels[..., 3].min() == 255
    return float(np.median(pixels[..., :3] @ (0.299, 0.587, 0.114)))


@pytest.mark.parametrize("style", sorted(STYLES))
def test_skin_darkens_from_tone_one_to_five(art: Art, style: str) -> None:
    face = [luminance(art.raster(style, MAN.format(tone), 64)) for tone in TONES]
    assert all(darker < lighter - 8 for lighter, darker in pairwise(face)), face


@pytest.mark.parametrize("style", sorted(STYLES))
def test_a_raster_is_cropped_to_the_drawing(art: Art, style: str) -> None:
    box = art.raster(style, MAN.format("1f3fb"), 80).getchannel("A").getbbox()
    assert box is not None
    assert max(box[2] - box[0], box[3] - box[1]) >= 74


def test_an_alias_is_followed_to_its_parent(art: Art, cache: Path) -> None:
    """noto-v1 has no table of code points: noto's names lead to its icons, some through an alias."""
    icons = read_json(cache / STYLES["noto-v1"].archive, "package/icons.json")
    chars = read_json(cache / STYLES["noto"].archive, "package/chars.json")
    code, name = next((code, name) for code, name in chars.items() if name in icons["aliases"])
    assert art.svg("noto-v1", code).body == icons["icons"][icons["aliases"][name]["parent"]]["body"]


def test_code_points_are_written_without_variation_selector() -> None:
    assert plain("1F575-FE0F-200D-2640-FE0F") == "1f575-200d-2640"


def test_a_missing_drawing_is_an_error(art: Art) -> None:
    assert not art.has("noto", "ffff")
    with pytest.raises(InputError, match="style noto: no icon for ffff"):
        art.raster("noto", "ffff", 64)


def test_an_unknown_style_is_an_error(cache: Path) -> None:
    with pytest.raises(InputError, match=r"style 'joypixels': unknown; expected one of noto, twemoji"):
        Art(["noto", "joypixels"], cache)
