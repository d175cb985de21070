"""Known shares of women: read in any encoding, refused with the row."""

import os
from pathlib import Path

import pandas as pd
import pytest

from stages.core.errors import InputError
from stages.download.corpora import occupations, paths

HEAD = "occupation,women_corpus,women_generator\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_shares_are_read_and_unknown_ones_are_empty(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "shares.csv"
    path.write_text(HEAD + "judge,0.3,\ncafé owner,NA,1\n", encoding=encoding)
    found = occupations.read(path)
    assert found["occupation"].tolist() == ["judge", "café owner"]
    assert found["women_corpus"].tolist()[0] == 0.3 and pd.isna(found["women_corpus"][1])
    assert pd.isna(found["women_generator"][0]) and found["women_generator"][1] == 1


def test_where_none_are_known_there_are_no_rows() -> None:
    assert occupations.read(None).to_csv(index=False) == HEAD


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty, expected a line with the names of the columns"),
        (HEAD.encode() + b"judge,0.3,\ncaf\xe9,0.1,\n", "line 3: byte 0xe9 is not UTF-8"),
        (b"occupation,women\njudge,0.3\n", "no column women_corpus (found: occupation, women); add it, empty where"),
        (HEAD.encode() + b"judge,30,\n", "row 1: column women_corpus: found '30', expected a share in [0, 1]"),
        (HEAD.encode() + b"judge,nan,many\n", "row 1: column women_generator: found 'many', expected a share"),
        (HEAD.encode() + b"judge,.3,\njudge,.4,\n", "row 2: column occupation: found 'judge', expected each"),
        (HEAD.encode() + b"judge,0_1,\n", "row 1: column women_corpus: found '0_1', expected a share"),
        (HEAD.encode() + "judge,٠,\n".encode(), "row 1: column women_corpus: found '٠', expected a share"),
        (HEAD.encode() + b",.3,\n", "row 1: column occupation: found '', expected each occupation once"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "shares.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        occupations.read(path)
    assert str(caught.value).removeprefix(f"{path}: ").startswith(says)


def test_true_is_no_share(tmp_path: Path) -> None:
    path = tmp_path / "shares.jsonl"
    path.write_text('{"occupation": "cook", "women_corpus": true, "women_generator": 0.5}\n')
    with pytest.raises(InputError, match="row 1: column women_corpus: found True, expected a share"):
        occupations.read(path)


def test_a_pipe_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.csv")
    for file in (True, False):
        with pytest.raises(InputError, match=r"x\.csv: found a pipe or a device, expected a file; write it into one"):
            paths.find(str(tmp_path / "x.csv"), "download.table.path", file=file)


def test_a_folder_or_a_name_that_no_file_has_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"download\.occupations: .*: found a folder, expected a file; name the file"):
        paths.find(str(tmp_path), "download.occupations", file=True)
    for name in ("x" * 300, "a\0b", "missing"):
        with pytest.raises(InputError, match="no such file or folder; obtain it, or correct the path"):
            paths.find(str(tmp_path / name), "download.occupations", file=True)
