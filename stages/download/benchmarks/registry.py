"""All benchmarks by name, and how one becomes an evaluation set."""

from collections import Counter
from pathlib import Path

from tqdm import tqdm

from stages.core.errors import InputError
from stages.corpus.evaluation_sets import write_set
from stages.download.benchmarks.coco import COCO, COCO_GENDER
from stages.download.benchmarks.fairface import FAIRFACE
from stages.download.benchmarks.imagenet import IMAGENET
from stages.download.benchmarks.layout import require
from stages.download.benchmarks.miap import MIAP
from stages.download.benchmarks.phase import PHASE
from stages.download.benchmarks.utkface import UTKFACE

BENCHMARKS = {benchmark.name: benchmark for benchmark in (PHASE, COCO_GENDER, COCO, FAIRFACE, UTKFACE, MIAP, IMAGENET)}


def write(name: str, root: Path, out: Path) -> str:
    """
    Write a benchmark as an evaluation set; say in one line how many images, and what was left out.

    Parameters
    ----------
    name : str
        One of `BENCHMARKS`, else it is refused.

    Raises
    ------
    InputError
        If a file is missing or does not fit.
    """
    if name not in BENCHMARKS:
        raise InputError(
            f"{root}: found a folder for {name}, expected the file of a table, or one of {', '.join(BENCHMARKS)}"
        )
    benchmark = BENCHMARKS[name]
    require(root, benchmark.source)
    left_out: Counter[str] = Counter()
    rows = tqdm(benchmark.read(root, left_out), desc=name, unit="image", disable=None)
    try:
        count = write_set(out, name, rows)
    except InputError as error:
        if left_out and str(error).endswith("no rows"):
            raise InputError(
                f"{root}: none of {left_out.total()} annotated images is there; obtain them from {benchmark.source}"
            ) from None
        raise
    reasons = "".join(f", {number} left out: {reason}" for reason, number in left_out.items())
    return f"{name}: {count} images{reasons}"
