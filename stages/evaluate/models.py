"""Many models beside each other: the list of them, one table of their figures, and a page."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stages.core.errors import InputError
from stages.corpus import tables
from stages.corpus.attributes import is_unknown

COLUMNS = ["model", "metric", "value", "lo", "hi"]
FILES = ("models.csv", "models.html")  # beside the folders of the models
DRAWN = re.compile(  # what the page draws; its table has all
    r"(\w+\.)?rb\.[a-z_]+\.(margin|share)|.+\.(ab\.max|t2i\.r5|i2t\.r5|acc1)|.+\.(recognition|gap|ratio)\.[a-z_]+"
)
PAGE = jinja2.Environment(autoescape=True).from_string(
    """<!doctype html><html lang="en"><meta charset="utf-8"><title>{{ names | length }} models</title>
<style>body{font:15px/1.4 sans-serif;max-width:75em;margin:2em auto;padding:0 1em}small{color:#666}img{max-width:100%}
table{border-collapse:collapse;display:block;overflow-x:auto}tr:nth-child(even){background:#f4f4f4}
td,th{padding:.2em .7em;text-align:right;white-space:nowrap}td:first-child,th:first-child{text-align:left}</style>
<h1>{{ names | length }} models on {{ sets | join(", ") }}</h1>
<p>Value and 95 % interval over the images of the sets (clusters are resampled together). The models are taken as they
are: an interval says nothing of other trainings.{% if preset %} Prompts: {{ preset }}.{% endif %} What each key means:
docs/metrics.md.</p>
{% if image %}<img alt="figures with intervals" src="data:image/png;base64,{{ image }}">{% endif %}
<table><tr><th>metric</th>{% for name in names %}<th>{{ name }}</th>{% endfor %}</tr>
{% for metric in metrics %}<tr><td>{{ metric }}</td>
{% for name in names %}<td>{% set cell = cells.get((name, metric)) %}
{%- if cell %}{{ "%.3g" % cell.value }}{% if cell.lo == cell.lo %}
<small>[{{ "%.3g" % cell.lo }}, {{ "%.3g" % cell.hi }}]</small>{% endif %}{% endif %}</td>{% endfor %}</tr>
{% endfor %}</table></html>
"""
)


@dataclass(frozen=True)
class Model:
    """A name for the tables, an open_clip name, folder or hub id, and for a name its weights: a tag or a file."""

    name: str
    model: str
    pretrained: str | None


def read(path: Path) -> list[Model]:
    """
    Read a table of models.

    Parameters
    ----------
    path : Path
        csv, tsv, jsonl or parquet with ``model`` and, as known, ``pretrained`` and ``name`` (else made of both).

    Raises
    ------
    InputError
        If there is no column ``model``, a value is missing, or a name is no name of a folder, or comes twice.
    """
    if "model" not in (found := tables.columns(path)):
        raise InputError(f"{path}: no column model (found: {tables.shown(found)}); expected model, pretrained, name")
    listed: dict[str, Model] = {}
    for number, row in enumerate(tables.rows(path), 1):
        given = {name: str(row.get(name) or "").strip() for name in ("model", "pretrained", "name")}
        given = {name: None if is_unknown(text) else text for name, text in given.items()}
        model, pretrained = given["model"], given["pretrained"]
        if model is None:
            raise InputError(f"{path}: row {number}: column model: found nothing, expected a name or a folder")
        made = re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(filter(None, (model, pretrained)))).strip("-.")
        name = given["name"] or made
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}", name) or name in FILES:
            raise InputError(
                f"{path}: row {number}: column name: found {name[:120]!r}, expected at most 100 letters, "
                f"digits, _, . and -, and none of {', '.join(FILES)}; name each model in a column name"
            )
        if name.casefold() in map(str.casefold, listed):
            raise InputError(f"{path}: row {number}: the name {name} comes twice; name each model in a column name")
        listed[name] = Model(name, model, pretrained)
    if not listed:
        raise InputError(f"{path}: no rows; expected one per model")
    return [*listed.values()]


def check_place(folder: Path) -> None:
    """
    Check, before the work, that the table and the page replace nothing but those of an earlier run.

    Raises
    ------
    InputError
        Names the file that is something else.
    """
    table, page = (folder / name for name in FILES)
    ours = table.is_file() and table.read_bytes().startswith(",".join(COLUMNS).encode())
    if other := [path for path in (table, page) if path.exists() and not ours]:
        raise InputError(
            f"--out {folder}: holds {other[0].name}, which no earlier run wrote and which would be lost; name a new "
            "folder"
        )


def compare(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """
    Put the figures of all models into one table: model, metric, value, lo, hi; a row per model and metric.

    Parameters
    ----------
    found : mapping of str to DataFrame
        By model: metric, value, lo, hi (`Scores.estimates`).
    """
    parts = [part.assign(model=name) for name, part in found.items()]
    return pd.concat(parts, ignore_index=True).reindex(columns=pd.Index(COLUMNS))


def page(table: pd.DataFrame, sets: Sequence[str], preset: str | None) -> str:
    """
    Write a page that stands alone: what differs, drawn with its intervals, and every figure.

    Parameters
    ----------
    preset : str or None
        Published prompts, where they were used.
    """
    names = list(dict.fromkeys(table["model"]))
    metrics = sorted(set(table["metric"]))
    drawn = [metric for metric in metrics if DRAWN.fullmatch(metric)]
    return PAGE.render(
        names=names,
        sets=sets,
        preset=preset,
        metrics=metrics,
        image=_drawing(table, names, drawn) if drawn else "",
        cells={(row["model"], row["metric"]): row for row in table.to_dict("records")},
    )


def _drawing(table: pd.DataFrame, names: Sequence[str], metrics: Sequence[str]) -> str:
    """Draw a panel per metric, a line per model; return the PNG in base 64."""
    columns = min(3, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = Figure(figsize=(4.6 * columns, rows * (0.9 + 0.22 * len(names))), layout="constrained", dpi=110)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, metric in zip(panels, metrics, strict=False):
        part = table.loc[(table["metric"] == metric).to_numpy()].set_index("model").reindex(list(names))
        place = np.arange(len(names))
        panel.hlines(place, part["lo"], part["hi"], color="0.5")
        panel.plot(part["value"], place, "o", color="tab:blue", markersize=4)
        panel.set_yticks(place, names, size=7)
        panel.invert_yaxis()
        panel.tick_params(axis="x", labelsize=7)
        panel.set_title(metric, size=8)
    for panel in panels[len(metrics) :]:
        panel.set_axis_off()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()
