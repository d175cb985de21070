"""Panels: one small chart each, drawn once for two uses.

A *sheet* (PNG, white) puts panels side by side, for README and pull requests. As inline SVG a panel is a figure of its
own, so that a page can lay panels out in as many columns as fit; every colour is then a CSS variable of the page, light
or dark, text is text in the page's font, title and note are the page's, and marks carry what they say (`mark`).
"""

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Annotation
from matplotlib.textpath import TextToPath

# Meaning → colour on light and on dark pages: one meaning each, in every figure and page. All can be read as text, too
# (contrast of 4.5 : 1 or more to the paper of either page; a test computes it).
COLOURS = {
    "ink": ("#16191d", "#e8eaed"),
    "muted": ("#5c6673", "#a2acb8"),  # axes, notes
    "paper": ("#ffffff", "#181c22"),
    "rule": ("#dde1e6", "#2c333c"),  # of grids: no text
    "context": ("#6b7582", "#8d98a6"),  # what others are held against: not balanced, before
    "random": ("#b3261e", "#ff8f85"),  # as many rows, drawn at random
    "plain": ("#3d4a5c", "#c9d1da"),  # a value that is of no kind below
    "real": ("#1f6fb5", "#62a8e8"),
    "synthetic": ("#b8500f", "#f0894a"),
    "woman": ("#7a45c0", "#b794f0"),
    "man": ("#8f6400", "#e3b341"),
    "balanced": ("#0b7a6b", "#4cc9b6"),  # m4, after balancing
    "balanced-otherwise": ("#b0307f", "#f08cc8"),  # m4_sgd
    "reweighed": ("#5f6b00", "#b8c24a"),
}
_LIGHT = {name: light for name, (light, _) in COLOURS.items()}
INK, MUTED, RULE, PAPER = (_LIGHT[name] for name in ("ink", "muted", "rule", "paper"))
BEFORE, CHANCE, PLAIN = (_LIGHT[name] for name in ("context", "random", "plain"))
REAL, SYNTHETIC = (_LIGHT[name] for name in ("real", "synthetic"))
WOMAN, MAN, AFTER = (_LIGHT[name] for name in ("woman", "man", "balanced"))
OTHERWISE, REWEIGHED = (_LIGHT[name] for name in ("balanced-otherwise", "reweighed"))

SMALL = 8.6  # points of the smallest text: 11 px where a panel is 340 px wide
HEAD = 9.5  # points of titles
EDGE = 0.07  # inches beside titles and notes
ROUNDED = 1.06  # letters are drawn wider than they are, at whole pixels
LINE = 1.25 / 72  # inches of a line of text of one point

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": HEAD,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.8,
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
    "xtick.labelsize": 8.8,
    "ytick.labelsize": 8.8,
    "legend.frameon": False,
    "legend.fontsize": 8.8,
    "axes.unicode_minus": True,
    "svg.fonttype": "none",
    "text.parse_math": False,  # names of groups and labels are the user's, whatever they hold
}


@dataclass(frozen=True)
class Panel:
    """
    One chart.

    Attributes
    ----------
    alt : str
        What it shows, for those who cannot see it.
    draw : callable
        Draws on the axes it is given, without the title.
    title, note : str
        A sentence that says what is seen; where and in what unit.
    data : DataFrame, optional
        What is drawn, for those who want the numbers.
    """

    name: str
    alt: str
    draw: Callable[[Axes], None]
    width: float = 3.6
    height: float = 2.6
    title: str = ""
    note: str = ""
    data: pd.DataFrame | None = field(default=None, compare=False)


_TIP = re.compile(r""" id=(["'])mark\|([^|]*?)\|(.*?)\1""")  # in quotes that the text does not hold


def mark(artist: Artist, said: str = "", series: str = "") -> None:
    """Let a mark say its value on a page, and be switched off with its series."""
    artist.set_gid(f"mark|{series.replace('|', '/')}|{said}")


def _told(match: re.Match[str]) -> str:
    series, said = (part.replace('"', "&quot;") for part in match.groups()[1:])
    shown = f' data-series="{series}"' if series else ""
    return f'{shown} data-tip="{said}"' if said else shown


def width(text: str, size: float, weight: str = "normal") -> float:
    """Measure a line of text of so many points; inches."""
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    return TextToPath().get_text_width_height_descent(text, font, ismath=False)[0] / 72


def wrapped(text: str, inches: float, size: float, weight: str = "normal") -> list[str]:
    """Break a text into lines that fit a width; a word that is wider stands alone."""
    lines: list[str] = []
    for word in filter(None, text.split(" ")):
        if lines and width(f"{lines[-1]} {word}", size, weight) * ROUNDED <= inches:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(word)
    return lines


def css(theme: int) -> str:
    """Write the colours as CSS variables, ``--ink`` and so on; 0: for light pages, 1: for dark ones."""
    return " ".join(f"--{name}: {both[theme]};" for name, both in COLOURS.items())


def variable(colour: str) -> str:
    """Name the CSS variable of a colour."""
    return next(f"--{name}" for name, light in _LIGHT.items() if light == colour)


def svg(panel: Panel) -> str:
    """
    Draw a panel as SVG for a page that defines ``--sans`` and the variables of `css`.

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
    text = _TIP.sub(_told, text)
    text = text.replace("*{stroke-linejoin: round; stroke-linecap: butt}", "")
    text = re.sub(r"'DejaVu Sans'(?:, sans-serif)?", "var(--sans)", text)
    for name, colour in _LIGHT.items():
        text = text.replace(colour, f"var(--{name})")
    label = panel.alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _head(cell: SubFigure, inches: float, title: Sequence[str], note: Sequence[str]) -> None:
    """Write title and note from the left edge: names beside the axes can be long."""
    left = EDGE / inches
    blank = [""] * math.ceil(len(note) * SMALL / HEAD)  # so that the layout keeps room for the note
    cell.suptitle("\n".join([*title, *blank]), x=left, ha="left", fontsize=HEAD, fontweight="bold", color=INK)
    if note:
        below = -5 - len(title) * HEAD * 1.2
        cell.add_artist(Annotation(
            "\n".join(note), (left, 1), (0, below), xycoords=cell.transSubfigure, textcoords="offset points",
            ha="left", va="top", fontsize=SMALL, color=MUTED, annotation_clip=False,
        ))  # fmt: skip


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
    widths = [max(panel.width for panel in panels[column::columns]) for column in range(columns)]
    room = [widths[place % columns] - 2 * EDGE for place in range(len(panels))]
    titles = [wrapped(panel.title, inches, HEAD, "bold") for panel, inches in zip(panels, room, strict=True)]
    notes = [wrapped(panel.note, inches, SMALL) for panel, inches in zip(panels, room, strict=True)]
    sizes = [
        panel.height + (len(lines) * HEAD + len(note) * SMALL) * LINE
        for panel, lines, note in zip(panels, titles, notes, strict=True)
    ]
    heights = [max(sizes[row * columns : (row + 1) * columns]) for row in range(rows)]
    whole = wrapped(title, sum(widths) - 2 * EDGE, 12, "bold")
    with mpl.rc_context(_STYLE):
        size = (sum(widths), sum(heights) + (0.2 + 12 * LINE * len(whole) if title else 0))
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        cells = figure.subfigures(rows, columns, squeeze=False, height_ratios=heights, width_ratios=widths).ravel()
        for cell, panel, lines, note in zip(cells, panels, titles, notes, strict=False):
            _head(cell, panel.width, lines, note)
            axes = cell.add_subplot()
            panel.draw(axes)
        if title:
            left = EDGE / sum(widths)
            figure.suptitle("\n".join(whole), x=left, ha="left", fontsize=12, fontweight="bold", color=INK)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
