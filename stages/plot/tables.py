"""The tables of the report: frames for reading, and HTML whose columns can be sorted."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from stages.results import formatting, registry
from stages.results.details import Details

MAX_ROWS = 400  # of a table in the page; the CSV files hold all


def metric_table(metrics: Details) -> pd.DataFrame:
    """Tabulate every metric: key, name, value, 95 % interval, between seeds, better, knowing nothing."""
    rows = []
    for key, of in metrics.items():
        spread, chance = formatting.spread(key, of), registry.chance(key, metrics)
        rows.append(
            {
                "key": key,
                "name": registry.label(key),
                "value": of.value,
                "95 % interval": formatting.interval(key, of),
                "between seeds": f"± {spread}" if spread else "",
                "better": registry.entry(key).arrow,
                "knowing nothing": formatting.number(key, chance) if chance == chance else "",
            }
        )
    return pd.DataFrame(rows)


def group_table(groups: pd.DataFrame) -> pd.DataFrame:
    """
    Tabulate figures by group for reading.

    Parameters
    ----------
    groups : DataFrame
        As `stages.plot.aggregate.groups` makes it.

    Returns
    -------
    DataFrame
        figure, set, attribute, group, n, value, lo, hi.
    """
    if groups.empty:
        return groups
    shown = groups.loc[~groups["attribute"].str.count(" x ").gt(1)]
    where = (shown["set"] + " " + shown["part"]).str.strip()
    names = shown["group"].astype(str)
    return pd.DataFrame(
        {
            "figure": [registry.figure(metric)[0] for metric in shown["metric"]],
            "set": where,
            "attribute": shown["attribute"].str.replace("_", " ").replace("", "–"),
            "group": names.where(shown["small"] == 0, names + " *"),
            "n": shown["n"],
            "value": shown["value"],
            "lo": shown["lo"],
            "hi": shown["hi"],
        }
    )


def published_table(published: pd.DataFrame, min_group: int = 0) -> pd.DataFrame:
    """
    Tabulate published definitions beside corrected ones for reading.

    Parameters
    ----------
    published : DataFrame
        set, part, metric, attribute, group, n, as_published, corrected, difference.
    min_group : int
        Groups of fewer images are marked.

    Returns
    -------
    DataFrame
        figure, set, group, n, as published, corrected, difference.
    """
    if published.empty:
        return published
    group = (
        published["group"]
        .astype(str)
        .where(
            published["attribute"] == "",
            published["attribute"].str.replace("_", " ") + ": " + published["group"].astype(str),
        )
    )
    return pd.DataFrame(
        {
            "figure": [registry.figure(f"published.{metric}")[0] for metric in published["metric"]],
            "set": (published["set"] + " " + published["part"]).str.strip(),
            "group": group.where((published["attribute"] == "") | (published["n"] >= min_group), group + " *"),
            "n": published["n"],
            "as published": published["as_published"],
            "corrected": published["corrected"],
            "difference": published["difference"],
        }
    )


def share_table(shares: pd.DataFrame, balanced: bool, min_group: int = 0) -> pd.DataFrame:
    """
    Tabulate the shares of groups in the data.

    Parameters
    ----------
    shares : DataFrame
        attribute, group, balanced (whether the attribute has a target), n, target, before, solved, realised.
    balanced : bool
        Whether the run balances its mix; if not, before and after are one.
    min_group : int
        Groups of fewer rows are marked.

    Returns
    -------
    DataFrame
        For reading, shares in percent; targets only of what has one.
    """
    if shares.empty:
        return shares
    groups = shares["group"].astype(str)
    readable = shares.assign(
        attribute=shares["attribute"].str.replace("_", " "), group=groups.where(shares["n"] >= min_group, groups + " *")
    )
    for name in ("target", "before", "solved", "realised"):
        readable[name] = [f"{100 * value:.1f} %" for value in readable[name]]
    readable["target"] = readable["target"].where(shares["balanced"], "–")
    unneeded = ["balanced"] if shares["balanced"].to_numpy(bool).any() else ["balanced", "target"]
    if not balanced:
        readable = readable.drop(columns=["solved", "realised"]).rename(columns={"before": "share"})
    return readable.drop(columns=unneeded).rename(columns={"realised": "after"})


def table(
    frame: pd.DataFrame, name: str, digits: int = 3, written: Mapping[str, Sequence[str]] | None = None
) -> Markup:
    """
    Write a table whose columns can be sorted by a click.

    Parameters
    ----------
    frame : DataFrame
        At most `MAX_ROWS` of its rows are written.
    name : str
        For those who hear the page.
    digits : int
        Decimals of numbers that are not whole.
    written : mapping of str to sequence of str, optional
        By column of numbers: how each is written, where not in that way.

    Returns
    -------
    Markup
        An HTML table; cells hold their exact value for sorting.
    """
    types = pd.api.types
    numeric = [types.is_numeric_dtype(frame[name]) and not types.is_bool_dtype(frame[name]) for name in frame]
    classes = [' class="number"' if is_number else "" for is_number in numeric]
    head = "".join(
        f'<th scope="col"{of} aria-sort="none"><button>{escape(str(column))}</button></th>'
        for column, of in zip(frame, classes, strict=True)
    )
    body = []
    texts = [(written or {}).get(str(column)) for column in frame]
    for i, row in enumerate(frame.head(MAX_ROWS).itertuples(index=False)):
        cells = "".join(
            _cell(value, is_number, digits, of[i] if of else "")
            for value, is_number, of in zip(row, numeric, texts, strict=True)
        )
        body.append(f"<tr>{cells}</tr>")
    note = f"<p class=note>{len(frame) - MAX_ROWS} more rows in the CSV file.</p>" if len(frame) > MAX_ROWS else ""
    return Markup(  # noqa: S704 (cells, heads and names are escaped)
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">'
        f'<table class="sortable"><caption>{escape(name)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>{note}"
    )


def _cell(value: Any, is_number: bool, digits: int, written: str) -> str:
    if not is_number:
        text = {True: "yes", False: "no"}[bool(value)] if isinstance(value, (bool, np.bool_)) else str(value)
        key = "." in text and " " not in text  # long keys break at their dots
        return f"<td>{escape(text).replace('.', '.<wbr>') if key else escape(text)}</td>"
    if value != value:
        return '<td class="number" data-value="">–</td>'
    text = written or (f"{int(value):,}" if float(value).is_integer() else f"{value:z.{digits}f}")
    return f'<td class="number" data-value="{float(value)!r}">{text.replace("-", "−")}</td>'
