"""`plot`: what people look at. Scores of all seeds become metrics, tables, figures and a report.

Reads what the other stages wrote into `data/<profile>/`, and writes there

    results/metrics.json   the headline: at most 25 numbers, means over the seeds, for `dvc metrics diff`
    results/details.json   every metric: mean, 95 % interval over test images, spread between seeds
    results/tables/        metrics, seeds, groups, associations, occupations, curves, published, erased: CSV
    results/figures/       PNG
    report.html            everything on one page that needs no network; in DVC's cache, not in git
"""

import argparse
import json
from collections.abc import Iterator, Mapping

import pandas as pd
from rich.console import Console

from stages.core.atomic import merged, written
from stages.core.errors import InputError, run
from stages.core.settings import Merged, load
from stages.plot import aggregate, answer, figures, sheets, study_charts, summary
from stages.plot.reader import Reader
from stages.plot.report import Content, render, versions
from stages.plot.settings import Settings
from stages.plot.study import judged_by, quality_of
from stages.results import details, formatting, registry, rounds
from stages.results.headline import headline
from stages.results.panels import Panel, png
from stages.results.sweep import Own
from stages.results.writing import csv

SHOWN = (r"retrieval\.t2i\.5", "recognition", r"caption\w*(?:\.\w+)*", "leakage.*")  # by group, in this order
STUDIED = (  # metrics of the study that the report draws; the others are in its own tables
    "people.t2i.r5", "objects.acc1", "portraits.seen.pairwise_association", "portraits.unseen.pairwise_association",
    "portraits.seen.position", "portraits.unseen.position", "portraits.seen.ab.max", "portraits.unseen.ab.max",
    "portraits.seen.self_similarity",
)  # fmt: skip
LOOP = (  # metrics of a generator that show the course of a loop
    "generator.position", "generator.women", "generator.recognised.occupation", "generator.frechet",
    "generator.diversity",
)  # fmt: skip
MORE = (r"retrieval\.i2t\.5", "similarity", r"preference\.\w+", r"harm\.\w+")  # the same, folded away


def main() -> None:
    """Make the results of the profile in params.yaml, or print them."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.plot", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--summary", action="store_true", help="only print the headline of the results that are there")
    arguments = parser.parse_args()
    params = load(Settings)
    report = params.folder / "report.html"
    if arguments.summary:
        _summarise(params)
    else:
        files, page = make(params)
        with merged(params.folder / "results") as folder:  # what others keep there stays
            for name, content in files.items():
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(content)
        with written(report) as file:
            file.write_text(page)
    print(f"report: {report.as_posix()}")


def make(params: Settings) -> tuple[dict[str, bytes], str]:
    """
    Make everything.

    Returns
    -------
    tuple of (dict of str to bytes, str)
        Content by path below `results`; the report.
    """
    reader = Reader(params)
    method = _method(params)
    scores = reader.scores()
    balance = reader.json(params.folder / "balance" / "balance.json")
    means = aggregate.summarise(scores)
    metrics = aggregate.estimates(means, aggregate.data_metrics(balance))
    scored = reader.score_tables()
    by_group = aggregate.groups(scored)
    curves, phases = reader.curves()
    occupations, published = _occupations(scored.get("association", {})), _published(scored.get("published"))
    associations = reader.csv(params.folder / "balance" / "associations.csv")
    erased, study, few = _erased(scored.get("erased")), reader.study(), params.evaluate.min_group
    levers, loop = reader.levers(), reader.loop()
    own = Own(params.contamination.alpha, method, metrics)
    if study:
        study = study.claiming(own, {*judged_by(own, study)[0], quality_of(metrics, study), *STUDIED})
    panels = {
        "answer": study_charts.charts(own, study, erased, levers),
        "study": study_charts.study_charts(own, study, [key for key in STUDIED if study.has(key)]) if study else [],
        "data": figures.data_bias(associations, method != formatting.NOT_BALANCED, few),
        "occupations": figures.occupations(occupations, metrics, few) if len(occupations) else [],
        "groups": figures.groups(_chosen(by_group, SHOWN)),
        "more_groups": figures.groups(_chosen(by_group, MORE)),
        "crossed": figures.groups(_chosen(by_group, SHOWN), crossed=True),
        "curves": figures.curves(curves, phases, params.train.probe),
        "published": figures.published(published, few) if len(published) else [],
        **_over_rounds(loop[0] if loop else None),
    }
    pairs = reader.pairs()
    content = Content(
        params=Merged().values,
        metrics=metrics,
        balance=balance,
        shares=reader.csv(params.folder / "balance" / "groups.csv"),
        annotation=reader.json(params.folder / "annotation.json"),
        pairs=pairs,
        described=reader.described(),
        panels=panels,
        groups=by_group,
        published=published,
        versions=versions(),
        answers=answer.answers(own, _target(params.balance.target), study, balance),
        study=study,
        levers=levers,
        sheet=loop[1] if loop else None,
    )
    tables = {
        "metrics": means.assign(name=[registry.label(key) for key in means["key"]]),
        "seeds": aggregate.by_seed(scores),
        "groups": by_group,
        "associations": associations,
        "occupations": occupations,
        "curves": curves,
        "published": published,
        "erased": erased,
    }
    head = {key: metrics[key].value for key in headline(metrics)}
    files = {
        "metrics.json": (json.dumps(head, indent=2, allow_nan=False) + "\n").encode(),
        "details.json": details.text(metrics).encode(),
        **{f"tables/{name}.csv": csv(table) for name, table in tables.items() if len(table)},
        **{f"figures/{name}.png": image for name, image in _figures(params, method, panels, pairs)},
    }
    return files, render(content)


def _over_rounds(table: pd.DataFrame | None) -> dict[str, list[Panel]]:
    """Chart a loop over its rounds: what shows its course, and folded away the other metrics of its table."""
    if table is None:
        return {}
    metrics = list(dict.fromkeys(table["metric"]))
    of_clip = next((metric for metric in metrics if not metric.startswith("generator.")), "")
    shown = [metric for metric in (LOOP[0], of_clip, *LOOP[1:]) if metric in metrics]
    rest = [metric for metric in metrics if metric not in shown and not metric.startswith("generator.tone.")]
    sections = {"generations": shown, "more_generations": rest}
    return {name: [rounds.lines(table, metric) for metric in own] for name, own in sections.items()}


def _figures(
    params: Settings, method: str, panels: dict[str, list[Panel]], pairs: list[sheets.Pair]
) -> Iterator[tuple[str, bytes]]:
    """Draw each section of the report as one sheet."""
    as_found = method == formatting.NOT_BALANCED
    setting = f"α = {params.contamination.alpha:g}, {method if as_found else f'balancing {method}'}"
    probe = f"; R@5 and biases on a fixed probe of {params.train.probe} images per set" if params.train.probe else ""
    titles = {
        "answer": f"This run beside the study · {setting}",
        "data": f"Association in the data{'' if as_found else ', before and after balancing'} · {setting}",
        "occupations": f"Occupations and portraits without a cue · {setting}",
        "groups": f"Figures by group · {setting}",
        "curves": f"Through training{probe} · {setting}",
        "published": "Published definitions against corrected ones, the same model",
    }
    for name, title in titles.items():
        if panels[name]:
            yield name, png(panels[name], columns=3, title=title)
    if pairs:
        yield "images", sheets.contact_sheet(pairs)


def _target(target: object) -> str:
    return target if isinstance(target, str) and not target.endswith(".csv") else "stated"


def _occupations(tables: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """Average the gaps between women and men over the seeds; empty where no share of women is known."""
    tables = {seed: table.loc[table["attribute"] == "gender", :] for seed, table in tables.items()}
    if not tables or any("women_corpus" not in table for table in tables.values()):
        return pd.DataFrame()
    pooled = aggregate.pool(tables, ["set", "part", "label"])
    return pooled if bool(pooled["women_corpus"].notna().any()) else pd.DataFrame()


def _published(tables: Mapping[int, pd.DataFrame] | None) -> pd.DataFrame:
    if tables is None:
        return pd.DataFrame()
    return aggregate.pool(tables, ["set", "part", "metric", "attribute", "group"])


def _erased(tables: Mapping[int, pd.DataFrame] | None) -> pd.DataFrame:
    return pd.DataFrame() if tables is None else aggregate.pool(tables, ["eraser", "metric"])


def _chosen(by_group: pd.DataFrame, patterns: tuple[str, ...]) -> pd.DataFrame:
    """Take the figures whose names fit, in the order of the patterns."""
    return pd.concat([by_group.loc[by_group["metric"].str.fullmatch(pattern), :] for pattern in patterns])


def _summarise(params: Settings) -> None:
    """Print the headline."""
    path = params.folder / "results" / "details.json"
    if not path.is_file():
        raise InputError(f"{path}: no results yet; run `dvc repro`")
    own = Own(params.contamination.alpha, _method(params), details.read(path))
    Console().print(summary.table(path.parent.as_posix(), own, Reader(params).study()))


def _method(params: Settings) -> str:
    return formatting.balancing(params.balance.method, params.balance.target, params.balance.eta)


if __name__ == "__main__":
    run(main)
