"""The charts: tables in, panels out."""

import re
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from stages.results.details import Details
from stages.results.formatting import NOT_BALANCED, counted, number
from stages.results.labels import Label, label_points
from stages.results.panels import (
    BEFORE,
    INK,
    MAN,
    MUTED,
    PAPER,
    PLAIN,
    REAL,
    SMALL,
    SYNTHETIC,
    WOMAN,
    Panel,
    mark,
)  # fmt: skip
from stages.results.registry import curve, figure, place

GROUP_COLOURS = {"woman": WOMAN, "man": MAN}  # others are told apart by their names
GROUP_ORDER = ("woman", "man", "lighter", "darker")  # others follow as they come
SHOWN = ("woman", "darker")  # of two groups that mirror each other
OPPOSITE = {"woman": "man", "man": "woman", "darker": "lighter", "lighter": "darker"}
PLURAL = {"woman": "women", "man": "men"}
SIGNED = {"woman": (WOMAN, MAN)}  # of a group: colour of more and of less of it
PROBED = re.compile(r"probe\.(\w+)\.r(\d+)")  # retrieval among a few images: another figure than the headline's


def _strings(key: object) -> tuple[str, str, str]:
    """Type the three names of a group of rows."""
    first, second, third = cast(tuple[object, object, object], key)
    return str(first), str(second), str(third)


def starred(name: str, small: object) -> str:
    """Mark the name of what has fewer images than `evaluate.min_group`, as pages say below their charts."""
    return f"{name} *" if small else name


def curves(table: pd.DataFrame, phases: Sequence[tuple[str, int, int]], probe: int = 0) -> list[Panel]:
    """
    Draw each metric through training.

    Parameters
    ----------
    phases : sequence of (str, int, int)
        Data, first and last step of each phase; the changes are marked where there are several.
    probe : int
        Images of each set that metrics are measured on during training.

    Returns
    -------
    list of Panel
        One a metric: each seed thin, their mean bold.
    """
    order = sorted(set(table["metric"]), key=lambda name: (place(name), name))
    return [_curve(name, table.loc[table["metric"] == name, :], phases, probe) for name in order]


def _curve(name: str, table: pd.DataFrame, phases: Sequence[tuple[str, int, int]], probe: int) -> Panel:
    title, known = curve(name)
    if among := PROBED.fullmatch(name):
        title = f"{title.split(' R@')[0]}: right one in the first {among[2]} of {probe or 'the probe'}"
    from_zero = np.isfinite(known.span).all()
    wide = table.pivot(index="step", columns="seed", values="value").sort_index()
    mean = cast(pd.Series, wide.mean(axis=1))

    def draw(axes: Axes) -> None:
        axes.plot(wide.index, wide, color=PLAIN, linewidth=0.9, alpha=0.5)
        axes.plot(wide.index, mean, color=PLAIN, linewidth=2.2)
        for step, value in mean.items():
            (dot,) = axes.plot([cast(float, step)], [value], "o", color=PLAIN, markersize=3.2)
            mark(dot, f"step {step:,}: {number(name, value)}")
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
                    fontsize=SMALL, color=MUTED, va="top",
                )  # fmt: skip
        axes.set(xlabel="optimisation steps", ylabel=known.unit)
        axes.set_xlim(0, 1.04 * float(table["step"].max()))
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))

    of = counted(len(wide.columns), "seed")
    alt = f"{title} against optimisation steps, {of}; at the end {wide.iloc[-1].mean():.3g}"
    return Panel(f"curve-{name}", alt, draw, height=2.2, title=title, data=table)


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
        One a metric, set, part and attribute with two groups or more; intersections that are small are left out.
    """
    panels = []
    table = table.loc[~(table["attribute"].str.contains(" x ", regex=False) & (table["small"] > 0)), :]
    for key, rows in table.groupby(["metric", "set", "part"], sort=False):
        metric, of, part = _strings(key)
        overall = rows.loc[rows["attribute"] == "", "value"]
        shown = table.loc[
            (table["metric"] == metric) & (table["attribute"].str.contains(" x ", regex=False) == crossed), :
        ]
        right = 1.04 * float(shown[["value", "hi"]].max(axis=None))  # one axis for what is one metric
        for attribute, members in rows.loc[rows["attribute"] != "", :].groupby("attribute", sort=False):
            if (" x " in str(attribute)) == crossed and len(members) > 1:
                where = " · ".join(name for name in (of, part) if name)
                whole = float(overall.iloc[0]) if len(overall) else None
                panels.append(_bars(metric, where, str(attribute), members, whole, right))
    return panels


def _bars(metric: str, where: str, attribute: str, table: pd.DataFrame, whole: float | None, right: float) -> Panel:
    order = [[GROUP_ORDER.index(g) if g in GROUP_ORDER else 99 for g in of.split(" x ")] for of in table["group"]]
    table = table.iloc[sorted(range(len(table)), key=order.__getitem__)]
    rows = table.iloc[::-1]
    title, unit = figure(metric)
    low, high = (rows["value"] - rows["lo"]).clip(lower=0), (rows["hi"] - rows["value"]).clip(lower=0)
    labels = [
        f"{starred(g.replace(' x ', ' · '), small)}\nn {n:,}"
        for g, n, small in zip(rows["group"], rows["n"], rows["small"], strict=True)
    ]

    def draw(axes: Axes) -> None:
        colours = [GROUP_COLOURS.get(group.split(" x ")[0], PLAIN) for group in rows["group"]]
        y = np.arange(len(rows))
        bars = axes.barh(y, rows["value"], height=0.62, color=colours)
        for bar, row in zip(bars, rows.to_dict("records"), strict=True):
            bar.set_alpha(0.35 if row["small"] else 1)
            small = " (few images)" if row["small"] else ""
            mark(bar, f"{row['group']}: {row['value']:.3g} [{row['lo']:.3g}, {row['hi']:.3g}], n {row['n']:,}{small}")
        axes.errorbar(rows["value"], y, xerr=[low, high], fmt="none", ecolor=INK, elinewidth=1.1, capsize=2.5)
        if whole is not None:
            axes.axvline(whole, color=INK, linewidth=1, linestyle=(0, (4, 2)))
            axes.annotate(
                "all", (whole, 1), (0, 1), xycoords=("data", "axes fraction"), textcoords="offset points",
                fontsize=SMALL, ha="center", va="bottom", color=MUTED,
            )  # fmt: skip
        axes.set_yticks(y, labels)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(unit)
        left = float(rows[["value", "lo"]].min(axis=None))
        if right > 0:
            axes.set_xlim(min(0.0, 1.04 * left), right)
        axes.xaxis.set_major_locator(MaxNLocator(5))

    split = f"by {attribute.replace('_', ' ').replace(' x ', ' and ')}"
    if attribute == "skin_tone" and table["group"].str.isdigit().all():
        split += ", 1 the lightest"
    said = ", ".join(f"{g} {v:.3g}" for g, v in zip(table["group"], table["value"], strict=True))
    return Panel(
        f"group-{metric}-{where}-{attribute}",
        f"{', '.join(filter(None, (title, where)))}: {said}",
        draw,
        height=0.75 + 0.37 * len(rows),
        title=title,
        note=f"{where}, {split}" if where else split,
        data=table,
    )


def data_bias(table: pd.DataFrame, balanced: bool, min_group: int = 0) -> list[Panel]:
    """
    Draw the association of each label with each attribute, in the data before and after balancing.

    Parameters
    ----------
    table : DataFrame
        attribute, group, label (column of attributes.parquet), before, realised: P(label | group) − P(label | not the
        group), NaN where a side is empty; n_label, where rows of a label are counted.
    balanced : bool
        Whether the run balances its mix; if not, there is one bar per label.
    min_group : int
        Labels of fewer rows are marked.

    Returns
    -------
    list of Panel
        Diverging bars an attribute and kind of label, of one group each; one axis for all.
    """
    sides = {"before": "before", "realised": "after"} if balanced else {"before": NOT_BALANCED}
    shown = table.loc[table["group"].isin(SHOWN) | ~table["group"].isin(list(OPPOSITE)), :]
    kind = shown["label"].str.extract(r"y_([a-z0-9]+)_", expand=False).fillna("label")
    shown = shown.assign(kind=kind, label=shown["label"].str.replace(r"^y_[a-z0-9]+_", "", regex=True))
    limit = float(np.nanmax(shown[list(sides)].abs().to_numpy(), initial=1e-6))
    return [
        _diverging(*_strings(key), rows, sides, limit, min_group)
        for key, rows in shown.groupby(["attribute", "group", "kind"], sort=False)
    ]


def _diverging(
    attribute: str, group: str, kind: str, table: pd.DataFrame, sides: Mapping[str, str], limit: float, min_group: int
) -> Panel:
    rows = table.sort_values("before", kind="stable", na_position="first")
    values = 100 * rows[list(sides)].to_numpy(float)
    few = (rows["n_label"] < min_group).tolist() if "n_label" in rows else [False] * len(rows)
    labels = [label.replace("_", " ") for label in rows["label"]]
    opposite = OPPOSITE.get(group, "others")
    more, less = SIGNED.get(group, (PLAIN, PLAIN))

    def draw(axes: Axes) -> None:
        for side, (column, when) in enumerate(zip(values.T, sides.values(), strict=True)):
            last = side == len(sides) - 1
            y = np.arange(len(rows)) + (0 if len(sides) == 1 else (0.2, -0.2)[side])
            height = 0.66 if len(sides) == 1 else 0.36
            known = np.isfinite(column)
            colours = [(more if value > 0 else less) if last else BEFORE for value in column[known]]
            bars = axes.barh(y[known], column[known], height=height, color=colours)
            for bar, name, value in zip(bars, np.array(labels)[known], column[known], strict=True):
                mark(bar, f"{name}, {when}: {value:+.1f} points".replace("-", "−"))
            if last:  # a bar of no length is still seen
                axes.scatter(column[known], y[known], s=14, c=colours, zorder=3)
            for at in y[~known]:
                axes.text(0, at, "–", ha="center", va="center", fontsize=SMALL, color=MUTED)
        axes.axvline(0, color=MUTED, linewidth=0.9)
        _rows(axes, [starred(label, small) for label, small in zip(labels, few, strict=True)])
        axes.set_xlim(-108 * limit, 108 * limit)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"← {PLURAL.get(opposite, opposite)} · percentage points · {PLURAL.get(group, group)} →")
        axes.xaxis.set_major_locator(MaxNLocator(6, symmetric=True))
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:+g}".replace("-", "−") if value else "0")
        )

    size = np.nan_to_num(np.abs(values))
    worst = [
        f"{when} " * (len(sides) > 1) + f"{labels[i]} {values[i, j]:+.1f}".replace("-", "−")
        for j, (when, i) in enumerate(zip(sides.values(), size.argmax(axis=0), strict=True))
    ]
    what = f"{attribute.replace('_', ' ')} and {kind}"
    largest = [f"{points:.1f}" for points in size.max(axis=0, initial=0.0)]
    title = f"{what.capitalize()}: largest association {' points before, '.join(largest)} points"
    alt = f"Association of {what} in the data, percentage points; strongest: {', '.join(worst)}"
    return Panel(
        f"data-{attribute}-{group}-{kind}",
        alt,
        draw,
        height=0.75 + 0.205 * len(rows),
        title=title + (" after" if len(sides) > 1 else ""),
        note=f"P({kind} | {group}) − P({kind} | {opposite})"
        + ("; bars: before, dots: after" if len(sides) > 1 else ""),
        data=table,
    )


def occupations(table: pd.DataFrame, metrics: Details | None = None, min_group: int = 0) -> list[Panel]:
    """
    Draw what the model makes of women and men on portraits, beside the known shares of women.

    Parameters
    ----------
    table : DataFrame
        set, part, label, n_1, n_0, gap, gap_lo, gap_hi (logits, women − men), women_corpus, women_generator
        (shares, NaN where unknown: such labels are in no chart).
    metrics : mapping of str to Estimate, optional
        Of the run, for its correlations.
    min_group : int
        Labels with fewer images of women or of men are marked.

    Returns
    -------
    list of Panel
        The shares; the gaps of each part in the same order; the gaps of each part against the shares.
    """
    few = table[["n_1", "n_0"]].min(axis=1) < min_group if {"n_1", "n_0"} <= set(table) else False
    known = table.assign(small=few).dropna(subset=["women_corpus"])
    parts = [(str(part), rows) for part, rows in known.groupby("part", sort=False)]
    gaps = np.abs(known[["gap_lo", "gap_hi"]].to_numpy(float)).max(initial=0.0)
    limit = 1.05 * max(float(gaps), 1e-6)
    return [
        _shares(parts[0][1]),
        *(_gaps(part, rows, limit) for part, rows in parts),
        *(_against(part, rows, metrics or {}, limit) for part, rows in parts),
    ]


def _by_share(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["women_corpus", "label"]).reset_index(drop=True)


def _names(rows: pd.DataFrame) -> list[str]:
    return [starred(str(label), small) for label, small in zip(rows["label"], rows["small"], strict=True)]


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(np.arange(len(labels)), labels)
    axes.set_ylim(-0.7, len(labels) - 0.3)
    axes.tick_params(axis="y", length=0)


def _legend(axes: Axes) -> None:
    """Put the legend above the chart, where no mark can be under it."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.99), ncols=2, borderpad=0, handletextpad=0.2, columnspacing=1.2)


def _shares(table: pd.DataFrame) -> Panel:
    rows = _by_share(table)

    def draw(axes: Axes) -> None:
        y = np.arange(len(rows))
        axes.hlines(y, 100 * rows["women_corpus"], 100 * rows["women_generator"], color=MUTED, linewidth=0.8)
        for at, row in enumerate(rows.to_dict("records")):
            (real,) = axes.plot(
                100 * row["women_corpus"], at, "o", color=REAL, markersize=6, label="corpus" if not at else ""
            )
            (made,) = axes.plot(
                100 * row["women_generator"], at, "D", markerfacecolor=PAPER, markeredgecolor=SYNTHETIC,
                markeredgewidth=1.6, markersize=5, label="generator's corpus" if not at else "",
            )  # fmt: skip
            mark(real, f"{row['label']}, corpus: {100 * row['women_corpus']:.1f} % women")
            mark(made, f"{row['label']}, generator's corpus: {100 * row['women_generator']:.1f} % women")
        _rows(axes, _names(rows))
        axes.set_xlim(-3, 103)
        axes.set(xlabel="share of women in the occupation, %")
        _legend(axes)

    return Panel(
        "occupation-shares",
        "Share of women by occupation in the corpus and in the generator's corpus",
        draw,
        height=0.9 + 0.22 * len(rows),
        title="What they were shown: women per occupation",
        data=table.loc[:, ["label", "women_corpus", "women_generator"]],
    )


def _centred(rows: pd.DataFrame) -> str:
    return f"women − men, less the mean of {len(rows)} occupations"


def _gaps(part: str, table: pd.DataFrame, limit: float) -> Panel:
    rows = _by_share(table)
    centre = rows["gap"].mean()

    def draw(axes: Axes) -> None:
        y = np.arange(len(rows))
        gap = rows["gap"] - centre
        axes.axvline(0, color=MUTED, linewidth=0.9)
        error = [(rows["gap"] - rows["gap_lo"]).clip(lower=0), (rows["gap_hi"] - rows["gap"]).clip(lower=0)]
        colours = [WOMAN if value > 0 else MAN for value in gap]
        for at, value, low, high, colour in zip(y, gap, *error, colours, strict=True):
            axes.errorbar([value], [at], xerr=[[low], [high]], fmt="none", ecolor=colour, elinewidth=1.3, capsize=2)
        dots = axes.scatter(gap, y, c=colours, s=30, zorder=3)
        assert dots is not None
        for at, value, colour, name in zip(y, gap, colours, rows["label"], strict=True):
            (dot,) = axes.plot([value], [at], "o", color=colour, markersize=5)
            mark(dot, f"{name}: {value:+.2f}".replace("-", "−"))
        _rows(axes, _names(rows))
        axes.set(xlabel="← men · gap in logits · women →", xlim=(-limit, limit))

    alt = (
        f"Gap between women and men in the logit of each occupation, {part or 'portraits'}, in the order of the corpus"
    )
    return Panel(
        f"occupation-gaps-{part}",
        alt,
        draw,
        height=0.9 + 0.22 * len(rows),
        title=f"What the model learned, {part or 'portraits'}" + (" portraits" if part else ""),
        note=_centred(rows),
        data=table,
    )


def _against(part: str, table: pd.DataFrame, metrics: Details, limit: float) -> Panel:
    rows = _by_share(table)
    x, y = 100 * rows["women_corpus"].to_numpy(float), (rows["gap"] - rows["gap"].mean()).to_numpy(float)
    varies = len(rows) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0
    where = str(rows["set"].iloc[0]) if "set" in rows else "portraits"
    stated = metrics.get(".".join(filter(None, (where, part, "census_correlation"))))
    r = f": r\u00a0=\u00a0{stated.value:.2f}, mean over the seeds".replace("-", "−") if stated else ""

    def draw(axes: Axes) -> None:
        axes.axhline(0, color=MUTED, linewidth=0.9)
        clear = [(at, 0.0) for at in np.linspace(-4, 104, 80)]
        if varies:
            ends = np.linspace(x.min(), x.max(), 60)
            axes.plot(ends, np.polyval(np.polyfit(x, y, 1), ends), color=BEFORE, linewidth=1.6)
            clear += np.column_stack([ends, np.polyval(np.polyfit(x, y, 1), ends)]).tolist()
        error = [(rows["gap"] - rows["gap_lo"]).clip(lower=0), (rows["gap_hi"] - rows["gap"]).clip(lower=0)]
        axes.errorbar(x, y, yerr=error, fmt="none", ecolor=PLAIN, elinewidth=1.2, capsize=2, alpha=0.4)
        for at, low, high in zip(x, y - error[0], y + error[1], strict=True):
            clear += [(at, end) for end in np.linspace(low, high, 25)]
        for share, gap, name in zip(x, y, rows["label"], strict=True):
            (dot,) = axes.plot([share], [gap], "o", color=PLAIN, markersize=5)
            mark(dot, f"{name}: {share:.1f} % women, gap {gap:+.2f}".replace("-", "−"))
        axes.set_xlim(-4, 104)
        axes.set_ylim(-limit, limit)
        axes.set(xlabel="share of women in the corpus, %", ylabel="gap in logits")
        away = np.abs((np.column_stack([x, y]) - [x.mean(), y.mean()]) / (np.array([np.ptp(x), np.ptp(y)]) + 1e-9))
        first = np.argsort(-away.sum(axis=1), kind="stable")  # the outermost have the choice
        names = _names(rows)
        label_points(axes, [Label(float(x[i]), float(y[i]), names[i], MUTED) for i in first], clear, must=False)

    alt = f"Logit gap of each occupation against its share of women, {part or 'portraits'}{r}"
    return Panel(
        f"occupation-census-{part}",
        alt,
        draw,
        height=3.0,
        title=f"Gap against shares in the corpus, {part or 'portraits'}" + (" portraits" if part else "") + r,
        note=_centred(rows),
        data=table,
    )


def published(table: pd.DataFrame, min_group: int = 0) -> list[Panel]:
    """
    Draw the published definition of figures as a multiple of the corrected one, in one chart.

    Parameters
    ----------
    table : DataFrame
        set, part, metric, attribute, group, n, as_published, corrected.
    min_group : int
        Groups of fewer images are marked.

    Returns
    -------
    list of Panel
        At most one: all images, and women and men, of each figure; the table of the report holds all groups.
    """
    rows = table.loc[
        table["attribute"].isin(["", "gender"]) & (table["as_published"] > 0) & (table["corrected"] > 0), :
    ]
    if rows.empty:
        return []
    rows = rows.iloc[::-1].reset_index(drop=True)
    records = rows.to_dict("records")
    names = []
    for row in records:
        where = " ".join(name for name in (row["set"], row["part"]) if name)
        title, few = figure(f"published.{row['metric']}")[0], row["attribute"] and row["n"] < min_group
        names.append(starred(f"{title}\n{where}, {row['group']}", few))
    ratios = (rows["as_published"] / rows["corrected"]).to_numpy(float)
    away = int(np.abs(np.log(ratios)).argmax())

    def draw(axes: Axes) -> None:
        axes.axvline(1, color=INK, linewidth=1)
        y = np.arange(len(rows))
        axes.hlines(y, 1, ratios, color=MUTED, linewidth=0.8)
        for at, (ratio, row) in enumerate(zip(ratios, records, strict=True)):
            (dot,) = axes.plot([ratio], [at], "s", color=GROUP_COLOURS.get(row["group"], PLAIN), markersize=5.5)
            name = names[at].replace("\n", ", ")
            mark(dot, f"{name}: {row['as_published']:.3g} as published, {row['corrected']:.3g} corrected")
        axes.set_xscale("log")
        low, high = min(0.8, ratios.min() / 1.2), max(1.25, ratios.max() * 1.2)
        axes.set_xlim(low, high)
        axes.set_xticks([tick for tick in (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100) if low <= tick <= high])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
        _rows(axes, names)
        axes.set_xlabel("as published ÷ corrected")

    said = names[away].replace("\n", ", ")
    title = f"As published, the same model gives {ratios[away]:.2g} times the corrected {said[:1].lower() + said[1:]}"
    return [
        Panel("published", f"{title}; {len(rows)} figures as multiples of the corrected ones", draw,
              height=0.7 + 0.34 * len(rows), title=title, data=table)
    ]  # fmt: skip
