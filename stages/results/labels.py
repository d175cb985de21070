"""Labels of points: names beside what they name, apart from each other and from marks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from stages.results.panels import MUTED, SMALL, mark, width

Box = tuple[float, float, float, float]  # left, bottom, right, top; pixels

_AROUND = ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1))  # right first
_RINGS = (9, 16, 26, 38, 52)  # points between a mark and its name
_NEAR = 16  # from farther on a line leads back


@dataclass(frozen=True)
class Label:
    """A name, where it points to (data), and its look; of a series that can be switched off."""

    x: float
    y: float
    text: str
    colour: str
    series: str = ""
    weight: str = "normal"


def label_points(
    axes: Axes, labels: Sequence[Label], points: Iterable[tuple[float, float]] = (), must: bool = True
) -> None:
    """
    Write names beside points where they meet nothing, or the least; call it last, the axes have to be laid out.

    Parameters
    ----------
    labels : sequence of Label
        The first have the choice.
    points : iterable of (float, float)
        What names keep clear of beside the labels' own points: marks, ends and courses of lines; data.
    must : bool
        Whether a name that has no free place is written where it meets the least; else it is left out.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    dot = figure.dpi / 72
    own = [(label.x, label.y) for label in labels]
    pixels = axes.transData.transform(np.array([*own, *points], float).reshape(-1, 2))
    taken: list[Box] = [(x - 3 * dot, y - 3 * dot, x + 3 * dot, y + 3 * dot) for x, y in pixels]
    for text in axes.texts:
        extent = text.get_window_extent()
        taken.append((extent.x0, extent.y0, extent.x1, extent.y1))
    edges = axes.bbox.extents
    for label, (x, y) in zip(labels, pixels, strict=False):
        size = (width(label.text, SMALL, label.weight) * 72 * dot, 1.3 * SMALL * dot)
        tried = []
        for ring in _RINGS if must else _RINGS[:1]:
            for side, up in _AROUND:
                away = ring * dot
                left = x + side * away - (size[0] if side < 0 else size[0] / 2 if not side else 0)
                bottom = y + up * away - size[1] / 2
                box = (left, bottom, left + size[0], bottom + size[1])
                met = sum(_overlap(box, other) for other in taken) + 9 * _outside(box, edges)
                tried.append((met, ring, len(tried), box))
        met, ring, _, box = min(tried)
        if met and not must:
            continue
        taken.append(box)
        edge = (min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3]))
        at, end = axes.transData.inverted().transform([((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), edge])
        if ring > _NEAR:
            (line,) = axes.plot([label.x, end[0]], [label.y, end[1]], color=MUTED, linewidth=0.6, zorder=0.5)
            mark(line, series=label.series)
        text = axes.annotate(
            label.text, (float(at[0]), float(at[1])), ha="center", va="center", fontsize=SMALL, color=label.colour,
            weight=label.weight, annotation_clip=False,
        )  # fmt: skip
        mark(text, series=label.series)


def _overlap(one: Box, other: Box) -> float:
    """Return the area that two boxes share."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(high, 0.0)


def _outside(box: Box, edges: Sequence[float]) -> float:
    """Return the area of a box that lies outside of others' edges."""
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return whole - _overlap(box, (edges[0], edges[1], edges[2], edges[3]))
