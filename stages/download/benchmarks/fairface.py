"""FairFace: faces balanced over seven ethnicities.

Files under the root, for one split or both::

    label_train.csv, label_val.csv      file, age, gender, race, service_test
    train/1.jpg, …, val/1.jpg, …        the images with margin 1.25 (the published choice)

References
----------
Kärkkäinen & Joo: FairFace, WACV 2021, arXiv 1908.04913: 86,744 training and 10,954 validation images [P].
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stages.core.errors import InputError
from stages.download.benchmarks.layout import Benchmark, Row, load_image, read_csv, require, translate

SOURCE = "the FairFace authors (github.com/joojs/fairface: images with margin 1.25, label_train.csv, label_val.csv)"
SPLITS = ("train", "val")
GENDER = {"Male": "man", "Female": "woman"}
AGE = {age: age for age in ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69")} | {
    "more than 70": "70+"
}
RACE = {
    "East Asian": "east_asian",
    "Indian": "indian",
    "Southeast Asian": "southeast_asian",
    "White": "white",
    "Middle Eastern": "middle_eastern",
    "Latino_Hispanic": "latino",
    "Black": "black",
}
SPREADSHEET = ("9-Mar", "19-Oct", "3-Sep", "10-Oct")  # what a spreadsheet makes of 3-9 and 10-19


def read(root: Path, left_out: Counter[str]) -> Iterator[Row]:
    """
    Read FairFace; the split is the part.

    Parameters
    ----------
    left_out : Counter
        Counts nothing: every labelled image must be there.
    """
    splits = [split for split in SPLITS if (root / f"label_{split}.csv").is_file()]
    if not splits:
        require(root / "label_train.csv", SOURCE)
    for split in splits:
        path = root / f"label_{split}.csv"
        for row in read_csv(path, ("file", "age", "gender", "race")):
            where = f"{path}: {row['file']}"
            if row["age"] in SPREADSHEET:
                raise InputError(f"{where}: age {row['age']!r} was made a date by a spreadsheet; use the original file")
            columns = {
                "key": f"{split}_{Path(row['file']).stem}",
                "part": split,
                "gender": translate(row["gender"], GENDER, f"{where}: gender"),
                "age": translate(row["age"], AGE, f"{where}: age"),
                "ethnicity": translate(row["race"], RACE, f"{where}: race"),
            }
            yield columns, *load_image(require(root / row["file"], SOURCE))


FAIRFACE = Benchmark("fairface", SOURCE, read)
