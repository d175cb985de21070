"""What `annotate` and `evaluate` do per row of the corpus, at the number of rows of the papers: seconds, peak memory.

`annotate`: captions are read for groups, labels and proxies, and the table of attributes is written, a real and a
synthetic image per row, by the stage itself on stand-ins of its shards, which have keys and no images; so without the
time to list a tar. `evaluate`: both tables of the corpus are read, of which the mix takes one image per row; all else
that it does grows with the evaluation sets. A caption is a person, an occupation or a thing, and words by Zipf's law.
Each size runs in a process of its own; printed are processor seconds and the peak of its memory, imports included.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from stages.corpus.attributes import occupation_column, sensitive_columns
from stages.corpus.words import GROUPS, OCCUPATIONS

ROOT = Path(__file__).resolve().parents[2]
SHARD, VOCABULARY = 10_000, 30_000
ANNOTATE = """
from pathlib import Path
from stages.annotate.__main__ import Annotation
from stages.annotate.settings import Settings
from stages.core.settings import load

class Keys:
    def __init__(self, keys):
        self.keys = keys
    def suffixes(self, key):
        return ("png",)

class Rehearsal(Annotation):
    def _sources(self, name, rows):
        for source in ("real", "synthetic"):
            yield source, rows.assign(candidate=0), Keys(rows["key"].tolist())

Rehearsal(load(Settings)).write()
"""
EVALUATE = """
import pandas as pd
from stages.evaluate import __main__, amplification
tables = [pd.read_parquet(name + ".parquet") for name in ("selection", "attributes")]
corpus = amplification.corpus(*tables, [("balanced", 1)])
assert len(corpus.weights) == {rows}
"""


def keys_of(start: int, stop: int) -> list[str]:
    """Number rows as keys."""
    return [f"{row:09d}" for row in range(start, stop)]


def write_samples(folder: Path, rows: int) -> None:
    """Write a project of the profile cc3m with the samples alone, a shard per 10,000 rows: a row group each."""
    shards = [f"{shard:05d}" for shard in range(-(-rows // SHARD))]
    science = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"profile": "cc3m", "shards": shards}
    (folder / "stages/profiles").mkdir(parents=True)
    (folder / "params.yaml").write_text(json.dumps(science))  # which quotes 00008 as YAML would not
    (folder / "stages/profiles/cc3m.yaml").write_text((ROOT / "stages/profiles/cc3m.yaml").read_text())
    (folder / "data/cc3m").mkdir(parents=True)
    rng = np.random.default_rng(0)
    nouns = [*OCCUPATIONS, *(f"thing{number}" for number in range(60))]
    people = ["woman", "man", "person"]
    path = folder / "data/cc3m/samples.parquet"
    with pq.ParquetWriter(path, pa.schema([(name, pa.string()) for name in ("key", "shard", "caption")])) as writer:
        for number, shard in enumerate(shards):
            start, stop = number * SHARD, min(rows, (number + 1) * SHARD)
            drawn = (rng.zipf(1.3, (stop - start, 6)) - 1) % VOCABULARY
            who, what = rng.integers(len(people), size=stop - start), rng.integers(len(nouns), size=stop - start)
            captions = [
                f"a {people[a]} and a {nouns[b]} with "
                + " ".join(f"w{chr(97 + w % 26)}{w}x".translate(LETTERS) for w in c)
                for a, b, c in zip(who, what, drawn, strict=True)
            ]
            table = {"key": keys_of(start, stop), "shard": [shard] * (stop - start), "caption": captions}
            writer.write_table(pa.table(table))


LETTERS = str.maketrans("0123456789", "qrstuvxyzk")  # a word of a caption has letters only


def write_tables(folder: Path, rows: int) -> None:
    """Write attributes drawn at random, and a mix."""
    rng = np.random.default_rng(0)
    keys = keys_of(0, rows)
    columns = sensitive_columns(list(GROUPS)) + [occupation_column(name) for name in OCCUPATIONS]
    images = [
        pd.DataFrame({"key": keys, "source": source} | {name: rng.random(rows) < 0.02 for name in columns})
        for source in ("real", "synthetic")
    ]
    pd.concat(images).to_parquet(folder / "attributes.parquet", index=False)
    mix = np.where(rng.random(rows) < 0.6, "synthetic", "real")
    pd.DataFrame({"key": keys, "source": mix, "copies": 1}).to_parquet(folder / "selection.parquet", index=False)


def measure(stage: str, rows: int) -> tuple[float, float]:
    """Return processor seconds and peak bytes of a stage's part."""
    write, code = {"annotate": (write_samples, ANNOTATE), "evaluate": (write_tables, EVALUATE)}[stage]
    with tempfile.TemporaryDirectory() as scratch:
        write(Path(scratch), rows)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-c", code.replace("{rows}", str(rows))], cwd=scratch, env=environment
        )
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{stage}, {rows} rows: exit code {status}")
        if stage == "annotate":
            table = pq.ParquetFile(Path(scratch) / "data/cc3m/attributes.parquet")
            assert table.metadata.num_rows == 2 * rows
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000, help="of the larger corpus; the smaller has a tenth")
    parser.add_argument("--stage", choices=["annotate", "evaluate"], action="append", help="default: both")
    arguments = parser.parse_args()
    print("| stage | rows | s of processor | peak MB |\n|---|---|---|---|")
    for stage in arguments.stage or ("annotate", "evaluate"):
        for rows in (arguments.rows // 10, arguments.rows):
            seconds, peak = measure(stage, rows)
            print(f"| `{stage}` | {rows:,} | {seconds:.0f} | {peak / 1e6:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
