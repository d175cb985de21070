"""What each lever does, in one table and one figure: bias against quality, with intervals over replicates.

A metric may be written ``a/b``: percent of b that a reaches, e.g. of a ceiling. Where a lever has no value of a metric
(captions are not written again on erased features), its cell is empty.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from stages.results.formatting import number
from stages.results.labels import Label, label_points
from stages.results.metric_change import folded
from stages.results.panels import AFTER, BEFORE, INK, PLAIN, Panel
from stages.results.registry import entry, label
from stages.results.trade import cross, front
from stages.tools.compare.differences import mean_interval

SECONDS = "seconds"  # of a run, what was made before it not counted
COLUMNS = ("lever", "metric", "replicates", "mean", "lo", "hi")


def with_ratios(runs: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Add the metrics that are written ``a/b``."""
    parts = [runs]
    for ratio in (metric for metric in metrics if "/" in metric):
        top, bottom = ratio.split("/")
        of = runs.loc[runs["metric"].isin([top, bottom])]
        wide = of.pivot(index=["run", "alpha", "method", "seed"], columns="metric", values="value").dropna()
        if {top, bottom} <= set(wide):
            values = (100 * wide[top] / wide[bottom]).rename("value").reset_index()
            parts.append(values.assign(metric=ratio))
    return pd.concat(parts, ignore_index=True)


def tabulate(runs: pd.DataFrame, levers: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """
    Average over replicates.

    Parameters
    ----------
    runs : DataFrame
        run, alpha, method (the lever), seed, metric, value.
    levers, metrics : sequence of str
        In the order of the table.

    Returns
    -------
    DataFrame
        `COLUMNS`: mean, and Student's 95 % interval, NaN for one replicate; a row for what has values.
    """
    rows = []
    for lever in levers:
        for metric in metrics:
            of = runs.loc[((runs["method"] == lever) & (runs["metric"] == metric)).to_numpy(bool), "value"].dropna()
            if len(of):
                rows.append((lever, metric, len(of), *mean_interval(of.to_numpy(float))))
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def markdown(table: pd.DataFrame, metrics: Sequence[str]) -> str:
    """Write the table, a row a lever and a column a metric."""
    cells = {(row["lever"], row["metric"]): _cell(row) for row in table.to_dict("records")}
    shown = [metric for metric in metrics if any(metric == other for _, other in cells)]
    lines = ["| lever | " + " | ".join(name(metric) for metric in shown) + " |", "|---" * (len(shown) + 1) + "|"]
    for lever in dict.fromkeys(table["lever"]):
        lines += [f"| {lever} | " + " | ".join(cells.get((lever, metric), "") for metric in shown) + " |"]
    return "\n".join(lines) + "\n"


def name(metric: str) -> str:
    """Name a metric for readers, with the arrow of its better direction."""
    if metric == SECONDS:
        return "seconds"
    top, _, bottom = metric.partition("/")
    arrow = entry(top).arrow
    return f"{label(top)}{', % of ceiling' if bottom else ''}{f' {arrow}' if arrow else ''}"


def _cell(row: dict) -> str:
    ends = [_number(row["metric"], row[end]) for end in ("mean", "lo", "hi")]
    return ends[0] if np.isnan(row["lo"]) else f"{ends[0]} [{ends[1]}, {ends[2]}]"


def _number(metric: str, value: float) -> str:
    if metric == SECONDS:
        return f"{value:,.0f}"
    return f"{value:.1f}" if "/" in metric else number(metric, value)


def pareto(runs: pd.DataFrame, levers: Sequence[str], bias: str, quality: str) -> Panel:
    """
    Draw bias against quality, a point a lever.

    Parameters
    ----------
    bias, quality : str
        Metrics; of a bias whose ideal is 0 (or ½) the distance from it is drawn.
    """
    apart = runs.loc[(runs["metric"] == bias).to_numpy(bool)]
    apart = apart.assign(value=[folded(bias, value) for value in apart["value"]])
    sides = [tabulate(table, levers, [metric]).set_index("lever") for table, metric in ((apart, bias), (runs, quality))]
    both = [lever for lever in levers if all(lever in side.index for side in sides)]
    (x, y), spans = (side.loc[both, "mean"].to_numpy(float) for side in sides), []
    for side in sides:
        of = side.loc[both]
        spans.append(np.nan_to_num(np.array([of["mean"] - of["lo"], of["hi"] - of["mean"]], float)))
    best = front(x.tolist(), y.tolist())

    def draw(axes: Axes) -> None:
        for i, lever in enumerate(both):
            colour = AFTER if i in best else BEFORE if lever in ("none", "random") else PLAIN
            axes.errorbar(
                x[i], y[i], xerr=spans[0][:, [i]], yerr=spans[1][:, [i]], fmt="o", color=colour, ecolor=colour,
                elinewidth=0.8, markersize=5,
            )  # fmt: skip
        axes.plot(x[best], y[best], color=AFTER, linewidth=0.8, zorder=0)
        axes.set_xlabel(f"{label(bias.partition('/')[0])}, distance from its ideal")
        axes.set_ylabel(name(quality))
        (left, right), (down, up) = spans
        ends = [
            point
            for i in range(len(both))
            for point in cross(x[i], y[i], (x[i] - left[i], x[i] + right[i]), (y[i] - down[i], y[i] + up[i]))
        ]
        label_points(axes, [Label(x[i], y[i], lever, INK) for i, lever in enumerate(both)], ends)

    title = "Bias against quality: up, and to the left, is better"
    note = "means over replicates, with their 95 % intervals; line: levers that no other beats in the mean"
    said = ", ".join(f"{lever} {x[i]:.3g}/{y[i]:.3g}" for i, lever in enumerate(both))
    alt = f"Bias and quality of each lever: {said}"
    return Panel("pareto", alt, draw, width=9.0, height=6.0, title=title, note=note)
