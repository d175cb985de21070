"""What happened over the rounds, in a table."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from stages.results import rounds
from stages.results.committed import Kind
from stages.results.rounds import name
from stages.tools.compare.differences import mean_interval

COLUMNS: Mapping[str, Kind] = {
    "run": "text", "arm": "text", "round": "whole", "seed": "whole", "metric": "text", "value": "figure"
}  # fmt: skip
SHOWN = (
    "generator.position", "generator.women",
    "generator.women.off_start", "generator.women.off_corpus", "generator.recognised.occupation",
    "generator.recognised.gender", "generator.recognised.object", "generator.frechet", "generator.diversity",
)  # fmt: skip


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
    return pd.DataFrame(rows, columns=pd.Index([*rounds.COLUMNS]))


def markdown(table: pd.DataFrame, metrics: Sequence[str]) -> str:
    """Write the table, a row an arm and round, a column a metric."""
    shown = [metric for metric in metrics if (table["metric"] == metric).any()]
    cells = {(row["arm"], row["round"], row["metric"]): _cell(row) for row in table.to_dict("records")}
    lines = ["| arm | round | " + " | ".join(map(name, shown)) + " |", "|---" * (len(shown) + 2) + "|"]
    for arm, number in dict.fromkeys((arm, number) for arm, number, _ in cells):
        values = " | ".join(cells.get((arm, number, metric), "") for metric in shown)
        lines.append(f"| {arm} | {number} | {values} |")
    return "\n".join(lines) + "\n"


def _cell(row: dict) -> str:
    mean, low, high = (rounds.written(row["metric"], row[end]) for end in ("mean", "lo", "hi"))
    return mean if np.isnan(row["lo"]) else f"{mean} [{low}, {high}]"
