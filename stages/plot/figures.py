"""The charts: tables in, panels out."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.ticker import FuncFormatter, MaxNLocator

from stages.results.formatting import NOT_BALANCED, counted
from stages.results.panels import AFTER, BEFORE, INK, MAN, MUTED, PAPER, PLAIN, REAL, SYNTHETIC, WOMAN, Panel
from stages.results.registry import curve, figure, place

GROUP_COLOURS = {"woman": WOMAN, "man": MAN, "lighter": "#c8ab4e", "darker": "#4f6690"}
GROUP_COLOURS |= dict(zip("12345", ("#d3bf5a", "#b3a36c", "#8f8a78", "#6b7690", "#4a5f92"), strict=True))
GROUP_ORDER = ("woman", "man", "lighter", "darker")  # others follow as they come
SHOWN = ("woman", "darker")  # of two groups that mirror each other
OPPOSITE = {"woman": "man", "man": "woman", "darker": "lighter", "lighter": "darker"}
DIVERGING = "PuOr"  # as GROUP_COLOURS: purple, more of women; orange, more of men


def _strings(key: object) -> tuple[str, str, str]:
    """Type the three names of a group of rows."""
    first, second, third = cast(tuple[object, object, object], key)
    return str(first), str(second), str(third)


def curves(table: pd.DataFrame, phases: Sequence[tuple[str, int, int]]) -> list[Panel]:
    """
    Draw each metric through training.

    Parameters
    ----------
    phases : sequence of (str, int, int)
        Data, first and last step of each phase; the changes are marked where there are several.

    Returns
    -------
    list of Panel
        One a metric: each seed thin, their mean bold.
    """
    order = sorted(set(table["metric"]), key=lambda name: (place(name), name))
    return [_curve(name, table.loc[table["metric"] == name, :], phases) for name in order]


def _curve(name: str, table: pd.DataFrame, phases: Sequence[tuple[str, int, int]]) -> Panel:
    title, known = curve(name)
    from_zero = np.isfinite(known.span).all()
    wide = table.pivot(index="step", columns="seed", values="value").sort_index()

    def draw(axes: Axes) -> None:
        axes.plot(wide.index, wide, color=PLAIN, linewidth=0.9, alpha=0.5)
        axes.plot(wide.index, wide.mean(axis=1), color=PLAIN, linewidth=2.2)
        if len(wide) == 1:
            axes.plot(wide.index, wide.mean(axis=1), "o", color=PLAIN)
        low, high = np.nanmin(wide.to_numpy()), np.nanmax(wide.to_numpy())
        if from_zero:
            low, high = min(low, 0.0), max(high, 0.0)
        margin = 0.06 * (high - low) or 0.05 * max(abs(high), 1e-3)
        axes.set_ylim(low - (margin if low < 0 or not from_zero else 0), high + 2.2 * margin)
        if low < 0:
            axes.axhline(0, color=MUTED, linewidth=0.8)
        if len(phases) > 1:
            for data, first, _ in phases:
                if first:
                    axes.axvline(first, color=MUTED, linewidth=0.8, linestyle=(0, (3, 2)))
                axes.annotate(
                    data, (first, 1), (3, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
                    fontsize=7.5, color=MUTED, va="top",
                )  # fmt: skip
        axes.set(title=title, xlabel="optimisation steps", ylabel=known.unit)
        axes.set_xlim(0, 1.04 * float(table["step"].max()))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))

    of = counted(len(wide.columns), "seed")
    alt = f"{title} against optimisation steps, {of}; at the end {wide.iloc[-1].mean():.3g}"
    return Panel(f"curve-{name}", alt, draw, height=2.5)


def groups(table: pd.DataFrame, crossed: bool = False) -> list[Panel]:
    """
    Draw figures by group, with intervals and sizes.

    Parameters
    ----------
    table : DataFrame
        As `stages.plot.aggregate.groups` makes it.
    crossed : bool
        Whether to draw the intersections of attributes, instead of the single ones.

    Returns
    -------
    list of Panel
        One a metric, set, part and attribute with two groups or more.
    """
    panels = []
    for key, rows in table.groupby(["metric", "set", "part"], sort=False):
        metric, of, part = _strings(key)
        overall = rows.loc[rows["attribute"] == "", "value"]
        for attribute, members in rows.loc[rows["attribute"] != "", :].groupby("attribute", sort=False):
            if (" x " in str(attribute)) == crossed and len(members) > 1:
                where = " · ".join(name for name in (of, part) if name)
                whole = float(overall.iloc[0]) if len(overall) else None
                panels.append(_bars(metric, where, str(attribute), members, whole))
    return panels


def _bars(metric: str, where: str, attribute: str, table: pd.DataFrame, whole: float | None) -> Panel:
    order = [[GROUP_ORDER.index(g) if g in GROUP_ORDER else 99 for g in of.split(" x ")] for of in table["group"]]
    table = table.iloc[sorted(range(len(table)), key=order.__getitem__)]
    rows = table.iloc[::-1]
    title, unit = figure(metric)
    low, high = (rows["value"] - rows["lo"]).clip(lower=0), (rows["hi"] - rows["value"]).clip(lower=0)
    labels = [
        f"{g.replace(' x ', ' · ')}{' *' if small else ''}\nn {n:,}"
        for g, n, small in zip(rows["group"], rows["n"], rows["small"], strict=True)
    ]
    crossed = " x " in attribute

    def draw(axes: Axes) -> None:
        colours = [GROUP_COLOURS.get(group.split(" x ")[0], PLAIN) for group in rows["group"]]
        y = np.arange(len(rows))
        bars = axes.barh(y, rows["value"], height=0.62, color=colours)
        for bar, small in zip(bars, rows["small"], strict=True):
            bar.set_alpha(0.35 if small else 1)
        axes.errorbar(rows["value"], y, xerr=[low, high], fmt="none", ecolor=INK, elinewidth=1.1, capsize=2.5)
        if whole is not None:
            axes.axvline(whole, color=INK, linewidth=1, linestyle=(0, (4, 2)))
            axes.annotate(
                "all", (whole, 1), (0, 1), xycoords=("data", "axes fraction"), textcoords="offset points",
                fontsize=7.5, ha="center", va="bottom", color=MUTED,
            )  # fmt: skip
        axes.set_yticks(y, labels)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.set_title(title, pad=24)
        split = f"by {attribute.replace('_', ' ').replace(' x ', ' and ')}"
        axes.annotate(
            f"{where}, {split}" if where else split, (0, 1), (0, 12),
            xycoords="axes fraction", textcoords="offset points", fontsize=8.5, color=MUTED,
        )  # fmt: skip
        axes.set_xlabel(unit)
        axes.xaxis.set_major_locator(MaxNLocator(6))

    said = ", ".join(f"{g} {v:.3g}" for g, v in zip(table["group"], table["value"], strict=True))
    step = 0.36 if not crossed else 0.33
    return Panel(
        f"group-{metric}-{where}-{attribute}",
        f"{', '.join(filter(None, (title, where)))}: {said}",
        draw,
        height=1.15 + step * len(rows),
    )


def data_bias(table: pd.DataFrame, balanced: bool) -> list[Panel]:
    """
    Draw the association of each label with each attribute, in the data before and after balancing.

    Parameters
    ----------
    table : DataFrame
        attribute, group, label (column of attributes.parquet), before, realised: P(label | group) − P(label | not the
        group), NaN where a side is empty.
    balanced : bool
        Whether the run balances its mix; if not, there is one column.

    Returns
    -------
    list of Panel
        A heat map an attribute and kind of label, of one group each; one colour scale for all.
    """
    sides = {"before": "before", "realised": "after"} if balanced else {"before": NOT_BALANCED}
    shown = table.loc[table["group"].isin(SHOWN) | ~table["group"].isin(list(OPPOSITE)), :]
    kind = shown["label"].str.extract(r"y_([a-z0-9]+)_", expand=False).fillna("label")
    shown = shown.assign(kind=kind, label=shown["label"].str.replace(r"^y_[a-z0-9]+_", "", regex=True))
    limit = float(np.nanmax(shown[["before", "realised"]].abs().to_numpy(), initial=1e-6))
    return [
        _heat_map(*_strings(key), rows, sides, limit)
        for key, rows in shown.groupby(["attribute", "group", "kind"], sort=False)
    ]


def _heat_map(
    attribute: str, group: str, kind: str, table: pd.DataFrame, sides: Mapping[str, str], limit: float
) -> Panel:
    rows = table.sort_values("before", ascending=False, kind="stable")
    values = 100 * rows[list(sides)].to_numpy(float)
    labels = [label.replace("_", " ") for label in rows["label"]]
    opposite = OPPOSITE.get(group, "others")

    def draw(axes: Axes) -> None:
        axes.pcolormesh(
            np.ma.masked_invalid(values), cmap=DIVERGING, norm=TwoSlopeNorm(0, -100 * limit, 100 * limit),
            edgecolors=PAPER, linewidth=1.5,
        )  # fmt: skip
        axes.invert_yaxis()
        for (i, j), value in np.ndenumerate(values):
            pale = not np.isfinite(value) or abs(value) < 60 * limit
            text = "–" if not np.isfinite(value) else f"{value:+.1f}".replace("-", "−")
            axes.text(
                j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=8, color="#16181c" if pale else "#ffffff"
            )
        axes.set_xticks(np.arange(len(sides)) + 0.5, list(sides.values()))
        axes.xaxis.tick_top()
        axes.set_yticks(np.arange(len(rows)) + 0.5, labels)
        axes.tick_params(length=0)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_title(f"{attribute.replace('_', ' ').capitalize()} and {kind}s", pad=6)
        axes.set_xlabel(f"P({kind} | {group}) − P({kind} | {opposite})\npercentage points")

    size = np.nan_to_num(np.abs(values))
    worst = [
        f"{when} " * (len(sides) > 1) + f"{labels[i]} {values[i, j]:+.1f}".replace("-", "−")
        for j, (when, i) in enumerate(zip(sides.values(), size.argmax(axis=0), strict=True))
    ]
    what = f"{attribute.replace('_', ' ')} and {kind}"
    alt = f"Association of {what} in the data, percentage points; strongest: {', '.join(worst)}"
    return Panel(f"data-{attribute}-{group}-{kind}", alt, draw, height=1.25 + 0.235 * len(rows))


def occupations(table: pd.DataFrame) -> list[Panel]:
    """
    Draw what the model makes of women and men on portraits, beside the known shares of women.

    Parameters
    ----------
    table : DataFrame
        part, label, gap, gap_lo, gap_hi (logits, women − men), women_corpus, women_generator
        (shares, NaN where unknown).

    Returns
    -------
    list of Panel
        The shares; the gaps of each part in the same order; the gaps of each part against the shares.
    """
    known = table.dropna(subset=["women_corpus"])
    parts = [(str(part), rows) for part, rows in known.groupby("part", sort=False)]
    return [
        _shares(parts[0][1]),
        *(_gaps(part, rows) for part, rows in parts),
        *(_against(part, rows) for part, rows in parts),
    ]


def _by_share(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["women_corpus", "label"]).reset_index(drop=True)


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(np.arange(len(labels)), labels)
    axes.set_ylim(-0.7, len(labels) - 0.3)
    axes.tick_params(axis="y", length=0)


def _legend(axes: Axes) -> None:
    """Put the legend between title and chart, where no mark can be under it."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.99), ncols=2, borderpad=0, handletextpad=0.2, columnspacing=1.2)


def _shares(table: pd.DataFrame) -> Panel:
    rows = _by_share(table)

    def draw(axes: Axes) -> None:
        y = np.arange(len(rows))
        axes.hlines(y, 100 * rows["women_corpus"], 100 * rows["women_generator"], color=MUTED, linewidth=0.8)
        axes.plot(100 * rows["women_corpus"], y, "o", color=REAL, markersize=6, label="corpus")
        axes.plot(
            100 * rows["women_generator"], y, "D", markerfacecolor=PAPER, markeredgecolor=SYNTHETIC,
            markeredgewidth=1.6, markersize=5, label="generator's corpus",
        )  # fmt: skip
        _rows(axes, rows["label"].tolist())
        axes.set_xlim(-3, 103)
        axes.set(xlabel="share of women in the occupation, %")
        axes.set_title("What they were shown", pad=20)
        _legend(axes)

    alt = "Share of women by occupation in the corpus and in the generator's corpus"
    return Panel("occupation-shares", alt, draw, height=0.9 + 0.22 * len(rows))


def _gaps(part: str, table: pd.DataFrame) -> Panel:
    rows = _by_share(table)
    centre = rows["gap"].mean()

    def draw(axes: Axes) -> None:
        y = np.arange(len(rows))
        gap = rows["gap"] - centre
        axes.axvline(0, color=MUTED, linewidth=0.9)
        error = [(rows["gap"] - rows["gap_lo"]).clip(lower=0), (rows["gap_hi"] - rows["gap"]).clip(lower=0)]
        colours = [WOMAN if value > 0 else MAN for value in gap]
        axes.hlines(y, gap - error[0], gap + error[1], color=colours, linewidth=1.6)
        axes.scatter(gap, y, c=colours, s=30, zorder=3)
        _rows(axes, rows["label"].tolist())
        axes.set(title=f"What the model learned · {part or 'portraits'}", xlabel="logit gap women − men, less its mean")

    alt = (
        f"Gap between women and men in the logit of each occupation, {part or 'portraits'}, in the order of the census"
    )
    return Panel(f"occupation-gaps-{part}", alt, draw, height=0.9 + 0.22 * len(rows))


def _against(part: str, table: pd.DataFrame) -> Panel:
    rows = _by_share(table)
    x, y = 100 * rows["women_corpus"].to_numpy(float), (rows["gap"] - rows["gap"].mean()).to_numpy(float)
    varies = len(rows) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0
    r = float(np.corrcoef(x, y)[0, 1]) if varies else float("nan")

    def draw(axes: Axes) -> None:
        axes.axhline(0, color=MUTED, linewidth=0.9)
        if varies:
            ends = np.array([x.min(), x.max()])
            axes.plot(ends, np.polyval(np.polyfit(x, y, 1), ends), color=BEFORE, linewidth=1.6)
        error = [(rows["gap"] - rows["gap_lo"]).clip(lower=0), (rows["gap_hi"] - rows["gap"]).clip(lower=0)]
        axes.errorbar(x, y, yerr=error, fmt="none", ecolor=PLAIN, elinewidth=1.2, alpha=0.4)
        axes.plot(x, y, "o", color=PLAIN, markersize=5)
        axes.set_xlim(-4, 104)
        _label(axes, x, y, rows["label"].tolist())
        axes.set(
            xlabel="share of women in the corpus, %",
            ylabel="logit gap women − men, less its mean",
        )
        axes.set_title(f"Gap against the census · {part or 'portraits'}", pad=20 if varies else 6)
        if varies:  # not the mean of the seeds' correlations, which the metrics state
            axes.annotate(
                f"r of the gap averaged over seeds: {r:.2f}".replace("-", "−"), (0, 1), (0, 8),
                xycoords="axes fraction", textcoords="offset points", fontsize=8.5, color=MUTED,
            )  # fmt: skip

    alt = f"Logit gap of each occupation against its share of women, {part or 'portraits'}: r of the mean gap {r:.2f}"
    return Panel(f"occupation-census-{part}", alt, draw, height=3.4)


def _label(axes: Axes, x: np.ndarray, y: np.ndarray, labels: list[str]) -> None:
    """Name the points that have room for a name, the outermost first."""
    axes.figure.canvas.draw()
    scale = axes.transData.transform
    points = scale(np.column_stack([x, y]))
    size = np.array([0.62, 1.25]) * 7.5 * axes.figure.dpi / 72  # of a letter, pixels
    right_edge = axes.bbox.x1
    taken = [(*(point - 3), *(point + 3)) for point in points]
    centre = points.mean(axis=0)
    for i in np.argsort(-np.abs((points - centre) / (np.ptp(points, axis=0) + 1)).sum(axis=1), kind="stable"):
        width = size[0] * len(labels[i])
        for side in (1, -1):
            left = points[i, 0] + 6 if side > 0 else points[i, 0] - 6 - width
            box = (left, points[i, 1] - size[1] / 2, left + width, points[i, 1] + size[1] / 2)
            free = all(box[2] < b[0] or box[0] > b[2] or box[3] < b[1] or box[1] > b[3] for b in taken)
            if free and box[2] < right_edge and box[0] > axes.bbox.x0:
                axes.annotate(
                    labels[i], (x[i], y[i]), (6 * 72 / axes.figure.dpi * side, 0), textcoords="offset points",
                    ha="left" if side > 0 else "right", va="center", fontsize=7.5, color=MUTED,
                )  # fmt: skip
                taken.append(box)
                break


def published(table: pd.DataFrame) -> list[Panel]:
    """
    Draw the published definition of figures beside the corrected one.

    Parameters
    ----------
    table : DataFrame
        set, part, metric, attribute, group, n, as_published, corrected.

    Returns
    -------
    list of Panel
        One a metric, set and part: a pair of marks a group of single attributes.
    """
    panels = []
    for key, rows in table.groupby(["metric", "set", "part"], sort=False):
        metric, of, part = _strings(key)
        panels.append(_definitions(metric, " · ".join(name for name in (of, part) if name), rows))
    return panels


def _definitions(metric: str, where: str, table: pd.DataFrame) -> Panel:
    rows = table.iloc[::-1]
    title, unit = figure(f"published.{metric}")
    labels = [
        f"{a.replace('_', ' ')}: {g}" if a else "all" for a, g in zip(rows["attribute"], rows["group"], strict=True)
    ]

    def draw(axes: Axes) -> None:
        y = np.arange(len(rows))
        axes.hlines(y, rows["as_published"], rows["corrected"], color=MUTED, linewidth=0.8)
        axes.plot(
            rows["as_published"], y, "s", markerfacecolor=PAPER, markeredgecolor=BEFORE, markeredgewidth=1.6,
            markersize=5.5, label="as published",
        )  # fmt: skip
        axes.plot(rows["corrected"], y, "o", color=AFTER, markersize=6, label="corrected")
        _rows(axes, labels)
        axes.set_title(f"{title} · {where}", pad=20)
        axes.set_xlabel(unit)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
        _legend(axes)

    return Panel(
        f"published-{metric}-{where}",
        f"{title}, {where}, as published and corrected",
        draw,
        height=1.1 + 0.24 * len(rows),
    )
