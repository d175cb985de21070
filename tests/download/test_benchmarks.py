"""Benchmark adapters on small folders in the real formats: values, unsure, several persons, both spellings, gaps."""

import contextlib
import io
import json
import sys
import tarfile
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from stages.core.errors import InputError, run
from stages.corpus.evaluation_sets import read_set
from stages.download.benchmarks.__main__ import main
from stages.download.benchmarks.registry import BENCHMARKS


def picture(path, seed=0, side=48):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (side, side), tuple(int(v) for v in rng.integers(0, 255, 3)))
    ImageDraw.Draw(image).ellipse([8, 8, 40, 40], fill=tuple(int(v) for v in rng.integers(0, 255, 3)))
    image.save(path, "PNG" if path.suffix == ".png" else "JPEG")


def convert(name, root, out):
    """Run the command; return the set, what it printed, and what it left out."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        patch.setattr(sys, "argv", ["benchmarks", name, "--root", str(root), "--out", str(out)])
        try:
            run(main)
        except SystemExit:
            raise InputError(stderr.getvalue().splitlines()[-1]) from None
    evalset = read_set(out, name)
    with evalset.images as images:
        for key in evalset.table["key"]:
            assert images.read_image(key).shape[2] == 3
    return evalset.table.set_index("key"), stdout.getvalue()


def annotations(gender="male", skintone="lighter", age="adult", ethnicity="white"):
    return {
        "region": [1.0, 2.0, 3.0, 4.0],
        "annotations": {
            "age": age,
            "gender": gender,
            "skintone": skintone,
            "ethnicity": ethnicity,
            "emotion": "neutral",
            "activity": "other",
        },
    }


@pytest.fixture
def phase(tmp_path):
    root = tmp_path / "phase"
    records = {
        "0001": {"caption": "a man walks", "person1": annotations()},
        "0002": {"caption": "a couple", "person1": annotations(), "person2": annotations(gender="female")},
        "0003": {"caption": "two women", "person1": annotations("female"), "person2": annotations("female", "darker")},
        "0004": {"caption": "somebody", "person1": annotations("unsure", "disagreement", "child")},
        "0005": {"caption": "children", "person1": annotations(age="children"), "person2": annotations(age="baby")},
        "0006": {"caption": "a man and somebody", "person1": annotations(), "person2": annotations("unsure")},
        "0007": {"caption": "lost", "person1": annotations()},
    }
    root.mkdir()
    (root / "phase_gcc_val_regions_20221101.json").write_text(json.dumps(records))
    for i, name in enumerate(sorted(records)[:-1]):
        picture(root / "images" / f"{name}.jpg", i)
    return root


def test_phase_group_needs_all_persons(phase, tmp_path):
    table, printed = convert("phase", phase, tmp_path / "eval")
    assert table["gender"].to_dict() == {
        "0001": "man",
        "0002": "",
        "0003": "woman",
        "0004": "",
        "0005": "man",
        "0006": "",
    }
    assert table["skin_tone"].tolist() == ["lighter", "lighter", "", "", "lighter", "lighter"]
    assert table.loc["0001", "captions"].tolist() == ["a man walks"]
    assert "6 images, 1 left out: no image file" in printed


def test_phase_reads_child_and_children(phase, tmp_path):
    table, _ = convert("phase", phase, tmp_path / "eval")
    assert table["age"].tolist() == ["adult", "adult", "adult", "baby&child", "baby&child", "adult"]


@pytest.mark.parametrize(("column", "value"), [("age", "kid"), ("gender", "Male?"), ("skintone", "light")])
def test_phase_refuses_unknown_values(phase, tmp_path, column, value):
    path = phase / "phase_gcc_val_regions_20221101.json"
    records = json.loads(path.read_text())
    records["0001"]["person1"]["annotations"][column] = value
    path.write_text(json.dumps(records))
    with pytest.raises(
        InputError, match=f"image 0001: person1: {column}: found '{value.lower()}', expected one of".replace("?", r"\?")
    ):
        convert("phase", phase, tmp_path / "eval")
    assert not list((tmp_path / "eval").glob("**/*"))


def coco(root, year, images=3, captions=6):
    rows = [
        {"id": 10 * i + j, "image_id": i, "caption": f"caption {j} of {i}\n"}
        for i in range(1, images + 1)
        for j in reversed(range(captions))
    ]
    (root / "annotations").mkdir(parents=True)
    (root / "annotations" / f"captions_val{year}.json").write_text(json.dumps({"images": [], "annotations": rows}))
    for i in range(1, images + 1):
        name = f"COCO_val2014_{i:012d}" if year == "2014" else f"{i:012d}"
        picture(root / f"val{year}" / f"{name}.jpg", i)


@pytest.mark.parametrize("year", ["2014", "2017"])
def test_coco_takes_five_captions_in_order(tmp_path, year):
    coco(tmp_path / "coco", year)
    table, _ = convert("coco", tmp_path / "coco", tmp_path / "eval")
    assert table.index.tolist() == ["000000000001", "000000000002", "000000000003"]
    assert table.iloc[0]["captions"].tolist() == [f"caption {j} of 1" for j in range(5)]


def test_coco_gender(tmp_path):
    root = tmp_path / "coco"
    coco(root, "2014", images=4)
    rows = [
        [1, "['Light', 'Light', 'Unsure']", 0.2, "Light", "Male", "val"],
        [2, "['Dark']", 0.1, "Dark", "Female", "val"],
        [3, "['Unsure']", 0.1, "Unsure", "Both", "test"],
    ]
    frame = pd.DataFrame(rows, columns=pd.Index(["id", "skin", "ratio", "bb_skin", "bb_gender", "split"]))
    frame.to_csv(root / "images_val2014.csv", index=False)
    table, _ = convert("coco_gender", root, tmp_path / "eval")
    assert table[["gender", "skin_tone"]].to_numpy().tolist() == [["man", "lighter"], ["woman", "darker"], ["", ""]]
    assert len(table.iloc[1]["captions"]) == 5


def fairface(root, rows, split="train"):
    frame = pd.DataFrame(rows, columns=pd.Index(["file", "age", "gender", "race", "service_test"]))
    root.mkdir(exist_ok=True)
    frame.to_csv(root / f"label_{split}.csv", index=False)
    for i, row in enumerate(rows):
        picture(root / row[0], i)


def test_fairface(tmp_path):
    root = tmp_path / "fairface"
    fairface(
        root, [["train/1.jpg", "50-59", "Male", "East Asian", True], ["train/2.jpg", "3-9", "Female", "Black", False]]
    )
    fairface(root, [["val/1.jpg", "more than 70", "Female", "Latino_Hispanic", False]], "val")
    table, _ = convert("fairface", root, tmp_path / "eval")
    assert table[["part", "gender", "age", "ethnicity"]].T.to_dict("list") == {
        "train_1": ["train", "man", "50-59", "east_asian"],
        "train_2": ["train", "woman", "3-9", "black"],
        "val_1": ["val", "woman", "70+", "latino"],
    }


def test_fairface_values_are_those_of_the_published_prompts(tmp_path):
    from stages.download.benchmarks import fairface as adapter
    from stages.evaluate.preference import MARKED

    assert set(adapter.AGE.values()) == set(MARKED["age"])
    assert set(adapter.RACE.values()) == set(MARKED["ethnicity"])
    assert set(adapter.GENDER.values()) == set(MARKED["gender"])


def test_fairface_ages_that_a_spreadsheet_spoilt(tmp_path):
    fairface(tmp_path / "fairface", [["train/1.jpg", "9-Mar", "Male", "White", True]])
    with pytest.raises(InputError, match=r"train/1.jpg: age '9-Mar' was made a date by a spreadsheet"):
        convert("fairface", tmp_path / "fairface", tmp_path / "eval")


def test_utkface_counts_names_without_a_field(tmp_path):
    root = tmp_path / "utk"
    for i, name in enumerate(
        ["1_0_2_20161219140623097.jpg.chip.jpg", "71_1_0_20170109150557335.jpg", "61_1_20170109142408075.jpg.chip.jpg"]
    ):
        picture(root / name, i)
    table, printed = convert("utkface", root, tmp_path / "eval")
    assert table[["age", "gender", "ethnicity"]].to_numpy().tolist() == [
        ["0-2", "man", "asian"],
        ["70+", "woman", "white"],
    ]
    assert "2 images, 1 left out: name lacks a field" in printed


@pytest.mark.parametrize(
    ("years", "name"), [(0, "0-2"), (2, "0-2"), (3, "3-9"), (9, "3-9"), (69, "60-69"), (70, "70+"), (116, "70+")]
)
def test_utkface_age_ranges(years, name):
    from stages.download.benchmarks.utkface import age_range

    assert age_range(years) == name


def miap(root, boxes):
    columns = (
        "ImageID,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepictionOf,IsInsideOf,"
        "GenderPresentation,AgePresentation"
    )
    rows = [f"{number},/m/01g317,1,0.1,0.9,0.1,0.9,0,0,0,0,0,{gender},{age}" for number, gender, age in boxes]
    root.mkdir()
    (root / "open_images_extended_miap_boxes_val.csv").write_text("\n".join([columns, *rows]) + "\n")
    for i, number in enumerate(dict.fromkeys(box[0] for box in boxes)):
        picture(root / "val" / f"{number}.jpg", i)


def test_miap_group_needs_all_boxes(tmp_path):
    feminine, masculine = "Predominantly Feminine", "Predominantly Masculine"
    miap(
        tmp_path / "miap",
        [
            ("a", feminine, "Middle"),
            ("a", feminine, "Young"),
            ("b", feminine, "Older"),
            ("b", masculine, "Older"),
            ("c", masculine, "Middle"),
            ("c", "Unknown", "Unknown"),
        ],
    )
    table, _ = convert("miap", tmp_path / "miap", tmp_path / "eval")
    assert table[["gender", "age"]].T.to_dict("list") == {"a": ["woman", ""], "b": ["", "older"], "c": ["", ""]}


def test_miap_refuses_unknown_values(tmp_path):
    miap(tmp_path / "miap", [("a", "Feminine", "Middle")])
    with pytest.raises(InputError, match="GenderPresentation: found 'Feminine'"):
        convert("miap", tmp_path / "miap", tmp_path / "eval")


def test_imagenet_folders_with_named_classes(tmp_path):
    root = tmp_path / "imagenet"
    for wnid in ("n01440764", "n02102040"):
        for i in range(2):
            picture(root / "val" / wnid / f"ILSVRC2012_val_0000000{i}.JPEG", i)
    (root / "classnames.tsv").write_text("n01440764\ttench\nn02102040\tEnglish springer\n")
    table, _ = convert("imagenet", root, tmp_path / "eval")
    assert table["label"].value_counts().to_dict() == {"tench": 2, "English springer": 2}


def test_imagenet_does_not_guess_names(tmp_path):
    picture(tmp_path / "imagenet" / "val" / "n01440764" / "1.JPEG")
    with pytest.raises(InputError, match="found 1 class folders, expected 1000; name other classes in"):
        convert("imagenet", tmp_path / "imagenet", tmp_path / "eval")


def test_imagenet_thousand_folders_have_the_curated_names(tmp_path):
    root = tmp_path / "imagenet"
    for i in range(1000):
        (root / "val" / f"n{i:08d}").mkdir(parents=True)
    picture(root / "val" / "n00000000" / "1.JPEG")
    picture(root / "val" / "n00000999" / "1.JPEG")
    table, _ = convert("imagenet", root, tmp_path / "eval")
    assert table["label"].tolist() == ["tench", "toilet paper"]


def test_imagenet_tars(tmp_path):
    root = tmp_path / "imagenet"
    picture(root / "image.jpg")
    (root / "number.cls").write_text("217\n")
    with tarfile.open(root / "val-000000.tar", "w") as tar:
        tar.add(root / "image.jpg", "s0001.jpg")
        tar.add(root / "number.cls", "s0001.cls")
    table, _ = convert("imagenet", root, tmp_path / "eval")
    assert table["label"].to_dict() == {"val-000000_s0001": "English Springer Spaniel"}


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_missing_files_are_named_with_their_source(name, tmp_path):
    (tmp_path / "root").mkdir()
    with pytest.raises(InputError) as error:
        convert(name, tmp_path / "root", tmp_path / "eval")
    assert str(tmp_path / "root") in str(error.value)
    assert "obtain" in str(error.value)
    assert not list((tmp_path / "eval").glob("**/*.tar"))


def test_set_without_any_image_is_refused(phase, tmp_path):
    for path in (phase / "images").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="phase: no rows; expected one per image"):
        convert("phase", phase, tmp_path / "eval")


def test_broken_image_is_named(phase, tmp_path):
    (phase / "images" / "0003.jpg").write_bytes(b"<html>")
    with pytest.raises(InputError, match=r"0003.jpg: not an image"):
        convert("phase", phase, tmp_path / "eval")


def test_csv_without_a_column_is_refused(tmp_path):
    root = tmp_path / "fairface"
    root.mkdir()
    (root / "label_train.csv").write_text("file,age,gender\ntrain/1.jpg,3-9,Male\n")
    with pytest.raises(InputError, match=r"column race is missing \(found: file, age, gender\)"):
        convert("fairface", root, tmp_path / "eval")


def test_csv_that_was_cut_off_is_refused(tmp_path):
    root = tmp_path / "fairface"
    root.mkdir()
    (root / "label_train.csv").write_text("file,age,gender,race,service_test\ntrain/1.jpg,3-9\n")
    with pytest.raises(InputError, match="line 2: 2 fields, expected 5; give every row all fields"):
        convert("fairface", root, tmp_path / "eval")


def test_rows_are_read_one_image_at_a_time(tmp_path):
    root = tmp_path / "utk"
    for i in range(3):
        picture(root / f"{20 + i}_0_0_2016{i}.jpg", i)
    rows = BENCHMARKS["utkface"].read(root, Counter())
    next(iter(rows))
    (root / "22_0_0_20162.jpg").unlink()  # not read yet
    with pytest.raises(InputError, match="no such file"):
        list(rows)
