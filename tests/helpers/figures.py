"""Ellipses in the colour of a group, on light ground: what a network without training tells apart."""

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {"woman": (200, 60, 60), "man": (60, 60, 200)}


def drawing(colour: tuple[int, int, int], seed: int, side: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (side, side), tuple(int(v) for v in rng.integers(120, 255, 3)))
    x, y = (int(v) for v in rng.integers(8, side // 2, 2))
    ImageDraw.Draw(image).ellipse([x, y, x + side // 3, y + side // 3], fill=colour)
    return np.asarray(image)
