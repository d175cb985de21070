"""`download`: the corpus and the evaluation sets.

Writes `real/<shard>.tar`, `samples.parquet`, `occupations.csv` and `eval/<set>.tar|parquet` into `data/<profile>/`. All
of them are made in a folder beside, and moved into place together at the end.
"""

import argparse
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from stages.download.emoji import evaluation
from stages.download.emoji.captions import Mention
from stages.download.emoji.census import census
from stages.download.emoji.corpus import Composition, Draw, draw_corpus
from stages.download.emoji.evaluation import Item
from stages.download.emoji.icons import Art
from stages.download.emoji.packages import METADATA, STYLES, fetch
from stages.download.emoji.people import catalog
from stages.download.emoji.studio import Studio
from stages.download.emoji.tables import Twins, evaluation_row, occupation_rows, sample_attributes
from stages.errors import InputError, run
from stages.evalsets import write_set
from stages.params import Corpus, Emoji, load, load_section
from stages.seeds import uniform
from stages.shards import write_shard
from stages.workdir import work_folder

OUTPUTS = ("real", "samples.parquet", "occupations.csv", "eval")


def main() -> None:
    """Write the corpus and the evaluation sets of the profile in params.yaml, or those of another file."""
    parser = argparse.ArgumentParser(prog="python -m stages.download", description=__doc__)
    parser.add_argument("--params", type=Path, help="file that says what to draw, in place of params.yaml")
    parser.add_argument("--out", type=Path, help="folder to write to, with --params")
    parser.add_argument("--section", default="corpus", help="section of --params that says what to draw")
    arguments = parser.parse_args()
    if (arguments.params is None) != (arguments.out is None):
        raise InputError("--params and --out: found one of the two, expected both or none")
    if arguments.params:
        corpus, folder = load_section(arguments.params, arguments.section, Corpus), arguments.out
    else:
        params = load()
        corpus, folder = Corpus(shards=params.shards, download=params.download), params.folder
    if corpus.download.emoji is None:
        raise InputError(f"download.source: {corpus.download.source!r} cannot be downloaded yet; expected 'emoji'")
    partial = folder / ".download.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write_emoji(corpus, corpus.download.emoji, partial)
        for name in OUTPUTS:
            target = folder / name
            if target.is_dir():
                shutil.rmtree(target)
            (partial / name).replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_emoji(corpus: Corpus, emoji: Emoji, folder: Path) -> None:
    seed, held_out = corpus.download.seed, emoji.held_out_style
    styles = (*emoji.styles, held_out)
    cache = work_folder("packages")
    for package in tqdm([METADATA, *(STYLES[style] for style in styles)], desc="fetch", unit="package", disable=None):
        fetch(package, cache)
    emojis, art = catalog(cache), Art(styles, cache)
    census_corpus = census(emoji.census_year, emoji.census_sharpening)
    census_generator = census(emoji.generator_census_year, emoji.generator_sharpening)
    pd.DataFrame(occupation_rows(census_corpus, census_generator)).to_csv(
        folder / "occupations.csv", index=False, float_format="%.6f"
    )
    corpus_art = Art(emoji.styles, cache)
    draws = draw_corpus(emojis, corpus_art, census_corpus.shares, _composition(emoji), emoji.samples, seed)
    sets = {
        "people": evaluation.people(emojis, art, held_out, emoji.eval_people, seed),
        "portraits": evaluation.portraits(emojis, art, held_out, emoji.eval_portraits, seed),
        "objects": evaluation.objects(emojis, art, held_out, emoji.eval_objects, seed),
    }
    with Studio(styles, cache, corpus.download.resolution, os.cpu_count() or 1) as studio:
        total = len(draws) + sum(len(items) for items in sets.values())
        with tqdm(total=total, desc="draw", unit="image", disable=None) as bar:
            alike = studio.twins()
            _write_corpus(draws, alike, corpus.shards, seed, folder, studio, bar)
            for name, items in sets.items():
                _write_evaluation(name, items, alike, folder / "eval", studio, bar)


def _composition(emoji: Emoji) -> Composition:
    return Composition(
        portraits=emoji.portrait_share,
        occupations=emoji.occupation_share,
        persons=emoji.person_share,
        objects=emoji.object_share,
        neutral=emoji.neutral_share,
        object_exponent=emoji.object_exponent,
        tones=emoji.skin_tones,
        mention=Mention(emoji.mention_gender, emoji.mention_skin_tone),
        portrait_mention=Mention(emoji.portrait_mention_gender, emoji.portrait_mention_skin_tone),
    )


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
