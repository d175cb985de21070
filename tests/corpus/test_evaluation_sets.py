"""The schema of evaluation sets: written whole or not at all, checked when read."""

import io

import pandas as pd
import pytest
from PIL import Image

from stages.core.errors import InputError
from stages.corpus.evaluation_sets import COLUMNS, read_set, write_set


def png(value=0):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (value, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def rows(**changes):
    return [({"key": f"k{i}", "captions": ["a", "b"], "gender": "woman", **changes}, "png", png(i)) for i in range(3)]


def test_round_trip(tmp_path):
    assert write_set(tmp_path, "people", rows()) == 3
    evalset = read_set(tmp_path, "people")
    assert evalset.table.columns.tolist() == list(COLUMNS)
    assert evalset.table["captions"].map(list).tolist() == [["a", "b"]] * 3
    with evalset.images as images:
        assert images.read_image("k2")[0, 0].tolist() == [2, 0, 0]


def test_other_columns_are_kept_behind(tmp_path):
    write_set(tmp_path, "people", rows(emoji="1f600"))
    assert read_set(tmp_path, "people").table.columns.tolist() == [*COLUMNS, "emoji"]


def test_nothing_stays_of_a_set_that_fails(tmp_path):
    def failing():
        yield rows()[0]
        raise InputError("the source broke off")

    with pytest.raises(InputError, match="broke off"):
        write_set(tmp_path, "people", failing())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gender": "female"}, "column gender: found 'female', expected one of"),
        ({"skin_tone": "6"}, "column skin_tone: found '6'"),
        ({"age": None}, "column age holds nulls; a missing value is the empty string"),
        ({"captions": None}, "column captions: found a null for key 'k0'; no caption is an empty list"),
        ({"captions": ["a", None]}, "column captions: found a null for key 'k0'"),
        ({"key": "same"}, "key 'same' comes twice"),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        write_set(tmp_path, "people", rows(**changes))
    assert list(tmp_path.iterdir()) == []


def test_empty_set_is_refused(tmp_path):
    with pytest.raises(InputError, match="people: no rows"):
        write_set(tmp_path, "people", [])


def test_missing_set_names_what_is_there(tmp_path):
    write_set(tmp_path, "people", rows())
    with pytest.raises(InputError, match=r"no such evaluation set \(found: people\)"):
        read_set(tmp_path, "objects")


def test_missing_column_is_named(tmp_path):
    write_set(tmp_path, "people", rows())
    path = tmp_path / "people.parquet"
    pd.read_parquet(path).drop(columns="age").to_parquet(path)
    with pytest.raises(InputError, match="column age is missing"):
        read_set(tmp_path, "people")


def test_unreadable_table_is_named(tmp_path):
    write_set(tmp_path, "people", rows())
    (tmp_path / "people.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="not a readable parquet file"):
        read_set(tmp_path, "people")
