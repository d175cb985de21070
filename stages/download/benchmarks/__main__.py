"""`python -m stages.download.benchmarks NAME --root DIR`: a benchmark's files → `eval/<name>.tar` and `.parquet`."""

import argparse
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from stages.download.benchmarks.coco import COCO, COCO_GENDER
from stages.download.benchmarks.fairface import FAIRFACE
from stages.download.benchmarks.imagenet import IMAGENET
from stages.download.benchmarks.layout import require
from stages.download.benchmarks.miap import MIAP
from stages.download.benchmarks.phase import PHASE
from stages.download.benchmarks.utkface import UTKFACE
from stages.errors import InputError, run
from stages.evalsets import write_set
from stages.params import load

BENCHMARKS = {benchmark.name: benchmark for benchmark in (PHASE, COCO_GENDER, COCO, FAIRFACE, UTKFACE, MIAP, IMAGENET)}


def main() -> None:
    """Write one evaluation set."""
    parser = argparse.ArgumentParser(prog="python -m stages.download.benchmarks", description=__doc__)
    parser.add_argument("name", choices=BENCHMARKS, help="the benchmark; its module's docstring lists the files")
    parser.add_argument("--root", type=Path, required=True, help="folder with the benchmark's files")
    parser.add_argument("--out", type=Path, help="folder of evaluation sets (default: data/<profile>/eval)")
    arguments = parser.parse_args()
    benchmark = BENCHMARKS[arguments.name]
    out = arguments.out or load().folder / "eval"
    require(arguments.root, benchmark.source)
    left_out: Counter[str] = Counter()
    rows = tqdm(benchmark.read(arguments.root, left_out), desc=benchmark.name, unit="image", disable=None)
    try:
        count = write_set(out, benchmark.name, rows)
    except InputError as error:
        if left_out and str(error).endswith("no rows"):
            raise InputError(
                f"{arguments.root}: none of {left_out.total()} annotated images is there; obtain them from "
                f"{benchmark.source}"
            ) from None
        raise
    reasons = "".join(f", {number} left out: {reason}" for reason, number in left_out.items())
    print(f"{benchmark.name}: {count} images{reasons}")


if __name__ == "__main__":
    run(main)
