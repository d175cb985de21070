"""The first screen: what a run says in three sentences and two charts, beside the committed study of its profile."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from stages.results import sweep
from stages.results.details import Details
from stages.results.formatting import NOT_BALANCED, difference, interval, number
from stages.results.headline import headlines
from stages.results.panels import INK, MUTED, SMALL, Panel, mark
from stages.results.registry import chance, label, look_up, name_and_place
from stages.results.sweep import Own

# What stands for "where does the model lie", the first that most cells of the study have; and for bias beside quality.
PLACES = (
    "portraits.unseen.position", "portraits.seen.position", "text.position", "portraits.seen.pairwise_association",
    "portraits.unseen.pairwise_association", "rb.gender.margin",
)  # fmt: skip
BIASES = ("portraits.seen.pairwise_association", "portraits.unseen.pairwise_association", "rb.gender.margin")
FILLED = 0.5  # share of the cells of lines not balanced that have to have a metric


@dataclass(frozen=True)
class Study:
    """Tables of `results/study/`, as `stages.tools.compare` writes them."""

    runs: pd.DataFrame
    comparisons: pd.DataFrame
    trends: pd.DataFrame

    @property
    def size(self) -> str:
        """What it is made of, in words."""
        settings = len(self.runs[["alpha", "method"]].drop_duplicates())
        return f"{settings} settings, {self.runs['seed'].nunique()} replicates"

    def mean(self, metric: str, method: str, alpha: float) -> float:
        """Return the mean of a cell; NaN where there is none."""
        found = self.runs.loc[(self.runs["metric"] == metric) & (self.runs["method"] == method), :]
        return float(found.loc[np.isclose(found["alpha"], alpha), "value"].mean())

    def has(self, metric: str) -> bool:
        """Tell whether most cells that are not balanced have a metric, at two or more α."""
        plain = self.runs.loc[self.runs["method"] == NOT_BALANCED, :]
        own = plain.loc[plain["metric"] == metric, "alpha"]
        return own.nunique() > 1 and own.nunique() >= FILLED * plain["alpha"].nunique()

    def row(self, table: str, **where: str) -> Mapping[str, Any] | None:
        """Return the first row of a table, ``comparisons`` or ``trends``, with these values."""
        rows: pd.DataFrame = getattr(self, table)
        for name, value in where.items():
            rows = rows.loc[rows[name].astype(str) == value, :]
        return cast(Mapping[str, Any], rows.iloc[0].to_dict()) if len(rows) else None


def quality_of(metrics: Details, study: Study | None = None) -> str:
    """Name the first headline metric of quality that the run, and the study, have; empty: none."""
    for kind, keys in headlines(metrics):
        for key in keys:
            if kind == "quality" and (study is None or study.has(key)):
                return key
    return ""


def bias_of(metrics: Details, study: Study | None = None) -> str:
    """Name the metric of bias that stands for the others; empty: none."""
    return next((key for key in BIASES if key in metrics and (study is None or study.has(key))), "")


def sentences(own: Own, target: str, study: Study | None, balance: Mapping[str, Any]) -> list[str]:
    """
    Say what the run shows: its quality, its bias, and what contamination and balancing do in the study.

    Parameters
    ----------
    target : str
        Towards what the mix is balanced; unused where it is not.
    balance : mapping
        Content of balance.json.

    Returns
    -------
    list of str
        Three at most; ``**…**`` stands around what matters.
    """
    said = [_quality(own, target, study), _bias(own, study), _effect(own, study) or _data(own, balance)]
    return [one for one in said if one]


def _made(own: Own, target: str) -> str:
    images = f"{100 * own.alpha:g} % generated images"
    if own.method == NOT_BALANCED:
        return f"This run trains on {images}, not balanced"
    return f"This run trains on {images}, balanced by {own.method} towards {target} shares"


def _quality(own: Own, target: str, study: Study | None) -> str:
    key = quality_of(own.metrics)
    if not key:
        return f"{_made(own, target)}."
    one = own.metrics[key]
    bounds = []
    if math.isfinite(level := chance(key, own.metrics)):
        bounds.append(f"chance gives {number(key, level)}")
    if f"{key}.ceiling" in own.metrics:
        bounds.append(f"the captions allow at most {number(key, own.metrics[f'{key}.ceiling'].value)}")
    if study and own.method != NOT_BALANCED and math.isfinite(plain := study.mean(key, NOT_BALANCED, own.alpha)):
        bounds.append(f"without balancing the study has {number(key, plain)}")
    name, where = name_and_place(key)
    said = f"{_made(own, target)}. Its {name} on {where} ({_plain(key)}) is **{number(key, one.value)}**"
    said = f"{said} {interval(key, one)}".rstrip()
    return f"{said}; {', '.join(bounds)}." if bounds else f"{said}."


def _plain(key: str) -> str:
    """Say what a metric counts, with its own cut-off."""
    known, fields = look_up(key)
    return known.meaning.replace("top k", f"top {fields.get('k', 'k')}")


def _bias(own: Own, study: Study | None) -> str:
    key = bias_of(own.metrics)
    if not key:
        return ""
    one = own.metrics[key]
    said = f"{_meant(key)} **{number(key, one.value, signed=True)}** {interval(key, one)}".rstrip()
    others = []
    for method, words in ((NOT_BALANCED, "without balancing"), ("random", "with a random subset"), ("m4", "with m4")):
        value = study.mean(key, method, own.alpha) if study and method != own.method else math.nan
        if math.isfinite(value) and len(others) < 2:
            others.append(f"{number(key, value, signed=True)} {words}")
    return f"{said}; the study at the same α has {' and '.join(others)}." if others else f"{said}."


def _meant(key: str) -> str:
    if key.endswith("pairwise_association"):
        where = name_and_place(key)[1].replace(" · ", ", ")
        return f"From 0 (gender does not count) to 1 (always the stereotype), its choice of occupations ({where}) is at"
    return f"Its {label(key)} (0: none) is"


def _effect(own: Own, study: Study | None) -> str:
    if study is None:
        return ""
    parts = []
    key = place_of(study)
    if row := _last(study, key):
        ends = f"{number(key, row['value_from'])} to {number(key, row['value_to'])}"
        clear = row["lo"] > 0 or row["hi"] < 0
        name, where = (part.replace(" · ", ", ") for part in name_and_place(key))
        moved = "takes" if clear else "does not clearly change"
        span = f"α = {row['alpha_from']:g} to {row['alpha_to']:g}"
        said = f"{moved} the {name} ({where}) from {ends}" if clear else f"{moved} the {name} ({where}; {ends})"
        parts.append(f"In the study, contamination alone, {span}, {said}")
    quality = quality_of(own.metrics, study)
    whole = study.row("comparisons", metric=quality, method="m4", reference=NOT_BALANCED, alpha="mean")
    if whole and math.isfinite(whole["difference"]):
        name = name_and_place(quality)[0]
        cost = f"m4 changes {name} by **{_effect_of(quality, whole)}** against not balanced"
        rest = study.row("comparisons", metric=quality, method="m4", reference="random", alpha="mean")
        if rest and math.isfinite(rest["difference"]):
            cost += f", and by {_effect_of(quality, rest)} against as many rows drawn at random"
            if whole["hi"] < 0 and rest["lo"] < 0 < rest["hi"]:
                cost += ": the price is that of fewer different rows"
        parts.append(cost)
    return f"{'; '.join(parts)}." if parts else ""


def _effect_of(key: str, row: Mapping[str, Any]) -> str:
    written = difference(key, row["difference"], signed=True)
    if not math.isfinite(row["lo"] + row["hi"]):
        return written
    low, high = (difference(key, row[end], signed=True).removesuffix(" points") for end in ("lo", "hi"))
    return f"{written} [{low}, {high}]"


def _last(study: Study, key: str) -> Mapping[str, Any] | None:
    """Return what the most contamination changes, not balanced."""
    rows = study.trends
    rows = rows.loc[(rows["metric"] == key) & (rows["method"] == NOT_BALANCED), :].sort_values("alpha_to")
    return cast(Mapping[str, Any], rows.iloc[-1].to_dict()) if len(rows) else None


def _data(own: Own, balance: Mapping[str, Any]) -> str:
    before, after = balance.get("before", {}), balance.get("realised", {})
    if own.method == NOT_BALANCED or "ab" not in before or "ab" not in after:
        return ""
    kept = after.get("effective_share")
    rest = f", and keeps an effective {100 * kept:.0f} % of the rows" if kept is not None else ""
    return (
        f"Balancing takes the largest association in its data from {100 * before['ab']:.1f} to "
        f"**{100 * after['ab']:.1f} points**{rest}."
    )


def place_of(study: Study) -> str:
    """Name the metric whose course over α the first chart shows; empty: none."""
    return next((key for key in PLACES if study.has(key)), "")


def charts(own: Own, study: Study | None, erased: pd.DataFrame) -> list[Panel]:
    """
    Draw where models lie against α, and bias against quality, both with this run marked.

    Parameters
    ----------
    erased : DataFrame
        eraser, metric, value: levers after training on this run; may be empty.

    Returns
    -------
    list of Panel
        Two; fewer without a study.
    """
    if study is None:
        return []
    found = []
    if key := place_of(study):
        found += sweep.panels(_lines(study), [key], study.comparisons, study.trends, own)[:1]
    quality, bias = quality_of(own.metrics, study), bias_of(own.metrics, study)
    if quality and bias:
        found.append(_trade(own, study, erased, quality, bias))
    return found


def study_charts(own: Own, study: Study, metrics: Sequence[str]) -> list[Panel]:
    """Draw metrics of the study against α, the first four lines, this run marked."""
    table = _lines(study)
    return sweep.panels(table, [key for key in metrics if study.has(key)], study.comparisons, study.trends, own)


def _lines(study: Study) -> pd.DataFrame:
    """Keep what one panel shows: the best known methods of more than one α."""
    counts = study.runs.groupby("method")["alpha"].nunique()
    methods = [str(name) for name in sorted(counts.index, key=lambda name: (sweep.order(str(name)), str(name)))]
    kept = [name for name in methods if counts[name] > 1][: sweep.MOST]
    return study.runs.loc[study.runs["method"].isin(kept), :]


def _points(study: Study, own: Own, quality: str, bias: str) -> pd.DataFrame:
    """Return mean and spread of both metrics for each line at this run's α; of all α where it has none there."""
    runs = study.runs.loc[study.runs["metric"].isin([quality, bias]), :]
    here = runs.loc[np.isclose(runs["alpha"], own.alpha), :]
    wide = (here if len(here) else runs).pivot_table(
        index=["method", "alpha", "seed"], columns="metric", values="value"
    )
    cells = wide.dropna().groupby("method")[[quality, bias]].agg(["mean", "std", "size"])
    cells = cells.sort_index(key=lambda names: pd.Index([sweep.order(str(name)) for name in names]), kind="stable")
    return cells.loc[~cells.round(9).duplicated(), :]  # a variant that changes nothing is the same point


def _trade(own: Own, study: Study, erased: pd.DataFrame, quality: str, bias: str) -> Panel:
    cells = _points(study, own, quality, bias)
    same = bool(np.isclose(study.runs["alpha"], own.alpha).any())
    quality_name, bias_name = name_and_place(quality)[0], name_and_place(bias)[0]
    levers = _levers(erased, quality, bias)
    x_own, y_own = own.metrics[quality], own.metrics[bias]

    def draw(axes: Axes) -> None:
        names: list[tuple[float, float, str, str, str]] = []
        for place, (name, row) in enumerate(cells.iterrows()):
            method, (x, y) = str(name), (float(row[(quality, "mean")]), float(row[(bias, "mean")]))
            colour, shape, _ = sweep.look(method, place)
            half = np.nan_to_num([row[(quality, "std")], row[(bias, "std")]])
            bars = axes.errorbar(
                [x], [y], xerr=half[0], yerr=half[1], fmt="none", ecolor=colour, elinewidth=1, alpha=0.6
            )
            for bar in bars[2]:
                mark(bar, series=method)
            (dot,) = axes.plot([x], [y], shape, color=colour, markersize=6)
            mark(dot, f"{method}: {quality_name} {number(quality, x)}, {bias_name} {number(bias, y)}", method)
            names.append((x, y, method, colour, method))
        for name, x, y in levers:
            (dot,) = axes.plot([x], [y], "P", color=INK, markersize=5)
            mark(dot, f"this run, {name} after training: {number(quality, x)}, {number(bias, y)}")
            names.append((x, y, name, INK, ""))
        if math.isfinite(x_own.lo + x_own.hi):
            axes.hlines(y_own.value, x_own.lo, x_own.hi, color=INK, linewidth=1.3)
        if math.isfinite(y_own.lo + y_own.hi):
            axes.vlines(x_own.value, y_own.lo, y_own.hi, color=INK, linewidth=1.3)
        ring = {"color": INK, "markersize": 7.5, "markerfacecolor": "none", "markeredgewidth": 1.7}
        (dot,) = axes.plot([x_own.value], [y_own.value], "D", **ring)
        mark(dot, f"this run: {quality_name} {number(quality, x_own.value)}, {bias_name} {number(bias, y_own.value)}")
        axes.annotate(
            "this run", (x_own.value, y_own.value), (-8, 7), textcoords="offset points", ha="right", fontsize=SMALL,
            color=INK, weight="bold",
        )  # fmt: skip
        axes.axhline(0, color=MUTED, linewidth=0.9)
        low, high = axes.get_xlim()
        level = chance(quality, own.metrics)
        axes.set_xlim(min(low, 0.0), high + 0.22 * (high - min(low, 0.0)))
        bottom, top = axes.get_ylim()
        axes.set_ylim(min(bottom, -0.08 * (top - bottom)), top + 0.04 * (top - bottom))
        if math.isfinite(level):
            axes.axvline(level, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
            axes.annotate(
                "chance", (level, 1), (3, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
                va="top", fontsize=SMALL, color=MUTED,
            )  # fmt: skip
        _name(axes, names)
        axes.set(xlabel=f"{quality_name} →", ylabel=f"{bias_name}, 0: none")

    title = _traded(cells, quality, bias)
    what = f"α = {own.alpha:g}" if same else f"mean over α; this run: α = {own.alpha:g}"
    note = f"{name_and_place(bias)[1]}; {what}; best: right, and at 0"
    points = [
        f"{name} {number(quality, float(row[(quality, 'mean')]))}, {number(bias, float(row[(bias, 'mean')]))}"
        for name, row in cells.iterrows()
    ]
    data = pd.DataFrame(
        [(name, row[(quality, "mean")], row[(bias, "mean")]) for name, row in cells.iterrows()]
        + [(f"this run, {name}", x, y) for name, x, y in levers]
        + [("this run", x_own.value, y_own.value)],
        columns=pd.Index(["line", quality, bias]),
    )
    points.append(f"this run {number(quality, x_own.value)}, {number(bias, y_own.value)}")
    alt = f"{label(bias)} against {label(quality)}: {'; '.join(points)}"
    return Panel("answer-trade", alt, draw, height=2.7, title=title, note=note, data=data)


def _traded(cells: pd.DataFrame, quality: str, bias: str) -> str:
    """Say what the line of least bias gives and takes against the one that is not balanced."""
    name_q, name_b = name_and_place(quality)[0], name_and_place(bias)[0]
    others = [str(name) for name in cells.index if name != NOT_BALANCED]
    if NOT_BALANCED not in cells.index or not others:
        return f"{name_b[:1].upper()}{name_b[1:]} against {name_q}"
    best = min(others, key=lambda name: abs(cells.loc[name, (bias, "mean")]))
    (b, a), (d, c) = (
        [number(key, float(cells.loc[name, (key, "mean")])) for name in (best, NOT_BALANCED)] for key in (bias, quality)
    )
    return f"{best} takes {name_b} from {a} to {b}, and {name_q} from {c} to {d}"


def _levers(erased: pd.DataFrame, quality: str, bias: str) -> list[tuple[str, float, float]]:
    """Take what erasers leave of both metrics."""
    if erased.empty:
        return []
    wide = erased.pivot_table(index="eraser", columns="metric", values="value", sort=False)
    if not {quality, bias} <= set(wide):
        return []
    return [(str(name), float(row[quality]), float(row[bias])) for name, row in wide.iterrows() if name != "none"]


def _name(axes: Axes, names: Sequence[tuple[float, float, str, str, str]]) -> None:
    """Write names right of points, moved up or down where they would meet."""
    low, high = axes.get_ylim()
    step = 0.09 * (high - low)
    left, right = axes.get_xlim()
    taken: list[tuple[float, float]] = []
    for x, y, name, colour, series in sorted(names, key=lambda one: (one[1], one[0])):
        at = y
        near = [other for at_x, other in taken if abs(at_x - x) < 0.3 * (right - left)]
        while any(abs(at - other) < step for other in near):
            at += step / 4
        taken.append((x, at))
        text = axes.annotate(
            name, (x, at), (11, 0), textcoords="offset points", va="center", fontsize=SMALL, color=colour
        )
        mark(text, series=series)
