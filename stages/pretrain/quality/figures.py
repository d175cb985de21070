"""What to look at: sheets of the model's images, and its known bias as a chart."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.results.panels import INK, MUTED, SYNTHETIC, Panel

CELL = 0.92  # inches a picture


def grid(rows: Sequence[tuple[str, NDArray[np.uint8]]], heads: Sequence[str], title: str, dpi: int = 72) -> Figure:
    """Draw rows of images, each row with its name, each column with its head."""
    columns, margin, top = len(heads), 1.35, 0.62
    width, height = margin + columns * CELL, top + len(rows) * CELL
    figure = Figure(figsize=(width, height), facecolor="white", dpi=dpi)
    FigureCanvasAgg(figure)
    figure.text(0.06 / width, 1 - 0.2 / height, title, fontsize=9, color=INK, weight="bold", va="center")
    for column, head in enumerate(heads):
        x = margin + (column + 0.5) * CELL
        figure.text(x / width, 1 - 0.47 / height, head, fontsize=7, color=MUTED, ha="center", va="center")
    for row, (name, images) in enumerate(rows):
        y = top + row * CELL
        figure.text(0.06 / width, 1 - (y + CELL / 2) / height, textwrap.fill(name, 20), fontsize=7.5, va="center")
        for column, image in enumerate(images):
            box = (margin + column * CELL + 0.02, height - y - CELL + 0.02, CELL - 0.04, CELL - 0.04)
            axes = figure.add_axes(
                (box[0] / width, box[1] / height, box[2] / width, box[3] / height), xticks=[], yticks=[]
            )
            axes.imshow(image, interpolation="lanczos")
            axes.spines[:].set_visible(False)
    return figure


def sheet(captions: Sequence[str], images: NDArray[np.uint8], columns: int, title: str, dpi: int = 110) -> Figure:
    """
    Draw images with their captions below.

    Parameters
    ----------
    images : ndarray of uint8, (N, H, W, 3)
        N images.
    """
    lines = -(-len(images) // columns)
    figure = Figure(figsize=(columns * 1.25, lines * 1.62 + 0.35), facecolor="white", dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=9, color=INK, weight="bold", x=0.01, ha="left")
    panels = figure.subplots(lines, columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, caption, image in zip(panels.flat, captions, images, strict=False):
        axes.imshow(image, interpolation="lanczos")
        text = textwrap.fill(caption, 24, max_lines=3)
        axes.text(0.5, -0.04, text, fontsize=5.5, color=INK, va="top", ha="center", transform=axes.transAxes)
    return figure


def bias_panel(table: pd.DataFrame, correlation: float) -> Panel:
    """
    Chart stated against generated shares of women.

    Parameters
    ----------
    table : DataFrame
        As `quality.bias_table` gives it.

    Returns
    -------
    Panel
        A point an occupation, with its interval.
    """

    def draw(axes: Axes) -> None:
        y = np.arange(len(table))
        axes.barh(y, 100 * table["neutral"], color=SYNTHETIC, height=0.62, label="generated, neutral prompts")
        error = 100 * np.stack([table["neutral"] - table["low"], table["high"] - table["neutral"]]).clip(min=0)
        axes.errorbar(100 * table["neutral"], y, xerr=error, fmt="none", ecolor=INK, elinewidth=0.8)
        axes.scatter(100 * table["stated"], y, color=INK, marker="|", s=90, zorder=3, label="stated, training corpus")
        axes.set_yticks(y, table["occupation"])
        axes.set(
            xlim=(0, 100), xlabel="share of women, %", title=f"What the generator believes (ρ = {correlation:.2f})"
        )
        axes.grid(visible=False, axis="y")
        axes.legend(loc="lower right")

    alt = f"Women's share of generated images by occupation, beside the stated one; rank correlation {correlation:.2f}"
    return Panel("generator-bias", alt, draw, width=5.2, height=4.8)
