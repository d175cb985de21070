"""The first screen: what a run says in four sentences and three charts, beside the committed study of its profile.

Nothing in it is decided beforehand: what is better, worse or not shown is read off the intervals of the study,
corrected for their number, for several measures of bias that may disagree, for quality, and for random rows beside the
method.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from stages.results import sweep
from stages.results.details import Details, Estimate
from stages.results.effects import NOT_SHOWN, corrected, evidence, is_shown, leaves_out_0, verdict, written
from stages.results.formatting import NOT_BALANCED, counted, difference, interval, number
from stages.results.headline import headlines
from stages.results.labels import Label, label_points
from stages.results.metric_change import worsening
from stages.results.panels import INK, MUTED, SMALL, Panel, mark
from stages.results.registry import chance, entry, label, look_up, name_and_place
from stages.results.sweep import METHODS, RANDOM, Own, whisker

# What stands for "where does the model lie", the first that most cells of the study have; and for bias beside quality.
PLACES = (
    "portraits.unseen.position", "portraits.seen.position", "text.position", "portraits.unseen.pairwise_association",
    "portraits.seen.pairwise_association", "rb.gender.margin",
)  # fmt: skip
BIASES = ("portraits.unseen.pairwise_association", "portraits.seen.pairwise_association", "rb.gender.margin")
MEASURED = {  # biases that share an axis, and each in plain words
    "{set}.pairwise_association": "how far choices between two occupations follow the stereotype, 0 never, 1 always",
    "{set}.[{attribute}.]ab.max": "the largest difference between women and men in an occupation's probability",
    "[{set}.]rb.{attribute}": "how far the share of neutral images that lean to one gender is from ½",
}
VERDICTS = ("better", "worse", "higher", "lower", "equal", NOT_SHOWN)  # in the order in which they are said
FILLED = 0.5  # share of the cells of lines not balanced that have to have a metric
HEIGHT = 2.45  # inches of a chart: all is on the first screen
BAND, WHISKER = "bands ± 1 SD", "capped 95 %"  # what notes say of both


@dataclass(frozen=True)
class Study:
    """
    Tables of `results/study/`, as `stages.tools.compare` writes them; effects with their number of test images.

    Attributes
    ----------
    claims : int
        Effects that are corrected together, see `claiming`; 0: none is.
    """

    runs: pd.DataFrame
    comparisons: pd.DataFrame
    trends: pd.DataFrame
    claims: int = 0

    @property
    def size(self) -> str:
        """What it is made of, in words: the settings of its lines, and those of a single α."""
        lines = self.lines()
        drawn = self.runs.loc[self.runs["method"].isin(lines), ["alpha", "method"]].drop_duplicates()
        rest = [name for name in dict.fromkeys(self.runs["method"]) if name not in lines]
        said = f"{counted(len(drawn), 'setting')} ({counted(len(lines), 'method')} at {drawn['alpha'].nunique()} α)"
        more = f"; in its tables alone: {', '.join(rest)}" if rest else ""
        return f"{said}, {self.models} each{more}"

    @property
    def models(self) -> str:
        """How many models each setting has, in words."""
        counts = self.runs.groupby(["alpha", "method"])["seed"].nunique()
        least, most = int(counts.min()), int(counts.max())
        return counted(most, "model") if least == most else f"{least} to {counted(most, 'model')}"

    def lines(self) -> list[str]:
        """Name the methods of more than one α, the best known first."""
        counts = self.runs.groupby("method")["alpha"].nunique()
        methods = [str(name) for name in sorted(counts.index, key=lambda name: (sweep.order(str(name)), str(name)))]
        return [name for name in methods if counts[name] > 1]

    def claiming(self, own: Own, metrics: Collection[str]) -> "Study":
        """
        Correct together what a page says of metrics: of contamination, of a method, and of what quality costs.

        Returns
        -------
        Study
            With the column p_claims (`stages.results.effects.corrected`) in comparisons and trends.
        """
        pair = sweep.held_against(self.comparisons, own.method) or ("", "")
        of, last = self.comparisons, self.trends
        pairs = list(zip(of["method"], of["reference"], strict=True))
        cost = [(pair[0], NOT_BALANCED), (RANDOM, NOT_BALANCED)] if pair[1] == RANDOM else []
        quality, here = quality_of(own.metrics, self), self.stands(own.alpha)
        compared = [
            metric in metrics and (both == pair or (both in cost and metric == quality and _text(alpha) == here))
            for metric, both, alpha in zip(of["metric"], pairs, of["alpha"], strict=True)
        ]
        farthest = last["alpha_to"] == last.groupby(["metric", "method"])["alpha_to"].transform("max")
        moved = (last["metric"].isin(list(metrics)) & (last["method"] == NOT_BALANCED) & farthest).tolist()
        (comparisons, trends), claims = corrected([of, last], [compared, moved])
        return replace(self, comparisons=comparisons, trends=trends, claims=claims)

    def at(self, alpha: float) -> pd.DataFrame:
        """Return the runs at an α; all of them where there is none."""
        return self.runs.loc[np.isclose(self.runs["alpha"], alpha), :] if self.has_alpha(alpha) else self.runs

    def has_alpha(self, alpha: float) -> bool:
        """Tell whether it has an α."""
        return bool(np.isclose(self.runs["alpha"], alpha).any())

    def stands(self, alpha: float) -> str:
        """Name the α that `at` and `effect` are of, as comparisons do."""
        there = self.has_alpha(alpha) or self.runs["alpha"].nunique() == 1
        return _text(self.at(alpha)["alpha"].iloc[0]) if there else sweep.MEAN

    def told(self, alpha: float) -> str:
        """Say of which α `at` and `effect` are."""
        stands = self.stands(alpha)
        return "mean over α" if stands == sweep.MEAN else f"α = {stands}"

    def effect(self, metric: str, method: str, reference: str, alpha: float) -> Mapping[str, Any] | None:
        """Return the row of a comparison at an α, or of the mean over all."""
        return self.row("comparisons", metric=metric, method=method, reference=reference, alpha=self.stands(alpha))

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
            texts = [_text(one) for one in rows[name]]
            rows = rows.loc[[text == value for text in texts], :]
        return cast(Mapping[str, Any], rows.iloc[0].to_dict()) if len(rows) else None


def _text(value: object) -> str:
    """Write an α, or what stands in its place."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


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


def biases_of(metrics: Details, study: Study | None = None) -> list[str]:
    """Name the measures of bias that share an axis, which may disagree; by kind, unseen portraits before seen."""
    keys = [key for kind, family in headlines(metrics) if kind == "bias" for key in family]
    keys = [key for key in keys if entry(key).key in MEASURED and (study is None or study.has(key))]
    return sorted(keys, key=lambda key: list(MEASURED).index(entry(key).key))


def sentences(own: Own, target: str, study: Study | None, balance: Mapping[str, Any]) -> list[str]:
    """
    Say what the run shows, what contamination does in the study, and what balancing does there.

    Parameters
    ----------
    target : str
        Towards what the mix is balanced; unused where it is not.
    balance : mapping
        Content of balance.json.

    Returns
    -------
    list of str
        Four at most; ``**…**`` stands around what matters.
    """
    if study is None:
        said = [_run(own, target), _data(own, balance)]
    else:
        said = [_run(own, target), _beside(own, study), _contamination(own, study), _balancing(own, study)]
    return [one for one in said if one]


def _run(own: Own, target: str) -> str:
    images = f"{100 * own.alpha:g} % generated images"
    made = "not balanced" if own.method == NOT_BALANCED else f"balanced by {own.method} towards {target} shares"
    said = [f"**This run** trains on {images}, {made}."]
    if key := quality_of(own.metrics):
        one = own.metrics[key]
        bounds = [f"{number(key, one.value)} {interval(key, one)}".rstrip()]
        if math.isfinite(level := chance(key, own.metrics)):
            bounds.append(f"chance {number(key, level)}")
        if f"{key}.ceiling" in own.metrics:
            bounds.append(f"at most {number(key, own.metrics[f'{key}.ceiling'].value)} by what captions say")
        name, where = name_and_place(key)
        said.append(f"**Quality:** {name} ({_meaning(key)}) on {where} {', '.join(bounds)}.")
    if biases := biases_of(own.metrics) or [key for key in BIASES if key in own.metrics][:1]:
        values = {key: f"{_signed(key, own.metrics[key].value)} {interval(key, own.metrics[key])}" for key in biases}
        said.append(f"**Bias,** 0 for none: {_grouped(values)}.")
    return " ".join(said)


def _meaning(key: str) -> str:
    """Say what a metric counts, with its cut-off."""
    known, fields = look_up(key)
    return known.meaning.replace("top k", f"top {fields.get('k', 'k')}")


def _beside(own: Own, study: Study) -> str:
    """Say what the study is to this run, and by which headline metrics this run is above what is not balanced there."""
    lines = study.lines()
    alphas = study.runs.loc[study.runs["method"].isin(lines), "alpha"].unique()
    named = [f"{name} ({METHODS[name]})" if name in METHODS else name for name in lines]
    at = ", ".join(f"{alpha:g}" for alpha in sorted(alphas))
    seeds = max((one.n for one in own.metrics.values()), default=1)
    said = (
        f"**The study** has this run's profile, so its corpus and model; {study.models} per setting "
        f"(this run: {seeds}): {', '.join(named)}; α = {at}."
    )
    if not study.has_alpha(own.alpha):
        return said
    above: dict[str, dict[str, str]] = {}
    for kind, keys in headlines(own.metrics):
        for key in keys:
            level, one = study.mean(key, NOT_BALANCED, own.alpha), own.metrics[key]
            worse = worsening(key, level, one.value)
            if not math.isfinite(worse) or (worse <= 0 if kind == "bias" else worse >= 0):
                continue
            told = f"{number(key, one.value)} {interval(key, one)}".rstrip()
            above.setdefault(kind, {})[key] = f"{told} against {number(key, level)}{_holds(one, level)}"
    parts = [
        f"in {kind}{' (more of it)' if kind == 'bias' else ''} by {_grouped(found)}" for kind, found in above.items()
    ]
    told = f" at α = {own.alpha:g}" if above else ""
    return f"{said} **Above {NOT_BALANCED} there{told}** is this run {'; '.join(parts) or 'in no headline metric'}."


def _holds(one: Estimate, level: float) -> str:
    """Say that an interval leaves a level out, or that there is none."""
    if not math.isfinite(one.lo + one.hi):
        return ", no interval"
    return "" if one.lo <= level <= one.hi else ", outside"


def _signed(key: str, value: float) -> str:
    return number(key, value, signed=entry(key).span[0] < 0)


def _grouped(values: Mapping[str, str]) -> str:
    """Write what is said of metrics, those of one name together: ``"association bias (unseen portraits 0.2, …)"``."""
    names: dict[str, list[tuple[str, str]]] = {}
    for key, text in values.items():
        names.setdefault(name_and_place(key)[0], []).append((where(key), text.strip()))
    parts = []
    for name, of in names.items():
        inner = ", ".join(" ".join(filter(None, one)) for one in of)
        parts.append(f"{name} ({inner})" if any(place for place, _ in of) else f"{name} {inner}")
    return ", ".join(part.rstrip() for part in parts)


def where(key: str) -> str:
    """Say where a metric is measured, e.g. ``"unseen portraits"``; empty for gender, of which all of it is."""
    parts = [part for part in name_and_place(key)[1].split(" · ") if part != "gender"]
    return " ".join(reversed(parts)) if parts[-1:] in (["seen"], ["unseen"]) else ", ".join(parts)


def _judged(rows: Mapping[str, Mapping[str, Any] | None], full: Sequence[str] = ()) -> str:
    """Sort metrics by what is shown of them; of what is not, those in `full` keep their effect and interval."""
    found: dict[str, dict[str, str]] = {}
    for key, row in rows.items():
        if row is None:
            continue
        if not math.isfinite(row["difference"]):
            found.setdefault("differs with α", {})[key] = ""
        else:
            said = verdict(row)
            clear = leaves_out_0(row)
            parts = (written(row) if clear or key in full else "", evidence(row) if clear else "")
            found.setdefault(said, {})[key] = " ".join(filter(None, parts))
    order = [*VERDICTS, *(said for said in found if said not in VERDICTS)]
    return "; ".join(f"**{said}:** {_grouped(found[said])}" for said in order if said in found)


def _studied(own: Own, study: Study) -> tuple[list[str], str]:
    """Name the metrics that sentences on the study are about, and which of them is of quality."""
    quality = quality_of(own.metrics, study)
    lies = place_of(study)
    keys = biases_of(own.metrics, study)
    if lies and lies not in keys:
        keys = [lies, *keys]
    return [*keys, *([quality] if quality else [])], quality


def spoken_of(own: Own, study: Study) -> list[str]:
    """Name the metrics that sentences on the study are about."""
    return _studied(own, study)[0]


def _contamination(own: Own, study: Study) -> str:
    keys, quality = _studied(own, study)
    rows = {key: _last(study, key) for key in keys}
    known = [row for row in rows.values() if row]
    if not known:
        return ""
    span = f"α = {known[0]['alpha_from']:g} to {known[0]['alpha_to']:g}"
    return f"**Generated images alone** (not balanced, {span}, {_replicates(known)}) – {_judged(rows, [quality])}."


def _replicates(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say how many replicates effects stand on."""
    counts = sorted({int(row["replicates"]) for row in rows})
    each = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{each} replicate{'' if counts == [1] else 's'}"


def _balancing(own: Own, study: Study) -> str:
    held = sweep.held_against(study.comparisons, own.method)
    if held is None:
        return ""
    method, reference = held
    keys, quality = _studied(own, study)
    rows = {key: study.effect(key, method, reference, own.alpha) for key in keys}
    known = [row for row in rows.values() if row]
    if not known:
        return ""
    against = "as many random rows" if reference == RANDOM else reference
    stands = f"{study.told(own.alpha)}, {_replicates(known)}"
    said = f"**Balancing by {method}** against {against} ({stands}) – {_judged(rows, [quality])}."
    cost = _cost(study, quality, method, own.alpha) if reference == RANDOM else ""
    return " ".join(filter(None, (said, _elsewhere(study, rows, held), cost)))


def _elsewhere(study: Study, rows: Mapping[str, Mapping[str, Any] | None], held: tuple[str, str]) -> str:
    """Say what becomes of effects at the α that they are not stated at, and what is shown there."""
    here = {_text(row["alpha"]) for row in rows.values() if row}
    table = study.comparisons
    of = table.loc[(table["method"] == held[0]) & (table["reference"] == held[1]), :]
    alphas = [one for one in dict.fromkeys(map(_text, of["alpha"])) if one not in here and one != sweep.MEAN]
    if not alphas:
        return ""
    sizes: dict[str, str] = {}
    shown: dict[str, list[str]] = {}
    for key, row in rows.items():
        there = [study.row("comparisons", metric=key, method=held[0], reference=held[1], alpha=one) for one in alphas]
        if row and leaves_out_0(row):
            sizes[key] = ", ".join(difference(key, one["difference"], signed=True) if one else "–" for one in there)
        for one in there:
            if one and is_shown(one):
                shown.setdefault(key, []).append(f"{verdict(one)} at {_text(one['alpha'])}")
    told = _grouped({key: " ".join(seen) for key, seen in shown.items()})
    parts = [_grouped(sizes), f"shown there: {told}" if shown else "nothing is shown there"]
    at = " and ".join(filter(None, (", ".join(alphas[:-1]), alphas[-1])))
    return f"**At α = {at}:** {'; '.join(filter(None, parts))}."


def _cost(study: Study, quality: str, method: str, alpha: float) -> str:
    """Say what a method and random rows change in quality against all rows, and whether the two are told apart."""
    rows = [study.effect(quality, *pair, alpha) for pair in ((method, NOT_BALANCED), (RANDOM, NOT_BALANCED))]
    if any(row is None or not math.isfinite(row["difference"]) for row in rows):
        return ""
    both = [f"{' '.join(filter(None, (written(row), evidence(row))))}, {verdict(row)}" for row in rows if row]
    said = f"{name_and_place(quality)[0]} against {NOT_BALANCED}: {method} **{both[0]}**; random rows {both[1]}"
    beside = study.effect(quality, method, RANDOM, alpha)
    alike = beside is not None and math.isfinite(beside["difference"]) and not is_shown(beside)
    if alike:
        said += "; between the two no difference is shown"
    return f"{said[:1].upper()}{said[1:]}."


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
    Draw where models lie against α, bias against quality, and all measures of bias; this run marked in each.

    Parameters
    ----------
    erased : DataFrame
        eraser, metric, value: levers after training on this run; may be empty.

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
        found.append(_trade(own, study, erased, quality, bias))
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


def _points(study: Study, own: Own, quality: str, bias: str) -> pd.DataFrame:
    """Return mean and spread of both metrics for each line, at the α of `Study.at`."""
    runs = study.at(own.alpha)
    wide = runs.loc[runs["metric"].isin([quality, bias]), :].pivot_table(
        index=["method", "alpha", "seed"], columns="metric", values="value"
    )
    cells = wide.dropna().groupby("method")[[quality, bias]].agg(["mean", "std", "size"])
    cells = cells.sort_index(key=lambda names: pd.Index([sweep.order(str(name)) for name in names]), kind="stable")
    return cells.loc[~cells.round(9).duplicated(), :]  # a variant that changes nothing is the same point


def _trade(own: Own, study: Study, erased: pd.DataFrame, quality: str, bias: str) -> Panel:
    levers = _levers(erased, quality, bias)
    cells = _points(study, own, quality, bias).head(sweep.MOST - len(levers))
    quality_name, bias_name = name_and_place(quality)[0], name_and_place(bias)[0]
    x_own, y_own = own.metrics[quality], own.metrics[bias]

    def draw(axes: Axes) -> None:
        labels = [Label(x_own.value, y_own.value, "this run", INK, weight="bold")]
        ends: list[tuple[float, float]] = []
        for at, (name, row) in enumerate(cells.iterrows()):
            method, (x, y) = str(name), (float(row[(quality, "mean")]), float(row[(bias, "mean")]))
            colour, shape, _ = sweep.look(method, at)
            wide, high = np.nan_to_num([float(row[(quality, "std")]), float(row[(bias, "std")])])
            for line, at_, low, up in ((axes.hlines, y, x - wide, x + wide), (axes.vlines, x, y - high, y + high)):
                mark(line(at_, low, up, color=colour, linewidth=5, alpha=0.22), series=method)
            (dot,) = axes.plot([x], [y], shape, color=colour, markersize=6)
            mark(dot, f"{method}: {quality_name} {number(quality, x)}, {bias_name} {number(bias, y)}", method)
            labels.append(Label(x, y, method, colour, method))
            ends += _cross(x, y, (x - wide, x + wide), (y - high, y + high))
        for name, x, y in levers:
            (dot,) = axes.plot([x], [y], "P", color=INK, markersize=5)
            mark(dot, f"this run, {name} after training: {number(quality, x)}, {number(bias, y)}")
            labels.append(Label(x, y, name, INK))
        whisker(axes, x_own.value, y_own.value, x_own, along_x=True)
        whisker(axes, x_own.value, y_own.value, y_own)
        ends += _cross(x_own.value, y_own.value, (x_own.lo, x_own.hi), (y_own.lo, y_own.hi))
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
        axes.set(xlabel=f"{quality_name} →", ylabel=f"{bias_name}, 0: none")
        label_points(axes, labels, ends)

    note = f"{where(bias)}; {study.told(own.alpha)}; best: right, and at 0; {BAND}; {WHISKER}"
    if study.told(own.alpha) != f"α = {own.alpha:g}":
        note += f"; this run: α = {own.alpha:g}"
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
    title = _traded(own, study, quality, bias)
    return Panel("answer-trade", alt, draw, height=HEIGHT, title=title, note=note, data=data)


def _cross(x: float, y: float, wide: tuple[float, float], high: tuple[float, float]) -> list[tuple[float, float]]:
    """Walk along the whiskers of a point."""
    steps = [(float(at), y) for at in np.linspace(*wide, 9)] + [(x, float(at)) for at in np.linspace(*high, 9)]
    return [step for step in steps if math.isfinite(sum(step))]


def _chance(axes: Axes, level: float) -> None:
    """Mark what a model that knows nothing gives."""
    axes.axvline(level, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
    axes.annotate(
        "chance", (level, 1), (3, -2), xycoords=("data", "axes fraction"), textcoords="offset points", va="top",
        fontsize=SMALL, color=MUTED,
    )  # fmt: skip


def _traded(own: Own, study: Study, quality: str, bias: str) -> str:
    """Say whether a method is told apart from random rows, or from all rows, in bias and in quality."""
    names = [name_and_place(key)[0] for key in (bias, quality)]
    plain = f"{names[0][:1].upper()}{names[0][1:]} against {names[1]}"
    held = sweep.held_against(study.comparisons, own.method)
    rows = [study.effect(key, *held, own.alpha) for key in (bias, quality)] if held else []
    if held is None or any(row is None or not math.isfinite(row["difference"]) for row in rows):
        return plain
    said = [
        f"{name} {verdict(row)} by {difference(row['metric'], abs(row['difference']))}"
        if is_shown(row)
        else f"no difference in {name} shown"
        for name, row in zip(names, rows, strict=True)
        if row
    ]
    return f"{held[0]} beside {'random rows' if held[1] == RANDOM else held[1]}: {', '.join(said)}"


def _measures(own: Own, study: Study, keys: Sequence[str]) -> Panel:
    """Draw measures of bias one below the other, on one axis: what is not balanced, random rows, a method, this run."""
    held = sweep.held_against(study.comparisons, own.method)
    methods = list(dict.fromkeys(filter(None, (NOT_BALANCED, *reversed(held or ())))))
    runs = study.at(own.alpha)
    cells = runs.loc[runs["metric"].isin(list(keys)) & runs["method"].isin(methods), :]
    table = cells.groupby(["metric", "method"])["value"].agg(["mean", "std"]).fillna({"std": 0.0})
    apart = 0.22

    def draw(axes: Axes) -> None:
        for at, method in enumerate(methods):
            colour, shape, _ = sweep.look(method, at)
            for row, key in enumerate(reversed(keys)):
                if (key, method) not in table.index:
                    continue
                mean, std = (float(value) for value in table.loc[(key, method), :])
                y = row + apart * ((len(methods) - 1) / 2 - at + 0.5)
                mark(axes.hlines(y, mean - std, mean + std, color=colour, linewidth=5, alpha=0.22), series=method)
                (dot,) = axes.plot([mean], [y], shape, color=colour, markersize=5.5, label=_once(method, row))
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
        axes.set_yticks(range(len(keys)), names)
        axes.set_ylim(-0.6, len(keys) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("bias, 0: none")
        axes.legend(
            loc="lower right", bbox_to_anchor=(1, 0.99), ncols=len(methods) + 1, borderpad=0, handletextpad=-0.2,
            columnspacing=0.7, fontsize=SMALL,
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
    return Panel(
        "answer-bias", f"Bias measured {len(keys)} ways. {alt}", draw, height=0.65 + 0.34 * len(keys),
        title=_told_apart(own, study, keys, held), note=note, data=data,
    )  # fmt: skip


def _once(name: str, row: int) -> str:
    """Name a mark in the legend the first time."""
    return "" if row else name


def _told_apart(own: Own, study: Study, keys: Sequence[str], held: tuple[str, str] | None) -> str:
    """Count the measures of bias by what a method is shown to do to them."""
    rows = [study.effect(key, *held, own.alpha) for key in keys] if held else []
    known = [row for row in rows if row and math.isfinite(row["difference"])]
    verdicts = [verdict(row) if is_shown(row) or verdict(row) == "equal" else NOT_SHOWN for row in known]
    counts = {said: verdicts.count(said) for said in VERDICTS if said in verdicts}
    if held is None or not counts:
        return f"Bias, measured {len(keys)} ways"
    against = "random rows" if held[1] == RANDOM else held[1]
    said = [f"not shown to differ by {n}" if word == NOT_SHOWN else f"{word} by {n}" for word, n in counts.items()]
    return f"By {len(verdicts)} measures of bias, {held[0]} beside {against} is {', '.join(said)}"


def _levers(erased: pd.DataFrame, quality: str, bias: str) -> list[tuple[str, float, float]]:
    """Take what the eraser that leaves the least bias leaves of both metrics; empty: none was tried."""
    if erased.empty:
        return []
    wide = erased.pivot_table(index="eraser", columns="metric", values="value", sort=False)
    if not {quality, bias} <= set(wide):
        return []
    found = [(str(name), float(row[quality]), float(row[bias])) for name, row in wide.iterrows() if name != "none"]
    return sorted(found, key=lambda lever: abs(lever[2]))[:1]
