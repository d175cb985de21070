"""Scenes: one drawing becomes many pictures, by background, scale, shift, rotation and flip.

A scene is resolution-free: lengths are shares of the side, so one seed gives one composition at any size.
"""

import colorsys
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

Pattern = Literal["", "rows", "columns", "slant", "checks", "dots", "frame"]
OVERSAMPLING = 1.25  # side of the raster over the side of the picture: a drawing is always scaled down


@dataclass(frozen=True)
class Scene:
    """
    A composition.

    Attributes
    ----------
    colours : tuple of two (r, g, b)
        Ends of the background's gradient, in [0, 255]; equal for a flat background.
    edge : bool
        Whether the gradient is a sharp edge through the middle.
    scale : float
        Side of the drawing over the side of the picture.
    shift : tuple of two float
        Offset of the drawing's centre from the picture's, in sides (right, down).
    pattern : str
        Of the background, in its two colours, in place of a gradient; empty: none.
    """

    colours: tuple[tuple[int, int, int], tuple[int, int, int]]
    direction: float
    edge: bool
    scale: float
    shift: tuple[float, float]
    angle: float
    flip: bool
    pattern: Pattern = ""


def draw_scene(rng: np.random.Generator) -> Scene:
    """
    Draw a composition.

    Returns
    -------
    Scene
        A third of the backgrounds flat, half gradients, the others with an edge; scale in [.7, .94]; the drawing stays
        inside the picture but for its corners.
    """
    hue, kind = rng.random(), rng.random()
    first = _colour(hue, rng)
    second = first if kind < 1 / 3 else _colour(hue + rng.normal(0, 0.08), rng)
    scale = rng.uniform(0.7, 0.94)
    room = (1 - scale) / 2
    return Scene(
        colours=(first, second),
        direction=float(rng.uniform(0, 2 * np.pi)),
        edge=kind > 5 / 6,
        scale=float(scale),
        shift=(float(rng.uniform(-room, room)), float(rng.uniform(-room, room))),
        angle=float(rng.uniform(-10, 10)),
        flip=bool(rng.random() < 0.5),
    )


def render(scene: Scene, drawing: Image.Image, resolution: int) -> np.ndarray:
    """
    Compose a picture: uint8, (resolution, resolution, 3).

    Parameters
    ----------
    drawing : Image.Image
        RGBA, square, any size (`raster_side` is enough).
    resolution : int
        Side of the picture, pixels.
    """
    picture = Image.fromarray(_background(scene, resolution)).convert("RGBA")
    side = max(1, round(scene.scale * resolution))
    if scene.flip:
        drawing = drawing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turned = drawing.resize((side, side), Image.Resampling.LANCZOS)
    turned = turned.rotate(scene.angle, Image.Resampling.BICUBIC, expand=True)
    left, top = (
        round((0.5 + offset) * resolution - length / 2) for offset, length in zip(scene.shift, turned.size, strict=True)
    )
    layer = Image.new("RGBA", picture.size)
    layer.paste(turned, (left, top))
    return np.asarray(Image.alpha_composite(picture, layer).convert("RGB"))


def raster_side(resolution: int) -> int:
    """
    Return the side at which a drawing is rasterised for a picture.

    Parameters
    ----------
    resolution : int
        Side of the picture, pixels.
    """
    return round(OVERSAMPLING * resolution)


def _colour(hue: float, rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.05, 0.6), rng.uniform(0.45, 1))
    return round(255 * red), round(255 * green), round(255 * blue)


def _background(scene: Scene, resolution: int) -> np.ndarray:
    axis = (np.arange(resolution) + 0.5) / resolution - 0.5
    if scene.pattern:
        return np.where(_pattern(scene.pattern, axis + 0.5)[..., None], *reversed(scene.colours)).astype(np.uint8)
    along = np.cos(scene.direction) * axis[None, :] + np.sin(scene.direction) * axis[:, None]
    share = (along > 0).astype(float) if scene.edge else np.clip(along / np.sqrt(2) + 0.5, 0, 1)
    first, second = (np.asarray(colour, float) for colour in scene.colours)
    return np.round(first + share[..., None] * (second - first)).astype(np.uint8)


def _pattern(name: Pattern, axis: np.ndarray) -> np.ndarray:
    """Say where a pattern has the second colour, by products, sums and floors alone: equal on every machine."""
    x, y = axis[None, :], axis[:, None]
    if name == "frame":
        return np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) < 0.1
    if name == "dots":
        return (5 * x % 1 - 0.5) ** 2 + (5 * y % 1 - 0.5) ** 2 < 0.08
    turns = {"rows": 7 * y + 0 * x, "columns": 7 * x + 0 * y, "slant": 6 * (x + y)}
    if name == "checks":
        return (np.floor(6 * x) + np.floor(6 * y)) % 2 > 0
    return np.floor(turns[name]) % 2 > 0
