"""MIAP: perceived gender and age of all persons in Open Images.

Files under the root, for one split or several::

    open_images_extended_miap_boxes_{train,val,test}.csv     one row a box: ImageID, LabelName, Confidence, XMin, XMax,
                                                             YMin, YMax, IsOccluded, IsTruncated, IsGroupOf,
                                                             IsDepictionOf, IsInsideOf, GenderPresentation,
                                                             AgePresentation
    {train,val,test}/<ImageID>.jpg                           the Open Images files

References
----------
Schumann et al.: A Step Toward More Inclusive People Annotations for Fairness, AIES 2021, arXiv 2105.02317 [P].
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stages.download.benchmarks.layout import (
    Benchmark,
    Row,
    find_image,
    load_image,
    read_csv,
    require,
    translate,
    unanimous,
)

SOURCE = "the Open Images Extended page (MIAP boxes) and Open Images V6 (images)"
SPLITS = ("train", "val", "test")
GENDER = {"Predominantly Feminine": "woman", "Predominantly Masculine": "man", "Unknown": ""}
AGE = {"Young": "young", "Middle": "middle", "Older": "older", "Unknown": ""}


def read(root: Path, left_out: Counter[str]) -> Iterator[Row]:
    """
    Read MIAP; the split is the part.

    Yields
    ------
    Row
        An image is in a group only if all its boxes share the value.
    """
    paths = {split: root / f"open_images_extended_miap_boxes_{split}.csv" for split in SPLITS}
    present = {split: path for split, path in paths.items() if path.is_file()}
    if not present:
        require(paths["val"], SOURCE)
    for split, path in present.items():
        folder = require(root / split, SOURCE)
        boxes: dict[str, list[tuple[str, str]]] = {}
        for row in read_csv(path, ("ImageID", "GenderPresentation", "AgePresentation")):
            where = f"{path}: {row['ImageID']}"
            gender = translate(row["GenderPresentation"], GENDER, f"{where}: GenderPresentation")
            age = translate(row["AgePresentation"], AGE, f"{where}: AgePresentation")
            boxes.setdefault(row["ImageID"], []).append((gender, age))
        for number, persons in boxes.items():
            image = find_image(folder, number)
            if image is None:
                left_out["no image file"] += 1
                continue
            columns = {
                "key": number,
                "part": split,
                "gender": unanimous(gender for gender, _ in persons),
                "age": unanimous(age for _, age in persons),
            }
            yield columns, *load_image(image)


MIAP = Benchmark("miap", SOURCE, read)
