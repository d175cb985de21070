"""Download (table source), annotate, balance and 50 training steps at 2 and at 20 shards of the real format.

The corpus: drawings of the emoji corpus as image files, repeated until there are enough, in a table with captions and
attributes; half of the samples have a generated image, stood in for by that of another sample. Every stage runs in a
process of its own, as DVC would start it. Printed, for both sizes: seconds of wall and of processor time, and the peak
memory of the largest process; then what one more row adds to it, and the ratio of processor times (10: linear).
`--rows 100000` is the rehearsal of README, section 'At scale'.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from stages.core.scratch import VARIABLE, work_folder
from stages.corpus.shards import Shard, write_shard

ROOT = Path(__file__).resolve().parents[2]
DISTINCT, SIZES, STEPS = 2000, (2, 20), 50
STAGES = {"download": [], "annotate": [], "balance": [], "train": ["--seed", "0"]}


@dataclass(frozen=True)
class Cost:
    """Of one stage: seconds on the wall, processor seconds, peak bytes."""

    wall: float
    processor: float
    peak: float


def configure(folder: Path, shards: int, rows: int, **download: object) -> None:
    """Write a project of the smoke profile."""
    science = yaml.safe_load((ROOT / "params.yaml").read_text())
    science |= {"profile": "smoke", "seeds": [0], "shards": [f"{shard:05d}" for shard in range(shards)]}
    science["contamination"], science["balance"]["target"] = {"alpha": 0.5}, "equal"
    scale = yaml.safe_load((ROOT / "stages/profiles/smoke.yaml").read_text())
    scale["annotate"]["source"] = "caption"  # as cc3m
    scale["train"] |= {
        "memory": 0.0,
        "batch_size": 128,
        "epochs": STEPS * 128 / rows,
        "probe": 0,
        "log_every": 1.0,
        "threads": 1,
    }
    scale["download"] = {"resolution": 64, "seed": 0, **download}
    (folder / "stages/profiles").mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(json.dumps(science))  # which quotes 00008 as YAML would not
    (folder / "stages/profiles/smoke.yaml").write_text(yaml.safe_dump(scale))


def run(folder: Path, stage: str) -> Cost:
    """Run a stage of a project."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DVCLIVE_LOGLEVEL": "ERROR"}
    with (folder / f"{stage}.log").open("w") as log:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", f"stages.{stage}", *STAGES[stage]],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    if status:
        raise SystemExit((folder / f"{stage}.log").read_text()[-3000:])
    return Cost(wall, used.ru_utime + used.ru_stime, 1024 * used.ru_maxrss)


def drawings(folder: Path) -> pd.DataFrame:
    """Draw the distinct pictures, as files; return their captions and attributes."""
    emoji = yaml.safe_load((ROOT / "stages/profiles/smoke.yaml").read_text())["download"]["emoji"]
    emoji |= {"samples": DISTINCT, "eval_people": 2, "eval_portraits": 2, "eval_objects": 2}
    configure(folder, 1, DISTINCT, source="emoji", emoji=emoji)
    run(folder, "download")
    samples = pd.read_parquet(folder / "data/smoke/samples.parquet")
    (folder / "pictures").mkdir()
    with Shard(folder / "data/smoke/real/00000.tar") as shard:
        for key in shard.keys:
            (folder / "pictures" / f"{key}.png").write_bytes(shard.read(key, "png"))
    pictures = samples["key"].map(lambda key: str(folder / "pictures" / f"{key}.png"))
    return samples[["caption", "gender", "skin_tone", "kind"]].assign(image=pictures)


def generate(data: Path, name: str) -> None:
    """Stand in for a shard's generated images: each sample gets the picture of the one before."""
    u = pd.read_parquet(data / "samples.parquet", columns=["key", "u"]).set_index("key")["u"]

    def samples(real: Shard) -> Iterator[tuple[str, dict[str, bytes]]]:
        for before, key in zip(real.keys[-1:] + real.keys[:-1], real.keys, strict=True):
            if u[key] < 0.5:
                yield key, {"png": real.read(before, "png")}

    with Shard(data / "real" / f"{name}.tar") as real:
        write_shard(data / "synthetic" / f"{name}.tar", samples(real))


def rehearse(folder: Path, pictures: pd.DataFrame, shards: int, rows: int) -> dict[str, Cost]:
    """Take a table of rows through the stages."""
    folder.mkdir()
    repeated = pictures.iloc[[row % len(pictures) for row in range(rows)]]
    repeated.to_parquet(folder / "pairs.parquet", index=False)
    configure(folder, shards, rows, source="table", table={"path": "pairs.parquet"})
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "bench"], cwd=folder, check=True)
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    costs = {}
    for stage in STAGES:
        costs[stage] = run(folder, stage)
        print(f"{rows} rows, {shards} shards: {stage}: {costs[stage]}", file=sys.stderr, flush=True)
        if stage == "download":
            for shard in range(shards):
                generate(folder / "data/smoke", f"{shard:05d}")
    assert json.loads((folder / "data/smoke/models/0/clip/training.json").read_text())["steps"] == STEPS
    return costs


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000, help="of the larger corpus; the smaller has a tenth")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "work").mkdir()
        (Path(scratch) / "work" / "packages").symlink_to(work_folder("packages"))
        os.environ[VARIABLE] = str(Path(scratch) / "work")
        (Path(scratch) / "drawings").mkdir()
        pictures = drawings(Path(scratch) / "drawings")
        sizes = [arguments.rows * shards // SIZES[1] for shards in SIZES]
        small, large = (
            rehearse(Path(scratch) / str(shards), pictures, shards, rows)
            for shards, rows in zip(SIZES, sizes, strict=True)
        )
    print(f"| stage | {sizes[0]:,} rows, {SIZES[0]} shards: s wall, s processor, peak MB | {sizes[1]:,} rows, ", end="")
    print(f"{SIZES[1]} shards | bytes of peak a row | ratio of processor time |")
    print("|---|---|---|---|---|")
    for stage in STAGES:
        a, b = small[stage], large[stage]
        cells = [f"{c.wall:,.0f}, {c.processor:,.0f}, {c.peak / 1e6:,.0f}" for c in (a, b)]
        grown = (b.peak - a.peak) / (sizes[1] - sizes[0])
        print(f"| {stage} | {cells[0]} | {cells[1]} | {grown:,.0f} | {b.processor / a.processor:.1f} |", flush=True)


if __name__ == "__main__":
    main()
