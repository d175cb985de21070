"""What a sweep shows: a sentence and a chart a metric."""

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


def sentences(comparisons: pd.DataFrame, changes: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
    """
    Say what was found, a line a metric: the methods against the reference, then what contamination changes.

    Parameters
    ----------
    comparisons, changes : DataFrame
        From `compare` and `trends`.
    """
    said = []
    for metric in metrics:
        parts = [*_compared(_records(comparisons, metric)), *_changed(_records(changes, metric))]
        if parts:
            said.append(f"**{label(metric)}** ({entry(metric).wish}). {' '.join(parts)}")
    return said


def _records(table: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    if table.empty:
        return []
    return cast(list[dict[str, Any]], table.loc[table["metric"] == metric, :].to_dict("records"))


def _compared(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say how methods differ, a sentence a reference."""
    against: dict[str, list[str]] = {}
    for row in rows:
        moved, clear = _moved(row)
        where = " at every α" if clear and row["everywhere"] and row["alphas"] > 1 else ""
        test = f", p = {row['p_holm']:.2g}" if row["p_holm"] == row["p_holm"] else ""
        pairs = counted(row["pairs"], "pair")
        against.setdefault(row["reference"], []).append(f"{row['method']} {moved}{where} ({pairs}{test})")
    return [f"Against {reference}: {'; '.join(moves)}." for reference, moves in against.items()]


def _changed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what changes from the lowest to the highest α, by method; a sentence a range and number of seeds."""
    spans: dict[tuple[float, float, int], list[str]] = {}
    for row in rows:
        span = (row["alpha_from"], row["alpha_to"], row["seeds"])
        how = "when" if row["method"].startswith(NOT_BALANCED) else "with"
        spans.setdefault(span, []).append(f"{how} {row['method']} it {_moved(row)[0]}")
    return [
        f"Contamination, from α = {low:g} to {high:g} ({counted(seeds, 'seed')}): {'; '.join(moves)}."
        for (low, high, seeds), moves in spans.items()
    ]


def _moved(row: Mapping[str, Any]) -> tuple[str, bool]:
    """Say a difference; tell whether its interval leaves out 0."""
    key, value = row["metric"], row["difference"]
    alone = row["lo"] != row["lo"]
    if all(vanishes(key, of) for of in ([value] if alone else [value, row["lo"], row["hi"]])):
        return "does not change it", False
    verb = "raises" if value > 0 else "lowers"
    if alone:
        return f"{verb} it by {difference(key, abs(value))} (no interval)", False
    near, far = sorted((abs(row["lo"]), abs(row["hi"])))
    if row["lo"] > 0 or row["hi"] < 0:
        return f"{verb} it by {difference(key, abs(value))} [{_bare(key, near)}, {_bare(key, far)}]", True
    ends = f"[{_bare(key, row['lo'], True)}, {_bare(key, row['hi'], True)}]"
    return f"does not clearly change it: {difference(key, value, signed=True)} {ends}", False


def _bare(key: str, value: float, signed: bool = False) -> str:
    return difference(key, value, signed).removesuffix(" points")


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
