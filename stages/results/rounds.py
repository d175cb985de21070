"""Rounds of `make generations`: metrics over the rounds, a line an arm, for its figure and for the report."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from stages.results.committed import Kind
from stages.results.formatting import number
from stages.results.panels import AFTER, BEFORE, OTHERWISE, REAL, REWEIGHED, SYNTHETIC, Panel, mark
from stages.results.registry import label

COLUMNS: Mapping[str, Kind] = {  # of the table
    "arm": "text", "round": "whole", "metric": "text", "replicates": "whole", "mean": "number", "lo": "figure",
    "hi": "figure",
}  # fmt: skip
NAMES = {
    "generator.position": "generator: position (0 corpus, 1 its first world)",
    "generator.women": "generator: share of women, mean over occupations",
    "generator.women.off_start": "generator: share of women, mean distance from round 0",
    "generator.women.off_corpus": "generator: share of women, mean distance from the corpus",
    "generator.recognised.occupation": "generator: occupation recognised",
    "generator.recognised.gender": "generator: named gender recognised",
    "generator.recognised.object": "generator: object recognised",
    "generator.frechet": "generator: Fréchet distance",
    "generator.diversity": "generator: diversity within a prompt",
}
LINES = (BEFORE, AFTER, REAL, SYNTHETIC, OTHERWISE, REWEIGHED)


def name(metric: str) -> str:
    """Name a metric for readers."""
    return NAMES[metric] if metric in NAMES else metric if metric.startswith("generator.") else f"CLIP: {label(metric)}"


def written(metric: str, value: float) -> str:
    """Write a value: of CLIP as everywhere, of a generator with three digits."""
    return f"{value:.3g}" if metric.startswith("generator.") else number(metric, value)


def lines(table: pd.DataFrame, metric: str) -> Panel:
    """Draw a metric over the rounds, a line an arm, with intervals where there are replicates."""
    of = table.loc[(table["metric"] == metric).to_numpy(bool)]
    arms = [*dict.fromkeys(of["arm"])]

    def draw(axes: Axes) -> None:
        for place, arm in enumerate(arms):
            line = of.loc[(of["arm"] == arm).to_numpy(bool)].sort_values("round")
            x, y = line["round"].to_numpy(float) + 0.04 * (place - (len(arms) - 1) / 2), line["mean"].to_numpy(float)
            colour, shape = LINES[place % len(LINES)], "osDv^P"[place % 6]
            axes.plot(x, y, color=colour, linewidth=1.4)
            axes.vlines(x, line["lo"], line["hi"], color=colour, linewidth=0.9)
            for at, value in zip(x, y, strict=True):
                (dot,) = axes.plot([at], [value], shape, color=colour, markersize=4.5, label=arm if at == x[0] else "_")
                mark(dot, f"{arm}, round {round(at)}: {written(metric, value)}", arm)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("round")
        axes.legend(handletextpad=0.1)

    rows = of.to_dict("records")
    said = "; ".join(f"{row['arm']}, round {row['round']}: {written(metric, row['mean'])}" for row in rows)
    return Panel(metric, f"{name(metric)}. {said}", draw, title=name(metric), data=of)
