"""`plot`: what people look at. Scores of all seeds become metrics.json, tables, figures and a report.

Reads what the other stages wrote into `data/<profile>/`, and writes `data/<profile>/results/`, small and in git:

    metrics.json   mean of every metric over the seeds, `.std` between seeds, `.lo`, `.hi` (95 % over test images)
    tables/        metrics, seeds, groups, associations, occupations, curves, published: CSV, for `dvc plots` and others
    figures/       PNG
    report.html    everything on one page that needs no network
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from rich.console import Console
from rich.table import Table

from stages.core.atomic import merged
from stages.core.errors import InputError, missing, run
from stages.core.settings import Merged, load
from stages.corpus import columns
from stages.corpus.attributes import sensitive_columns
from stages.corpus.evaluation_sets import read_set
from stages.corpus.shards import Shard
from stages.plot import aggregate, figures, provenance, sheets
from stages.plot.report import Content, interval, render
from stages.plot.settings import Settings
from stages.results import formatting
from stages.results.panels import Panel, png
from stages.results.repository import git
from stages.results.sweep import panels as study_panels

SHOWN = (r"retrieval\.t2i\.5", "recognition", r"caption\w*(?:\.\w+)*", "leakage.*")  # by group, in this order
MORE = (r"retrieval\.i2t\.5", "similarity", r"preference\.\w+", r"harm\.\w+")  # the same, folded away


def main() -> None:
    """Make the results of the profile in params.yaml, or print them."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.plot", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--summary", action="store_true", help="only print the headline of the results that are there")
    arguments = parser.parse_args()
    params = load(Settings)
    results = params.folder / "results"
    if arguments.summary:
        _summarise(results)
    else:
        _write(results, Reader(params).files())
    print(f"report: {(results / 'report.html').as_posix()}")


class Reader:
    """
    Reads what the other stages wrote, and makes the files of the results.

    Parameters
    ----------
    params : Settings
        All parameters; seeds and shards are those they name, whatever else lies there.
    """

    def __init__(self, params: Settings) -> None:
        self.params = params
        self.folder = params.folder
        balance = params.balance
        self.method = formatting.balancing(balance.method, balance.target, balance.eta)

    def files(self) -> dict[str, bytes]:
        """
        Make everything.

        Returns
        -------
        dict of str to bytes
            Content by path below `results`.
        """
        scores = {seed: self._json(self.folder / "scores" / str(seed) / "metrics.json") for seed in self.params.seeds}
        balance = self._json(self.folder / "balance" / "balance.json")
        summary = aggregate.summarise(scores)
        metrics = aggregate.flatten(summary, aggregate.data_metrics(balance))
        scored = self._score_tables()
        by_group = aggregate.groups(scored)
        curves, phases = self._curves()
        occupations, published = _occupations(scored.get("association", {})), _published(scored.get("published"))
        associations = self._csv(self.folder / "balance" / "associations.csv")
        panels = {
            "data": figures.data_bias(associations, balanced=self.method != formatting.NOT_BALANCED),
            "occupations": figures.occupations(occupations) if len(occupations) else [],
            "groups": figures.groups(_chosen(by_group, SHOWN)),
            "more_groups": figures.groups(_chosen(by_group, MORE)),
            "crossed": figures.groups(_chosen(by_group, SHOWN), crossed=True),
            "curves": figures.curves(curves, phases),
            "published": figures.published(published) if len(published) else [],
        }
        runs, compared, drawn, findings = self._study()
        if len(runs):
            panels["study"] = study_panels(runs, drawn)
        pairs, described = self._pairs(), self._described()
        content = Content(
            params=Merged().values,
            metrics=metrics,
            previous=self._previous(),
            balance=balance,
            shares=self._csv(self.folder / "balance" / "groups.csv"),
            annotation=self._json(self.folder / "annotation.json"),
            pairs=pairs,
            described=described,
            panels=panels,
            groups=by_group,
            published=published,
            compared=compared,
            findings=findings,
            commit=provenance.commit(Path()),
            versions=provenance.versions(),
            outputs=provenance.outputs(self._lock(), leave_out="plot"),
        )
        tables = {
            "metrics": summary.assign(name=[formatting.label(key) for key in summary["key"]]),
            "seeds": aggregate.by_seed(scores),
            "groups": by_group,
            "associations": associations,
            "occupations": occupations,
            "curves": curves,
            "published": published,
        }
        return {
            "metrics.json": (json.dumps(metrics, indent=2, allow_nan=False) + "\n").encode(),
            **{f"tables/{name}.csv": _to_csv(table) for name, table in tables.items() if len(table)},
            **{f"figures/{name}.png": image for name, image in self._figures(panels, pairs)},
            "report.html": render(content).encode(),
        }

    def _figures(self, panels: dict[str, list[Panel]], pairs: list[sheets.Pair]) -> Iterator[tuple[str, bytes]]:
        """Draw each section of the report as one sheet."""
        of = self.params
        as_found = self.method == formatting.NOT_BALANCED
        setting = f"α = {of.contamination.alpha:g}, {self.method if as_found else f'balancing {self.method}'}"
        probe = f"; R@5 and biases on a fixed probe of {of.train.probe} images a set" if of.train.probe else ""
        titles = {
            "data": f"Association in the data{'' if as_found else ', before and after balancing'} · {setting}",
            "occupations": f"Occupations and portraits without a cue · {setting}",
            "groups": f"Figures by group · {setting}",
            "curves": f"Through training{probe} · {setting}",
            "published": "Published definitions beside corrected ones, the same model",
        }
        for name, title in titles.items():
            if panels[name]:
                yield name, png(panels[name], columns=3, title=title)
        if pairs:
            yield "images", sheets.contact_sheet(pairs)

    def _json(self, path: Path) -> dict[str, Any]:
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            raise missing(f"{path}: no such file", "run the stage that writes it (`dvc repro`)") from None
        except ValueError as error:
            raise InputError(f"{path}: not readable JSON ({error}); run the stage that writes it again") from None
        if not isinstance(content, dict):
            raise InputError(f"{path}: found {type(content).__name__}, expected keys and values")
        return content

    def _csv(self, path: Path) -> pd.DataFrame:
        try:
            return pd.read_csv(path, keep_default_na=True, dtype={"group": str, "label": str})
        except FileNotFoundError:
            raise missing(f"{path}: no such file", "run the stage that writes it (`dvc repro`)") from None
        except ValueError as error:
            raise InputError(f"{path}: not a readable table ({error}); run the stage that writes it again") from None

    def _score_tables(self) -> dict[str, dict[int, pd.DataFrame]]:
        """Read the tables that every seed has, by name."""
        folders = {seed: self.folder / "scores" / str(seed) for seed in self.params.seeds}
        found = [{path.stem for path in folder.glob("*.csv")} for folder in folders.values()]
        shared = sorted(set.intersection(*found))
        return {name: {seed: self._csv(folder / f"{name}.csv") for seed, folder in folders.items()} for name in shared}

    def _curves(self) -> tuple[pd.DataFrame, list[tuple[str, int, int]]]:
        parts: list[pd.DataFrame] = []
        for seed in self.params.seeds:
            folder = self.folder / "models" / str(seed) / "curves" / "plots" / "metrics"
            for path in sorted(folder.rglob("*.tsv")):
                table = pd.read_csv(path, sep="\t")
                name = path.relative_to(folder).with_suffix("").as_posix()
                parts.append(
                    pd.DataFrame({"seed": seed, "step": table["step"], "metric": name, "value": table[path.stem]})
                )
            if not folder.is_dir():
                raise InputError(f"{folder}: no curves; run the stage train again (`dvc repro train@{seed}`)")
        training = self._json(self.folder / "models" / str(self.params.seeds[0]) / "clip" / "training.json")
        phases = [(phase["data"], phase["first"], phase["last"]) for phase in training["phases"]]
        return pd.concat(parts, ignore_index=True), phases

    def _pairs(self) -> list[sheets.Pair]:
        """Draw captions that have both images, evenly from the shards."""
        shards, wanted = self.params.shards, self.params.plot.pairs
        share = -(-wanted // len(shards))
        chosen: list[tuple[str, str]] = []
        for name in shards:
            with Shard(self.folder / "synthetic" / f"{name}.tar") as shard:
                chosen += [(name, key) for key in sheets.draw(shard.keys, share, self.params.plot.seed)]
        chosen = chosen[:wanted] if len(shards) > wanted else sorted(chosen, key=lambda pair: pair[1])[:wanted]
        seen = self._seen([key for _, key in chosen])
        pairs = []
        for name, key in chosen:
            with (
                Shard(self.folder / "real" / f"{name}.tar") as real,
                Shard(self.folder / "synthetic" / f"{name}.tar") as made,
            ):
                pairs.append(
                    sheets.Pair(
                        key=key,
                        caption=real.read(key, "txt").decode().strip(),
                        real=real.read_image(key),
                        synthetic=made.read_image(key),
                        seen={source: seen.get((key, source), "") for source in ("real", "synthetic")},
                    )
                )
        return pairs

    def _seen(self, keys: list[str]) -> dict[tuple[str, str], str]:
        """Put into words what `annotate` sees in the images of keys."""
        if not keys:
            return {}
        sensitive: dict[str, columns.Kind] = dict.fromkeys(sensitive_columns(), "truth value")
        table = columns.read(
            self.folder / "attributes.parquet",
            {"key": "text", "source": "text", **sensitive},
            ("key", "source"),
            filters=[("key", "in", keys)],
        )
        return {
            (row["key"], row["source"]): ", ".join(column.rsplit("_", 1)[-1] for column in sensitive if row[column])
            for row in table.to_dict("records")
        }

    def _described(self) -> list[sheets.Described]:
        """Draw held-out images, with the captions of the first seed."""
        folder = self.folder / "captions" / str(self.params.seeds[0])
        captions: dict[str, dict[str, str]] = {}
        for name in self.params.caption.captioners:
            path = folder / f"{name}.parquet"
            table = columns.read(path, {"key": "text", "caption": "text"})
            captions[name] = dict(zip(table["key"], table["caption"], strict=True))
        if not captions:
            return []
        people = read_set(self.folder / "eval", self.params.caption.evaluation_set)
        references = dict(zip(people.table["key"], people.table["captions"], strict=True))
        shared = set.intersection(*(set(said) for said in captions.values()), set(references))
        described = [
            sheets.Described(
                key,
                people.images.read_image(key),
                list(references[key]),
                {n: said[key] for n, said in captions.items()},
            )
            for key in sheets.draw(shared, self.params.plot.captions, self.params.plot.seed)
        ]
        people.images.close()
        return described

    def _study(self) -> tuple[pd.DataFrame, pd.DataFrame, list[str], list[str]]:
        """Read runs, comparisons, metrics to draw and findings of a study, if there is one; no stage depends on it."""
        folder = self.folder / "results" / "study"
        if not (folder / "findings.md").is_file():
            return pd.DataFrame(), pd.DataFrame(), [], []
        said = (folder / "findings.md").read_text().splitlines()
        lines = [line.removeprefix("- ") for line in said if line]
        runs, compared, changes = (self._csv(folder / f"{name}.csv") for name in ("runs", "comparisons", "trends"))
        return runs, compared, list(dict.fromkeys([*compared["metric"], *changes["metric"]])), lines

    def _previous(self) -> dict[str, float]:
        """Read metrics.json of the last commit; nothing where there is none."""
        path = self.folder / "results" / "metrics.json"
        text = git(Path(), "show", f"HEAD:./{path.as_posix()}")
        try:
            return dict(json.loads(text)) if text else {}
        except ValueError:
            return {}

    def _lock(self) -> dict[str, Any]:
        path = Path("dvc.lock")
        return yaml.safe_load(path.read_text()) or {} if path.is_file() else {}


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


def _chosen(by_group: pd.DataFrame, patterns: tuple[str, ...]) -> pd.DataFrame:
    """Take the figures whose names fit, in the order of the patterns."""
    return pd.concat([by_group.loc[by_group["metric"].str.fullmatch(pattern), :] for pattern in patterns])


def _to_csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode()


def _write(results: Path, files: dict[str, bytes]) -> None:
    """Write everything; what others keep in the folder stays."""
    with merged(results) as folder:
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)


def _summarise(results: Path) -> None:
    """Print the headline."""
    path = results / "metrics.json"
    try:
        metrics = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no results yet; run `dvc repro`") from None
    table = Table(
        title=f"{results.as_posix()}: mean over {formatting.counted(metrics.get('seeds', 1), 'seed')}",
        title_justify="left",
    )
    for name, side in (
        ("metric", "left"),
        ("mean", "right"),
        ("95 % interval", "left"),
        ("between seeds", "right"),
        ("", "left"),
    ):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for key in (key for _, family in formatting.headlines(list(metrics)) for key in family):
        spread = f"± {formatting.number(key, metrics[f'{key}.std'])}" if f"{key}.std" in metrics else ""
        arrow = formatting.ARROWS[formatting.entry(key).better]
        table.add_row(
            formatting.label(key), formatting.number(key, metrics[key]), interval(key, metrics), spread, arrow
        )
    Console().print(table)


if __name__ == "__main__":
    run(main)
