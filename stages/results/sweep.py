"""What a sweep shows: what stands out in sentences, effects in tables, and a chart a metric."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pandas as pd
from matplotlib.axes import Axes

from stages.results.details import Details, Estimate
from stages.results.formatting import NOT_BALANCED, counted, difference, interval, number, vanishes
from stages.results.panels import AFTER, BEFORE, INK, MUTED, OTHERWISE, PLAIN, REWEIGHED, SMALL, Panel, mark
from stages.results.registry import chance, entry, label, look_up, name_and_place

Dashes = str | tuple[float, tuple[float, ...]]
# Of a method: colour, mark, dashes. Grey is what others are held against.
LOOKS: dict[str, tuple[str, str, Dashes]] = {
    NOT_BALANCED: (BEFORE, "o", "-"),
    "random": (BEFORE, "s", (0, (4, 2))),
    "reweighing": (REWEIGHED, "^", "-"),
    "m4_sgd": (OTHERWISE, "D", "-"),
    "m4": (AFTER, "v", "-"),
}
MOST = 4  # lines of a panel


FEWEST_REPLICATES, FEWEST_IMAGES = 3, 200  # with fewer, an interval over replicates is no evidence of an effect
STANDING = 3  # effects that a comparison opens with
FEWEST = 6  # replicates that can tell anything at 5 % in a sign-flip test: 2 · ½⁶ = .03


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


def with_images(effects: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """
    Add how many test images each effect stands on: replicates share them, so their spread does not show this noise.

    Parameters
    ----------
    table : DataFrame
        From `tabulate`, with the sizes of the sets (``n.people``) where they are known.

    Returns
    -------
    DataFrame
        With the column images: of the metric's set, of the smallest set where it names none; NaN where unknown.
    """
    sizes = {str(key): float(of.min()) for key, of in table.groupby("metric")["value"]}
    known = {
        key.removeprefix("n."): size for key, size in sizes.items() if key.startswith("n.") and key.count(".") == 1
    }

    def count(metric: str) -> float:
        own = look_up(metric)[1].get("set", "").split(".")[0]
        return math.nan if own == "text" or not known else known.get(own, min(known.values()))

    return effects.assign(images=[count(str(metric)) for metric in effects["metric"]])


def standing_out(comparisons: pd.DataFrame, changes: pd.DataFrame, metrics: Sequence[str]) -> str:
    """Say the clearest effects, `STANDING` at most, each of another metric; or that none is clear, and why."""
    span = "Contamination alone, α = {alpha_from:g} to {alpha_to:g},"
    rows = [(span.format_map(row), row) for row in _farthest(changes)]
    rows += [
        (f"Against {row['reference']}{_at(row)}, {row['method']}", row)
        for _, own in comparisons.groupby(["reference", "method", "metric"], sort=False)
        if (row := _standing_for(own)) and row["reference"] in (NOT_BALANCED, "random")
    ]
    rows = [(said, row) for said, row in rows if row["metric"] in metrics]
    clear = [(said, row) for said, row in rows if _is_clear(row)]
    clear.sort(key=lambda item: -abs(item[1]["difference"]) / max(item[1]["hi"] - item[1]["lo"], 1e-12))
    chosen: dict[str, tuple[str, dict[str, Any]]] = {}
    for said, row in clear:  # of one metric the largest, in the order of the clearest
        _, kept = chosen.setdefault(entry(row["metric"]).key, (said, row))
        if abs(row["difference"]) > abs(kept["difference"]):
            chosen[entry(row["metric"]).key] = (said, row)
    best = [
        f"{said} {_verb(row)} {label(row['metric'])} by {_effect(row, size=True)}"
        for said, row in list(chosen.values())[:STANDING]
    ]
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
        said.append(f"Contamination alone, {span}, {_listed(last) or 'changes nothing clearly'}.")
    references = [name for name in (NOT_BALANCED, "random", "m4") if name in set(comparisons["reference"])]
    for reference in references:
        methods = dict.fromkeys(comparisons.loc[comparisons["reference"] == reference, "method"])
        parts = []
        for method in methods:
            rows = [row for row in _records(comparisons, metrics, method=method, reference=reference) if _sums(row)]
            if moved := _listed(rows):
                parts.append(f"{method} {moved}")
        if parts:
            said.append(f"Against {reference}, {'; '.join(parts)}.")
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
    return row["alpha"] == "mean"


def _listed(rows: Sequence[Mapping[str, Any]]) -> str:
    """Name the three clearest effects of a method; empty where none is clear."""
    clear = [row for row in rows if _is_clear(row)]
    clear.sort(key=lambda row: -abs(row["difference"]) / max(row["hi"] - row["lo"], 1e-12))
    return ", ".join(f"{_verb(row)} {label(row['metric'])} by {_effect(row, size=True)}" for row in clear[:3])


def _is_clear(row: Mapping[str, Any]) -> bool:
    """Tell whether an effect is seen in what is written, its interval leaves out 0, and its test, if any, agrees."""
    return _leaves_0(row) and not _too_few(row) and not (_is_tested(row) and row["p_holm"] > 0.05)


def _leaves_0(row: Mapping[str, Any]) -> bool:
    return (row["lo"] > 0 or row["hi"] < 0) and not vanishes(row["metric"], row["difference"])


def _too_few(row: Mapping[str, Any]) -> str:
    """Say what there are too few of to call a difference an effect; empty: nothing."""
    if row.get("replicates", FEWEST_REPLICATES) < FEWEST_REPLICATES:
        return "replicates"
    return "images" if row.get("images", math.nan) < FEWEST_IMAGES else ""


def _is_tested(row: Mapping[str, Any]) -> bool:
    return row["p_holm"] == row["p_holm"] and row["replicates"] >= FEWEST


def _verb(row: Mapping[str, Any]) -> str:
    return "raises" if row["difference"] > 0 else "lowers"


def _effect(row: Mapping[str, Any], size: bool = False) -> str:
    """Write a difference with its interval, or its size alone."""
    key, low, high = row["metric"], row["lo"], row["hi"]
    written = difference(key, abs(row["difference"]) if size else row["difference"], signed=not size)
    if low != low:
        return written
    ends = sorted((abs(low), abs(high))) if size else (low, high)
    return f"{written} [{', '.join(_bare(key, end, not size) for end in ends)}]"


def _bare(key: str, value: float, signed: bool) -> str:
    return difference(key, value, signed).removesuffix(" points")


def verdict(row: Mapping[str, Any]) -> str:
    """Judge an effect: ``better``, ``worse``, ``higher``, ``lower`` (none is better), ``equal`` or ``not clear``."""
    if not _is_clear(row):
        ends = [row["difference"], row["lo"], row["hi"]]
        if all(vanishes(row["metric"], value) for value in ends if value == value):
            return "equal"
        return f"not clear, too few {few}" if _leaves_0(row) and (few := _too_few(row)) else "not clear"
    better = entry(row["metric"]).better
    if better == "none":
        return "higher" if row["difference"] > 0 else "lower"
    return "better" if (row["difference"] > 0) == (better == "higher") else "worse"


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


def _table(title: str, rows: pd.DataFrame, metrics: Sequence[str]) -> str:
    methods = list(dict.fromkeys(rows["method"]))
    written = [f"### {title}", "", f"| metric | {' | '.join(methods)} |", f"|---|{'---|' * len(methods)}"]
    for metric in metrics:
        own = rows.loc[rows["metric"] == metric, :]
        cells = [_cell(own.loc[own["method"] == method, :]) for method in methods]
        if any(cells):
            name = f"{label(metric)} {entry(metric).arrow}".rstrip()
            written.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(written)


def _cell(rows: pd.DataFrame) -> str:
    """Write the effects of a method on a metric: their mean, or each where they differ by α."""
    records = cast(list[dict[str, Any]], rows.to_dict("records"))
    if not records:
        return ""
    whole = next((row for row in records if row.get("alpha") == "mean"), records[0])
    if whole["difference"] != whole["difference"]:
        each = [row for row in records if row["alpha"] != "mean"]
        at = ", ".join(f"{difference(row['metric'], row['difference'], True)} at {row['alpha']}" for row in each)
        return f"differs by α: {at}{_p(whole)}"
    return f"{_effect(whole)} {verdict(whole)}{_p(whole)}"


def _p(row: Mapping[str, Any]) -> str:
    return f" (p = {row['p_holm']:.2g})" if _is_tested(row) else ""


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
        A run to be marked.

    Returns
    -------
    list of Panel
        One a metric, and another for each three lines more than `MOST`: a line a method (mean over replicates; those of
        a single α are left out where there are others), a band of ± one standard deviation between replicates within
        the possible range. The same metric on another set has the same axis.
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
        title = sentence(metric, comparisons, changes)
        for place, drawn in enumerate(_chunks(here)):
            of = rows.loc[rows["method"].isin(drawn), :]
            ideal = table.loc[(table["metric"] == f"{metric}.ideal") & (table["method"] == NOT_BALANCED), :]
            level = chance(metric, context)
            panel = _panel(metric, of, drawn, title, limits[metric], level, ideal, own)
            found.append(panel if not place else replace(panel, name=f"{panel.name}-{place + 1}"))
    return found


def _chunks(methods: Sequence[str]) -> list[list[str]]:
    """Put lines into groups of at most `MOST`; each further one repeats what others are held against."""
    first, rest = list(methods[:MOST]), list(methods[MOST:])
    return [first, *([methods[0], *rest[i : i + MOST - 1]] for i in range(0, len(rest), MOST - 1))]


def order(method: str) -> int:
    """Tell where a line comes among others, by its method."""
    first = method.split(",")[0]
    return list(LOOKS).index(first) if first in LOOKS else len(LOOKS)


def look(method: str, place: int = 0) -> tuple[str, str, Dashes]:
    """Choose colour, mark and dashes of a line: by its method where it is a known one; variants of one are dotted."""
    first = method.split(",")[0]
    if first in LOOKS:
        colour, shape, dashes = LOOKS[first]
        return (colour, shape, dashes) if method == first else (colour, "X", (0, (1, 1.5)))
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


def sentence(metric: str, comparisons: pd.DataFrame | None, changes: pd.DataFrame | None) -> str:
    """Say what a metric does: with contamination, not balanced; and by m4, or the only other method."""
    name = name_and_place(metric)[0]
    name = f"{name[:1].upper()}{name[1:]}"
    if changes is None or comparisons is None:
        return name
    moved = _records(changes, [metric], method=NOT_BALANCED)
    if not moved:
        return name
    last = max(moved, key=lambda row: row["alpha_to"])
    ends = f"{number(metric, last['value_from'])} to {number(metric, last['value_to'])}"
    said = (
        f"{name} {'rises' if last['value_to'] > last['value_from'] else 'falls'} with contamination, {ends}"
        if _is_clear(last)
        else f"Contamination does not clearly change {name[:1].lower() + name[1:] if name[1:2].islower() else name}"
    )
    own = _records(comparisons, [metric], reference=NOT_BALANCED, method="m4")
    whole = next((row for row in own if _sums(row)), None)
    if whole is None:
        return said
    if whole["difference"] != whole["difference"]:  # differs by α
        most = max((row for row in own if not _sums(row)), key=lambda row: abs(row["difference"]))
        sides = {row["difference"] > 0 for row in own if not _sums(row)}
        verb = "changes" if len(sides) > 1 else _verb(most)
        return f"{said}; m4 {verb} it, most at α = {most['alpha']}"
    if _is_clear(whole):
        distance = " towards 0" if entry(metric).better == "zero" and whole["difference"] < 0 else ""
        return f"{said}; m4 {'moves' if distance else _verb(whole)} it{distance}"
    return f"{said}, nor does m4" if said.startswith("Contamination") else f"{said}; m4 does not clearly change it"


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
        for place, method in enumerate(methods):
            cells = _cells(table.loc[table["method"] == method, :])
            colour, shape, dashes = look(method, place)
            x, mean = cells.index.to_numpy(float), cells["mean"].to_numpy(float)
            low, high = ((mean + side * cells["std"].to_numpy(float)).clip(*known.span) for side in (-1, 1))
            mark(axes.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0), series=method)
            (line,) = axes.plot(x, mean, color=colour, linewidth=1.8, linestyle=dashes, label=method)
            mark(line, series=method)
            for at, row in cells.iterrows():
                spread = f" ± {number(metric, float(row['std']))}" if row["size"] > 1 else ""
                of = counted(int(row["size"]), "replicate")
                said = f"{method}, α = {at:g}: {number(metric, float(row['mean']))}{spread} ({of})"
                (dot,) = axes.plot([cast(float, at)], [row["mean"]], shape, color=colour, markersize=5)
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
        if one and own:
            _draw_own(axes, metric, own, one)
        _name_ends(axes, ends)
        axes.set_xlabel("α, share of generated images")
        axes.set_xticks(alphas)
        axes.margins(x=0.03)

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


def _draw_own(axes: Axes, metric: str, own: Own, one: Estimate) -> None:
    """Mark a run with its interval over test images."""
    if math.isfinite(one.lo + one.hi):
        axes.vlines(own.alpha, one.lo, one.hi, color=INK, linewidth=1.3)
    ring = {"color": INK, "markersize": 6.5, "markerfacecolor": "none", "markeredgewidth": 1.7}
    (dot,) = axes.plot([own.alpha], [one.value], "D", **ring)
    said = f"this run, {own.method}, α = {own.alpha:g}: {number(metric, one.value)} {interval(metric, one)}"
    mark(dot, said.rstrip())
    axes.annotate(
        "this run", (own.alpha, one.value), (7, 5), textcoords="offset points", fontsize=SMALL, color=INK, weight="bold"
    )


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
    for (_, name, colour, series), y in zip(ranked, placed, strict=True):
        text = axes.annotate(
            name, (1, y), (5, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
            fontsize=SMALL, color=colour, annotation_clip=False,
        )  # fmt: skip
        mark(text, series=series)
