"""UTKFace: faces whose file names are the annotation.

Files under the root::

    <age>_<gender>_<race>_<date and time>.jpg[.chip.jpg]
        age 0–116; gender 0 man, 1 woman; race 0 White, 1 Black, 2 Asian, 3 Indian, 4 others

A few published names lack a field: those images are left out and counted.

References
----------
Zhang, Song, Qi: Age Progression/Regression by Conditional Adversarial Autoencoder, CVPR 2017, arXiv 1702.08423.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stages.core.errors import InputError
from stages.download.benchmarks.layout import Benchmark, Row, load_image, require

SOURCE = "the UTKFace page (susanqq.github.io/UTKFace: aligned & cropped faces)"
NAME = re.compile(r"(?P<age>\d{1,3})_(?P<gender>[01])_(?P<race>[0-4])_(?P<time>\d+)$")
GENDER = ("man", "woman")
RACE = ("white", "black", "asian", "indian", "other")
AGES = (
    (3, "0-2"),
    (10, "3-9"),
    (20, "10-19"),
    (30, "20-29"),
    (40, "30-39"),
    (50, "40-49"),
    (60, "50-59"),
    (70, "60-69"),
)


def read(root: Path, left_out: Counter[str]) -> Iterator[Row]:
    """
    Read UTKFace.

    Parameters
    ----------
    left_out : Counter
        Counts names that lack a field.

    Yields
    ------
    Row
        Gender, ethnicity, and age in FairFace's ranges.
    """
    files = sorted(path for path in require(root, SOURCE).iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not files:
        raise InputError(f"{root}: no images; obtain them from {SOURCE}")
    for path in files:
        stem = path.name.split(".")[0]
        match = NAME.fullmatch(stem)
        if match is None:
            left_out["name lacks a field"] += 1
            continue
        columns = {
            "key": stem,
            "gender": GENDER[int(match["gender"])],
            "ethnicity": RACE[int(match["race"])],
            "age": age_range(int(match["age"])),
        }
        yield columns, *load_image(path)


def age_range(years: int) -> str:
    """Name the FairFace range of an age: ``"0-2"`` … ``"60-69"``, ``"70+"``."""
    return next((name for limit, name in AGES if years < limit), "70+")


UTKFACE = Benchmark("utkface", SOURCE, read)
