"""What the values of a user's table become: by the meaning of their column, in every format alike."""

import datetime
import decimal
import json
import math
import os
import tempfile
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import InputError
from stages.corpus.attributes import UNKNOWN
from stages.corpus.images import pixels
from stages.corpus.shards import Shard
from stages.download.corpora import fields, packing
from stages.download.corpora.table import TableSource, order
from tests.helpers.campaign import campaign
from tests.helpers.pictures import png

HOW = packing.Packing(side=8, min_side=1, seed=0, skip=False)


def ordered(path: Path, key: str | None = None, numbers: tuple[str, ...] = ()) -> pd.DataFrame:
    order(path, "image", "caption", key, path.with_suffix(".ordered"), numbers)
    return pd.read_parquet(path.with_suffix(".ordered"))


def csv(folder: Path, *lines: str) -> Path:
    path = folder / "pairs.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def refused(path: Path, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        ordered(path, **options)  # pyright: ignore[reportArgumentType]
    assert not list(path.parent.glob("*.ordered")) and not list(path.parent.glob("rows.parquet"))
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def column(folder: Path, *values: str) -> pd.Series:
    return ordered(csv(folder, "image,caption,x", *(f"a.png,a judge,{value}" for value in values)))["x"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1"] * 25_000 + ["0.37"], [*[1.0] * 25_000, 0.37]),
        (["1", "2", ""], [1, 2, None]),
        (["1", "NA", "nan"], [1, None, None]),
        (["1.5", " 2 ", "1e-3"], [1.5, 2.0, 0.001]),
        (["true", "FALSE", ""], [True, False, None]),
        (["007", "1"], ["007", "1"]),
        (["1", "2 of 3"], ["1", "2 of 3"]),
        (["2021-03-04", "03/04/21"], ["2021-03-04", "03/04/21"]),
        (["123456789012345678901234567890"], ["123456789012345678901234567890"]),
        (["1e999"], ["1e999"]),
        (["123456789012345678", "0.5"], ["123456789012345678", "0.5"]),
        (["123456789012345678", "1"], [123456789012345678, 1]),
        (["None", "x"], ["None", "x"]),
        (["0.1", "1.2.3"], ["0.1", "1.2.3"]),
    ],
)
def test_a_column_is_numbers_or_true_and_false_if_all_of_it_is(tmp_path: Path, values: list, expected: list) -> None:
    found = [None if pd.isna(value) else value for value in column(tmp_path, *values)]
    assert found == expected


@pytest.mark.parametrize("unknown", ["", " ", "nan", "NaN", "NA", "N/A", "None", "null", "unknown", "<NA>", "?"])
@pytest.mark.parametrize("attribute", ["gender", "skin_tone", "age", "ethnicity", "occupation"])
def test_an_unknown_value_is_no_group(tmp_path: Path, unknown: str, attribute: str) -> None:
    found = ordered(csv(tmp_path, f"image,caption,{attribute}", f"a.png,a judge,{unknown}"))
    assert found[attribute].tolist() == [""]


def test_a_whole_skin_tone_is_one_however_it_was_written(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image": ["a.png"] * 3, "caption": ["a judge"] * 3, "skin_tone": [1.0, None, 3.0]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "b.parquet")
    frame.to_json(tmp_path / "c.jsonl", orient="records", lines=True)
    for name in ("a.csv", "b.parquet", "c.jsonl"):
        assert ordered(tmp_path / name)["skin_tone"].tolist() == ["1", "", "3"]


def test_a_late_word_among_skin_tones_is_known(tmp_path: Path) -> None:
    path = csv(tmp_path, "image,caption,skin_tone", *["a.png,a judge,1"] * 21_000, "a.png,a judge,lighter")
    assert ordered(path)["skin_tone"].tolist()[-2:] == ["1", "lighter"]


@pytest.mark.parametrize("tone", ["1.7", "6", "0", "light"])
def test_a_skin_tone_that_is_none_is_refused_with_its_row(tmp_path: Path, tone: str) -> None:
    path = csv(tmp_path, "image,caption,skin_tone", *["a.png,a judge,1"] * 21_000, f"a.png,a judge,{tone}")
    assert refused(path).startswith(f"row 21001: column skin_tone: found '{tone}', expected one of 1, 2, 3, 4, 5,")


def test_images_of_digits_keep_their_names(tmp_path: Path) -> None:
    path = csv(tmp_path, "image,caption", *["7,a judge"] * 21_000, "007,a judge")
    assert [place["path"] for place in ordered(path)["image"]][-2:] == ["7", "007"]


def test_a_column_that_must_be_numbers_names_the_row_that_is_none(tmp_path: Path) -> None:
    path = csv(tmp_path, "image,caption,score", "a.png,a,1", "a.png,b,", "a.png,c,high")
    assert refused(path, numbers=("score",)) == (
        "row 3: column score: found 'high', expected a number (download.table.numbers)"
    )
    assert refused(path, numbers=("scores",)).startswith("no column scores (download.table.numbers; found: image, ")
    path = csv(tmp_path, "image,caption,score", "a.png,a,", "a.png,b,NA")
    assert ordered(path, numbers=("score",))["score"].dtype == np.float64


PARQUET = {
    "day": (pa.array([datetime.date(2021, 3, 4)]), "2021-03-04"),
    "time": (pa.array([datetime.time(1, 2, 3)]), "01:02:03.000000"),
    "moment": (pa.array([datetime.datetime(2021, 3, 4, 5, 6, 7)]), "2021-03-04 05:06:07.000000"),
    "decimal": (pa.array([decimal.Decimal("2.50")]), 2.5),
    "digits": (pa.array([decimal.Decimal("12345678901234567.89")]), "12345678901234567.89"),
    "within": (
        pa.array([{"days": [datetime.date(2021, 3, 4)], "price": decimal.Decimal("1.50")}]),
        '{"days": ["2021-03-04"], "price": "1.50"}',
    ),
    "uuid": (pa.array([uuid.UUID(int=1).bytes], pa.uuid()), str(uuid.UUID(int=1))),
    "category": (pa.array(["a"]).dictionary_encode(), "a"),
    "numbers": (pa.array([[1, 2]]), "[1, 2]"),
    "struct": (pa.array([{"x": 1, "y": None}]), '{"x": 1, "y": null}'),
    "null": (pa.nulls(1), None),
    "nan": (pa.array([math.nan]), None),
    "whole": (pa.array([7], pa.uint8()), 7),
    "large": (pa.array([2**63 + 1], pa.uint64()), str(2**63 + 1)),
}


@pytest.mark.parametrize("name", PARQUET)
def test_a_column_of_any_type_is_kept_and_can_be_written_into_a_shard(tmp_path: Path, name: str) -> None:
    values, expected = PARQUET[name]
    (tmp_path / "a.png").write_bytes(png())
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"image": ["a.png"], "caption": ["a judge"], "x": values}), path)
    found = ordered(path)["x"].tolist()[0]
    assert pd.isna(found) if expected is None else found == expected
    packing.pack(TableSource(path, path.with_suffix(".ordered"), 1), HOW, 0, "00000", tmp_path)
    with Shard(tmp_path / "00000.tar") as shard:
        assert json.loads(shard.read("000000000", "json")) == {"x": expected}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (pa.array([b"\x00\x01"]), "row 1: column x: found b'\\x00\\x01', which no table of samples holds; remove the"),
        (pa.array([{"a": b"x"}]), "row 1: column x: found {'a': b'x'}, which no table of samples holds; remove the"),
        (pa.array([math.inf]), "row 1: column x: found inf, expected a finite number, or nothing where it is unknown"),
    ],
)
def test_a_column_that_no_sample_can_hold_is_refused(tmp_path: Path, values: pa.Array, says: str) -> None:
    pq.write_table(pa.table({"image": ["a.png"], "caption": ["a judge"], "x": values}), tmp_path / "a.parquet")
    assert refused(tmp_path / "a.parquet").startswith(says)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (pa.array([0.5]), "row 1: column image: found 0.5, expected a path, the bytes of a file, or {bytes, path}"),
        (pa.array([["a.png"]]), "row 1: column image: found ['a.png'], expected a path"),
        (pa.array([{"url": "x"}]), "row 1: column image: found {'url': 'x'}, expected a path"),
        (pa.array(["https://x.org/1.png"]), "row 1: column image: found 'https://x.org/1.png', expected the path of a"),
        (
            pa.array(["data:image/png;base64,iVB"]),
            "row 1: column image: found 'data:image/png;base64,iVB', expected the",
        ),
    ],
)
def test_an_image_column_of_another_type_is_refused(tmp_path: Path, image: pa.Array, says: str) -> None:
    pq.write_table(pa.table({"image": image, "caption": ["a judge"]}), tmp_path / "a.parquet")
    assert refused(tmp_path / "a.parquet").startswith(says)


def test_image_bytes_are_stored_as_files_are(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(png(number))
    data = [png(number) for number in range(6)]
    tables = {
        "bytes": pa.array(data),
        "struct": pa.array([{"bytes": each, "path": "x.png"} for each in data]),
        "path": pa.array([{"bytes": None, "path": f"{number}.png"} for number in range(6)]),
        "files": pa.array([f"{number}.png" for number in range(6)]),
    }
    shards = {}
    for name, images in tables.items():
        path = tmp_path / f"{name}.parquet"
        keys = [f"k{5 - number}" for number in range(6)]
        pq.write_table(pa.table({"image": images, "caption": ["a judge"] * 6, "id": keys}), path)
        ordered(path, key="id")
        source = TableSource(path, path.with_suffix(".ordered"), 2)
        for shard in (0, 1):
            packing.pack(source, HOW, shard, f"{name}{shard}", tmp_path)
        (tmp_path / "images.bin").rename(tmp_path / f"{name}.bin")
        shards[name] = [(tmp_path / f"{name}{shard}.tar").read_bytes() for shard in (0, 1)]
    assert len({tuple(each) for each in shards.values()}) == 1
    with Shard(tmp_path / "bytes0.tar") as shard:
        assert np.array_equal(shard.read_image("k0"), pixels(png(5)))


def packed(folder: Path, **how: object) -> dict[str, str]:
    path = folder / "pairs.parquet"
    source = TableSource(path, path.with_suffix(".ordered"), 1)
    packing.pack(source, packing.Packing(8, 1, 0, False, **how), 0, "00000", folder)  # pyright: ignore
    return pd.read_parquet(folder / "00000.parquet").set_index("key")["caption"].to_dict()


def test_of_a_list_of_captions_the_first_is_stored_or_one_that_the_seed_draws(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    captions = [["", f"first {i}", f"second {i}", None] for i in range(200)]
    table = pa.table({"image": ["a.png"] * 200, "caption": captions})
    pq.write_table(table, tmp_path / "pairs.parquet")
    ordered(tmp_path / "pairs.parquet")
    assert packed(tmp_path) == {f"{i:09d}": f"first {i}" for i in range(200)}
    (tmp_path / "00000.json").unlink()
    drawn = packed(tmp_path, draw=True)
    assert {caption.split()[0] for caption in drawn.values()} == {"first", "second"}
    assert all(int(caption.split()[1]) == int(key) for key, caption in drawn.items())
    assert 70 < sum(caption.startswith("first") for caption in drawn.values()) < 130
    (tmp_path / "00000.json").unlink()
    assert packed(tmp_path, draw=True) == drawn


@pytest.mark.parametrize(
    ("caption", "says"),
    [
        (pa.array([1.5]), "row 1: column caption: found 1.5, expected a text or a list of texts"),
        (pa.array([[1]]), "row 1: column caption: found 1, expected a text or a list of texts"),
        (
            pa.array(["['a', \"b's\"]"]),
            "row 1: column caption: found '[\\'a\\', \"b\\'s\"]', a list that was written as",
        ),
        (pa.array(["['a', 'b']"]), "row 1: column caption: found \"['a', 'b']\", a list that was written as text"),
    ],
)
def test_captions_that_are_no_text_are_refused(tmp_path: Path, caption: pa.Array, says: str) -> None:
    pq.write_table(pa.table({"image": ["a.png"], "caption": caption}), tmp_path / "a.parquet")
    assert refused(tmp_path / "a.parquet").startswith(says)


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "a\0b", "folder", "missing.png", "", "pipe", "/dev/zero"])
def test_a_path_that_is_no_file_is_a_lost_row(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"image": [name], "caption": ["a judge"]}), path)
    ordered(path)
    source = TableSource(path, path.with_suffix(".ordered"), 1)
    with pytest.raises(InputError, match=r"row with key 000000000: image .*: no such file; correct it, or leave such"):
        packing.pack(source, HOW, 0, "00000", tmp_path)
    packing.pack(source, packing.Packing(8, 1, 0, True), 0, "00000", tmp_path)
    assert json.loads((tmp_path / "00000.json").read_text())["lost"] == {"no such file": 1}
    layout = packing.schema(source)
    with pytest.raises(InputError, match=r"pairs\.parquet: none of 1 rows gave a sample \(most often: no such file\)"):
        packing.gather(tmp_path, ["00000"], layout, tmp_path / "samples.parquet", path)


def test_names_that_differ_in_case_only_or_are_ours_are_refused(tmp_path: Path) -> None:
    assert refused(csv(tmp_path, "image,caption,A,a", "1,2,3,4")) == (
        "columns A, a differ in case only; rename or remove one of them"
    )
    assert refused(csv(tmp_path, "image,caption,key", "1,2,3")) == (
        "column key: the name is this project's; set download.table.key: key, or rename the column"
    )
    assert refused(csv(tmp_path, "image,caption,U", "1,2,3")) == (
        "column U: the name is this project's; rename the column"
    )
    with pytest.raises(InputError, match=r"image and caption both name column image; name two columns"):
        order(csv(tmp_path, "image,x", "1,2"), "image", "image", None, tmp_path / "x.ordered")
    pq.write_table(pa.table({"image": ["1"], "caption": ["a"], "": ["z"]}), tmp_path / "a.parquet")
    assert refused(tmp_path / "a.parquet") == "column 3 has no name (found: image, caption, ''); name it"


@pytest.mark.parametrize("name", ["label", "occupation", "style", "kind"])
def test_words_of_digits_stay_as_they_were_written(tmp_path: Path, name: str) -> None:
    assert ordered(csv(tmp_path, f"image,caption,{name}", "a.png,a judge,1.0"))[name].tolist() == ["1.0"]


@pytest.mark.parametrize("caption", ["", " ", "\u200b", "\xa0\u2060\ufeff"])
def test_a_caption_that_shows_nothing_is_none(caption: str) -> None:
    assert fields.captions(caption, "x") == []
    assert fields.captions(f"{caption}👩‍⚖️", "x") == [f"{caption}👩‍⚖️"]


def test_a_key_that_comes_twice_names_both_rows(tmp_path: Path) -> None:
    path = csv(tmp_path, "image,caption,id", "a,b,x", "a,b,y", "a,b,x")
    assert refused(path, key="id") == "column id: 'x' comes twice (rows 1 and 3), expected unique keys; rename one"


def test_a_shard_is_packed_again_when_an_image_was_corrected(tmp_path: Path) -> None:
    path = csv(tmp_path, "image,caption", "0.png,a judge", "1.png,a cook")
    for number in (0, 1):
        (tmp_path / f"{number}.png").write_bytes(png(number))
    ordered(path)
    source = TableSource(path, path.with_suffix(".ordered"), 2)
    for shard in (0, 1):
        packing.pack(source, HOW, shard, f"{shard}", tmp_path)
    before = [(tmp_path / f"{shard}.tar").stat().st_mtime_ns for shard in (0, 1)]
    time = (tmp_path / "1.png").stat()
    (tmp_path / "1.png").write_bytes(png(7))
    os.utime(tmp_path / "1.png", ns=(time.st_atime_ns, time.st_mtime_ns))  # the content counts, not the time
    for shard in (0, 1):
        packing.pack(source, HOW, shard, f"{shard}", tmp_path)
    assert (tmp_path / "0.tar").stat().st_mtime_ns == before[0]
    with Shard(tmp_path / "1.tar") as shard:
        assert np.array_equal(shard.read_image("000000001"), pixels(png(7)))


cells = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["true", "False", "", "nan", "NA", "007", "1.", ".5", "-0", "1e5", "x", "+1", " 3 "]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=5),
)


def kind_of(texts: list[str]) -> type | None:
    """An independent reading of the rule: what all of a column's known values are."""
    known = [text.strip() for text in texts if text.strip().casefold() not in UNKNOWN]
    if known and all(text.casefold() in ("true", "false") for text in known):
        return bool

    def number(text: str) -> bool:
        if text != text.strip() or not text.isascii() or "_" in text or text.startswith("+"):
            return False
        digits = text.removeprefix("-")
        if digits.isdigit():
            return (digits == "0" or digits[0] != "0") and len(digits) <= 18
        try:
            return (
                math.isfinite(float(text))
                and not (digits[0] == "0" and digits[1:2].isdigit())
                and digits[0] in "0123456789."
            )
        except ValueError:
            return False

    return float if known and all(map(number, known)) else None


@campaign
@given(st.lists(cells, min_size=1, max_size=4))
def test_a_column_of_any_cells_is_what_all_of_it_is_property(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        pd.DataFrame({"image": "a", "caption": "b", "x": texts}).to_csv(path, index=False)
        found = ordered(path)["x"].tolist()
    kind = kind_of(texts)
    for text, value in zip(texts, found, strict=True):
        if kind is None:
            assert value == text
        elif text.strip().casefold() in UNKNOWN:
            assert pd.isna(value)
        else:
            assert value == (text.strip().casefold() == "true" if kind is bool else float(text))
