"""The headline of the last run as a table for the terminal, beside the committed study of its profile."""

import math

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from stages.plot.study import Study
from stages.results import formatting, registry
from stages.results.formatting import NOT_BALANCED
from stages.results.headline import headline
from stages.results.sweep import Own

RIGHT = {"this run", "between\nseeds", "chance"}  # 80 columns hold all of them


def table(title: str, own: Own, study: Study | None) -> Table:
    """Tabulate the headline: this run, what knows nothing, and the study's lines at the α of this run."""
    lines = _lines(own, study)
    seeds = max((of.n for of in own.metrics.values()), default=1)
    rows = Table(
        title=f"{title}: mean over {formatting.counted(seeds, 'seed')}",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=0,
    )
    rows.add_column("metric", min_width=18)
    for name in ("this run", "95 % interval", "between\nseeds", "", "chance"):
        rows.add_column(name, justify="right" if name in RIGHT else "left", no_wrap=name == "95 % interval")
    for method in lines:
        rows.add_column("\n".join(["study,", *method.split()]), justify="right")
    if lines:
        rows.caption = f"study: its lines at α = {own.alpha:g}, means of points, joined"
    for key in headline(own.metrics):
        of = own.metrics[key]
        spread = formatting.spread(key, of)
        levels = [registry.chance(key, own.metrics), *(on_line(runs, key, own.alpha) for runs in lines.values())]
        rows.add_row(
            registry.label(key),
            formatting.number(key, of.value),
            formatting.interval(key, of),
            f"± {spread}" if spread else "",
            registry.entry(key).arrow,
            *(formatting.number(key, value) if math.isfinite(value) else "" for value in levels),
        )
    return rows


def on_line(runs: pd.DataFrame, metric: str, alpha: float) -> float:
    """Read one metric off a line of the study at α: means of its points, joined; NaN where it does not reach."""
    means = runs.loc[runs["metric"] == metric, :].groupby("alpha")["value"].mean().sort_index()
    if means.empty:
        return math.nan
    return float(np.interp(alpha, means.index, means.to_numpy(), left=math.nan, right=math.nan))


def _lines(own: Own, study: Study | None) -> dict[str, pd.DataFrame]:
    """Runs of the study by method: that of this run first, and what is not balanced."""
    if study is None:
        return {}
    found = {method: study.runs.loc[study.runs["method"] == method, :] for method in (own.method, NOT_BALANCED)}
    return {method: runs for method, runs in found.items() if len(runs)}
