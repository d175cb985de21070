"""What happened over the rounds: a table, a figure, a sheet."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from stages.results.panels import AFTER, OTHERWISE, PLAIN, REAL, REWEIGHED, SYNTHETIC, Panel
from stages.results.registry import label
from stages.tools.compare.differences import mean_interval

COLUMNS = ("run", "arm", "round", "seed", "metric", "value")
SHOWN = (
    "generator.position", "generator.women.off_start", "generator.women.off_corpus", "generator.recognised.occupation",
    "generator.recognised.gender", "generator.recognised.object", "generator.frechet", "generator.diversity",
)  # fmt: skip
NAMES = {
    "generator.position": "generator: position (0 corpus, 1 its first world)",
    "generator.women": "generator: share of women",
    "generator.women.off_start": "generator: share of women, mean distance from round 0",
    "generator.women.off_corpus": "generator: share of women, mean distance from the corpus",
    "generator.recognised.occupation": "generator: occupation recognised",
    "generator.recognised.gender": "generator: named gender recognised",
    "generator.recognised.object": "generator: object recognised",
    "generator.frechet": "generator: Fréchet distance",
    "generator.diversity": "generator: diversity within a prompt",
}
LINES = (PLAIN, AFTER, REAL, SYNTHETIC, OTHERWISE, REWEIGHED)


def with_drift(runs: pd.DataFrame) -> pd.DataFrame:
    """Add how far the share of women of each occupation has moved from round 0, on average: women.off_start."""
    women = runs.loc[runs["metric"].str.match(r"generator\.women\.(?!off_)")]
    first = women.loc[women["round"] == 0, ["arm", "seed", "metric", "value"]]
    both = women.merge(first, on=["arm", "seed", "metric"], suffixes=("", "_first"))
    both["value"] = (both["value"] - both["value_first"]).abs()
    moved = both.groupby(["run", "arm", "round", "seed"], as_index=False)["value"].mean()
    return pd.concat([runs, moved.assign(metric="generator.women.off_start")], ignore_index=True).loc[:, [*COLUMNS]]


def tabulate(runs: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """
    Average over replicates.

    Parameters
    ----------
    runs : DataFrame
        `COLUMNS`.

    Returns
    -------
    DataFrame
        arm, round, metric, replicates, mean, and Student's 95 % interval lo, hi, NaN for one replicate.
    """
    rows = []
    for arm in dict.fromkeys(runs["arm"]):
        for number in sorted(set(runs["round"])):
            for metric in metrics:
                here = (runs["arm"] == arm) & (runs["round"] == number) & (runs["metric"] == metric)
                values = runs.loc[here.to_numpy(bool), "value"].dropna().to_numpy(float)
                if len(values):
                    rows.append((arm, number, metric, len(values), *mean_interval(values)))
    return pd.DataFrame(rows, columns=pd.Index(["arm", "round", "metric", "replicates", "mean", "lo", "hi"]))


def markdown(table: pd.DataFrame, metrics: Sequence[str]) -> str:
    """Write the table, a row an arm and round, a column a metric."""
    shown = [metric for metric in metrics if (table["metric"] == metric).any()]
    cells = {(row["arm"], row["round"], row["metric"]): _cell(row) for row in table.to_dict("records")}
    lines = ["| arm | round | " + " | ".join(map(name, shown)) + " |", "|---" * (len(shown) + 2) + "|"]
    for arm, number in dict.fromkeys((arm, number) for arm, number, _ in cells):
        values = " | ".join(cells.get((arm, number, metric), "") for metric in shown)
        lines.append(f"| {arm} | {number} | {values} |")
    return "\n".join(lines) + "\n"


def name(metric: str) -> str:
    """Name a metric for readers."""
    return NAMES[metric] if metric in NAMES else metric if metric.startswith("generator.") else f"CLIP: {label(metric)}"


def _cell(row: dict) -> str:
    return f"{row['mean']:.3g}" + ("" if np.isnan(row["lo"]) else f" [{row['lo']:.3g}, {row['hi']:.3g}]")


def lines(table: pd.DataFrame, metric: str) -> Panel:
    """Draw a metric over the rounds, a line an arm, with intervals where there are replicates."""
    of = table.loc[(table["metric"] == metric).to_numpy(bool)]
    arms = [*dict.fromkeys(of["arm"])]

    def draw(axes: Axes) -> None:
        for place, arm in enumerate(arms):
            line = of.loc[(of["arm"] == arm).to_numpy(bool)].sort_values("round")
            x, y = line["round"].to_numpy(float) + 0.04 * (place - (len(arms) - 1) / 2), line["mean"].to_numpy(float)
            error = np.stack([y - line["lo"].to_numpy(float), line["hi"].to_numpy(float) - y])
            colour = LINES[place % len(LINES)]
            axes.errorbar(x, y, yerr=np.nan_to_num(error), color=colour, marker="o", markersize=4, label=arm)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("round")
        axes.legend()

    said = "; ".join(f"{row['arm']}, round {row['round']}: {row['mean']:.3g}" for row in of.to_dict("records"))
    return Panel(metric, f"{name(metric)}. {said}", draw, width=4.8, height=3.2, title=name(metric), data=of)
