"""Tables in git that people may have edited: read, or refused with the line."""

import math
from pathlib import Path

import pytest

from stages.core.errors import InputError
from stages.results.committed import read, read_details, read_runs, read_scores

HEAD = "run,alpha,method,seed,metric,value\n"
ROWS = "a,0,m4,0,people.t2i.r5,7.5\nb,0.6,none,1,portraits.seen.position,-2\n"


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "runs.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [HEAD + ROWS, (HEAD + ROWS).replace("\n", "\r\n"), b"\xef\xbb\xbf" + (HEAD + ROWS).encode()],
    ids=["as written", "CRLF", "mark"],
)
def test_line_ends_and_a_mark_leave_no_trace(tmp_path: Path, content: str | bytes) -> None:
    table = read_runs(write(tmp_path, content))
    assert table.to_numpy().tolist() == [
        ["a", 0.0, "m4", 0, "people.t2i.r5", 7.5], ["b", 0.6, "none", 1, "portraits.seen.position", -2.0]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("people.t2i.r5,0,5\n", "line 3: comes twice (metric people.t2i.r5, seed 0)"),
        ("people.t2i.r5,1,4000\n", "line 3: value: found 4000 for people.t2i.r5, expected 0–100 %"),
        ("people.t2i.r5,.5,4\n", "line 3: seed: found '.5', expected a whole number"),
        ("people.t2i.r5,1,inf\n", "line 3: value: found 'inf'"),
        ("people.t2i.r5,1,4", "line 3: no end of the line"),
    ],
)
def test_scores_of_a_revision_are_read_as_strictly(row: str, said: str) -> None:
    content = "metric,seed,value\npeople.t2i.r5,0,7.5\n"
    assert read_scores(content, "main:seeds.csv").to_numpy().tolist() == [["people.t2i.r5", 0, 7.5]]
    with pytest.raises(InputError, match=r"^main:seeds\.csv: ") as error:
        read_scores(content + row, "main:seeds.csv")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"people.t2i.r5": 700}', "found 700, expected 0–100 %"),
        ('{"people.t2i.r5": {"value": 7, "lo": 9, "hi": 1}}', "found an interval from 9 to 1"),
        ('{"people.t2i.r5": {"value": 7, "std": -1}}', "std: found -1"),
    ],
)
def test_metrics_that_cannot_be_are_refused(content: str, said: str) -> None:
    assert read_details('{"people.t2i.r5": 100, "other": 700}')["other"].value == 700
    with pytest.raises(InputError, match=r"^new\.json: people\.t2i\.r5: ") as error:
        read_details(content, "new.json")
    assert said in str(error.value)


def test_names_that_look_like_numbers_or_nothing_stay_text(tmp_path: Path) -> None:
    table = read_runs(write(tmp_path, HEAD + "007,0,NA,0,null,1\n"))
    assert table.loc[0, ["run", "method", "metric"]].tolist() == ["007", "NA", "null"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ((HEAD + ROWS)[:-4], "line 3: no end of the line, as of a file that was cut"),
        ((HEAD + ROWS)[:-1], "line 3: no end of the line"),
        ((HEAD + ROWS)[:-16], "line 3: no end of the line"),
        (HEAD.replace("seed,", "") + ROWS, "no column seed (found run, alpha, method, metric, value)"),
        (HEAD + ROWS.replace("7.5", "abc"), "line 2: value: found 'abc', expected a finite number"),
        (HEAD + ROWS.replace("7.5", '"13,4"'), "line 2: value: found '13,4', expected a finite number"),
        (HEAD + ROWS.replace("7.5", "750"), "line 2: value: found 750 for people.t2i.r5, expected 0–100 %"),
        (HEAD + ROWS + "c,0,m4,0,rb.gender,-0.1\n", "line 4: value: found -0.1 for rb.gender, expected 0–0.5"),
        (HEAD + ROWS.replace("a,0,", "a,30,"), "line 2: alpha: found 30.0, expected a share"),
        (HEAD + ROWS.replace("m4,0,", "m4,-1,"), "line 2: seed: found -1, expected 0 or more"),
        (HEAD + ROWS.replace("m4,0,", f"m4,{10**22},"), "line 2: seed: found '1000"),
        (HEAD + ROWS.replace("-2", "inf"), "line 3: value: found 'inf', expected a finite number"),
        (HEAD + ROWS.replace("-2", "nan"), "line 3: value: found 'nan', expected a finite number"),
        (HEAD + ROWS.replace("-2", ""), "line 3: value: found '', expected a finite number"),
        (HEAD + ROWS.replace(",1,portraits", ",1.5,portraits"), "line 3: seed: found '1.5', expected a whole number"),
        (HEAD + ROWS.replace(",1,portraits", f",{10**400},portraits"), "line 3: seed: found '1000"),
        (HEAD + ROWS.replace("m4", ""), "line 2: method: found '', expected a text"),
        (HEAD + ROWS + "\n", "line 4: run: found '', expected a text"),
        (HEAD + ROWS + "c,1\n", "line 4: method: found '', expected a text"),
        (HEAD + ROWS + ROWS.splitlines()[0].replace("7.5", "9") + "\n", "line 4: comes twice (run a, method m4, "),
        (HEAD + ROWS + "a,b,c,d,e,f,g\n", "Expected 6 fields in line 4, saw 7"),
        ("", "No columns to parse"),
        ((HEAD + ROWS).replace(",", ";"), "no column run (found run;alpha;"),
        ((HEAD + ROWS).encode("utf-16"), "not UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not UTF-8 text"),
    ],
)
def test_what_was_cut_edited_or_is_another_file_names_its_line(tmp_path: Path, content: str | bytes, said: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(InputError) as refused:
        read_runs(path)
    error = str(refused.value)
    assert (
        error.startswith(f"{path}: ") and said in error and error.endswith("restore it from git") and "\n" not in error
    )


def test_a_missing_file_or_a_folder_is_one_line(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "none.csv", "no such file or directory"), (tmp_path, "is a directory")):
        with pytest.raises(InputError, match=said):
            read_runs(path)


def test_a_figure_may_be_undefined_and_other_columns_are_numbers_where_all_are(tmp_path: Path) -> None:
    path = write(tmp_path, "lo,also,said\n,1,\n0.5,,x\n")
    table = read(path, {"lo": "figure"})
    assert math.isnan(table["lo"][0]) and table["lo"][1] == 0.5
    assert table["also"].dtype == float and table["said"].tolist() == ["", "x"]
