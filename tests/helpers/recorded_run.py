"""A recorded run of the smoke profile: what the stages before `plot` wrote, cut to what `plot` reads.

To record it again, run the smoke profile with the parameters of `OVERRIDES`, then

    python -m tests.helpers.recorded_run data/smoke
"""

import contextlib
import io
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from stages.core.errors import run
from stages.corpus.evaluation_sets import read_set, write_set
from stages.corpus.shards import Shard, write_shard
from stages.plot.__main__ import main as plot_main

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "plot" / "recorded"
FOLDER = Path("data/smoke")
STUDY = FOLDER / "results" / "study"  # that of the default profile: it has the same metrics
SEEDS = [0, 1]
SHARDS = ["00000", "00001"]
OVERRIDES = {"profile": "smoke", "seeds": SEEDS, "shards": SHARDS, "contamination": {"alpha": 0.4}}
BALANCE = {"method": "m4", "target": "equal"}
WHOLE = (
    "annotation.json", "attributes.parquet", "balance/*.csv", "balance/*.json", "captions/*/*.parquet",
    "models/*/clip/training.json", "models/*/curves/plots/**/*.tsv", "scores/*/*",
)  # fmt: skip
PER_SHARD, PEOPLE = 8, 12  # samples and images that are kept


def project(root: Path) -> Path:
    """Make a project folder whose stages have all run but `plot`."""
    shutil.copytree(ROOT / "stages" / "profiles", root / "stages" / "profiles")
    values = yaml.safe_load((ROOT / "params.yaml").read_text()) | OVERRIDES
    values["balance"] |= BALANCE
    values["plot"]["study"] = STUDY.as_posix()
    (root / "params.yaml").write_text(yaml.safe_dump(values))
    shutil.copytree(RECORDED, root / FOLDER)
    shutil.copytree(ROOT / "data/emoji/results/study", root / STUDY, ignore=shutil.ignore_patterns("*.png", "figures"))
    return root


def plot(root: Path, *arguments: str) -> tuple[int, str, str]:
    """Run `plot` in this process; return its exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(root)
        patch.setattr(sys, "argv", ["plot", *arguments])
        try:
            run(plot_main)
        except SystemExit as stop:
            return int(str(stop.code or 0)), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def record(source: Path) -> None:
    """Replace the recorded run by one of the smoke profile."""
    shutil.rmtree(RECORDED, ignore_errors=True)
    for path in (path for pattern in WHOLE for path in source.glob(pattern) if path.is_file()):
        target = RECORDED / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    for name in SHARDS:
        with Shard(source / "real" / f"{name}.tar") as real, Shard(source / "synthetic" / f"{name}.tar") as made:
            keys = sorted(set(real.keys) & set(made.keys))[:PER_SHARD]
            write_shard(RECORDED / "real" / f"{name}.tar", _cut(real, keys, ("png", "txt")))
            write_shard(RECORDED / "synthetic" / f"{name}.tar", _cut(made, keys, ("png",)))
    people = read_set(source / "eval", "people")
    rows = people.table.head(PEOPLE).to_dict("records")
    with people.images as images:
        write_set(RECORDED / "eval", "people", ((dict(row), "png", images.read(row["key"], "png")) for row in rows))


def _cut(shard: Shard, keys: Iterable[str], suffixes: Iterable[str]) -> list[tuple[str, dict[str, bytes]]]:
    return [(key, {suffix: shard.read(key, suffix) for suffix in suffixes}) for key in keys]


if __name__ == "__main__":
    record(Path(sys.argv[1]))
