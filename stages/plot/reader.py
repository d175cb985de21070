"""Reads what the other stages wrote, of the seeds and shards that params.yaml names, whatever else lies there."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from stages.core.errors import InputError, missing
from stages.corpus import columns
from stages.corpus.attributes import sensitive_columns
from stages.corpus.evaluation_sets import read_set
from stages.corpus.selection import CANDIDATE
from stages.corpus.shards import Shard
from stages.plot import sheets
from stages.plot.settings import Settings
from stages.plot.study import Study
from stages.results.details import Details, read
from stages.results.sweep import with_images

STUDY_COLUMNS = {
    "runs": ("alpha", "method", "seed", "metric", "value"),
    "comparisons": ("metric", "method", "reference", "alpha", "difference", "lo", "hi", "replicates", "p_holm"),
    "trends": ("metric", "method", "alpha_from", "alpha_to", "value_from", "value_to", "difference", "lo", "hi"),
}


class Reader:
    """
    Reads the inputs of the results.

    Parameters
    ----------
    params : Settings
        All parameters.
    """

    def __init__(self, params: Settings) -> None:
        self.params, self.folder = params, params.folder

    def scores(self) -> dict[int, Details]:
        """Read the metrics of every seed."""
        paths = {seed: self.folder / "scores" / str(seed) / "metrics.json" for seed in self.params.seeds}
        return {seed: read(self._there(path)) for seed, path in paths.items()}

    @staticmethod
    def _there(path: Path) -> Path:
        if not path.is_file():
            raise missing(f"{path}: no such file", "run the stage that writes it (`dvc repro`)")
        return path

    def json(self, path: Path) -> dict[str, Any]:
        """Read a file of keys and values."""
        try:
            content = json.loads(self._there(path).read_text())
        except ValueError as error:
            raise InputError(f"{path}: not readable JSON ({error}); run the stage that writes it again") from None
        if not isinstance(content, dict):
            raise InputError(f"{path}: found {type(content).__name__}, expected keys and values")
        return content

    def csv(self, path: Path) -> pd.DataFrame:
        """Read a table."""
        try:
            return pd.read_csv(self._there(path), keep_default_na=True, dtype={"group": str, "label": str})
        except ValueError as error:
            raise InputError(f"{path}: not a readable table ({error}); run the stage that writes it again") from None

    def score_tables(self) -> dict[str, dict[int, pd.DataFrame]]:
        """Read the tables that every seed has, by name."""
        folders = {seed: self.folder / "scores" / str(seed) for seed in self.params.seeds}
        found = [{path.stem for path in folder.glob("*.csv")} for folder in folders.values()]
        shared = sorted(set.intersection(*found))
        return {name: {seed: self.csv(folder / f"{name}.csv") for seed, folder in folders.items()} for name in shared}

    def study(self) -> Study | None:
        """Read the study that `plot.study` names; None where it is of another profile."""
        folder = self.params.plot.study
        if self.params.folder not in folder.parents:
            return None
        tables = []
        for name, needed in STUDY_COLUMNS.items():
            table = self.csv(folder / f"{name}.csv")
            if absent := [column for column in needed if column not in table]:
                raise InputError(
                    f"{folder / name}.csv: no column {absent[0]} (found {', '.join(map(str, table))}); write it again: "
                    "`python -m stages.tools.compare`"
                )
            tables.append(table)
        runs, comparisons, trends = tables
        return Study(runs, with_images(comparisons, runs), with_images(trends, runs))

    def curves(self) -> tuple[pd.DataFrame, list[tuple[str, int, int]]]:
        """Read the curves of every seed (seed, step, metric, value); data, first and last step of each phase."""
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
        training = self.json(self.folder / "models" / str(self.params.seeds[0]) / "clip" / "training.json")
        phases = [(phase["data"], phase["first"], phase["last"]) for phase in training["phases"]]
        return pd.concat(parts, ignore_index=True), phases

    def pairs(self) -> list[sheets.Pair]:
        """Draw captions that have both images, evenly from the shards."""
        shards, wanted = self.params.shards, self.params.plot.pairs
        share = -(-wanted // len(shards))
        chosen: list[tuple[str, str]] = []
        for name in shards:
            with (
                Shard(self.folder / "real" / f"{name}.tar") as real,
                Shard(self.folder / "synthetic" / f"{name}.tar") as shard,
            ):
                keys = [key for key in shard.keys if key in real]  # of several candidates the first
                chosen += [(name, key) for key in sheets.draw(keys, share, self.params.plot.seed)]
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
        path = self._there(self.folder / "attributes.parquet")
        columns.check(path, {"key": "text", "source": "text", **dict.fromkeys(sensitive_columns(), "truth value")})
        table = pd.read_parquet(path, filters=[("key", "in", keys)])
        sensitive = [column for column in table if column.startswith("s_")]
        return {
            (row["key"], row["source"]): ", ".join(column.rsplit("_", 1)[-1] for column in sensitive if row[column])
            for row in table.to_dict("records")
            if not row.get(CANDIDATE)
        }

    def described(self) -> list[sheets.Described]:
        """Draw held-out images, with the captions of the first seed."""
        folder = self.folder / "captions" / str(self.params.seeds[0])
        captions: dict[str, dict[str, str]] = {}
        for name in self.params.caption.captioners:
            table = pd.read_parquet(self._there(folder / f"{name}.parquet"))
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
