"""Panels: one small chart each, drawn once for two uses.

A *sheet* (PNG, white) puts panels side by side, for README and pull requests. As inline SVG a panel is a figure of its
own, so that a page can lay panels out in as many columns as fit; ink, rules and background then follow the page's
colours (`currentColor`, CSS variables), light or dark, and text is text in the page's font.
"""

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Meaning → colour, the same in every figure; told apart with any colour vision, and on white and on near-black.
REAL, SYNTHETIC = "#2f7fc1", "#d9661f"
BEFORE, AFTER = "#98a2ae", "#0f9d8a"
WOMAN, MAN = "#8757c9", "#d69a00"
PLAIN = "#5b7fa6"
MUTED, INK, RULE, PAPER = "#5c6673", "#16191d", "#dde1e6", "#fefefe"

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "axes.unicode_minus": True,
    "svg.fonttype": "none",
    "text.parse_math": False,  # names of groups and labels are the user's, whatever they hold
}
_ON_PAGE = {INK: "currentColor", MUTED: "var(--muted)", RULE: "var(--rule)", PAPER: "var(--card)"}


@dataclass(frozen=True)
class Panel:
    """
    One chart.

    Attributes
    ----------
    alt : str
        What it shows, for those who cannot see it.
    draw : callable
        Draws on the axes it is given.
    """

    name: str
    alt: str
    draw: Callable[[Axes], None]
    width: float = 4.3
    height: float = 2.9


def svg(panel: Panel) -> str:
    """
    Draw a panel as SVG for a page that defines ``--sans``, ``--muted``, ``--rule`` and ``--card``.

    Returns
    -------
    str
        An `svg` element; equal panels give equal text.
    """
    with mpl.rc_context({**_STYLE, "svg.hashsalt": panel.name}):
        figure = Figure(figsize=(panel.width, panel.height), layout="constrained")
        panel.draw(figure.add_subplot())
        figure.patch.set_visible(False)
        for axes in figure.axes:
            axes.patch.set_visible(False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", text)  # groups: nothing refers to them, and pages hold many panels
    text = text.replace("*{stroke-linejoin: round; stroke-linecap: butt}", "")
    text = re.sub(r"'DejaVu Sans'(?:, sans-serif)?", "var(--sans)", text)
    for ink, variable in _ON_PAGE.items():
        text = text.replace(ink, variable)
    label = panel.alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def png(panels: Sequence[Panel], columns: int, title: str = "", dpi: int = 110) -> bytes:
    """
    Draw panels side by side.

    Parameters
    ----------
    panels : sequence of Panel
        In reading order, at least one; a row is as high as its highest panel.
    columns : int
        Panels a row, at the most.

    Returns
    -------
    bytes
        A PNG file; equal panels give equal bytes.
    """
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    heights = [max(panel.height for panel in panels[row * columns : (row + 1) * columns]) for row in range(rows)]
    widths = [max(panel.width for panel in panels[column::columns]) for column in range(columns)]
    with mpl.rc_context(_STYLE):
        size = (sum(widths), sum(heights) + (0.45 if title else 0))
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(rows, columns, height_ratios=heights, width_ratios=widths)
        for place, panel in enumerate(panels):
            panel.draw(figure.add_subplot(grid[place // columns, place % columns]))
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
