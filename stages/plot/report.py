"""The report: one HTML file that needs nothing else, in light and dark, on a phone and on a projector."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import yaml
from markupsafe import Markup

from stages.plot import names
from stages.plot.provenance import Commit
from stages.plot.sheets import Described, Pair, data_uri
from stages.results import formatting
from stages.results.metric_change import change
from stages.results.panels import Panel, svg

SECTIONS = ("data", "occupations", "groups", "more_groups", "crossed", "curves", "published", "study")  # with panels
MAX_ROWS = 400  # of a table in the page; the CSV files hold all


@dataclass(frozen=True)
class Content:
    """
    Everything that the report shows; what is empty is left out, and so is its section.

    Attributes
    ----------
    previous : mapping of str to float
        The same of the last commit; empty where there is none.
    shares : DataFrame
        attribute, group, balanced, n, target, before, solved, realised: shares of groups in the data.
    annotation : mapping of str to float
        Accuracy of the classifier that annotates synthetic images.
    panels : mapping of str to sequence of Panel
        By section, see `SECTIONS`.
    groups, published : DataFrame
        All figures by group; published definitions beside corrected ones.
    compared : DataFrame
        Methods of a study against each other, by `stages.tools.compare`; empty where there is no study, or one method.
    findings : sequence of str
        What the study says, in Markdown of one line each: bold alone.
    outputs : sequence of dict
        From `stages.plot.provenance`.
    """

    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    previous: Mapping[str, float] = field(default_factory=dict)
    balance: Mapping[str, Any] = field(default_factory=dict)
    shares: pd.DataFrame = field(default_factory=pd.DataFrame)
    annotation: Mapping[str, float] = field(default_factory=dict)
    pairs: Sequence[Pair] = ()
    described: Sequence[Described] = ()
    panels: Mapping[str, Sequence[Panel]] = field(default_factory=dict)
    groups: pd.DataFrame = field(default_factory=pd.DataFrame)
    published: pd.DataFrame = field(default_factory=pd.DataFrame)
    compared: pd.DataFrame = field(default_factory=pd.DataFrame)
    findings: Sequence[str] = ()
    commit: Commit = field(default_factory=lambda: Commit("", ()))
    versions: Mapping[str, str] = field(default_factory=dict)
    outputs: Sequence[Mapping[str, Any]] = ()


def render(content: Content) -> str:
    """
    Write the page.

    Returns
    -------
    str
        HTML without any reference to another file or host.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stages.plot", "page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals["table"] = table
    environment.globals["picture"] = data_uri
    loader = environment.loader
    assert loader is not None
    method = formatting.balancing(
        *(content.params["balance"].get(name, "auto") for name in ("method", "target", "eta"))
    )
    judged, found = cards(content.metrics, content.previous), tuple(content.metrics)
    sections = {name: [_figure(panel) for panel in content.panels.get(name, ())] for name in SECTIONS}
    return environment.get_template("report.html").render(
        content=content,
        cards=judged,
        moved=any(line["change"] for card in judged for line in card["lines"]),
        drift=any(key.endswith(".drift") for key in found),
        parts=any(key.startswith("portraits.unseen.") for key in found),
        harm=any(".harm." in key for key in found),
        panels=sections,
        metric_table=metric_table(content.metrics),
        written={"value": [formatting.number(key, content.metrics[key]) for key in metric_keys(content.metrics)]},
        group_table=group_table(content.groups),
        published_table=published_table(content.published),
        comparison_table=comparison_table(content.compared),
        findings=[_bold(line) for line in content.findings],
        share_table=share_table(content.shares, method != formatting.NOT_BALANCED),
        strongest=strongest(content.balance),
        method=method,
        not_balanced=formatting.NOT_BALANCED,
        parameters=yaml.safe_dump(dict(content.params), sort_keys=False, allow_unicode=True),
        resource=lambda name: Markup(loader.get_source(environment, name)[0]),
    )


def _figure(panel: Panel) -> Markup:
    return Markup(f'<figure class="panel" style="max-width:{panel.width * 96:.0f}px">{svg(panel)}</figure>')


def _bold(line: str) -> Markup:
    parts = [escape(part) for part in line.split("**")]
    return Markup("".join(f"<b>{part}</b>" if i % 2 else part for i, part in enumerate(parts)))


def cards(metrics: Mapping[str, float], previous: Mapping[str, float]) -> list[dict[str, Any]]:
    """
    Sum up the figures that a run is judged by, a card a family.

    Parameters
    ----------
    metrics, previous : mapping of str to float
        Contents of metrics.json, now and at the last commit.

    Returns
    -------
    list of dict
        kind, name, meaning, wish, lines; a line has key, place, value, interval, spread and, where there is a previous
        value, change (text; empty where it is 0 at the digits shown) and verdict (``better``, ``worse``, ``same``).
    """
    return [
        {
            "kind": kind,
            "name": formatting.name_and_place(keys[0])[0],
            "meaning": formatting.entry(keys[0]).meaning,
            "wish": formatting.WISHES[formatting.entry(keys[0]).better],
            "lines": [_line(key, metrics, previous) for key in keys],
        }
        for kind, keys in formatting.headlines(list(metrics))
    ]


def _line(key: str, metrics: Mapping[str, float], previous: Mapping[str, float]) -> dict[str, str]:
    line = {
        "key": key,
        "place": formatting.name_and_place(key)[1] or ("text alone" if key.startswith("text.") else ""),
        "value": formatting.number(key, metrics[key]),
        "interval": interval(key, metrics),
        "spread": formatting.number(key, metrics[f"{key}.std"]) if f"{key}.std" in metrics else "",
        "change": "",
        "verdict": "",
    }
    if key in previous and formatting.entry(key).better != "none":
        moved = change(key, previous, metrics)
        if not formatting.vanishes(key, moved.new - moved.old):
            line |= {"change": formatting.difference(key, moved.new - moved.old, signed=True), "verdict": moved.verdict}
    return line


def interval(key: str, metrics: Mapping[str, float]) -> str:
    """
    Write the interval of a metric.

    Parameters
    ----------
    metrics : mapping of str to float
        With ``<key>.lo`` and ``<key>.hi``, or without.

    Returns
    -------
    str
        E.g. ``"[0.12, 0.31]"``; empty where there is none.
    """
    if f"{key}.lo" not in metrics:
        return ""
    ends = [formatting.number(key, metrics[f"{key}.{end}"]).removesuffix(" %") for end in ("lo", "hi")]
    return f"[{ends[0]}, {ends[1]}]"


def metric_keys(metrics: Mapping[str, float]) -> list[str]:
    """List the metrics without what says their noise."""
    return [key for key in metrics if not key.endswith((".lo", ".hi", ".std")) and key != "seeds"]


def metric_table(metrics: Mapping[str, float]) -> pd.DataFrame:
    """
    Tabulate every metric.

    Returns
    -------
    DataFrame
        key, name, value, 95 % interval, between seeds, better.
    """
    rows = []
    for key in metric_keys(metrics):
        better = formatting.ARROWS[formatting.entry(key).better]
        spread = f"± {formatting.number(key, metrics[f'{key}.std'])}" if f"{key}.std" in metrics else ""
        rows.append((key, formatting.label(key), metrics[key], interval(key, metrics), spread, better))
    return pd.DataFrame(rows, columns=pd.Index(["key", "name", "value", "95 % interval", "between seeds", "better"]))


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
    return pd.DataFrame(
        {
            "figure": shown["metric"].map(names.figure),
            "set": where,
            "attribute": shown["attribute"].str.replace("_", " ").replace("", "–"),
            "group": shown["group"].astype(str),
            "n": shown["n"],
            "value": shown["value"],
            "lo": shown["lo"],
            "hi": shown["hi"],
        }
    )


def published_table(published: pd.DataFrame) -> pd.DataFrame:
    """
    Tabulate published definitions beside corrected ones for reading.

    Parameters
    ----------
    published : DataFrame
        set, part, metric, attribute, group, n, as_published, corrected, difference.

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
            "figure": [names.figure(f"published.{metric}") for metric in published["metric"]],
            "set": (published["set"] + " " + published["part"]).str.strip(),
            "group": group,
            "n": published["n"],
            "as published": published["as_published"],
            "corrected": published["corrected"],
            "difference": published["difference"],
        }
    )


def comparison_table(compared: pd.DataFrame) -> pd.DataFrame:
    """
    Tabulate the methods of a study for reading.

    Parameters
    ----------
    compared : DataFrame
        metric, method, reference, pairs, difference, lo, hi, p_holm.

    Returns
    -------
    DataFrame
        metric, method, against, pairs, difference, lo, hi, p (Holm).
    """
    if compared.empty:
        return compared
    shown = compared[["metric", "method", "reference", "pairs", "difference", "lo", "hi", "p_holm"]]
    named = shown.assign(metric=[formatting.label(key) for key in shown["metric"]])
    return named.rename(columns={"reference": "against", "p_holm": "p (Holm)"})


def share_table(shares: pd.DataFrame, balanced: bool) -> pd.DataFrame:
    """
    Tabulate the shares of groups in the data.

    Parameters
    ----------
    shares : DataFrame
        attribute, group, balanced (whether the attribute has a target), n, target, before, solved, realised.
    balanced : bool
        Whether the run balances its mix; if not, before and after are one.

    Returns
    -------
    DataFrame
        For reading, shares in percent; targets only of what has one.
    """
    if shares.empty:
        return shares
    readable = shares.assign(attribute=shares["attribute"].str.replace("_", " "))
    for name in ("target", "before", "solved", "realised"):
        readable[name] = [f"{100 * value:.1f} %" for value in readable[name]]
    readable["target"] = readable["target"].where(shares["balanced"], "–")
    unneeded = ["balanced"] if shares["balanced"].to_numpy(bool).any() else ["balanced", "target"]
    if not balanced:
        readable = readable.drop(columns=["solved", "realised"]).rename(columns={"before": "share"})
    return readable.drop(columns=unneeded).rename(columns={"realised": "after"})


def strongest(balance: Mapping[str, Any]) -> dict[str, str]:
    """
    Name the strongest association before and after balancing.

    Returns
    -------
    dict of str to str
        ``before`` and ``after``, e.g. ``"woman – health worker, +4.2 points"``; empty where there is none.
    """
    said = {}
    for when, column in (("before", "before"), ("after", "realised")):
        ranked = balance.get("strongest", {}).get(when, [])
        if ranked and column in ranked[0]:
            label = str(ranked[0]["label"]).removeprefix("y_").removeprefix("occupation_").replace("_", " ")
            points = f"{100 * ranked[0][column]:+.1f} points".replace("-", "−")
            said[when] = f"{ranked[0]['group']} – {label}, {points}"
    return said


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
    return Markup(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">'
        f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>{note}'
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
