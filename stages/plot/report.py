"""The report: one HTML file that needs nothing else, in light and dark, on a phone and on a projector."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jinja2
import pandas as pd
import yaml
from markupsafe import Markup

from stages.plot import tables
from stages.plot.answer import Answer, comparisons
from stages.plot.cards import cards
from stages.plot.sheets import Described, Pair, Picture, data_uri
from stages.plot.study import MEASURED, Study, biases_of
from stages.results import formatting, registry, sweep
from stages.results.details import Details
from stages.results.effects import SHOWN
from stages.results.panels import Panel, css, svg, variable
from stages.results.writing import capital

PACKAGES = (
    "torch", "open_clip_torch", "diffusers", "transformers", "accelerate", "numpy", "scipy", "pandas", "pyarrow",
    "duckdb", "scikit-learn", "webdataset", "resvg-py", "pillow", "matplotlib", "dvc", "dvclive",
)  # fmt: skip
SECTIONS = (
    "answer",
    "study",
    "data",
    "occupations",
    "groups",
    "more_groups",
    "crossed",
    "curves",
    "published",
    "generations",
    "more_generations",
)  # with panels


@dataclass(frozen=True)
class Content:
    """
    Everything that the report shows; what is empty is left out, and so is its section.

    Attributes
    ----------
    shares : DataFrame
        attribute, group, balanced, n, target, before, solved, realised: shares of groups in the data.
    annotation : mapping of str to float
        Accuracy of the classifier that annotates synthetic images.
    panels : mapping of str to sequence of Panel
        By section, see `SECTIONS`.
    groups, published : DataFrame
        All figures by group; published definitions beside corrected ones.
    answers : sequence of Answer
        What the first screen says.
    study : Study, optional
        What the run is held against.
    levers : Study, optional
        Counterweights at one α, each a method of its runs.
    sheet : ndarray of uint8, (height, width, 3), optional
        Pictures of the rounds of `make generations`.
    """

    params: Mapping[str, Any]
    metrics: Details
    balance: Mapping[str, Any] = field(default_factory=dict)
    shares: pd.DataFrame = field(default_factory=pd.DataFrame)
    annotation: Mapping[str, float] = field(default_factory=dict)
    pairs: Sequence[Pair] = ()
    described: Sequence[Described] = ()
    panels: Mapping[str, Sequence[Panel]] = field(default_factory=dict)
    groups: pd.DataFrame = field(default_factory=pd.DataFrame)
    published: pd.DataFrame = field(default_factory=pd.DataFrame)
    versions: Mapping[str, str] = field(default_factory=dict)
    answers: Sequence[Answer] = ()
    study: Study | None = None
    levers: Study | None = None
    sheet: Picture | None = None


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
    environment.filters["capital"] = capital
    environment.globals["table"] = tables.table
    environment.globals["picture"] = data_uri
    environment.globals["drawn"] = lambda panel: Markup(svg(panel))
    loader = environment.loader
    assert loader is not None
    method = formatting.balancing(
        *(content.params["balance"].get(name, "auto") for name in ("method", "target", "eta"))
    )
    found, params = tuple(content.metrics), content.params
    study = [panel.data for panel in content.panels.get("study", ()) if panel.data is not None]
    return environment.get_template("report.html").render(
        content=content,
        cards=cards(content.metrics, content.study, params["contamination"]["alpha"]),
        compared=comparisons(content.study) if content.study else pd.DataFrame(),
        shown=SHOWN,
        described=sweep.METHODS,
        exchanged=exchanged(content.metrics),
        measured={
            registry.name_and_place(key)[0]: MEASURED[registry.entry(key).key] for key in biases_of(content.metrics)
        }
        if content.answers
        else {},
        methods={name: variable(sweep.look(name)[0]) for data in study for name in data["method"]},
        light=css(0),
        dark=css(1),
        transfer=any(key.endswith(".transfer") for key in found),
        parts=any(key.startswith("portraits.unseen.") for key in found),
        harm=any(".harm." in key for key in found),
        panels={name: content.panels.get(name, ()) for name in SECTIONS},
        metric_table=tables.metric_table(content.metrics),
        written={"value": [formatting.number(key, of.value) for key, of in content.metrics.items()]},
        group_table=tables.group_table(content.groups),
        published_table=tables.published_table(content.published, params["evaluate"]["min_group"]),
        share_table=tables.share_table(
            content.shares, method != formatting.NOT_BALANCED, params["evaluate"]["min_group"]
        ),
        strongest=strongest(content.balance),
        method=method,
        not_balanced=formatting.NOT_BALANCED,
        parameters=yaml.safe_dump(dict(content.params), sort_keys=False, allow_unicode=True),
        resource=lambda name: Markup(loader.get_source(environment, name)[0]),
    )


def exchanged(metrics: Details) -> str:
    """Say what chance is of association bias, the same in cards and charts; empty: it is not measured."""
    images = metrics.get("n.portraits")
    if images is None or not any(key.startswith("portraits.") and key.endswith(".ab.null") for key in metrics):
        return ""
    return (
        "Chance of association bias, in cards and charts: what this run's model has left when the groups of its "
        f"{images.value:,.0f} portraits are exchanged at random, those of one figure together; more with fewer figures."
    )


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


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Look up installed versions."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
