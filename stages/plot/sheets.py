"""Pictures to look at: real beside synthetic ones, and what the captioners say of held-out ones.

What is shown is drawn by hash, never chosen.
"""

import base64
import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from stages.core.seeds import derive
from stages.results.panels import INK, MUTED, REAL, SYNTHETIC

Picture = NDArray[np.uint8]
SIDE = 128  # pixels at most, in the page


@dataclass(frozen=True)
class Pair:
    """
    One caption with its two images.

    Attributes
    ----------
    real, synthetic : ndarray of uint8, (height, width, 3)
        Its images.
    seen : mapping of str to str
        ``real`` and ``synthetic``: the groups that `annotate` gives the image, in words.
    """

    key: str
    caption: str
    real: Picture
    synthetic: Picture
    seen: Mapping[str, str]


@dataclass(frozen=True)
class Described:
    """
    One held-out image with its captions.

    Attributes
    ----------
    image : ndarray of uint8, (height, width, 3)
        Its pixels.
    """

    key: str
    image: Picture
    references: Sequence[str]
    captions: Mapping[str, str]


def draw(keys: Iterable[str], count: int, seed: int) -> list[str]:
    """
    Draw keys by hash.

    Parameters
    ----------
    keys : iterable of str
        To draw from, in any order.

    Returns
    -------
    list of str
        In the order of the hash.
    """
    return sorted(keys, key=lambda key: derive(seed, key, "sheet"))[:count]


def data_uri(image: Picture, side: int = SIDE) -> str:
    """
    Encode an image for a page.

    Parameters
    ----------
    image : ndarray of uint8, (height, width, 3)
        Shrunk if a side is longer than `side`.

    Returns
    -------
    str
        A ``data:`` URI with a WebP image.
    """
    picture = Image.fromarray(image)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", quality=85, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def contact_sheet(pairs: Sequence[Pair], columns: int = 6, dpi: int = 100) -> bytes:
    """
    Draw real images (left) beside synthetic ones (right), with their captions.

    Parameters
    ----------
    pairs : sequence of Pair
        In reading order, at least one.
    """
    columns = min(columns, len(pairs))
    rows = -(-len(pairs) // columns)
    cell = (1.9, 1.38)  # inches
    with mpl.rc_context({"font.sans-serif": ["DejaVu Sans"], "font.family": "sans-serif", "text.parse_math": False}):
        head = 0.42
        height = rows * cell[1] + head
        figure = Figure(figsize=(columns * cell[0], height), facecolor="white")
        FigureCanvasAgg(figure)
        for place, pair in enumerate(pairs):
            row, column = divmod(place, columns)
            left, top = column * cell[0] + 0.06, head + row * cell[1]
            side = (cell[0] - 0.16) / 2
            for i, (image, colour) in enumerate(((pair.real, REAL), (pair.synthetic, SYNTHETIC))):
                box = (
                    (left + i * (side + 0.03)) / (columns * cell[0]),
                    1 - (top + side) / height,
                    side / (columns * cell[0]),
                    side / height,
                )
                axes = figure.add_axes(box, xticks=[], yticks=[])
                axes.imshow(image, interpolation="lanczos")
                for spine in axes.spines.values():
                    spine.set(edgecolor=colour, linewidth=1.6)
            text = textwrap.fill(pair.caption, 32, max_lines=3, placeholder=" …")
            figure.text(
                left / (columns * cell[0]), 1 - (top + side + 0.05) / height, text, fontsize=6.5, va="top", color=INK
            )
        for x, label, colour in ((0.06, "■ real", REAL), (0.72, "■ synthetic", SYNTHETIC)):
            figure.text(x / (columns * cell[0]), 1 - 0.27 / height, label, fontsize=10, color=colour, weight="bold")
        x, note = 1.9 / (columns * cell[0]), "the same caption; drawn by hash, not chosen"
        figure.text(x, 1 - 0.27 / height, note, fontsize=9, color=MUTED)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
