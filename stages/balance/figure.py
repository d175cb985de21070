"""Associations and shares of groups, before and after balancing."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stages.balance.report import readable

LARGEST = 60.0  # inches: a thousand groups would not fit in memory


def plain(text: str) -> str:
    """Keep matplotlib from reading what stands between two dollars as a formula."""
    return text.replace("$", r"\$")


def heat_map(pairs: pd.DataFrame, before: str, after: str, title: str) -> Figure:
    """
    Draw the association of every group with every label under two weightings, on one scale.

    Parameters
    ----------
    pairs : DataFrame
        attribute, group, label and the signed associations, columns `before` and `after`.

    Returns
    -------
    Figure
        Groups across, labels down, sorted by the association of the first group before; empty pairs stay grey.
    """
    groups = ["attribute", "group"]
    columns = list(pairs[groups].drop_duplicates().itertuples(index=False, name=None))
    grids = [pairs.pivot(index="label", columns=groups, values=name)[columns] for name in (before, after)]
    order = grids[0].iloc[:, 0].sort_values(ascending=False, kind="stable").index
    limit = max(float(np.nanmax(np.abs(grids[0].to_numpy()), initial=0.0)), 1e-6)
    figure = Figure(
        figsize=(min(3.4 + 1.7 * len(columns), LARGEST), min(1.6 + 0.27 * len(order), LARGEST)),
        layout="constrained",
        dpi=130,
    )
    panels = figure.subplots(1, 2, sharey=True)
    image = None
    for panel, grid, name in zip(panels, grids, (before, after), strict=True):
        values = grid.loc[order].to_numpy()
        panel.set_facecolor("0.85")
        image = panel.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
        size = np.abs(values[np.isfinite(values)])
        panel.set_title(
            f"{name}: max {size.max(initial=0.0):.3f}, mean {size.mean() if size.size else 0.0:.3f}", size=9
        )
        panel.set_xticks(
            range(len(columns)), ["\n".join((plain(a.replace("_", " ")), plain(g))) for a, g in columns], size=8
        )
        panel.set_yticks(range(len(order)), [plain(readable(label)) for label in order], size=8)
        panel.tick_params(length=0)
    if image is not None:
        bar = figure.colorbar(image, ax=panels, shrink=0.8, pad=0.02)
        bar.set_label("P(label | group) − P(label | not the group)", size=8)
        bar.ax.tick_params(labelsize=7)
    figure.suptitle(title, size=10)
    return figure


def share_bars(groups: pd.DataFrame, before: str, after: str, title: str) -> Figure:
    """
    Draw the share of every group under two weightings, with its target as a line.

    Parameters
    ----------
    groups : DataFrame
        attribute, group, target, and the shares, columns `before` and `after`.
    """
    place = np.arange(len(groups))
    figure = Figure(figsize=(6, min(1.2 + 0.4 * len(groups), LARGEST)), layout="constrained", dpi=130)
    panel = figure.subplots()
    for offset, name, colour in ((-0.2, before, "0.7"), (0.2, after, "tab:blue")):
        panel.barh(place + offset, groups[name], 0.38, color=colour, label=name)
    panel.vlines(groups["target"], place - 0.45, place + 0.45, color="black", label="target")
    panel.set_yticks(
        place, [plain(f"{a}: {g}") for a, g in zip(groups["attribute"], groups["group"], strict=True)], size=8
    )
    panel.invert_yaxis()
    panel.set_xlabel("share of the rows", size=8)
    panel.legend(fontsize=8)
    figure.suptitle(title, size=10)
    return figure
