"""One path from any picture to stored pixels: real and synthetic images must differ in content only.

Published mixes had white borders around real images alone (arXiv 2404.03242, the authors' settings): a model can learn
that. Here every image file, for training and for evaluation, is read by `pixels`; images for training, real and
synthetic, are cropped to the centre square, resized by one filter and encoded by `encode_png`.
"""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

IMAGE_SUFFIXES = ("png", "jpg", "jpeg", "webp")  # of stored images
FORMATS = (  # that are read; not EPS, for which Pillow starts another program
    "PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "AVIF", "ICO", "TGA",
)  # fmt: skip
ORIENTATION = 0x0112  # EXIF tag; 1: as stored
BITS, PHOTOMETRIC = 258, 262  # TIFF tags; photometric 0: white is zero
Image.init()
_FORMATS = [name for name in FORMATS if name in Image.OPEN]


class UnreadableError(Exception):
    """An image that cannot be stored; the message is the reason, one of a few, so that reasons can be counted."""


def pixels(data: bytes) -> np.ndarray:
    """
    Read an image file: uint8, (height, width, 3).

    Parameters
    ----------
    data : bytes
        A file in one of `FORMATS`; of several frames, the first. EXIF orientation is applied, transparent
        pixels are laid on white, 16-bit grey is scaled to its range.

    Raises
    ------
    UnreadableError
        If the file is no image, cut off, damaged, too large to be one, or grey of 32 bits, whose range no one knows.
    """
    return _read(data)[0]


def kept(data: bytes) -> tuple[str, bytes]:
    """
    Choose how an evaluation image is stored: as it is where `pixels` changes nothing, else as PNG of its pixels.

    Raises
    ------
    UnreadableError
        As `pixels`.
    """
    image, suffix = _read(data)
    return (suffix, data) if suffix else ("png", encode_png(image))


def stored(data: bytes, side: int, min_side: int = 1) -> bytes:
    """
    Make the training image of a file: PNG, (side, side, 3), no borders; `square`, as for generated images.

    Parameters
    ----------
    side : int
        Side of the result, pixels.
    min_side : int
        Smaller images are refused, pixels.

    Raises
    ------
    UnreadableError
        As `pixels`, or if the image is too small.
    """
    image = pixels(data)
    if min(image.shape[:2]) < min_side:
        raise UnreadableError("too small")
    return encode_png(np.ascontiguousarray(square(image, side)))


def square(image: np.ndarray, side: int) -> np.ndarray:
    """
    Crop the centre square and resize it; the same pixels where nothing is to be done.

    Parameters
    ----------
    image : np.ndarray
        uint8, (height, width, 3).
    side : int
        Side of the result, pixels.
    """
    height, width = image.shape[:2]
    if height == width == side:
        return image
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    cropped = Image.fromarray(image[top : top + edge, left : left + edge])
    return np.asarray(cropped.resize((side, side), Image.Resampling.LANCZOS))


def encode_png(image: np.ndarray) -> bytes:
    """
    Encode one image, the same way for real and for synthetic ones.

    Parameters
    ----------
    image : np.ndarray
        uint8, (height, width, 3).
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _read(data: bytes) -> tuple[np.ndarray, str]:
    """Read an image; return its pixels, and the suffix under which the file may be stored as it is, else ``""``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, which is not kept
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                suffix = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "MPO": "jpg"}.get(image.format or "", "")
                plain = image.mode in ("RGB", "L") and "transparency" not in image.info
                plain = plain and image.getexif().get(ORIENTATION, 1) == 1
                array = np.asarray(_upright_rgb(image))
    except UnidentifiedImageError:
        raise UnreadableError("not an image") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise UnreadableError("too many pixels") from None
    except UnreadableError:
        raise
    except Exception:
        raise UnreadableError("cut off or damaged") from None
    return array, suffix if plain else ""


def _upright_rgb(image: Image.Image) -> Image.Image:
    image.load()
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):  # PPM is read as 0…65535
        image = _eight_bits(image)
    elif image.mode in ("I", "F"):
        raise UnreadableError("grey of 32 bits, whose range is not known (8 and 16 bits are read)")
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in upright.info:
        clear = upright.convert({"La": "LA"}.get(upright.mode, upright.mode)).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return upright.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    tags = getattr(image, "tag_v2", {})
    top = 2 ** tags.get(BITS, (16,))[0] - 1
    grey = np.asarray(image).astype(np.float64) / top
    if tags.get(PHOTOMETRIC) == 0:
        grey = 1 - grey
    if (clear := image.info.get("transparency")) is not None:
        grey[np.asarray(image) == clear] = 1
    scaled = Image.fromarray(np.rint(255 * grey.clip(0, 1)).astype(np.uint8))
    scaled.info["exif"] = image.info.get("exif", b"")
    scaled.getexif().update(image.getexif())
    return scaled
