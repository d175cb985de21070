"""Small pictures as the bytes of a file."""

import io

import numpy as np
from PIL import Image


def png(seed: int = 0, side: int = 8) -> bytes:
    """Return noise, another for each seed."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, format="PNG")
    return buffer.getvalue()
