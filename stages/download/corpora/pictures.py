"""Any image file → the square that is stored: cropped, resized and encoded as generated images are."""

import io
import struct
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from stages.corpus.images import square
from stages.corpus.shards import encode_png


class UnreadableError(Exception):
    """An image that cannot be stored; the message is the reason, one of a few."""


def stored(data: bytes, side: int, min_side: int = 1) -> bytes:
    """
    Make the stored image of a file.

    Parameters
    ----------
    data : bytes
        A file in any format that Pillow reads; of an animation, the first frame. EXIF orientation is applied, and
        transparent pixels are laid on white.
    side : int
        Side of the result, pixels.
    min_side : int
        Smaller images are refused, pixels.

    Returns
    -------
    bytes
        PNG, (side, side, 3), no borders: `stages.corpus.images.square`, as for generated images.

    Raises
    ------
    UnreadableError
        If the file is no image, cut off, damaged, too small, or too large to be one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, which is not kept
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                pixels = np.asarray(_upright_rgb(image))
    except UnidentifiedImageError:
        raise UnreadableError("not an image") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise UnreadableError("too many pixels") from None
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, struct.error):
        raise UnreadableError("cut off or damaged") from None  # what Pillow's decoders raise on broken files
    if min(pixels.shape[:2]) < min_side:
        raise UnreadableError("too small")
    return encode_png(np.ascontiguousarray(square(pixels, side)))


def _upright_rgb(image: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        clear = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return upright.convert("RGB")
