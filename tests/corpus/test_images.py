"""The one path from any picture to stored pixels."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.corpus.images import UnreadableError, kept, pixels, square, stored

RAMP = (np.arange(4096, dtype=np.uint16) * 16).reshape(64, 64)  # 0 … 65520
EIGHT = np.rint(RAMP.astype(float) * 255 / 65535).astype(np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)


def test_a_square_of_the_right_side_is_untouched() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert square(image, 8) is image


def test_a_wide_picture_keeps_its_centre_and_gets_no_border() -> None:
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, 10:20] = 200
    assert np.array_equal(square(image, 5), np.full((5, 5, 3), 200, np.uint8))


def test_a_constant_colour_survives_any_resize() -> None:
    assert np.array_equal(square(np.full((512, 512, 3), 77, np.uint8), 64), np.full((64, 64, 3), 77, np.uint8))


def test_a_wide_image_is_cropped_and_resized_as_a_generated_one(noise: np.ndarray) -> None:
    assert (pixels(stored(encoded(Image.fromarray(noise)), 24)) == square(noise, 24)).all()


def test_there_are_no_borders(noise: np.ndarray) -> None:
    image = pixels(stored(encoded(Image.fromarray(noise // 4)), 32))
    assert image.shape == (32, 32, 3)
    assert image.max() < 128


def test_a_small_image_is_enlarged_and_one_below_the_least_side_is_refused(noise: np.ndarray) -> None:
    data = encoded(Image.fromarray(noise[:8, :9]))
    assert pixels(stored(data, 32, 8)).shape == (32, 32, 3)
    with pytest.raises(UnreadableError, match="too small"):
        stored(data, 32, 9)


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGBA", (4, 4), (0, 0, 0, 0)),
        Image.new("LA", (4, 4), (0, 0)),
        Image.new("P", (4, 4), 0),
        Image.new("L", (4, 4), 7),
        Image.new("RGB", (4, 4), (1, 2, 3)),
    ],
    ids=["RGBA", "LA", "palette", "grey", "colour"],
)
def test_transparent_pixels_lie_on_white_however_they_are_marked(image: Image.Image) -> None:
    clear = {"P": {"transparency": 0}, "L": {"transparency": 7}, "RGB": {"transparency": (1, 2, 3)}}
    assert (pixels(encoded(image, **clear.get(image.mode, {}))) == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize(("tag", "turns"), [(3, 2), (6, 3), (8, 1)])
def test_orientation_is_applied(noise: np.ndarray, kind: str, tag: int, turns: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    read = pixels(encoded(Image.fromarray(noise), kind, exif=exif, **options))
    upright = np.rot90(noise, turns).astype(int)
    assert read.shape == upright.shape
    assert np.abs(read - upright).mean() < (2 if kind == "JPEG" else 1e-9)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_sixteen_bits_are_scaled_to_their_range(kind: str) -> None:
    assert np.array_equal(pixels(encoded(Image.fromarray(RAMP), kind)), np.dstack([EIGHT] * 3))


def test_sixteen_bits_of_which_zero_is_white_are_turned_round() -> None:
    data = encoded(Image.fromarray(RAMP), "TIFF", tiffinfo={262: 0})
    assert np.array_equal(pixels(data), np.dstack([np.rint((1 - RAMP / 65535) * 255).astype(np.uint8)] * 3))


def test_a_clear_value_of_sixteen_bits_lies_on_white() -> None:
    assert (pixels(encoded(Image.fromarray(np.full((4, 4), 300, np.uint16)), transparency=300)) == 255).all()


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_thirty_two_bits_have_no_range_and_are_refused(kind: type) -> None:
    with pytest.raises(UnreadableError, match="grey of 32 bits, whose range is not known"):
        pixels(encoded(Image.fromarray(RAMP.astype(kind)), "TIFF"))


def test_of_several_frames_the_first_is_read() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "TIFF", "PNG", "WEBP"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert np.abs(pixels(data).astype(int) - (255, 0, 0)).max() < 6


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_evaluation_image_that_reads_as_it_is_is_kept_as_it_is(noise: np.ndarray, kind: str) -> None:
    data = encoded(Image.fromarray(noise), kind)
    assert kept(data) == ({"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}[kind], data)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM", "RGBA", "turned", "16 bits", "CMYK"])
def test_any_other_becomes_the_pixels_that_training_would_see(noise: np.ndarray, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = {
        "RGBA": lambda: encoded(Image.fromarray(np.dstack([noise, noise[:, :, 0]]), "RGBA")),
        "turned": lambda: encoded(Image.fromarray(noise), "JPEG", exif=exif),
        "16 bits": lambda: encoded(Image.fromarray(RAMP)),
        "CMYK": lambda: encoded(Image.fromarray(noise).convert("CMYK"), "JPEG"),
    }.get(kind, lambda: encoded(Image.fromarray(noise), kind))()
    suffix, content = kept(data)
    assert suffix == "png"
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), pixels(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_file_that_is_cut_off_is_refused(noise: np.ndarray, kind: str, share: float) -> None:
    data = encoded(Image.fromarray(noise), kind)
    for read in (pixels, kept):
        read(data)
        with pytest.raises(UnreadableError, match=r"cut off or damaged|not an image"):
            read(data[: int(share * len(data))])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>404</html>",
        b"\x89PNG\r\n\x1a\n",
        b"<svg xmlns='x'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    ],
)
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        stored(data, 16)


def test_a_damaged_file_never_raises_anything_else(noise: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF"):
        data = encoded(Image.fromarray(noise), kind)
        for _ in range(40):
            damaged = bytearray(data)
            for place in rng.integers(0, len(data), 3):
                damaged[place] ^= 1 << int(rng.integers(8))
            try:
                assert pixels(bytes(damaged)).shape[2] == 3
            except UnreadableError as error:
                assert str(error)


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch, noise: np.ndarray) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for read in (pixels, kept):
        with pytest.raises(UnreadableError, match="too many pixels"):
            read(encoded(Image.fromarray(noise)))


def test_images_are_decoded_in_one_place() -> None:
    code = Path(__file__).parents[2] / "stages"
    found = {str(path.relative_to(code)) for path in code.rglob("*.py") if "Image.open(" in path.read_text()}
    assert found == {"corpus/images.py", "download/emoji/icons.py"}  # the latter reads what it drew itself
