"""What a sweep shows: what stands out in sentences, effects in tables, and a chart a metric."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pandas as pd
from matplotlib.axes import Axes

from stages.results.formatting import NOT_BALANCED, counted, difference, vanishes
from stages.results.panels import AFTER, BEFORE, MAN, PLAIN, SYNTHETIC, WOMAN, Panel
from stages.results.registry import entry, label

LOOKS = {  # of a method: colour and mark
    NOT_BALANCED: (BEFORE, "o"),
    "random": (PLAIN, "s"),
    "reweighing": (MAN, "^"),
    "m4_sgd": (WOMAN, "D"),
    "m4": (AFTER, "v"),
}


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


def sentences(comparisons: pd.DataFrame, changes: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
    """
    Say what stands out: what contamination changes, and what the methods do, in at most four sentences.

    Parameters
    ----------
    comparisons, changes : DataFrame
        From `compare` and `trends`.
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
    key = row["metric"]
    out = (row["lo"] > 0 or row["hi"] < 0) and not vanishes(key, row["difference"])
    return out and not (_is_tested(row) and row["p_holm"] > 0.05)


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
        return "equal" if all(vanishes(row["metric"], value) for value in ends if value == value) else "not clear"
    better = entry(row["metric"]).better
    if better == "none":
        return "higher" if row["difference"] > 0 else "lower"
    return "better" if (row["difference"] > 0) == (better == "higher") else "worse"


def tables(comparisons: pd.DataFrame, changes: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
    """
    Tabulate effects as Markdown, a table a question: a row a metric, a column a method; effect, interval, verdict.

    Parameters
    ----------
    comparisons, changes : DataFrame
        From `compare` and `trends`.
    """
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


def panels(table: pd.DataFrame, metrics: Sequence[str]) -> list[Panel]:
    """
    Draw each metric against α.

    Parameters
    ----------
    table : DataFrame
        From `tabulate`.

    Returns
    -------
    list of Panel
        One a metric: a line a method (mean over seeds), a band of ± one standard deviation between seeds.
    """
    methods = sorted(table["method"].unique(), key=lambda name: (_look(name, 0)[2], name))
    return [_panel(metric, table.loc[table["metric"] == metric, :], methods) for metric in metrics]


def _look(method: str, place: int) -> tuple[str, str, int]:
    """Choose colour, mark and order of a line: by its method, where it is the only one of it."""
    first = method.split(",")[0]
    if first in LOOKS:
        return (*LOOKS[first], list(LOOKS).index(first))
    return (PLAIN, SYNTHETIC, BEFORE)[place % 3], "oPX"[place % 3], len(LOOKS)


def _panel(metric: str, table: pd.DataFrame, methods: Sequence[str]) -> Panel:
    def draw(axes: Axes) -> None:
        dashes = {}
        for place, method in enumerate(methods):
            at = table.loc[table["method"] == method, :].groupby("alpha")["value"].agg(["mean", "std"])
            colour, mark, kind = _look(method, place)
            dashes[kind] = dashes.get(kind, -1) + 1
            style = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))[dashes[kind] % 4]
            x, mean = at.index.to_numpy(float), at["mean"].to_numpy(float)
            spread = at["std"].fillna(0.0).to_numpy(float)
            axes.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.16, linewidth=0)
            size, fill = (9.0, "none") if dashes[kind] else (4.5, colour)  # a ring is seen on top of an equal point
            axes.plot(
                x, mean, color=colour, marker=mark, linewidth=1.6, linestyle=style, label=method, markersize=size,
                markerfacecolor=fill,
            )  # fmt: skip
        if entry(metric).better == "zero":
            axes.axhline(0, color=BEFORE, linewidth=0.8)
        name, _, place_of = label(metric).partition(" · ")
        known = entry(metric)
        axes.set_title(f"{name[:1].upper()}{name[1:]} {known.arrow}\n{place_of}".rstrip(), pad=5 + 15 * rows)
        axes.set(xlabel="α, share of generated images", ylabel="%" if known.unit.startswith("%") else "")
        axes.set_xticks(sorted(table["alpha"].unique()))
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 0.99), ncols=columns, borderpad=0, handlelength=1.8, columnspacing=1
        )

    longest = max(map(len, methods))
    columns = 3 if longest < 16 else 2 if longest < 26 else 1  # of the legend between title and chart
    rows = math.ceil(len(methods) / columns)
    alt = f"{label(metric)} against α, a line a balancing method"
    return Panel(f"study-{metric}", alt, draw, height=3 + 0.2 * rows)
