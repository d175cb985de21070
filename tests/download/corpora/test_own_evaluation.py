"""Evaluation sets of a user's own: images as training would see them, captions and groups checked before any work."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from stages.core.errors import InputError
from stages.corpus.evaluation_sets import read_set, write_set
from stages.download.corpora import evaluation
from tests.helpers.pictures import png


def table(folder: Path, text: str) -> Path:
    for number in (1, 2):
        (folder / f"{number}.png").write_bytes(png(number))
    (folder / "people.csv").write_text(text)
    return folder / "people.csv"


def refused(path: Path, captioned: bool = False) -> str:
    with pytest.raises(InputError) as caught:
        list(evaluation.read(path, captioned))
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def test_images_are_upright_and_on_white_as_in_training(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 32), "red").save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("P", (8, 8)).save(tmp_path / "drawn.gif")
    path = table(tmp_path, "image,caption\nturned.jpg,a\nclear.png,b\ndrawn.gif,c\n1.png,d\n")
    write_set(tmp_path / "eval", "people", evaluation.read(path))
    with read_set(tmp_path / "eval", "people").images as images:
        first, second, third, fourth = (images.read_image(key) for key in images.keys)
        assert first.shape == (64, 32, 3)
        assert (second == 255).all() and (third == 0).all()
        assert images.read("000000003", "png") == png(1)
    assert fourth.shape == (8, 8, 3)


def test_only_columns_of_captions_are_captions(tmp_path: Path) -> None:
    header = "image,caption,caption_2,captions,caption_id,captioner,captioned,caption_x,note,version,label,age"
    path = table(tmp_path, f"{header}\n1.png,a judge,in a robe,at court,17,me,yes,z,-,1.0,2.0,30.0\n")
    ((row, _, _),) = evaluation.read(path)
    assert row["captions"] == ["a judge", "in a robe", "at court"]
    assert (row["caption_id"], row["captioner"]) == ("17", "me")
    assert (row["note"], row["version"], row["label"], row["age"]) == ("-", "1.0", "2.0", "30")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("image,caption\n1.png,a\n2.png,\n", "row 2: no caption; fill it in, or leave the row out, or give no row a"),
        ("image,caption\n1.png, \n2.png,b\n", "row 1: no caption; fill it in"),
        ("image,key\n1.png,a.b\n", "row 1: column key: found 'a.b', expected letters, digits, _ and -; rename the key"),
        ("image,key\n1.png,\n", "row 1: column key: found None, expected letters"),
        ("image,key\n1.png,a\n2.png,a\n", "row 2: column key: 'a' comes twice (row 1), expected unique keys"),
        ("image,skin_tone\n1.png,1.5\n", "row 1: column skin_tone: found '1.5', expected one of 1, 2, 3, 4, 5, darker"),
        ("picture\n1.png\n", "no column image (found: picture); rename the column of the images"),
        ("image\n", "no rows; expected one per image"),
        ("image\n3.png\n", "row 1: image "),
        ("image\n/dev/zero\n", "row 1: image /dev/zero: found no file; correct the path, or leave it out"),
        ("image,caption\n1.png,\u200b\n2.png,b\n", "row 1: no caption; fill it in"),
        ("image\nnone\n", "row 1: column image: found nothing, expected the path of a file; leave the row out"),
        (
            "image,caption\n1.png,\"['a', 'b']\"\n",
            "row 1: column caption: found \"['a', 'b']\", a list that was written",
        ),
    ],
)
def test_a_mistake_is_named_with_its_row_before_any_image_is_read(tmp_path: Path, text: str, says: str) -> None:
    path = table(tmp_path, text)
    if not says.startswith("row 1: image") and "found nothing" not in says:
        (tmp_path / "1.png").write_bytes(b"no image")
    assert refused(path).startswith(says)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (png()[:60], "cut off or damaged; correct or replace it, or leave it out"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "cut off or damaged; correct or replace it"),
        (b"", "not an image"),
    ],
)
def test_an_image_that_evaluation_could_not_read_is_found_here(tmp_path: Path, data: bytes, says: str) -> None:
    path = table(tmp_path, "image\n1.png\n2.png\n")
    (tmp_path / "2.png").write_bytes(data)
    assert refused(path).startswith(f"row 2: image {tmp_path / '2.png'}: {says}")


def test_an_image_bomb_is_found_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(tmp_path, "image\n1.png\n")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert refused(path).startswith(f"row 1: image {tmp_path / '1.png'}: too many pixels")


def test_a_set_that_is_measured_by_captions_needs_them_in_every_row(tmp_path: Path) -> None:
    path = table(tmp_path, "image,gender\n1.png,woman\n")
    assert refused(path, captioned=True).startswith("no column caption (found: image, gender); add it: this set")
    assert len(list(evaluation.read(path))) == 1
    assert refused(table(tmp_path, "image,caption\n1.png,\n"), captioned=True) == (
        "row 1: no caption; fill it in, or leave the row out"
    )
    assert [row["captions"] for row, _, _ in evaluation.read(path)] == [[]]


def test_a_set_of_which_only_some_rows_have_captions_is_refused_wherever_it_comes_from(tmp_path: Path) -> None:
    rows = [({"key": f"k{i}", "captions": ["a"] * i}, "png", png()) for i in range(2)]
    with pytest.raises(
        InputError, match=r"people: no caption, or an empty one, for 1 of 2 keys, e\.g\. k0; fill it in"
    ):
        write_set(tmp_path, "people", rows)
    assert not list(tmp_path.iterdir())


def test_unknown_groups_of_a_set_are_empty_wherever_they_are_read(tmp_path: Path) -> None:
    path = table(tmp_path, "image,gender,age,ethnicity,skin_tone\n1.png,NA, ,None,nan\n2.png,woman,25,asian,1.0\n")
    write_set(tmp_path / "eval", "faces", evaluation.read(path), "persons")
    names = ["gender", "age", "ethnicity", "skin_tone"]
    expected = [["", "", "", ""], ["woman", "25", "asian", "1"]]
    stored = pd.read_parquet(tmp_path / "eval" / "faces.parquet")
    assert stored[names].to_numpy().tolist() == expected
    stored.assign(age=["nan", "25"]).to_parquet(tmp_path / "eval" / "faces.parquet")
    assert read_set(tmp_path / "eval", "faces").table[names].to_numpy().tolist() == expected


def test_bytes_and_lists_of_captions_are_read_from_parquet(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4), 60000, np.uint16)).save(buffer, "TIFF")
    images = pa.array([{"bytes": png(3), "path": "a.png"}, {"bytes": buffer.getvalue(), "path": None}])
    content = {"image": images, "captions": [["a", "b"], ["c"]], "cluster": [7, 8]}
    pq.write_table(pa.table(content), tmp_path / "a.parquet")
    (first, *one), (second, *two) = evaluation.read(tmp_path / "a.parquet")
    assert (first["captions"], first["cluster"], one) == (["a", "b"], "7", ["png", png(3)])
    assert (second["captions"], two[0]) == (["c"], "png")
    with Image.open(io.BytesIO(two[1])) as image:
        assert np.asarray(image).max() == round(60000 / 257)


def wds_folder(folder: Path, *samples: dict[str, bytes], name: str = "0.tar") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / name, "w") as tar:
        for number, members in enumerate(samples):
            for suffix, data in members.items():
                info = tarfile.TarInfo(f"s{number:07d}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return folder


def test_the_tars_of_clip_benchmark_are_read_as_they_are(tmp_path: Path) -> None:
    test = tmp_path / "test"
    wds_folder(test, {"webp": png(1), "cls": b"1"}, {"webp": png(2), "cls": b"0\n"})
    wds_folder(test, {"jpg": png(3), "txt": b"a judge\na woman in a robe\n", "json": b'{"age": 25.0}'}, name="1.tar")
    (tmp_path / "classnames.txt").write_text("a cat\na dog\n")
    rows = (row for row in evaluation.read_tars(tmp_path) if not row[0]["captions"])
    write_set(tmp_path / "eval", "animals", rows, "objects")
    found = read_set(tmp_path / "eval", "animals")
    assert found.table[["key", "label"]].to_numpy().tolist() == [["0_s0000000", "a dog"], ["0_s0000001", "a cat"]]
    *_, (last, _, _) = evaluation.read_tars(tmp_path)
    assert (last["captions"], last["age"]) == (["a judge", "a woman in a robe"], "25")


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"txt": b"a"}, "no image member (png, jpg"),
        ({"png": png(), "cls": b"7"}, "member cls: found '7', expected the number of a line of classnames.txt, from 0"),
        ({"png": png(), "txt": b"caf\xe9"}, "a member cannot be read (line 1: byte 0xe9 is not UTF-8"),
        ({"png": png(), "json": b"{"}, "a member cannot be read ("),
        ({"png": png(), "json": b"[1]"}, "member json: found [1], expected an object {…}"),
        ({"png": png(), "json": b'{"label": "\\ud800"}'}, "a member cannot be read (\\ud800 is half a character)"),
        ({"png": png(), "json": b'{"gender": "female"}'}, "gender: found 'female', expected one of man, woman"),
        ({"png": png()[:50]}, "member png: cut off or damaged; correct it, or leave it out"),
    ],
)
def test_a_sample_that_cannot_be_evaluated_is_named(tmp_path: Path, members: dict[str, bytes], says: str) -> None:
    with pytest.raises(InputError) as caught:
        list(evaluation.read_tars(wds_folder(tmp_path, members)))
    assert str(caught.value).startswith(f"{tmp_path / '0.tar'}: sample s0000000: {says}")
    with pytest.raises(InputError, match=r"no caption \(member txt\); this set is measured by its captions"):
        list(evaluation.read_tars(wds_folder(tmp_path, {"png": png()}), captioned=True))
