"""`annotate`: who is on each image (s) and what its caption names (y), for real and synthetic images.

Beside both stand whether the safety checker blanked a generated image and, where asked for, how alike image and caption
are.

Writes `attributes.parquet` and `annotation.json` (how good the classifier is, how far captions and pictures agree) into
`data/<profile>/`. One shard is held at a time.
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from torch import Tensor, cat, channels_last

from stages.annotate import classifier, proxies
from stages.annotate.agreement import Agreement
from stages.annotate.errors import Errors, summary
from stages.annotate.settings import Annotate, Settings
from stages.annotate.table import (
    Codes,
    Groups,
    attribute_rows,
    decode,
    encode,
    further_groups,
    group_fields,
    groups_of_captions,
    groups_of_metadata,
    targets,
)
from stages.core.atomic import merged, written
from stages.core.errors import InputError, missing, run
from stages.core.progress import progress
from stages.core.scratch import contents, work_folder
from stages.core.seeds import uniform
from stages.core.settings import load
from stages.corpus import columns
from stages.corpus.attributes import ORIGIN, known_value, sensitive_column
from stages.corpus.evaluation_sets import read_set
from stages.corpus.selection import image_keys
from stages.corpus.shards import Pictures, Shard, image_key
from stages.corpus.words import GROUPS

if TYPE_CHECKING:
    from stages.annotate.faces import Faces
    from stages.annotate.similarity import Judge
    from stages.annotate.zero_shot import Recogniser

BATCH = 8192  # rows of samples.parquet read at a time
NEEDED: dict[str, columns.Kind] = {"key": "text", "shard": "text", "caption": "text"}
KNOWN: dict[str, columns.Kind] = {"kind": "text", **dict.fromkeys(GROUPS, "text")}  # a corpus need not say
COLUMNS = (*NEEDED, *KNOWN)


def main() -> None:
    """Annotate the corpus of the profile in params.yaml."""
    argparse.ArgumentParser(prog="python -m stages.annotate", description=__doc__).parse_args()
    params = load(Settings)
    columns.check(params.folder / "samples.parquet", NEEDED, KNOWN)
    for source in ("real", "synthetic"):
        for name in params.shards:
            if not (shard := params.folder / source / f"{name}.tar").is_file():
                stage = "download" if source == "real" else f"generate@{name}"
                raise missing(f"{shard}: no such shard", f"run `dvc repro {stage}`")
    Annotation(params).write()


class Annotation:
    """The annotation of one corpus: first the groups of every image, then the table with the proxies that they show."""

    def __init__(self, params: Settings) -> None:
        self.settings: Annotate = params.annotate
        self.folder, self.shards = params.folder, params.shards
        self.samples = pq.ParquetFile(self.folder / "samples.parquet", memory_map=False)
        self.figures: dict[str, float] = {}
        self.network: classifier.Network | None = None
        self.recogniser = _recogniser(self.settings)
        self.faces = _faces(self.settings)
        self.judge = _judge(self.settings)
        by_picture = self.recogniser is not None or self.faces is not None
        compared = [] if self.settings.source == "caption" and not by_picture else ["synthetic"]
        compared += ["real"] if by_picture else []
        self.agreement = {(source, attribute): Agreement(attribute) for source in compared for attribute in GROUPS}
        self.labelled = self.faces is not None and "gender" in self.samples.schema_arrow.names
        if self.labelled:
            self.agreement["labels", "gender"] = Agreement("gender")
        self.tally = proxies.Tally()
        self.drawn = params.generate.source != "diffusion"  # by download, which knows the groups
        self.errors = {(source, name): Errors(name) for source in ("scenes", "style", "synthetic") for name in GROUPS}
        self.decided = {name: Counter[str]() for name in GROUPS}
        self.further = further_groups(self.folder / "samples.parquet", self.settings.columns)
        self.several = False  # whether samples have more than one synthetic image; known when all shards were read once

    def write(self) -> None:
        """Write table and figures."""
        if self.settings.source == "metadata":
            self._learn()
        groups: dict[tuple[str, str], Codes] = {}
        for name, rows in progress(self._by_shard(), "groups", len(self.shards), unit="shard"):
            for source, part, shard in self._sources(name, rows):
                found = self._groups(source, part, shard)
                groups[source, name] = encode(found)
                if source == "synthetic" and self.network is not None:
                    self._measure(name, part, found)
                if source == "real":
                    self.tally.add(part["caption"].tolist(), found)
        words = self.tally.strongest(self.settings.proxies, self.settings.proxy_captions)
        with merged(self.folder) as folder:
            counts = self._write_table(folder / "attributes.parquet", groups, words)
            figures = self.figures | {f"rows.{source}": count for source, count in counts.items()}
            figures["proxies"] = len(words)
            for (source, attribute), counted in self.agreement.items():
                figures |= {f"{source}.{attribute}.{name}": value for name, value in counted.figures().items()}
            if self.network is not None:
                figures |= self._error_figures()
            finite = {name: value for name, value in figures.items() if math.isfinite(value)}
            (folder / "annotation.json").write_text(json.dumps(finite, indent=2, sort_keys=True) + "\n")

    def _by_shard(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Read the samples, one shard at a time, in the order of the shards."""
        found = [name for name in (*COLUMNS, *self.further) if name in self.samples.schema_arrow.names]
        waiting = iter(self.shards)
        name, pending = next(waiting), pd.DataFrame(columns=pd.Index(found))
        for batch in self.samples.iter_batches(BATCH, columns=found):
            for shard, part in batch.to_pandas().groupby("shard", sort=False):
                while shard != name:
                    yield name, pending
                    pending, name = pending.iloc[:0], next(waiting, "")
                    if not name:
                        raise InputError(
                            f"{self.folder / 'samples.parquet'}: shard {shard!r} is not in params.yaml (shards), or "
                            "out of order; run the stage download again"
                        )
                pending = pd.concat([pending, part]) if len(pending) else part
        yield name, pending
        yield from ((name, pending.iloc[:0]) for name in waiting)

    def _sources(self, name: str, rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, Shard]]:
        """Open a shard of both sources, and check their keys against the samples."""
        for source in ("real", "synthetic"):
            with Shard(self.folder / source / f"{name}.tar") as shard:
                part = rows if source == "real" else _candidates(rows, shard)
                if shard.keys != image_keys(part).tolist():
                    raise InputError(
                        f"{shard.path}: {len(shard)} keys that are not those of samples.parquet in the same order "
                        f"({len(part)}); run the stage that writes it again"
                    )
                self.several |= source == "synthetic" and bool((part["candidate"] > 0).any())
                yield source, part, shard

    def _groups(self, source: str, rows: pd.DataFrame, shard: Shard) -> Groups:
        """Decide the groups of a shard's images; count how captions and pictures agree where both are read."""
        captions = rows["caption"].tolist()
        if self.settings.source == "metadata" and source == "real":
            return groups_of_metadata(rows)
        said = groups_of_captions(captions)
        if self.network is None and self.recogniser is None and self.faces is None:
            return said
        seen = self._seen(shard)
        for attribute in GROUPS:
            self.agreement[source, attribute].add(said[attribute], seen[attribute])
        if self.labelled and source == "real":
            self.agreement["labels", "gender"].add(
                [known_value(value, "gender") for value in rows["gender"]], seen["gender"]
            )
        return said if self.settings.source == "caption" else seen

    def _measure(self, name: str, rows: pd.DataFrame, decided: Groups) -> None:
        """Count the classifier's errors on a shard of generated images, as far as it is known what they show."""
        captions = rows["caption"].tolist()
        known: Groups = groups_of_captions(captions)  # of a model's images: what those that say a group asked for
        if self.drawn:
            with Shard(self.folder / "oracle" / f"{name}.tar") as oracle:
                shown = [json.loads(oracle.read(key, "json")) for key in rows["key"]]
            known = groups_of_metadata(pd.DataFrame(shown, columns=pd.Index(["gender", "skin_tone"])))
        for attribute in GROUPS:
            self.decided[attribute].update(decided[attribute])
            asked = [self.drawn or bool(group) for group in known[attribute]]
            of = (list(compress(column, asked)) for column in (known[attribute], decided[attribute], captions))
            self.errors["synthetic", attribute].add(*of)

    def _error_figures(self) -> dict[str, float]:
        figures: dict[str, float] = {}
        for (source, attribute), errors in self.errors.items():
            figures |= {f"error.{source}.{attribute}.{name}": value for name, value in errors.figures().items()}
        for attribute, groups in GROUPS.items():
            decided = np.array([self.decided[attribute][group] for group in (*groups, "")], np.int64)
            known = self.errors["synthetic", attribute].counts.sum(axis=1) if self.drawn else None
            found = summary(attribute, self.errors["scenes", attribute].counts, decided, known, self.settings.seed)
            figures |= {f"shares.synthetic.{attribute}.{name}": value for name, value in found.items()}
        return figures

    def _seen(self, shard: Shard) -> Groups:
        """Recognise the groups in the pictures of a shard; what a pretrained model saw is kept for a resumed run."""
        if self.network is not None:
            small = classifier.shrink(shard.read_image(key) for key in shard.keys)
            return self._decide(classifier.probabilities(self.network, small))
        model = str(self.settings.zero_shot) if self.faces is None else "faces"
        shape: dict[str, object] = {"model": model, "threshold": self.settings.threshold}
        shape["shard"] = contents([shard.path])
        kept = work_folder("annotate", shape) / "seen.json"
        if not kept.exists():
            pictures = Pictures(shard, shard.keys)
            if self.faces is not None:
                seen: Groups = self.faces.groups(pictures)
            else:
                assert self.recogniser is not None
                seen = self._decide(self.recogniser.probabilities(pictures))
            with written(kept) as file:
                file.write_text(json.dumps(seen))
        return json.loads(kept.read_text())

    def _alike(self, captions: list[str], shard: Shard) -> NDArray[np.float32]:
        """Compare the images of a shard with their captions; what was scored is kept for a resumed run."""
        assert self.judge is not None
        shape = {"model": str(self.settings.similarity), "shard": contents([shard.path])}
        kept = work_folder("similarity", shape) / "scores.npy"
        if not kept.exists():
            bar = progress(shard.keys, str(shard.path), unit="image", leave=False)
            scores = self.judge.similarity((shard.read_image(key) for key in bar), captions)
            with written(kept) as path, path.open("wb") as file:
                np.save(file, scores)
        return np.load(kept)

    def _decide(self, guesses: Sequence[NDArray[np.float32]]) -> Groups:
        return {
            attribute: classifier.decide(guess, names, self.settings.threshold)
            for (attribute, names), guess in zip(GROUPS.items(), guesses, strict=True)
        }

    def _write_table(self, path: Path, groups: dict[tuple[str, str], Codes], words: Sequence[str]) -> dict[str, int]:
        """Write the rows of each shard, real ones first; return how many of each source."""
        counts: dict[str, int] = {"real": 0, "synthetic": 0}
        empty = attribute_rows([], "real", {attribute: [] for attribute in GROUPS}, [], words)
        layout = pa.schema([(name, pa.string() if name in ("key", "source") else pa.bool_()) for name in empty.columns])
        for field in group_fields(self.further):
            layout = layout.append(field)
        layout = layout.append(pa.field("blanked", pa.bool_()))
        if self.several:
            layout = layout.append(pa.field("candidate", pa.int16()))
        if self.judge is not None:
            layout = layout.append(pa.field("similarity", pa.float32()))
        blanked = Counter[str]()
        with pq.ParquetWriter(path, layout) as writer:
            for name, rows in self._by_shard():
                real = decode(groups["real", name])
                for source, part, shard in self._sources(name, rows):
                    keys, captions = part["key"].tolist(), part["caption"].tolist()
                    table = attribute_rows(keys, source, decode(groups[source, name]), captions, words)
                    for attribute, names in self.further.items():
                        made = "true" if attribute == ORIGIN else ""
                        of = part[attribute] if source == "real" else [made] * len(part)
                        known = np.array([known_value(value, attribute) for value in of], object)
                        for group in names:
                            table[sensitive_column(attribute, group)] = known == group
                    images = image_keys(part)
                    table["blanked"] = [source == "synthetic" and _is_blanked(shard, image) for image in images]
                    if self.several:
                        table["candidate"] = part["candidate"].to_numpy() if source == "synthetic" else 0
                    if self.judge is not None:
                        table["similarity"] = self._alike(captions, shard)
                    if source == "synthetic":
                        blank = {key for key, is_blank in zip(images, table["blanked"], strict=True) if is_blank}
                        _count_blanked(blanked, real, np.array([key in blank for key in rows["key"]], bool))
                    writer.write_table(pa.Table.from_pandas(table, layout, preserve_index=False))
                    counts[source] += len(keys)
        if blanked["blanked"]:
            self.figures |= blanked
        return counts

    def _learn(self) -> None:
        """Train the classifier on real images, and measure it on held-out ones and on another style."""
        settings = self.settings
        share = settings.max_images / max(1, self.samples.metadata.num_rows)
        parts: list[tuple[Tensor, NDArray[np.int64], NDArray[np.bool_]]] = []
        tested: list[tuple[Groups, list[str]]] = []  # groups and captions of held-out images
        for name, every in progress(self._by_shard(), "read real", len(self.shards), unit="shard"):
            drawn = [share >= 1 or uniform(settings.seed, key, "annotate images") < share for key in every["key"]]
            rows = every.loc[drawn, :]
            groups = groups_of_metadata(rows)
            nobody = (rows["kind"] == "object").to_numpy() if "kind" in rows else np.zeros(len(rows), bool)
            held_out = [uniform(settings.seed, key, "annotate") < settings.held_out for key in rows["key"]]
            with Shard(self.folder / "real" / f"{name}.tar") as shard:
                images = classifier.shrink(shard.read_image(key) for key in rows["key"])
            parts.append((images, targets(groups, nobody), np.asarray(held_out, bool)))
            held = {attribute: list(compress(found, held_out)) for attribute, found in groups.items()}
            tested.append((held, list(compress(rows["caption"], held_out))))
        images = cat([part[0] for part in parts]).contiguous(memory_format=channels_last)
        goal, held_out = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
        with progress(what="classifier", total=settings.epochs, unit="epoch") as bar:
            self.network = classifier.fit(
                images[~held_out], goal[~held_out], settings.epochs, settings.seed, bar.update
            )
        guesses = classifier.probabilities(self.network, images[held_out])
        self.figures |= _quality("scenes", guesses, goal[held_out], settings)
        decided = self._decide(guesses)
        for attribute in GROUPS:
            known = [group for groups, _ in tested for group in groups[attribute]]
            captions = [caption for _, some in tested for caption in some]
            self.errors["scenes", attribute].add(known, decided[attribute], captions)
        if not (self.folder / "eval" / "people.parquet").exists():
            return
        people = read_set(self.folder / "eval", "people")
        with people.images as shard:
            unseen = classifier.shrink(shard.read_image(key) for key in people.table["key"])
        groups, guesses = groups_of_metadata(people.table), classifier.probabilities(self.network, unseen)
        self.figures |= _quality("style", guesses, targets(groups, np.zeros(len(people.table), bool)), settings)
        decided = self._decide(guesses)
        for attribute in GROUPS:
            self.errors["style", attribute].add(groups[attribute], decided[attribute])


def _recogniser(settings: Annotate) -> "Recogniser | None":
    if (wanted := settings.zero_shot) is None:
        return None
    from stages.annotate.zero_shot import Recogniser  # brings open_clip, which no other source needs

    return Recogniser(wanted.model, wanted.pretrained, wanted.batch_size)


def _faces(settings: Annotate) -> "Faces | None":
    if settings.source != "faces":
        return None
    from stages.annotate.faces import Faces  # an optional package

    return Faces(settings.threshold)


def _judge(settings: Annotate) -> "Judge | None":
    if settings.similarity is None:
        return None
    from stages.annotate.similarity import Judge  # brings open_clip

    return Judge(settings.similarity)


def _candidates(rows: pd.DataFrame, shard: Shard) -> pd.DataFrame:
    """Repeat each sample for each of its images in a synthetic shard; `candidate` numbers them."""
    counts = [0] * len(rows)
    for place, key in enumerate(rows["key"]):
        while image_key(key, counts[place]) in shard:
            counts[place] += 1
    return rows.iloc[np.repeat(np.arange(len(rows)), counts)].assign(
        candidate=[place for count in counts for place in range(count)]
    )


def _is_blanked(shard: Shard, image: str) -> bool:
    return "json" in shard.suffixes(image) and bool(json.loads(shard.read(image, "json")).get("blanked"))


def _count_blanked(counts: Counter[str], real: Groups, blanked: NDArray[np.bool_]) -> None:
    """Count blanked images by the groups of the real image of the same sample."""
    counts["blanked"] += int(blanked.sum())
    for attribute, found in real.items():
        for group in GROUPS[attribute]:
            counts[f"blanked.{attribute}.{group}"] += int(np.sum(blanked & (np.asarray(found) == group)))


def _quality(
    held_out: str, guesses: Sequence[NDArray[np.float32]], goal: NDArray[np.int64], settings: Annotate
) -> dict[str, float]:
    figures: dict[str, float] = {}
    for head, attribute in enumerate(GROUPS):
        measured = classifier.accuracy(guesses[head], goal[:, head], settings.threshold)
        for name in ("n", "accuracy", "coverage", "confident"):
            figures[f"{held_out}.{attribute}.{name}"] = getattr(measured, name)
    return figures


if __name__ == "__main__":
    run(main)
