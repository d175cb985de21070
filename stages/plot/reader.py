"""Reads what the other stages wrote, of the seeds and shards that params.yaml names, whatever else lies there."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from stages.core.errors import InputError, missing
from stages.corpus import columns
from stages.corpus.attributes import sensitive_columns
from stages.corpus.evaluation_sets import read_set
from stages.corpus.images import UnreadableError, pixels
from stages.corpus.selection import CANDIDATE, image_columns
from stages.corpus.shards import Shard
from stages.plot import sheets
from stages.plot.settings import Settings
from stages.plot.study import Study
from stages.results import committed, rounds
from stages.results.committed import ROW, RUNS, Kind
from stages.results.details import Details, read
from stages.results.formatting import NOT_BALANCED
from stages.results.sweep import with_evidence

_EFFECT: dict[str, Kind] = {
    "metric": "text", "method": "text", "difference": "figure", "lo": "figure", "hi": "figure", "replicates": "whole",
    "p_holm": "figure",
}  # fmt: skip
STUDY: dict[str, tuple[Mapping[str, Kind], tuple[str, ...]]] = {  # columns, and what names a row
    "runs": (RUNS, ROW),
    "comparisons": ({**_EFFECT, "reference": "text", "alpha": "text"}, ("metric", "method", "reference", "alpha")),
    "trends": (
        {**_EFFECT, "alpha_from": "number", "alpha_to": "number", "value_from": "number", "value_to": "number"},
        ("metric", "method", "alpha_to"),
    ),
}


def _remedy(name: str) -> str:
    return f"restore it from git, or write it again: `python -m stages.tools.{name} --compare`"


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
        folder = self._beside("study")
        if folder is None:
            return None
        runs, comparisons, trends = (
            committed.read_runs(folder / f"{name}.csv", _remedy("study"))
            if name == "runs"
            else committed.read(folder / f"{name}.csv", *of, _remedy("study"))
            for name, of in STUDY.items()
        )
        return Study(runs, with_evidence(comparisons, runs), with_evidence(trends, runs))

    def levers(self) -> Study | None:
        """Read the levers that `plot.counterweights` names, as a study without effects; None: of another profile."""
        folder = self._beside("counterweights")
        if folder is None:
            return None
        runs = committed.read_runs(folder / "runs.csv", _remedy("counterweights"))
        none = pd.DataFrame(columns=pd.Index([*STUDY["trends"][0]]))
        return Study(runs.replace({"method": {"none": NOT_BALANCED}}), none, none)

    def loop(self) -> tuple[pd.DataFrame, sheets.Picture | None] | None:
        """Read the loop that `plot.generations` names: its table and, if any, its pictures; None: another profile."""
        folder = self._beside("generations")
        if folder is None:
            return None
        table = committed.read(folder / "table.csv", rounds.COLUMNS, ("arm", "round", "metric"), _remedy("generations"))
        sheet = folder / "sheet.png"
        try:
            return table, pixels(sheet.read_bytes()) if sheet.exists() else None
        except (UnreadableError, OSError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise InputError(f"{sheet}: {said}; {_remedy('generations')}") from None

    def _beside(self, name: str) -> Path | None:
        """Find the folder that `plot.<name>` names; None where it is of another profile."""
        given = Path(getattr(self.params.plot, name))
        folder = Path(os.path.relpath(given.resolve()))
        profiles = {path.stem for path in Path("stages/profiles").glob("*.yaml")}
        if len(folder.parts) < 3 or folder.parts[0] != "data" or folder.parts[1] not in profiles:
            raise InputError(
                f"params.yaml: plot.{name}: found {given.as_posix()!r}, expected a folder of results of a profile, "
                f"data/<profile>/results/{name}"
            )
        if self.params.folder not in folder.parents:
            return None
        if not folder.is_dir():
            raise InputError(f"params.yaml: plot.{name}: {folder.as_posix()}: no such folder; {_remedy(name)}")
        return folder

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
        known: dict[str, columns.Kind] = dict.fromkeys(sensitive_columns(), "truth value")
        known |= {"key": "text", "source": "text"}
        table = columns.read(path, known, (*image_columns(path),), filters=[("key", "in", keys)])
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
            table = columns.read(self._there(folder / f"{name}.parquet"), {"key": "text", "caption": "text"})
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
