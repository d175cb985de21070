"""PHASE: perceived attributes of the persons in GCC validation images, for retrieval by group.

Files under the root::

    phase_gcc_val_regions_20221101.json     {image id: {"caption": …, "person1": {"region": [4 numbers],
                                             "annotations": {age, gender, skintone, ethnicity, emotion, activity}}, …}}
    images/<image id>.jpg                   the images of the GCC (CC3M) validation split

References
----------
Garcia, Hirota, Wu, Nakashima: Uncurated Image-Text Datasets: Shedding Light on Demographic Bias, CVPR 2023,
arXiv 2304.02828. Format [P, from readers of the files]. Sources conflict on `child` or `children`: both are
read, any other age stops.
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
    read_json,
    require,
    translate,
    unanimous,
)

SOURCE = "the PHASE authors (annotations, on request) and GCC's validation list (images, by img2dataset)"
FILE = "phase_gcc_val_regions_20221101.json"
UNKNOWN = {"unsure": "", "disagreement": "", "": ""}
VALUES = {
    "gender": {"male": "man", "female": "woman", **UNKNOWN},
    "skintone": {"lighter": "lighter", "darker": "darker", **UNKNOWN},
    "age": {
        **dict.fromkeys(("baby", "child", "children"), "baby&child"),
        **{age: age for age in ("young", "adult", "senior")},
        **UNKNOWN,
    },
    "ethnicity": {
        **{
            name: name
            for name in ("black", "east_asian", "indian", "latino", "middle_eastern", "southeast_asian", "white")
        },
        **UNKNOWN,
    },
}
COLUMNS = {"gender": "gender", "skintone": "skin_tone", "age": "age", "ethnicity": "ethnicity"}


def read(root: Path, left_out: Counter[str]) -> Iterator[Row]:
    """
    Read PHASE.

    Parameters
    ----------
    left_out : Counter
        Counts images that GCC no longer has.

    Yields
    ------
    Row
        An image is in a group only if all its annotated persons share the value, as published.
    """
    path = require(root / FILE, SOURCE)
    folder = require(root / "images", SOURCE)
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: found {str(content)[:60]!r}, expected an object with a record per image; download it again"
        )
    for number, record in content.items():
        where = f"{path}: image {number}"
        if not isinstance(record, dict) or not isinstance(record.get("caption"), str):
            raise InputError(f"{where}: found {str(record)[:60]!r}, expected a caption and persons; download it again")
        persons = [_attributes(record[name], f"{where}: {name}") for name in record if name.startswith("person")]
        image = find_image(folder, number)
        if image is None:
            left_out["no image file"] += 1
            continue
        row = {"key": Path(number).stem, "captions": [record["caption"]]}
        for column in COLUMNS.values():
            row[column] = unanimous(person[column] for person in persons)
        yield row, *load_image(image)


def _attributes(person: dict, where: str) -> dict[str, str]:
    annotations = person.get("annotations") if isinstance(person, dict) else None
    if not isinstance(annotations, dict):
        raise InputError(f"{where}: found no annotations, expected an object of them; download the file again")
    return {
        column: translate(str(annotations.get(name) or "").lower(), VALUES[name], f"{where}: {name}")
        for name, column in COLUMNS.items()
    }


PHASE = Benchmark("phase", SOURCE, read)
