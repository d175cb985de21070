"""COCO: image-text retrieval, and Zhao et al.'s annotation of perceived gender and skin tone in it.

Files under the root, for both sets::

    annotations/captions_val2014.json       or captions_val2017.json (`coco` only): COCO's own captions
    val2014/COCO_val2014_000000000042.jpg   or val2017/000000000042.jpg

and for `coco_gender`::

    images_val2014.csv                      id, skin, ratio, bb_skin, bb_gender, split: one row an image with persons

References
----------
Lin et al., ECCV 2014, arXiv 1405.0312. Zhao, Wang, Russakovsky: Understanding and Evaluating Racial Biases in Image
Captioning, ICCV 2021, arXiv 2106.08503: 15,762 images. The first five captions of an image are
taken, as CLIP_benchmark does; bb_gender and bb_skin are those of the largest person.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stages.core.errors import InputError
from stages.download.benchmarks.layout import (
    Benchmark,
    Row,
    find_image,
    load_image,
    read_csv,
    read_json,
    require,
    translate,
)

SOURCE = "cocodataset.org (images and annotations of val2014 or val2017)"
GENDER_SOURCE = "the authors of arXiv 2106.08503 (images_val2014.csv, on request) and cocodataset.org (val2014)"
CAPTIONS = 5
UNKNOWN = {"Both": "", "Unsure": "", "": "", "nan": ""}
GENDER = {"Male": "man", "Female": "woman", **UNKNOWN}
SKIN = {**dict.fromkeys(("Light", "Lighter"), "lighter"), **dict.fromkeys(("Dark", "Darker"), "darker"), **UNKNOWN}


def read(root: Path, left_out: Counter[str]) -> Iterator[Row]:
    """Read COCO for retrieval: val2017 where it is there, else val2014."""
    year = "2017" if (root / "annotations" / "captions_val2017.json").is_file() else "2014"
    folder = require(root / f"val{year}", SOURCE)
    for number, captions in captions_by_image(root, year, SOURCE).items():
        image = find_image(folder, _stem(number, year))
        if image is None:
            left_out["no image file"] += 1
            continue
        yield {"key": f"{number:012d}", "captions": captions}, *load_image(image)


def read_gender(root: Path, left_out: Counter[str]) -> Iterator[Row]:
    """
    Read the images that Zhao et al. annotated.

    Yields
    ------
    Row
        Gender and skin tone; empty for `Both` and `Unsure`.
    """
    path = require(root / "images_val2014.csv", GENDER_SOURCE)
    folder = require(root / "val2014", SOURCE)
    captions = captions_by_image(root, "2014", SOURCE)
    for row in read_csv(path, ("id", "bb_skin", "bb_gender")):
        if not row["id"].isdecimal():
            raise InputError(f"{path}: id: found {row['id']!r}, expected a COCO image number; download it again")
        number = int(row["id"])
        if number not in captions:
            raise InputError(
                f"{path}: image {number} has no caption in captions_val2014.json; obtain the 2014 file again"
            )
        image = find_image(folder, _stem(number, "2014"))
        if image is None:
            left_out["no image file"] += 1
            continue
        columns = {
            "key": f"{number:012d}",
            "captions": captions[number],
            "gender": translate(row["bb_gender"], GENDER, f"{path}: image {number}: bb_gender"),
            "skin_tone": translate(row["bb_skin"], SKIN, f"{path}: image {number}: bb_skin"),
        }
        yield columns, *load_image(image)


def captions_by_image(root: Path, year: str, source: str) -> dict[int, list[str]]:
    """
    Read COCO captions by image number: at most five, in order of their id.

    Parameters
    ----------
    root : Path
        Holds `annotations/captions_val<year>.json`.
    """
    path = require(root / "annotations" / f"captions_val{year}.json", source)
    content = read_json(path)
    try:
        annotations = sorted(content["annotations"], key=lambda annotation: annotation["id"])
        captions: dict[int, list[str]] = {}
        for annotation in annotations:
            captions.setdefault(int(annotation["image_id"]), []).append(str(annotation["caption"]).strip())
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}; expected annotations with id, image_id and caption") from None
    return {number: texts[:CAPTIONS] for number, texts in sorted(captions.items())}


def _stem(number: int, year: str) -> str:
    return f"COCO_val2014_{number:012d}" if year == "2014" else f"{number:012d}"


COCO = Benchmark("coco", SOURCE, read)
COCO_GENDER = Benchmark("coco_gender", GENDER_SOURCE, read_gender)
