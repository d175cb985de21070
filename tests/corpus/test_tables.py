"""Tables: what was written is what is read, in every format and encoding, or one line says why not."""

import gzip
import json
import math
import string
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stages.core.errors import InputError
from stages.corpus import tables
from tests.helpers.campaign import campaign

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")


def read(path: Path) -> list[dict]:
    return list(tables.rows(path))


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and "duckdb" not in message.casefold()
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_encodings_marks_and_line_ends_leave_no_trace(tmp_path: Path, encoding: str, ends: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"image,caption{ends}1.png,café 女{ends}{ends}2.png,\n", encoding=encoding, newline="")
    assert read(path) == [{"image": "1.png", "caption": "café 女"}, {"image": "2.png", "caption": ""}]


def test_values_stay_text_however_far_down_another_kind_comes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("n,d\n" + "1,03/04/21\n" * 30_000 + "007,0.37\n")
    *_, last = tables.rows(path)
    assert last == {"n": "007", "d": "0.37"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty, expected a line with the names of the columns"),
        (b"image,caption\n1.png,a caf\xe9\n", "line 2: byte 0xe9 is not UTF-8; expected UTF-8, or UTF-16 or UTF-32"),
        (b"image,caption\n" + b"1.png,a\n" * 9000 + b"2.png,\xff\n", "line 9002: byte 0xff is not UTF-8"),
        ("image,caption\n1.png,a\n".encode("utf-16-le"), "line 1: found NUL characters, expected UTF-8"),
        ("image,caption\n1.png,a\n".encode("utf-16")[:-1], "found damaged UTF-16"),
        (b"image;caption;n\n1.png;a, b;1\n", "line 1: the fields are separated by semicolons, expected commas"),
        (b"image\tcaption\n1.png\ta, b\n", "line 1: the fields are separated by tabs, expected commas"),
        (b"image,image\n1,2\n", "column image comes twice; rename or remove one of the two"),
        (b"image,caption\n1.png,a,b\n", "line 2: 3 fields, expected 2; quote a field that holds a comma"),
        (b"image,caption\n1.png\n", "line 2: 1 fields, expected 2; give every row all fields"),
        (b'image,caption\n1.png,"a\n2.png,b\n', "line 2: a quoted field that does not end"),
        (
            b"image,caption\n1.png," + b"x" * 200_000,
            "line 2: a field above 131072 characters; close its quote if one is",
        ),
        (gzip.compress(b"image,caption\n", mtime=0), "found a gzip file, expected text; unpack it"),
        (b"PK\x03\x04\x14\x00\x06\x00\xff", "found a zip or Excel file, expected text; unpack it, or save the sheet"),
        (b"PAR1\x15\x04\x15\xff", "found a parquet file, expected text; name it .parquet"),
    ],
)
def test_a_csv_file_that_cannot_be_read_is_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    assert refused(path).startswith(says)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"a": 1}\n[1]\n', "line 2: found [1], expected an object"),
        (b'{"a": 1}\n\n{"a"\n', "line 3: not valid JSON"),
        (b'{"a": "caf\xe9"}\n', "line 1: byte 0xe9 is not UTF-8"),
        (b'{"a": ' + b"[" * 100_000, "line 1: not valid JSON"),
        (b'{"a": 1, "b": 2, "a": 3}\n', "line 1: not valid JSON (key 'a' comes twice); expected one object per line"),
        (b'{}\n{"a": {"b": 1, "b": 1}}\n', "line 2: not valid JSON (key 'b' comes twice)"),
        (b'{"a": ["x \\ud83d"]}\n', "line 1: not valid JSON (\\ud83d is half a character)"),
        (b'{"\\uDFFF": 1}\n', "line 1: not valid JSON (\\udfff is half a character)"),
        (
            b'{"a": 1' + b"0" * 5000 + b"}\n",
            "line 1: not valid JSON (Exceeds the limit (4300 digits) for integer string",
        ),
    ],
)
def test_json_lines_that_cannot_be_read_are_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    found = refused(path)
    assert found.startswith(says) and "sys." not in found


def test_characters_beyond_the_first_plane_are_whole(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": "\\ud83d\\ude00 \\\\ud83d"}\n')
    assert read(tmp_path / "a.jsonl") == [{"a": "😀 \\ud83d"}]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 no parquet PAR1", b"image,caption\n"])
def test_a_parquet_file_that_cannot_be_read_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    assert refused(path).startswith("not a readable parquet file (")


def test_a_parquet_file_with_a_damaged_page_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["x" * 50 + str(i) for i in range(5000)]}), path, compression="gzip")
    data = bytearray(path.read_bytes())
    data[200:400] = bytes(200)
    path.write_bytes(data)
    assert refused(path).startswith(("damaged (", "not a readable parquet file ("))


@pytest.mark.parametrize(("name", "says"), [("a.xlsx", "found a .xlsx file"), ("a.csv.gz", "found a .gz file")])
def test_another_kind_of_file_names_those_that_are_read(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert refused(tmp_path / name) == f"{says}, expected .csv, .tsv, .jsonl, .parquet; write it as one of these"


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_folder_of_that_name_is_one_line(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").mkdir()
    refused(tmp_path / f"a{suffix}")


def test_the_index_that_pandas_writes_is_a_column_of_its_own(tmp_path: Path) -> None:
    pd.DataFrame({"image": ["1.png"]}, index=pd.Index(["x"])).to_csv(tmp_path / "a.csv")
    assert read(tmp_path / "a.csv") == [{"column0": "x", "image": "1.png"}]


def test_blanks_in_names_of_columns_can_be_seen() -> None:
    assert tables.shown(["image", " caption", "\ufeffn", ""]) == "image, ' caption', '\\ufeffn', ''"


def test_json_lines_need_not_have_all_keys(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"file_name": "1.png", "text": ["a", "b"]}\n{"text": null, "n": 1.5}\n')
    assert read(tmp_path / "a.jsonl") == [
        {"file_name": "1.png", "text": ["a", "b"], "n": None},
        {"file_name": None, "text": None, "n": 1.5},
    ]


def test_dates_and_times_are_text_at_any_precision(tmp_path: Path) -> None:
    moment = pa.array([1614861296789012345], pa.timestamp("ns"))
    far = pa.array([400_000], pa.int64()).cast(pa.int32()).cast(pa.date32())
    columns = {
        "moment": moment,
        "day": far,
        "time": pa.array([3], pa.time64("ns")),
        "long": pa.array([5], pa.duration("ns")),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [
        {"moment": "2021-03-04 12:34:56.789012345", "day": "3065-03-01", "time": "00:00:00.000000003", "long": 5}
    ]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
names = st.lists(st.text(string.ascii_letters + "éß 女;|", min_size=1, max_size=6), max_size=3, unique=True)
values = {
    "text": texts,
    "integer": st.integers(-(2**63), 2**63 - 1),
    "number": st.floats(allow_nan=True, allow_infinity=False),
    "boolean": st.booleans(),
    "nullable": st.one_of(st.none(), st.integers(0, 9)),
}


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    columns = ["image", "caption", *(name for name in draw(names) if name not in ("image", "caption"))]
    rows = draw(st.integers(1, 5))
    return pd.DataFrame(
        {
            name: pd.Series(
                draw(st.lists(kind, min_size=rows, max_size=rows)), dtype="Int64" if key == "nullable" else None
            )
            for name in columns
            for key, kind in [draw(st.sampled_from(sorted(values.items(), key=lambda item: item[0])))]
        }
    )


def written(value: object) -> str:
    """What csv holds of a value."""
    missing = value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
    return "" if missing else repr(float(value)) if isinstance(value, float) else str(value)


@campaign
@given(
    frames(), st.sampled_from(ENCODINGS), st.sampled_from([(".csv", ","), (".tsv", "\t")]),
    st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from([0, 1, 2]),
)  # fmt: skip
@example(pd.DataFrame({"image": ["a\nb", "\n"], "caption": ["", ""]}), "utf-8", (".csv", ","), "\r", 0)
@example(pd.DataFrame({"image": ["a\rb", "\r"], "caption": ["", ""]}), "utf-8", (".csv", ","), "\n", 0)
def test_any_table_that_pandas_writes_reads_back_equal_property(
    frame: pd.DataFrame, encoding: str, kind: tuple[str, str], ends: str, quoting: int
) -> None:
    suffix, delimiter = kind
    if any((set("\r\n") - set(ends)) & set(str(value)) for value in frame.to_numpy(object).ravel()):
        quoting = 1  # Python 3.11 leaves line ends without quotes, but those that it ends lines with itself
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        frame.to_csv(path, sep=delimiter, index=False, encoding=encoding, lineterminator=ends, quoting=quoting)
        assert tables.columns(path) == list(frame.columns)
        rows = read(path)
    expected = [[written(value) for value in frame[name].astype(object)] for name in frame]
    assert [[row[name] for row in rows] for name in frame] == expected


@campaign
@given(frames())
def test_any_table_that_pandas_writes_as_parquet_reads_back_equal_property(frame: pd.DataFrame) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        frame.to_parquet(path, index=False)
        rows = read(path)
    for name in frame:
        found = [row[name] for row in rows]
        for value, other in zip(frame[name].astype(object), found, strict=True):
            assert (value == other and type(value) is type(other)) or (written(value) == "" and not other)


@campaign
@given(
    st.lists(
        st.dictionaries(texts, st.one_of(st.none(), st.booleans(), st.integers(), texts, st.lists(texts))), min_size=1
    )
)
def test_any_json_lines_read_back_equal_property(objects: list[dict]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects), encoding="utf-8")
        rows = read(path)
    every = {name for each in objects for name in each}
    assert rows == [dict.fromkeys(every) | each for each in objects]


@campaign
@given(st.binary(max_size=200), st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet"]))
def test_any_bytes_are_a_table_or_one_line_property(data: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(data)
        try:
            for row in tables.rows(path):
                assert set(row) == set(tables.columns(path))
        except InputError as error:
            assert str(error).startswith(f"{path}: ")


def test_half_a_million_cells_are_not_held_at_once(tmp_path: Path) -> None:
    import tracemalloc

    peaks = []
    for rows in (20_000, 200_000):
        path = tmp_path / f"{rows}.csv"
        path.write_text("a,b\n" + "".join(f"{i},{np.pi}\n" for i in range(rows)))
        tracemalloc.start()
        assert sum(1 for _ in tables.rows(path)) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 100_000
