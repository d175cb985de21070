"""What a stage needs of another's table is there, or one line says what is not."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.core.errors import InputError
from stages.corpus.columns import Kind, check, read, schema
from stages.corpus.selection import image_columns

NEEDED: dict[str, Kind] = {"key": "text", "copies": "whole number", "u": "number", "captions": "list of texts"}
TABLE = pa.table({"key": ["a", "b"], "copies": [1, 2], "u": [0.5, 1.0], "captions": [["x"], []], "more": [True, False]})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.parquet"


def test_a_table_is_read_with_its_other_columns(path: Path) -> None:
    pq.write_table(TABLE, path)
    assert read(path, NEEDED)["key"].tolist() == ["a", "b"]
    assert read(path, {"more": "truth value"}, ("key", "copies")).shape == (2, 5)
    assert read(path, {}, columns=["key"]).columns.tolist() == ["key"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns("u"), r"column u is missing \(found: key, copies, captions, more\)"),
        (lambda t: t.set_column(0, "key", pa.array([1, 2])), "column key: found int64, expected text"),
        (lambda t: t.set_column(1, "copies", pa.array([1.5, 2])), "column copies: found double, expected whole number"),
        (lambda t: t.set_column(2, "u", pa.array(["1", "2"])), "column u: found string, expected number"),
        (lambda t: t.set_column(3, "captions", pa.array(["x", "y"])), "found string, expected list of texts"),
        (lambda t: t.set_column(0, "key", pa.array(["a", None])), "column key: found a null"),
        (lambda t: t.set_column(0, "key", pa.array(["a", "a"])), "key a comes twice"),
    ],
)
def test_what_does_not_fit_is_one_line(path: Path, change, message: str) -> None:
    pq.write_table(change(TABLE), path)
    with pytest.raises(InputError, match=f"t.parquet: .*{message}.*dvc repro"):
        read(path, NEEDED)


@pytest.mark.parametrize("names", [schema, image_columns])
def test_the_names_of_columns_are_read_or_the_table_is_refused(path: Path, names) -> None:
    pq.write_table(TABLE.append_column("source", TABLE["key"]), path)
    assert "source" in (found.names if isinstance(found := names(path), pa.Schema) else found)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="not a readable parquet file"):
        names(path)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        names(path)


def test_a_column_that_may_be_missing_is_of_its_type_where_it_is_there(path: Path) -> None:
    pq.write_table(TABLE.set_column(0, "key", pa.array(["a", None])), path)
    check(path, {"u": "number"}, {"key": "text", "kind": "text"})
    with pytest.raises(InputError, match="column more: found bool, expected text"):
        check(path, {"u": "number"}, {"more": "text"})


def test_lists_that_are_all_empty_are_lists_of_texts(path: Path) -> None:
    pq.write_table(pa.table({"captions": [[], []]}), path)
    check(path, {"captions": "list of texts"})


def test_rows_may_share_a_key_where_two_columns_make_it(path: Path) -> None:
    pd.DataFrame({"key": ["a", "a"], "source": ["real", "synthetic"]}).to_parquet(path)
    assert len(read(path, {"key": "text"}, ("key", "source"))) == 2


@pytest.mark.parametrize("content", [b"", b"PAR1", b"key\na\n"])
def test_what_is_no_parquet_file_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"t\.parquet: not a readable parquet file"):
        check(path, {})


def test_a_missing_table_is_named(path: Path) -> None:
    with pytest.raises(InputError, match=r"t\.parquet: no such file"):
        check(path, {})
