"""`download`: the corpus and the evaluation sets.

Writes `real/<shard>.tar`, `oracle/<shard>.tar` (real drawings at the shares of the generator's world; empty where none
are asked for), `samples.parquet`, `occupations.csv` (known shares of women; no rows where none are known),
`eval/<set>.tar|parquet` and `download.json` (rows read, samples stored, what was lost and why) into `data/<profile>/`.
All of them are made in a folder beside, and moved into place together at the end; shards of a user's own corpus are
packed in the work folder, where a killed run goes on.
"""

import argparse
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from stages.core.atomic import merged
from stages.core.errors import InputError, run
from stages.core.scratch import digest, end_with_parent, work_folder
from stages.core.seeds import uniform
from stages.core.settings import load, load_section
from stages.corpus import tables
from stages.corpus.evaluation_sets import write_set
from stages.corpus.kinds import KINDS, Kind
from stages.corpus.shards import write_shard
from stages.download.corpora import evaluation as own_evaluation
from stages.download.corpora import occupations, packing, paths, table, urls, wds
from stages.download.emoji import evaluation
from stages.download.emoji.captions import Mention
from stages.download.emoji.census import census, with_base_rate
from stages.download.emoji.corpus import Composition, Draw, draw_corpus, limit_objects
from stages.download.emoji.evaluation import Item
from stages.download.emoji.icons import Art
from stages.download.emoji.oracle import repaint
from stages.download.emoji.packages import METADATA, STYLES, fetch
from stages.download.emoji.people import catalog
from stages.download.emoji.studio import Studio
from stages.download.emoji.tables import Twins, evaluation_row, occupation_rows, sample_attributes
from stages.download.settings import Corpus, Download, Emoji, OwnSet, Settings


def main() -> None:
    """Write the corpus and the evaluation sets of the profile in params.yaml, or those of another file."""
    parser = argparse.ArgumentParser(prog="python -m stages.download", description=__doc__)
    parser.add_argument("--params", type=Path, help="file that says what to draw, in place of params.yaml")
    parser.add_argument("--out", type=Path, help="folder to write to, with --params")
    parser.add_argument("--section", default="corpus", help="section of --params that says what to draw")
    arguments = parser.parse_args()
    if (arguments.params is None) != (arguments.out is None):
        raise InputError("--params and --out: found one of the two, expected both or none; name the other")
    if arguments.params:
        corpus, folder = load_section(arguments.params, arguments.section, Corpus), arguments.out
    else:
        params = load(Settings)
        corpus, folder = Corpus(shards=params.shards, download=params.download), params.folder
    with merged(folder) as staging:
        if corpus.download.emoji is not None:
            _write_emoji(corpus, corpus.download.emoji, staging)
        else:
            _write_own(corpus, staging)


def _write_own(corpus: Corpus, folder: Path) -> None:
    """Write a corpus that the user supplies: first what is quickly checked, then what takes hours."""
    download = corpus.download
    sets = {name: _set(name, given) for name, given in download.evaluation.items()}
    given = download.occupations
    shares = occupations.read(paths.find(given, "download.occupations", file=True) if given is not None else None)
    source, how, shape = _source(download, corpus.shards)
    shares.to_csv(folder / "occupations.csv", index=False)
    (folder / "eval").mkdir()
    for name, (path, kind, attributes) in sets.items():
        if path.is_dir():
            from stages.download.benchmarks import registry  # brings open_clip's class names, and torch

            if name in registry.BENCHMARKS and not attributes:
                print(registry.write(name, path, folder / "eval"))
                continue
        listed = own_evaluation.table_in(path)
        if own_evaluation.is_table(listed):
            read = own_evaluation.read(listed, kind == "retrieval")
        else:
            read = own_evaluation.read_tars(path, kind == "retrieval", attributes)
        rows = tqdm(read, desc=name, unit="image", disable=None)
        own = (None, ()) if isinstance(download.evaluation[name], str) else (kind, attributes)
        print(f"{name}: {write_set(folder / 'eval', name, rows, *own)} images")
    work = work_folder("pack", {**shape, "shards": corpus.shards, "how": vars(how)})
    _pack(source, how, corpus.shards, work)
    found = packing.gather(work, corpus.shards, packing.schema(source), folder / "samples.parquet", shape["source"])
    (folder / "download.json").write_text(json.dumps(found, indent=2) + "\n")
    (folder / "real").mkdir()
    for name in corpus.shards:
        write_shard(folder / "oracle" / f"{name}.tar", [])
        shutil.move(work / f"{name}.tar", folder / "real" / f"{name}.tar")
    shutil.rmtree(work)
    if isinstance(source, table.TableSource):
        shutil.rmtree(source.ordered.parent)
    reasons = "".join(f", {number} {reason}" for reason, number in found["lost_by_reason"].items())
    print(f"{found['samples']} of {found['rows']} rows stored; lost: {found['lost']}{reasons}")


def _set(name: str, given: str | OwnSet) -> tuple[Path, Kind, list[str]]:
    """Find an evaluation set: its table or folder of tars, its kind, and its further attributes."""
    own = OwnSet(path=given, kind=KINDS[name]) if isinstance(given, str) else given
    return paths.find(own.path, f"download.evaluation.{name}"), own.kind, own.attributes


def _source(download: Download, shards: list[str]) -> tuple[packing.Source, packing.Packing, dict[str, Any]]:
    """Open the source; return it, how its samples are stored, and what shapes them beside their content."""
    side, seed = download.resolution, download.seed
    if download.table is not None:
        given = download.table
        path = paths.find_table(given.path, "download.table.path")
        shape = {"table": digest(tables.parts(path)), "source": str(path.resolve()), "given": given.model_dump()}
        ordered = work_folder("table", shape) / "ordered.parquet"
        if not ordered.exists():
            table.order(path, given.image, given.caption, given.key, ordered, given.numbers)
        source = table.TableSource(path, ordered, len(shards))
        packing.check_cut(path, source.rows, shards)
        return source, packing.Packing(side, 1, seed, given.on_bad_sample == "skip", given.captions == "draw"), shape
    if download.wds is not None:
        given = download.wds
        folder = paths.find(given.folder, "download.wds.folder")
        tars = wds.tars(folder)
        keys = [wds.keys(tar, given.prefix_keys) for tar in tqdm(tars, desc="list", unit="tar", disable=None)]
        wds.check_unique(keys, tars, given.prefix_keys)
        source = wds.WdsSource(
            tars,
            tuple(len(part) for part in keys),
            given.caption,
            tuple(given.attributes),
            tuple(given.numbers),
            given.prefix_keys,
            len(shards),
        )
        packing.check_cut(f"{folder}: {len(tars)} tars", sum(source.counts), shards)
        shape = {"source": str(folder), "tars": [(tar.name, tar.stat().st_size) for tar in tars]}
        how = packing.Packing(side, 1, seed, given.on_bad_sample == "skip", given.captions == "draw")
        return source, how, {**shape, "given": given.model_dump()}
    assert download.cc3m is not None
    given = download.cc3m
    path = paths.find(given.list, "download.cc3m.list", file=True)
    rows = urls.count(path)
    shape = {"list": digest([path]), "source": str(path), "shards": shards}
    work = work_folder("cc3m", {"list": shape["list"], "shards": shards})  # stays for another resolution
    urls.cut(path, rows, tuple(shards), work / "urls")
    urls.fetch(work / "urls", rows, tuple(shards), given, work / "files")
    source = urls.UrlSource(path, work / "files", tuple(shards), rows)
    return source, packing.Packing(side, given.min_side, seed, skip=True), shape


def _pack(source: packing.Source, how: packing.Packing, names: list[str], work: Path) -> None:
    """Pack the shards that are not there yet, or whose content changed, on all cores."""
    processes = min(os.cpu_count() or 1, len(names))
    with tqdm(total=len(names), desc="pack", unit="shard", disable=None) as bar:
        if processes <= 1:
            for shard, name in enumerate(names):
                packing.pack(source, how, shard, name, work)
                bar.update()
            return
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), end_with_parent) as pool:
            tasks = [pool.submit(packing.pack, source, how, shard, name, work) for shard, name in enumerate(names)]
            try:
                for task in as_completed(tasks):
                    task.result()
                    bar.update()
            finally:
                pool.shutdown(cancel_futures=True)


def _write_emoji(corpus: Corpus, emoji: Emoji, folder: Path) -> None:
    seed, held_out = corpus.download.seed, emoji.held_out_style
    styles = (*emoji.styles, held_out)
    cache = work_folder("packages")
    for package in tqdm([METADATA, *(STYLES[style] for style in styles)], desc="fetch", unit="package", disable=None):
        fetch(package, cache)
    art = Art(styles, cache)
    emojis = limit_objects(catalog(cache), art, emoji.object_kinds)
    others = emoji.person_share / (1 - emoji.object_share) if emoji.object_share < 1 else 0.0
    census_corpus = with_base_rate(census(emoji.census_year, emoji.census_sharpening), emoji.women_share, others)
    census_generator = with_base_rate(
        census(emoji.generator_census_year, emoji.generator_sharpening), emoji.generator_women_share, others
    )
    pd.DataFrame(occupation_rows(census_corpus, census_generator)).to_csv(
        folder / "occupations.csv", index=False, float_format="%.6f"
    )
    corpus_art = Art(emoji.styles, cache)
    samples, people, portraits, objects = (
        max(1, round(emoji.size * count))
        for count in (emoji.samples, emoji.eval_people, emoji.eval_portraits, emoji.eval_objects)
    )
    draws = draw_corpus(emojis, corpus_art, census_corpus.shares, _composition(emoji), samples, seed)
    oracle: list[Draw] = []
    if emoji.oracle:
        oracle = repaint(draws, emojis, corpus_art, census_generator.shares, _generator_world(emoji), seed)
    sets = {
        "people": evaluation.people(emojis, art, held_out, people, seed),
        "portraits": evaluation.portraits(emojis, art, held_out, portraits, seed),
        "objects": evaluation.objects(emojis, art, held_out, objects, seed, emoji.eval_scenes),
    }
    with Studio(styles, cache, corpus.download.resolution, os.cpu_count() or 1) as studio:
        total = len(draws) + len(oracle) + sum(len(items) for items in sets.values())
        with tqdm(total=total, desc="draw", unit="image", disable=None) as bar:
            alike = studio.twins()
            _write_corpus(draws, alike, corpus.shards, seed, folder, studio, bar)
            _write_oracle(oracle, corpus.shards, folder / "oracle", studio, bar)
            for name, items in sets.items():
                _write_evaluation(name, items, alike, folder / "eval", studio, bar)


def _composition(emoji: Emoji) -> Composition:
    """State the world that the corpus shows."""
    same = {field.name for field in fields(Composition)} & Emoji.model_fields.keys()
    return Composition(
        mention=Mention(emoji.mention_gender, emoji.mention_skin_tone),
        portrait_mention=Mention(emoji.portrait_mention_gender, emoji.portrait_mention_skin_tone),
        **emoji.model_dump(include=same),
    )


def _generator_world(emoji: Emoji) -> Composition:
    """State the world that the generator was trained on, as far as it may differ from the corpus."""
    ours, gap, skew = _composition(emoji), emoji.generator_tone_gap, emoji.generator_context_skew
    return replace(
        ours,
        skin_tones=emoji.generator_skin_tones or ours.skin_tones,
        tone_gap=ours.tone_gap if gap is None else gap,
        context_skew=ours.context_skew if skew is None else skew,
    )


def _write_oracle(draws: Sequence[Draw], shards: Sequence[str], folder: Path, studio: Studio, bar: tqdm) -> None:
    bounds = np.linspace(0, len(draws), len(shards) + 1).round().astype(int)
    for shard, start, stop in zip(shards, bounds[:-1], bounds[1:], strict=True):
        part = draws[start:stop]
        images = _counted(studio.pictures(part), bar)
        shown = ({"gender": draw.emoji.gender, "skin_tone": draw.emoji.skin_tone} for draw in part)
        members = ((d.key, {"png": image, "json": of}) for d, image, of in zip(part, images, shown, strict=True))
        write_shard(folder / f"{shard}.tar", members)


def _write_corpus(
    draws: Sequence[Draw],
    alike: Mapping[str, Twins],
    shards: Sequence[str],
    seed: int,
    folder: Path,
    studio: Studio,
    bar: tqdm,
) -> None:
    rows = []
    bounds = np.linspace(0, len(draws), len(shards) + 1).round().astype(int)
    for shard, start, stop in zip(shards, bounds[:-1], bounds[1:], strict=True):
        part = draws[start:stop]
        known = [sample_attributes(draw, alike[draw.style]) for draw in part]
        images = _counted(studio.pictures(part), bar)
        samples = (
            (draw.key, {"png": image, "txt": draw.caption.text, "json": attributes})
            for draw, image, attributes in zip(part, images, known, strict=True)
        )
        write_shard(folder / "real" / f"{shard}.tar", samples)
        rows += [
            {"key": draw.key, "shard": shard, "caption": draw.caption.text, "u": uniform(seed, draw.key), **attributes}
            for draw, attributes in zip(part, known, strict=True)
        ]
    pd.DataFrame(rows).to_parquet(folder / "samples.parquet", index=False)
    found = {"rows": len(rows), "samples": len(rows), "lost": 0, "lost_share": 0.0, "lost_by_reason": {}}
    (folder / "download.json").write_text(json.dumps(found, indent=2) + "\n")


def _write_evaluation(
    name: str, items: Sequence[Item], alike: Mapping[str, Twins], folder: Path, studio: Studio, bar: tqdm
) -> None:
    images = _counted(studio.pictures(items), bar)
    rows = ((evaluation_row(item, alike[item.style]), "png", image) for item, image in zip(items, images, strict=True))
    write_set(folder, name, rows)


def _counted(images: Iterable[bytes], bar: tqdm) -> Iterator[bytes]:
    for image in images:
        bar.update()
        yield image


if __name__ == "__main__":
    run(main)
