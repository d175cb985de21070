"""What a sweep shows: what stands out in sentences, effects in tables, and a chart a metric."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from stages.results.details import Details, Estimate
from stages.results.effects import (
    FEWEST,
    FEWEST_IMAGES,
    FEWEST_REPLICATES,
    NOT_SHOWN,
    Row,
    is_shown,
    is_tested,
    moved,
    verdict,
    written,
)
from stages.results.formatting import NOT_BALANCED, counted, difference, interval, number, vanishes
from stages.results.labels import Label, label_points
from stages.results.panels import AFTER, BEFORE, CHANCE, INK, MUTED, OTHERWISE, PLAIN, REWEIGHED, SMALL, Panel, mark
from stages.results.registry import chance, entry, label, look_up, name_and_place
from stages.results.writing import capital

Dashes = str | tuple[float, tuple[float, ...]]
# Of a method: colour, mark, dashes. Grey is what others are held against.
LOOKS: dict[str, tuple[str, str, Dashes]] = {
    NOT_BALANCED: (BEFORE, "o", "-"),
    "random": (CHANCE, "s", (0, (4, 2))),
    "reweighing": (REWEIGHED, "^", "-"),
    "m4_sgd": (OTHERWISE, "D", "-"),
    "m4": (AFTER, "v", "-"),
}
METHODS = {  # what a line is, in a few words
    NOT_BALANCED: "all rows",
    "random": "as many rows, drawn at random",
    "reweighing": "weights that make groups and labels independent",
    "m4_sgd": "m4's target by stochastic updates, as published",
    "m4": "weights solved to meet the target",
}
MOST = 4  # lines of a panel
STANDING = 3  # effects that a comparison opens with
RANDOM, FOCUS = "random", "m4"  # what a method is held against; the method that titles name
MEAN = "mean"  # in place of an α: the mean over all


def head(table: pd.DataFrame, primary: Sequence[str]) -> str:
    """Say what was run, and what a test of that many replicates can show."""
    runs, alphas, methods = (len(set(table[name])) for name in ("run", "alpha", "method"))
    replicates = table.groupby(["alpha", "method"])["seed"].nunique()
    least, most = int(replicates.min()), int(replicates.max())
    each = counted(most, "replicate") if least == most else f"{least} to {counted(most, 'replicate')}"
    said = f"{counted(runs, 'run')}: {alphas} α, {counted(methods, 'line')}, {each} each."
    if not primary:
        return f"{said} No metric was named before the run, so nothing is tested: effects have intervals and no p."
    named = f"{counted(len(primary), 'metric')} named before the run"
    if most < FEWEST:
        least_p = f"No p of {counted(most, 'replicate')} is below {2 / 2**most:.2g}"
        return f"{said} {least_p}: tests of the {named} would tell nothing, so p is left out."
    return f"{said} Tests: sign flips over replicates, Holm over the {named}."


def with_evidence(effects: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """
    Add what decides whether an effect is shown beside its interval.

    Parameters
    ----------
    effects : DataFrame
        From `compare` or `trends`.
    table : DataFrame
        From `tabulate`, with the sizes of the sets (``n.people``) where they are known.

    Returns
    -------
    DataFrame
        With the columns images: of the metric's set, of the smallest set where it names none; and p_mean: in rows of a
        single α the Holm-corrected p of the mean over α. NaN where unknown, or not tested.
    """
    sizes = {str(key): float(of.min()) for key, of in table.groupby("metric")["value"]}
    known = {
        key.removeprefix("n."): size for key, size in sizes.items() if key.startswith("n.") and key.count(".") == 1
    }

    def count(metric: str) -> float:
        own = look_up(metric)[1].get("set", "").split(".")[0]
        return math.nan if own == "text" or not known else known.get(own, min(known.values()))

    found = effects.assign(images=[count(str(metric)) for metric in effects["metric"]])
    if "reference" not in effects:
        return found
    of = ["metric", "method", "reference"]
    means = found.loc[found["alpha"].astype(str) == MEAN, [*of, "p_holm"]].rename(columns={"p_holm": "p_mean"})
    return found.merge(means, "left", of, validate="many_to_one")


def standing_out(comparisons: pd.DataFrame, changes: pd.DataFrame, metrics: Sequence[str]) -> str:
    """
    Say the clearest effects, `STANDING` at most, each of another metric; or that none is shown, and why.

    What a method does to a line that is not balanced is not named where it can be held against random rows: part of it
    is what fewer rows do.
    """
    span = "Contamination alone, α = {alpha_from:g} to {alpha_to:g},"
    rows = [(span.format_map(row), row) for row in _farthest(changes)]
    against_random = set(comparisons.loc[comparisons["reference"] == RANDOM, "method"])
    rows += [
        (f"Against {row['reference']}{_at(row)}, {row['method']}", row)
        for _, own in comparisons.groupby(["reference", "method", "metric"], sort=False)
        if (row := _standing_for(own))
        and (row["reference"] == RANDOM or (row["reference"] == NOT_BALANCED and row["method"] not in against_random))
    ]
    rows = [(said, row) for said, row in rows if row["metric"] in metrics]
    clear = [(said, row) for said, row in rows if is_shown(row)]
    clear.sort(key=lambda item: -abs(item[1]["difference"]) / max(item[1]["hi"] - item[1]["lo"], 1e-12))
    chosen: dict[str, tuple[str, dict[str, Any]]] = {}
    for said, row in clear:  # of one metric the largest, in the order of the clearest
        _, kept = chosen.setdefault(entry(row["metric"]).key, (said, row))
        if abs(row["difference"]) > abs(kept["difference"]):
            chosen[entry(row["metric"]).key] = (said, row)
    best = [f"{said} {moved(row, label(row['metric']))}" for said, row in list(chosen.values())[:STANDING]]
    if best:
        count = {1: "One effect stands", 2: "Two effects stand"}.get(len(best), "Three effects stand")
        return "\n".join([f"{count} out:", "", *(f"{i}. {one}." for i, one in enumerate(best, 1))])
    few = max((row["replicates"] for _, row in rows), default=0)
    small = min((row["images"] for _, row in rows if row.get("images", 0) > 0), default=math.inf)
    because = [counted(int(few), "replicate")] if few < FEWEST_REPLICATES else []
    because += [counted(int(small), "test image")] if small < FEWEST_IMAGES else []
    why = f": {' and '.join(because)} cannot tell one from noise" if because else ""
    return f"No effect stands out{why}."


def _farthest(changes: pd.DataFrame) -> list[dict[str, Any]]:
    """Take what the most contamination changes, not balanced."""
    plain = changes.loc[changes["method"] == NOT_BALANCED, :]
    return cast(list[dict[str, Any]], plain.loc[plain["alpha_to"] == plain["alpha_to"].max(), :].to_dict("records"))


def _standing_for(own: pd.DataFrame) -> dict[str, Any] | None:
    """Choose the row of a comparison that stands for all α: their mean; where they differ, and agree, the clearest."""
    rows = cast(list[dict[str, Any]], own.to_dict("records"))
    whole = next((row for row in rows if _sums(row)), None)
    each = [row for row in rows if not _sums(row)]
    if whole is None or whole["difference"] == whole["difference"]:
        return whole or each[0]
    agree = len({row["difference"] > 0 for row in each}) == 1
    return max(each, key=lambda row: abs(row["difference"]) / max(row["hi"] - row["lo"], 1e-12)) if agree else None


def _at(row: Mapping[str, Any]) -> str:
    return "" if _sums(row) else f" at α = {row['alpha']}"


def sentences(comparisons: pd.DataFrame, changes: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
    """
    Say what stands out: what contamination changes, and what the methods do, in at most four sentences.

    Parameters
    ----------
    metrics : sequence of str
        Those that may be named; the clearest come first.
    """
    said = []
    plain = _records(changes, metrics, method=NOT_BALANCED)
    last = [row for row in plain if row["alpha_to"] == max(other["alpha_to"] for other in plain)]
    if last:
        span = f"from α = {last[0]['alpha_from']:g} to {last[0]['alpha_to']:g}"
        said.append(f"Contamination alone, {span}, {_listed(last) or 'has no effect that is shown'}.")
    references = [name for name in (NOT_BALANCED, RANDOM, FOCUS) if name in set(comparisons["reference"])]
    over = " (means over α)" if MEAN in set(comparisons["alpha"]) else ""
    for reference in references:
        methods = dict.fromkeys(comparisons.loc[comparisons["reference"] == reference, "method"])
        parts = []
        for method in methods:
            rows = [row for row in _records(comparisons, metrics, method=method, reference=reference) if _sums(row)]
            if moved := _listed(rows):
                parts.append(f"{method} {moved}")
        if parts:
            said.append(f"Against {reference}{over}, {'; '.join(parts)}.")
    return said


def _records(table: pd.DataFrame, metrics: Sequence[str], **where: str) -> list[dict[str, Any]]:
    """Pick rows of some metrics, in that order."""
    if table.empty:
        return []
    for column, value in where.items():
        table = table.loc[table[column] == value, :]
    rows = cast(list[dict[str, Any]], table.to_dict("records"))
    return sorted((row for row in rows if row["metric"] in metrics), key=lambda row: metrics.index(row["metric"]))


def _sums(row: Mapping[str, Any]) -> bool:
    """Tell whether a row sums up all α of a comparison."""
    return row["alpha"] == MEAN


def _listed(rows: Sequence[Mapping[str, Any]]) -> str:
    """Name the three clearest effects of a method; empty where none is shown."""
    clear = [row for row in rows if is_shown(row)]
    clear.sort(key=lambda row: -abs(row["difference"]) / max(row["hi"] - row["lo"], 1e-12))
    return ", ".join(moved(row, label(row["metric"])) for row in clear[:3])


def tables(comparisons: pd.DataFrame, changes: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
    """Tabulate effects as Markdown, a table per question, a row per metric, a column per method."""
    found = []
    if len(changes):
        last = changes.loc[changes["alpha_to"] == changes.groupby("method")["alpha_to"].transform("max"), :]
        spans = sorted({(row["alpha_from"], row["alpha_to"]) for row in last.to_dict("records")})
        ends = " or ".join(f"{low:g} to {high:g}" for low, high in spans)
        found.append(_table(f"Contamination: change from α = {ends}", last, metrics))
    for reference, own in comparisons.groupby("reference", sort=False):
        found.append(_table(f"Methods against {reference}", own, metrics))
    return found


def overview(comparisons: pd.DataFrame, changes: pd.DataFrame, metrics: Sequence[str]) -> str:
    """Tabulate what a study asks as Markdown, a row a metric: contamination; a method beside random and all rows."""
    questions: list[tuple[str, pd.DataFrame]] = []
    if last := _farthest(changes):
        span = f"α = {last[0]['alpha_from']:g} to {last[0]['alpha_to']:g}"
        questions.append((f"contamination, {NOT_BALANCED}, {span}", pd.DataFrame(last)))
    method, reference = held_against(comparisons) or ("", "")
    asked = [(method, reference)]
    if reference == RANDOM:
        asked += [(RANDOM, NOT_BALANCED), (method, NOT_BALANCED)]
    for one, other in asked if method else []:
        own = comparisons.loc[(comparisons["method"] == one) & (comparisons["reference"] == other), :]
        questions.append((f"{one} against {other}", own))
    if not questions:
        return ""
    lines = [
        f"| metric | {' | '.join(title for title, _ in questions)} |",
        f"|---|{'---|' * len(questions)}",
    ]
    for metric in metrics:
        cells = [_cell(rows.loc[rows["metric"] == metric, :]) for _, rows in questions]
        if any(cells):
            lines.append(f"| {_title(metric)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _title(metric: str) -> str:
    return f"{label(metric)} {entry(metric).arrow}".rstrip()


def _table(title: str, rows: pd.DataFrame, metrics: Sequence[str]) -> str:
    methods = list(dict.fromkeys(rows["method"]))
    lines = [f"### {title}", "", f"| metric | {' | '.join(methods)} |", f"|---|{'---|' * len(methods)}"]
    for metric in metrics:
        own = rows.loc[rows["metric"] == metric, :]
        cells = [_cell(own.loc[own["method"] == method, :]) for method in methods]
        if any(cells):
            lines.append(f"| {_title(metric)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(rows: pd.DataFrame) -> str:
    """Write the effects of a method on a metric: their mean, or each where they differ by α."""
    records = cast(list[dict[str, Any]], rows.to_dict("records"))
    if not records:
        return ""
    whole = next((row for row in records if row.get("alpha") == MEAN), records[0])
    if whole["difference"] != whole["difference"]:
        each = [row for row in records if row["alpha"] != MEAN]
        sizes = ", ".join(difference(row["metric"], row["difference"], signed=True) for row in each)
        alphas = ", ".join(str(row["alpha"]) for row in each)
        return f"{sizes} at α = {alphas}: {_where(each) or NOT_SHOWN}{_p(whole)}"
    return f"{written(whole)} {verdict(whole)}{_p(whole)}"


def _p(row: Mapping[str, Any]) -> str:
    return f" (p = {row['p_holm']:.2g})" if is_tested(row) else ""


@dataclass(frozen=True)
class Own:
    """A run that is marked among those of a study."""

    alpha: float
    method: str
    metrics: Details


def panels(
    table: pd.DataFrame,
    metrics: Sequence[str],
    comparisons: pd.DataFrame | None = None,
    changes: pd.DataFrame | None = None,
    own: Own | None = None,
) -> list[Panel]:
    """
    Draw each metric against α.

    Parameters
    ----------
    comparisons, changes : DataFrame, optional
        From `compare` and `trends`: what titles say.
    own : Own, optional
        A run to be marked; where it states a chance level, that is drawn, else the mean of the table's runs.

    Returns
    -------
    list of Panel
        One a metric, and another for each three lines more than `MOST`: a line a method (mean over replicates; those of
        a single α are left out where there are others), bars of ± one standard deviation between replicates within
        the possible range, side by side. The same metric on another set has the same axis.
    """
    counts = {str(name): of["alpha"].nunique() for name, of in table.groupby("method")}
    across = [name for name, count in counts.items() if count > 1] or list(counts)  # a single point is no line
    methods = sorted(across, key=lambda name: (order(name), name))
    context = {str(key): Estimate(float(of.mean())) for key, of in table.groupby("metric")["value"]}
    limits = _limits(table, metrics, own)
    found = []
    for metric in metrics:
        rows = table.loc[table["metric"] == metric, :]
        here = [name for name in methods if name in set(rows["method"])]
        title = sentence(metric, comparisons, changes, own.method if own else FOCUS)
        for place, drawn in enumerate(_chunks(here)):
            of = rows.loc[rows["method"].isin(drawn), :]
            ideal = table.loc[(table["metric"] == f"{metric}.ideal") & (table["method"] == NOT_BALANCED), :]
            level = chance(metric, own.metrics if own and metric in own.metrics else context)
            panel = _panel(metric, of, drawn, title, limits[metric], level, ideal, own)
            found.append(panel if not place else replace(panel, name=f"{panel.name}-{place + 1}"))
    return found


def _chunks(methods: Sequence[str]) -> list[list[str]]:
    """Put lines into groups of at most `MOST`; each further one repeats what others are held against."""
    first, rest = list(methods[:MOST]), list(methods[MOST:])
    return [first, *([methods[0], *rest[i : i + MOST - 1]] for i in range(0, len(rest), MOST - 1))]


def order(method: str) -> int:
    """Tell where a line comes among others: by its method, variants of methods last."""
    first = method.split(",")[0]
    place = list(LOOKS).index(first) if first in LOOKS else len(LOOKS)
    return place if method == first else place + len(LOOKS) + 1


def look(method: str, place: int = 0) -> tuple[str, str, Dashes]:
    """Choose colour, mark and dashes of a line: by its method where it is a known one; variants have its colour."""
    first = method.split(",")[0]
    if first in LOOKS:
        colour, shape, dashes = LOOKS[first]
        if method == first:
            return colour, shape, dashes
        return colour, "XPdp"[place % 4], ((0, (1, 1.5)), (0, (5, 2)), (0, (3, 1.5, 1, 1.5)), (0, (8, 3)))[place % 4]
    return PLAIN, "oPX*"[place % 4], ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))[place % 4]


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return mean, spread and number of the replicates of each α."""
    cells = cast(pd.DataFrame, table.groupby("alpha")["value"].agg(["mean", "std", "size"]))
    return cells.fillna({"std": 0.0})


def _limits(table: pd.DataFrame, metrics: Sequence[str], own: Own | None) -> dict[str, tuple[float, float]]:
    """Find the axis of each metric: from all lines and places of the same entry of the registry, within its span."""
    shared: dict[str, list[float]] = {}
    for metric in metrics:
        known = entry(metric)
        seen = shared.setdefault(known.key, [])
        rows = table.loc[table["metric"].isin([metric, f"{metric}.ideal"]), :]
        for _, of in rows.groupby(["metric", "method"]):
            cells = _cells(of)
            seen += [*(cells["mean"] - cells["std"]), *(cells["mean"] + cells["std"])]
        if own and metric in own.metrics:
            one = own.metrics[metric]
            seen += [end for end in (one.value, one.lo, one.hi) if math.isfinite(end)]
    found = {}
    for metric in metrics:
        known = entry(metric)
        low, high = known.span
        seen = [min(max(value, low), high) for value in shared[known.key]] or [0.0, 1.0]
        bottom, top = min(seen), max(seen)
        if known.better in ("zero", "lower") or known.unit.startswith("%"):
            bottom, top = min(bottom, 0.0), max(top, 0.0)
        margin = 0.06 * (top - bottom) or 0.05
        found[metric] = (max(bottom - margin, low - margin / 2), min(top + margin, high + margin / 2))
    return found


def sentence(metric: str, comparisons: pd.DataFrame | None, changes: pd.DataFrame | None, method: str = FOCUS) -> str:
    """
    Say what a metric does: with contamination, not balanced; and at which α a method differs from random rows.

    Parameters
    ----------
    method : str
        To be named; where the comparisons do not have it, `FOCUS`, or else the only method.
    """
    name = capital(name_and_place(metric)[0])
    if changes is None or comparisons is None:
        return name
    plain = _records(changes, [metric], method=NOT_BALANCED)
    if not plain:
        return name
    last = max(plain, key=lambda row: row["alpha_to"])
    ends = f"{number(metric, last['value_from'])} to {number(metric, last['value_to'])}"
    said = (
        f"{name} {_course(last)} with contamination, {ends}"
        if is_shown(last)
        else f"{name}: {ends} with contamination, {NOT_SHOWN}"
    )
    held = held_against(comparisons, method)
    return f"{said}; {differs(metric, comparisons, *held)}" if held else said


def held_against(comparisons: pd.DataFrame, method: str = FOCUS) -> tuple[str, str] | None:
    """Choose the method that is spoken of, and what it is held against: random rows, or else those not balanced."""
    for reference in (RANDOM, NOT_BALANCED):
        methods = list(dict.fromkeys(comparisons.loc[comparisons["reference"] == reference, "method"]))
        chosen = next((name for name in (method, FOCUS) if name in methods), None)
        if chosen := chosen or (str(methods[0]) if len(methods) == 1 else None):
            return chosen, reference
    return None


def differs(metric: str, comparisons: pd.DataFrame, method: str, reference: str) -> str:
    """Say at which α a method is better or worse than a reference: where the interval of that α leaves out 0."""
    rows = [row for row in _records(comparisons, [metric], method=method, reference=reference) if not _sums(row)]
    against = f"{reference} rows" if reference == RANDOM else reference
    if not rows:
        return f"{method} cannot be held against {against}"  # too few models have the metric, or none was run
    if where := _where(rows, f" than {against}"):
        return f"{method} is {where}"
    whole = next((row for row in _records(comparisons, [metric], method=method, reference=reference) if _sums(row)), {})
    if whole and is_shown(whole):
        return f"{method} is {verdict(whole)} than {against} on average over α, at no single α"
    sides = [(word, [row for row in rows if _side(row) == word]) for word in dict.fromkeys(map(_side, rows)) if word]
    if not sides:
        return f"{method} is as {against} are"
    word, most = max(sides, key=lambda side: len(side[1]))
    count = "every α" if len(most) == len(rows) > 1 else f"{len(most)} of {len(rows)} α"
    here = f"at {count}, none shown" if len(rows) > 1 else f"at α = {rows[0]['alpha']}, {NOT_SHOWN}"
    return f"{method} is {word} than {against} {here}"


def _side(row: Row) -> str:
    """Say on which side of what it is held against a mean lies; empty: it is the same."""
    if vanishes(row["metric"], row["difference"]) or row["difference"] != row["difference"]:
        return ""
    ideal = {"zero": "0", "half": "½"}.get(entry(row["metric"]).better)
    if ideal:
        return f"farther from {ideal}" if row["difference"] > 0 else f"nearer to {ideal}"
    return "higher" if row["difference"] > 0 else "lower"


def _where(rows: Sequence[Row], than: str = "") -> str:
    """Say at which α effects are shown, by verdict; empty: at none."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if is_shown(row):
            found.setdefault(verdict(row), []).append(str(row["alpha"]))
    return ", ".join(f"{word}{than} at {_alphas(where, len(rows))}" for word, where in found.items())


def _alphas(where: Sequence[str], of: int) -> str:
    if len(where) == of > 1:
        return "every α"
    return f"α = {' and '.join(filter(None, (', '.join(where[:-1]), where[-1])))}"


def _course(row: Row) -> str:
    """Say which way a metric goes: of one whose ideal is 0 or ½, its distance from it."""
    up, ideal = row["difference"] > 0, {"zero": "0", "half": "½"}.get(entry(row["metric"]).better)
    if ideal:
        return f"moves away from {ideal}" if up else f"comes nearer to {ideal}"
    return "rises" if up else "falls"


def _panel(
    metric: str,
    table: pd.DataFrame,
    methods: Sequence[str],
    title: str,
    limits: tuple[float, float],
    level: float,
    ideal: pd.DataFrame,
    own: Own | None,
) -> Panel:
    known, alphas = entry(metric), sorted(table["alpha"].unique())
    one = own.metrics.get(metric) if own else None

    def draw(axes: Axes) -> None:
        ends: list[tuple[float, str, str, str]] = []
        step = 0.016 * (alphas[-1] - alphas[0])  # apart, so that no bar hides another
        for place, method in enumerate(methods):
            cells = _cells(table.loc[table["method"] == method, :])
            colour, shape, dashes = look(method, place)
            x, mean = cells.index.to_numpy(float), cells["mean"].to_numpy(float)
            x = x + step * (place - (len(methods) - 1) / 2)
            low, high = ((mean + side * cells["std"].to_numpy(float)).clip(*known.span) for side in (-1, 1))
            mark(axes.vlines(x, low, high, color=colour, alpha=0.3, linewidth=4), series=method)
            (line,) = axes.plot(x, mean, color=colour, linewidth=1.8, linestyle=dashes, label=method)
            mark(line, series=method)
            for place_at, (at, row) in zip(x, cells.iterrows(), strict=True):
                spread = f" ± {number(metric, float(row['std']))}" if row["size"] > 1 else ""
                of = counted(int(row["size"]), "replicate")
                said = f"{method}, α = {at:g}: {number(metric, float(row['mean']))}{spread} ({of})"
                (dot,) = axes.plot([place_at], [row["mean"]], shape, color=colour, markersize=5)
                mark(dot, said, method)
            ends.append((mean[-1], method, colour, method))
        if len(ideal):
            cells = _cells(ideal)
            (line,) = axes.plot(cells.index, cells["mean"], color=INK, linewidth=1.4, linestyle=(0, (1, 1.5)))
            ends.append((cells["mean"].iloc[-1], "ideal learner", INK, ""))
        axes.set_ylim(*limits)
        if math.isfinite(level) and limits[0] <= level <= limits[1]:
            axes.axhline(level, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
            ends.append((level, "chance", MUTED, ""))
        elif known.better == "zero":
            axes.axhline(0, color=MUTED, linewidth=0.9)
        _name_ends(axes, ends)
        axes.set_xlabel("α, share of generated images")
        axes.set_xticks(alphas)
        axes.margins(x=0.03)
        if one and own:
            _draw_own(axes, metric, own, one)

    place_of = name_and_place(metric)[1]
    unit = "%" if known.unit.startswith("%") else known.unit
    note = " · ".join(filter(None, (place_of, unit, known.wish if known.better != "none" else "")))
    alt = f"{label(metric)} against α: {', '.join(_said(metric, table, method) for method in methods)}"
    cells = table.groupby(["method", "alpha"], sort=False)["value"].agg(["mean", "std", "size"]).reset_index()
    data = cells.rename(columns={"size": "replicates"}).assign(metric=metric)
    return Panel(f"study-{metric}", alt, draw, height=2.7, title=title, note=note, data=data)


def _said(metric: str, table: pd.DataFrame, method: str) -> str:
    cells = _cells(table.loc[table["method"] == method, :])
    means = cells["mean"].to_numpy(float)
    ends = [number(metric, float(means[0])), number(metric, float(means[-1]))]
    return f"{method} {ends[0]}" if len(cells) == 1 else f"{method} {ends[0]} to {ends[1]}"


def whisker(axes: Axes, x: float, y: float, one: Estimate, along_x: bool = False) -> None:
    """Draw the 95 % interval over test images of a run at a point: thin, with caps, unlike the bands of replicates."""
    if math.isfinite(one.lo + one.hi):
        middle, half = (one.lo + one.hi) / 2, (one.hi - one.lo) / 2
        at, wide, high = ((middle, y), half, None) if along_x else ((x, middle), None, half)
        axes.errorbar([at[0]], [at[1]], yerr=high, xerr=wide, fmt="none", ecolor=INK, elinewidth=1.2, capsize=3)


def _draw_own(axes: Axes, metric: str, own: Own, one: Estimate) -> None:
    """Mark a run with its interval over test images."""
    whisker(axes, own.alpha, one.value, one)
    ring = {"color": INK, "markersize": 6.5, "markerfacecolor": "none", "markeredgewidth": 1.7}
    (dot,) = axes.plot([own.alpha], [one.value], "D", **ring)
    said = f"this run, {own.method}, α = {own.alpha:g}: {number(metric, one.value)} {interval(metric, one)}"
    mark(dot, said.rstrip())
    courses = [np.asarray(line.get_xydata()) for line in axes.lines if line.get_transform() == axes.transData]
    steps = np.linspace(0, 1, 12)[:, None]
    along = [start + (end - start) * steps for course in courses for start, end in pairwise(course)]
    level = [line for line in axes.lines if line.get_transform() == axes.get_yaxis_transform()]
    across = [np.asarray(line.get_ydata())[0] for line in level]
    along += [np.column_stack([np.linspace(*axes.get_xlim(), 40), np.full(40, at)]) for at in across]
    clear = np.concatenate([*along, np.empty((0, 2))]).tolist()
    label_points(axes, [Label(own.alpha, one.value, "this run", INK, weight="bold")], clear)


def _name_ends(axes: Axes, ends: Sequence[tuple[float, str, str, str]]) -> None:
    """Write names of lines at their right ends, apart from each other."""
    low, high = axes.get_ylim()
    step = 0.083 * (high - low)
    placed: list[float] = []
    ranked = sorted(ends, key=lambda end: end[0])
    for value, *_ in ranked:
        placed.append(max(value, placed[-1] + step) if placed else value)
    over = max(placed[-1] - (high - step / 3), 0.0) if placed else 0.0
    for i in range(len(placed) - 1, -1, -1):  # what was pushed over the top comes down again
        placed[i] = min(placed[i], (placed[i + 1] - step) if i + 1 < len(placed) else placed[i] - over)
    for (value, name, colour, series), y in zip(ranked, placed, strict=True):
        if abs(y - value) > step / 3:  # away from its line: a thin one leads to it
            (line,) = axes.plot(
                [1.0, 1.03],
                [value, y],
                color=colour,
                linewidth=0.7,
                transform=axes.get_yaxis_transform(),
                clip_on=False,
            )
            mark(line, series=series)
        text = axes.annotate(
            name, (1, y), (9, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
            fontsize=SMALL, color=colour, annotation_clip=False,
        )  # fmt: skip
        mark(text, series=series)
