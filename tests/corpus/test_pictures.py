import io

import numpy as np
import pytest
from PIL import Image

from stages.corpus.images import UnreadableError, square, stored
from stages.corpus.shards import decode_image


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)


def test_a_wide_image_is_cropped_and_resized_as_a_generated_one(noise: np.ndarray) -> None:
    assert (decode_image(stored(encoded(Image.fromarray(noise)), 24), "x") == square(noise, 24)).all()


def test_there_are_no_borders(noise: np.ndarray) -> None:
    dark = Image.fromarray(noise // 4)
    image = decode_image(stored(encoded(dark), 32), "x")
    assert image.shape == (32, 32, 3)
    assert image.max() < 128


def test_a_small_image_is_enlarged_and_one_below_the_least_side_is_refused(noise: np.ndarray) -> None:
    data = encoded(Image.fromarray(noise[:8, :9]))
    assert decode_image(stored(data, 32, 8), "x").shape == (32, 32, 3)
    with pytest.raises(UnreadableError, match="too small"):
        stored(data, 32, 9)


def test_transparent_pixels_lie_on_white() -> None:
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    assert (decode_image(stored(encoded(image), 16), "x") == 255).all()


def test_orientation_is_applied() -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    image = decode_image(stored(encoded(Image.fromarray(pixels), "PNG", exif=exif), 16), "x")
    assert (image[8:] == 255).all()
    assert (image[:8] == 0).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_is_cut_off_is_refused(noise: np.ndarray, kind: str, share: float) -> None:
    data = encoded(Image.fromarray(noise), kind)
    stored(data, 16)
    with pytest.raises(UnreadableError, match=r"cut off or damaged|not an image"):
        stored(data[: int(share * len(data))], 16)


@pytest.mark.parametrize("data", [b"", b"<html>404</html>", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        stored(data, 16)


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch, noise: np.ndarray) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UnreadableError, match="too many pixels"):
        stored(encoded(Image.fromarray(noise)), 16)
