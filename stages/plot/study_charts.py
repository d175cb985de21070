"""Charts of a run beside the committed study of its profile."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from stages.plot.study import Study, bias_of, biases_of, place_of, quality_of, where
from stages.results import sweep
from stages.results.details import Estimate
from stages.results.effects import is_shown, lessens, verdict
from stages.results.formatting import NOT_BALANCED, counted, interval, number
from stages.results.labels import Label, label_points
from stages.results.metric_change import IDEALS, folded
from stages.results.panels import INK, MUTED, RULE, SMALL, Panel, mark
from stages.results.registry import chance, entry, label, name_and_place
from stages.results.sweep import RANDOM, Own, whisker
from stages.results.trade import cross, front
from stages.results.writing import capital, joined

HEIGHT = 2.45  # inches of a chart: all is on the first screen
BAND, WHISKER = "pale bars: ± 1 SD", "caps: 95 %"  # what notes say of both


def charts(own: Own, study: Study | None, erased: pd.DataFrame, levers: Study | None = None) -> list[Panel]:
    """
    Draw where models lie against α, bias against quality, and all measures of bias; this run marked in each.

    Parameters
    ----------
    erased : DataFrame
        eraser, metric, value: levers after training on this run; may be empty.
    levers : Study, optional
        Levers compared at one α (`make counterweights`), each a method of its runs.

    Returns
    -------
    list of Panel
        Three; fewer where the study, or the run, does not have what they show.
    """
    if study is None:
        return []
    found = []
    if key := place_of(study):
        first = sweep.panels(_lines(study), [key], study.comparisons, study.trends, own)[0]
        found.append(replace(first, height=HEIGHT, note=f"{first.note} · {BAND}; {WHISKER}"))
    quality, bias = quality_of(own.metrics, study), bias_of(own.metrics, study)
    if quality and bias:
        found.append(_trade(own, study, erased, levers, quality, bias))
    if len(keys := biases_of(own.metrics, study)) > 1:
        found.append(_measures(own, study, keys))
    return found


def study_charts(own: Own, study: Study, metrics: Sequence[str]) -> list[Panel]:
    """Draw metrics of the study against α, the first four lines, this run marked."""
    table = _lines(study)
    return sweep.panels(table, [key for key in metrics if study.has(key)], study.comparisons, study.trends, own)


def _lines(study: Study) -> pd.DataFrame:
    """Keep what one panel shows: the best known methods of more than one α."""
    return study.runs.loc[study.runs["method"].isin(study.lines()[: sweep.MOST]), :]


def _points(of: Study, alpha: float, quality: str, bias: str) -> pd.DataFrame:
    """Return mean and spread of both metrics for each line, and the mean distance from no bias, at the α of `at`."""
    runs = of.at(alpha)
    wide = runs.loc[runs["metric"].isin([quality, bias]), :].pivot_table(
        index=["method", "alpha", "seed"], columns="metric", values="value"
    )
    if not {quality, bias} <= set(wide):
        return pd.DataFrame()
    wide = wide.dropna().assign(apart=[folded(bias, value) for value in wide.dropna()[bias]])
    cells = wide.groupby("method")[[quality, bias, "apart"]].agg(["mean", "std"])
    cells = cells.sort_index(key=lambda names: pd.Index([sweep.order(str(name)) for name in names]), kind="stable")
    return cells.loc[~cells.round(9).duplicated(), :]  # a variant that changes nothing is the same point


def _trade(own: Own, study: Study, erased: pd.DataFrame, levers: Study | None, quality: str, bias: str) -> Panel:
    """Draw bias against quality: of levers; where none was tried, of the study's methods and this run's erasers."""
    cells = _points(levers, own.alpha, quality, bias) if levers else pd.DataFrame()
    of, erasers = levers if levers and len(cells) else study, []
    if of is study:
        erasers = _erasers(erased, quality, bias)
        cells = _points(study, own.alpha, quality, bias).head(sweep.MOST - len(erasers))
    names = [str(name) for name in cells.index]
    best = [names[i] for i in front(cells["apart"]["mean"].tolist(), cells[quality]["mean"].tolist())]
    told = names if of is study else [name for name in names if name in {*best, own.method, NOT_BALANCED, RANDOM}]
    quality_name, bias_name = name_and_place(quality)[0], name_and_place(bias)[0]
    x_own, y_own, axis = own.metrics[quality], own.metrics[bias], f"{bias_name}, 0: none"
    if of is not study and (ideal := IDEALS.get(entry(bias).better)) is not None:  # by which no lever beats them
        cells = cells.copy()
        for of_runs in ("mean", "std"):
            cells[(bias, of_runs)] = cells[("apart", of_runs)]
        y_own, axis = _apart(y_own, ideal), f"|{bias_name}{' − ½' * bool(ideal)}|"

    def draw(axes: Axes) -> None:
        labels = [Label(x_own.value, y_own.value, "this run", INK, weight="bold")]
        ends: list[tuple[float, float]] = []
        for at, (name, row) in enumerate(cells.iterrows()):
            method, (x, y) = str(name), (float(row[(quality, "mean")]), float(row[(bias, "mean")]))
            said = f"{method}: {quality_name} {number(quality, x)}, {bias_name} {number(bias, y)}"
            if method not in told:
                (dot,) = axes.plot([x], [y], "o", color=MUTED, markersize=3)
                mark(dot, said, method)
                ends.append((x, y))
                continue
            colour, shape, _ = sweep.look(method, at)
            wide, high = np.nan_to_num([float(row[(quality, "std")]), float(row[(bias, "std")])])
            for line, at_, low, up in ((axes.hlines, y, x - wide, x + wide), (axes.vlines, x, y - high, y + high)):
                mark(line(at_, low, up, color=colour, linewidth=5, alpha=0.22), series=method)
            (dot,) = axes.plot([x], [y], shape, color=colour, markersize=6)
            mark(dot, said, method)
            labels.append(Label(x, y, method, colour, method))
            ends += cross(x, y, (x - wide, x + wide), (y - high, y + high))
        for name, x, y in erasers:
            (dot,) = axes.plot([x], [y], "P", color=INK, markersize=5)
            mark(dot, f"this run, {name} after training: {number(quality, x)}, {number(bias, y)}")
            labels.append(Label(x, y, name, INK))
        whisker(axes, x_own.value, y_own.value, x_own, along_x=True)
        whisker(axes, x_own.value, y_own.value, y_own)
        ends += cross(x_own.value, y_own.value, (x_own.lo, x_own.hi), (y_own.lo, y_own.hi))
        ring = {"color": INK, "markersize": 7.5, "markerfacecolor": "none", "markeredgewidth": 1.7}
        (dot,) = axes.plot([x_own.value], [y_own.value], "D", **ring)
        mark(dot, f"this run: {quality_name} {number(quality, x_own.value)}, {bias_name} {number(bias, y_own.value)}")
        axes.axhline(0, color=MUTED, linewidth=0.9)
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, 0.0), high + 0.4 * (high - min(low, 0.0)))  # room for names
        bottom, top = axes.get_ylim()
        axes.set_ylim(min(bottom, -0.08 * (top - bottom)), top + 0.04 * (top - bottom))
        if math.isfinite(level := chance(quality, own.metrics)):
            _chance(axes, level)
        unit = ", %" if entry(quality).unit.startswith("%") else ""
        axes.set(xlabel=f"{quality_name}{unit} →", ylabel=axis)
        ends += cross(0, 0, axes.get_xlim(), (0, 0))  # the line of no bias
        label_points(axes, labels, ends)

    note = f"{where(bias)}; {of.told(own.alpha)}; {of.models} each; best: right, and at 0; {BAND}; {WHISKER}"
    if of.told(own.alpha) != f"α = {own.alpha:g}":
        note += f"; this run: α = {own.alpha:g}"
    points = [
        f"{name} {number(quality, float(row[(quality, 'mean')]))}, {number(bias, float(row[(bias, 'mean')]))}"
        for name, row in cells.iterrows()
    ]
    data = pd.DataFrame(
        [(name, row[(quality, "mean")], row[(bias, "mean")]) for name, row in cells.iterrows()]
        + [(f"this run, {name}", x, y) for name, x, y in erasers]
        + [("this run", x_own.value, y_own.value)],
        columns=pd.Index(["line", quality, bias]),
    )
    points.append(f"this run {number(quality, x_own.value)}, {number(bias, y_own.value)}")
    alt = f"{label(bias)} against {label(quality)}: {'; '.join(points)}"
    title = _traded(own, study, quality, bias) if of is study else _beaten(best, len(names), quality, bias)
    return Panel("answer-trade", alt, draw, height=HEIGHT, title=title, note=note, data=data)


def _apart(one: Estimate, ideal: float) -> Estimate:
    """Return the distance of a value from its ideal, and that of its interval."""
    low, high = one.lo - ideal, one.hi - ideal
    ends = sorted((abs(low), abs(high)))
    return Estimate(abs(one.value - ideal), 0.0 if low <= 0 <= high else ends[0], ends[1], n=one.n)


def _chance(axes: Axes, level: float) -> None:
    """Mark what a model that knows nothing gives."""
    axes.axvline(level, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
    axes.annotate(
        "chance", (level, 1), (3, -2), xycoords=("data", "axes fraction"), textcoords="offset points", va="top",
        fontsize=SMALL, color=MUTED,
    )  # fmt: skip


def _beaten(best: Sequence[str], count: int, quality: str, bias: str) -> str:
    """Name the levers that no other beats in both means."""
    less, more = name_and_place(bias)[0], name_and_place(quality)[0]
    many = "trade-offs" if len(best) > 1 else "trade-off"
    found = f"Best {many} in the mean of {counted(count, 'lever')}: {joined(best)}"
    return f"{found}; no other has less {less} and more {more}"


def _traded(own: Own, study: Study, quality: str, bias: str) -> str:
    """Say how far a method's means lie from those of random rows, or of all rows, and what of it is shown."""
    names = [name_and_place(key)[0] for key in (bias, quality)]
    plain = f"{capital(names[0])} against {names[1]}"
    held = sweep.held_against(study.comparisons, own.method)
    rows = [study.effect(key, *held, own.alpha) for key in (bias, quality)] if held else []
    if held is None or any(row is None or not math.isfinite(row["difference"]) for row in rows):
        return plain
    said = []
    for name, row in zip(names, rows, strict=True):
        assert row is not None
        ends = [study.mean(row["metric"], one, study.near(own.alpha)) for one in reversed(held)]
        between = f" {number(row['metric'], ends[0]).removesuffix(' %')} to {number(row['metric'], ends[1])}"
        said.append(f"{name}{between if all(map(math.isfinite, ends)) else ''}, {verdict(row)}")
    return f"{'Random rows' if held[1] == RANDOM else held[1].capitalize()} to {held[0]}: {'; '.join(said)}"


def _measures(own: Own, study: Study, keys: Sequence[str]) -> Panel:
    """Draw measures of bias one below the other, on one axis: what is not balanced, random rows, a method, this run."""
    held = sweep.held_against(study.comparisons, own.method)
    methods = study.lines()[: sweep.MOST]
    runs = study.at(own.alpha)
    cells = runs.loc[runs["metric"].isin(list(keys)) & runs["method"].isin(methods), :]
    table = cells.groupby(["metric", "method"])["value"].agg(["mean", "std"]).fillna({"std": 0.0})
    apart = 0.8 / (len(methods) + 1)

    def draw(axes: Axes) -> None:
        for at, method in enumerate(methods):
            colour, shape, _ = sweep.look(method, at)
            for row, key in enumerate(reversed(keys)):
                if (key, method) not in table.index:
                    continue
                mean, std = (float(value) for value in table.loc[(key, method), :])
                y = row + apart * (len(methods) / 2 - at)
                mark(axes.hlines(y, mean - std, mean + std, color=colour, linewidth=4, alpha=0.22), series=method)
                (dot,) = axes.plot([mean], [y], shape, color=colour, markersize=4.5, label=_once(method, row))
                mark(dot, f"{method}, {label(key)}: {number(key, mean)}", method)
        for row, key in enumerate(reversed(keys)):
            one, y = own.metrics[key], row - apart * len(methods) / 2
            whisker(axes, one.value, y, one, along_x=True)
            (dot,) = axes.plot(
                [one.value], [y], "D", color=INK, markersize=5.5, markerfacecolor="none", markeredgewidth=1.6,
                label=_once("this run", row),
            )  # fmt: skip
            mark(dot, f"this run, {label(key)}: {number(key, one.value)} {interval(key, one)}".rstrip())
            level = chance(key, own.metrics)
            if math.isfinite(level) and level:
                axes.vlines(level, row - 0.42, row + 0.42, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
        axes.axvline(0, color=MUTED, linewidth=0.9)
        names = [f"{name_and_place(key)[0]}\n{where(key)}".rstrip() for key in reversed(keys)]
        for row in range(1, len(keys)):
            axes.axhline(row - 0.5, color=RULE, linewidth=0.8)
        axes.set_yticks(range(len(keys)), names)
        axes.set_ylim(-0.55, len(keys) - 0.45)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("bias, 0: none")
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.03, 0.99), ncols=len(methods) + 1, borderpad=0,
            handletextpad=-0.35, columnspacing=0.3, fontsize=SMALL,
        )  # fmt: skip

    def value(key: str, method: str) -> float:
        return float(table["mean"].get((key, method), math.nan))

    data = pd.DataFrame(
        [(key, method, value(key, method)) for key in keys for method in methods]
        + [(key, "this run", own.metrics[key].value) for key in keys],
        columns=pd.Index(["metric", "line", "value"]),
    )
    alt = "; ".join(
        f"{label(key)}: this run {number(key, own.metrics[key].value)}"
        + "".join(f", {method} {number(key, value(key, method))}" for method in methods)
        for key in keys
    )
    note = f"{study.told(own.alpha)}; dotted: chance, where it is not 0; {BAND}; {WHISKER}"
    height = 0.65 + (0.13 + 0.07 * len(methods)) * len(keys)
    return Panel(
        "answer-bias", f"Bias measured {len(keys)} ways. {alt}", draw, height=height,
        title=_told_apart(own, study, keys, held), note=note, data=data,
    )  # fmt: skip


def _once(name: str, row: int) -> str:
    """Name a mark in the legend the first time."""
    return "" if row else name


def _told_apart(own: Own, study: Study, keys: Sequence[str], held: tuple[str, str] | None) -> str:
    """Count the measures of bias by which the means of a method lie nearer to 0, and by which that is shown."""
    rows = [study.effect(key, *held, own.alpha) for key in keys] if held else []
    known = [row for row in rows if row and math.isfinite(row["difference"])]
    if held is None or not known:
        return f"Bias, measured {len(keys)} ways"
    against = "random rows" if held[1] == RANDOM else held[1]
    nearer = [lessens(row) for row in known].count(True)
    shown = [verdict(row) for row in known if is_shown(row)]
    counts = " and ".join(f"{word} by {shown.count(word)}" for word in ("better", "worse") if word in shown)
    return (
        f"{held[0]} lies nearer to 0 than {against} by {nearer} of {len(known)} measures of bias; "
        f"shown: {counts or 'none'}"
    )


def _erasers(erased: pd.DataFrame, quality: str, bias: str) -> list[tuple[str, float, float]]:
    """Take what the eraser that leaves the least bias leaves of both metrics; empty: none was tried."""
    if erased.empty:
        return []
    wide = erased.pivot_table(index="eraser", columns="metric", values="value", sort=False)
    if not {quality, bias} <= set(wide):
        return []
    found = [(str(name), float(row[quality]), float(row[bias])) for name, row in wide.iterrows() if name != "none"]
    return sorted(found, key=lambda lever: abs(lever[2]))[:1]
