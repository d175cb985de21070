"""`source: table`: a csv or parquet file of image path, caption and attributes becomes a corpus."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from stages.core.errors import InputError
from stages.core.seeds import uniform
from stages.corpus.evaluation_sets import read_set
from stages.corpus.images import square
from stages.corpus.shards import Shard, decode_image
from stages.download.corpora import evaluation
from stages.download.corpora.table import TableSource, order
from tests.helpers.own_corpus import COUNT, Drawing, Project

SHARDS = 3


def table_of(drawings: list[Drawing], folder: Path) -> pd.DataFrame:
    (folder / "pictures").mkdir(parents=True)
    for number, drawing in enumerate(drawings):
        (folder / "pictures" / f"{number}.img").write_bytes(drawing.data)
    return pd.DataFrame(
        {
            "file": [f"pictures/{number}.img" for number in range(len(drawings))],
            "text": [drawing.caption for drawing in drawings],
            "gender": [drawing.gender or None for drawing in drawings],
            "skin_tone": [(None, 1, 5)[number % 3] for number in range(len(drawings))],
            "score": np.linspace(0, 1, len(drawings)),
        }
    )


SETTINGS = {"path": "mine/pairs.csv", "image": "file", "caption": "text"}


@pytest.fixture(scope="module")
def done(make_project: Callable[[], Project], drawings: list[Drawing]) -> Project:
    project = make_project()
    table_of(drawings, project.folder / "mine").to_csv(project.folder / "mine" / "pairs.csv", index=False)
    project.configure(SHARDS, source="table", table=SETTINGS)
    ran = project.run()
    assert ran.returncode == 0, ran.stderr
    return project


def test_a_work_folder_that_is_named_as_a_column_changes_nothing(
    done: Project, project: Project, drawings: list[Drawing]
) -> None:
    table_of(drawings, project.folder / "mine").to_csv(project.folder / "mine" / "pairs.csv", index=False)
    project.configure(SHARDS, source="table", table=SETTINGS)
    ran = project.run(COUNTERWEIGHT_WORK=str(project.folder / "captions=hello"))
    assert ran.returncode == 0, ran.stderr
    found, expected = (pd.read_parquet(of.folder / "data/smoke/samples.parquet") for of in (project, done))
    pd.testing.assert_frame_equal(found, expected)


def test_every_row_becomes_a_sample(done: Project, drawings: list[Drawing]) -> None:
    samples = pd.read_parquet(done.data / "samples.parquet")
    assert samples["key"].tolist() == [f"{number:09d}" for number in range(COUNT)]
    assert samples["caption"].tolist() == [drawing.caption for drawing in drawings]
    assert samples["gender"].tolist() == [drawing.gender for drawing in drawings]
    assert samples["skin_tone"].tolist()[:4] == ["", "1", "5", ""]
    assert samples["score"].dtype == np.float64
    assert samples["u"].tolist() == [uniform(0, key) for key in samples["key"]]


def test_shards_hold_the_squares_of_the_files(done: Project, drawings: list[Drawing]) -> None:
    samples = pd.read_parquet(done.data / "samples.parquet").set_index("key")
    sizes = []
    for shard in range(SHARDS):
        with Shard(done.data / "real" / f"{shard:05d}.tar") as tar:
            sizes.append(len(tar))
            assert tar.keys == samples.index[samples["shard"] == f"{shard:05d}"].tolist()
            for key in tar.keys[::7]:
                expected = square(decode_image(drawings[int(key)].data, key), 32)
                assert (tar.read_image(key) == expected).all()
                assert tar.read(key, "txt").decode() == drawings[int(key)].caption
                assert json.loads(tar.read(key, "json"))["gender"] == drawings[int(key)].gender
    assert sum(sizes) == COUNT
    assert max(sizes) - min(sizes) <= 1


def test_what_no_one_knows_is_empty_and_nothing_was_lost(done: Project) -> None:
    assert (done.data / "occupations.csv").read_text() == "occupation,women_corpus,women_generator\n"
    assert list((done.data / "eval").iterdir()) == []
    found = json.loads((done.data / "download.json").read_text())
    assert found == {"rows": COUNT, "samples": COUNT, "lost": 0, "lost_share": 0.0, "lost_by_reason": {}}


def test_keys_of_the_table_order_the_samples_and_parquet_gives_the_same_images(
    done: Project, project: Project, drawings: list[Drawing]
) -> None:
    table = table_of(drawings, project.folder / "mine")
    table["id"] = [f"k{(7 * number) % COUNT:03d}" for number in range(COUNT)]
    table.to_parquet(project.folder / "mine" / "pairs.parquet")
    project.configure(SHARDS, source="table", table=SETTINGS | {"path": "mine/pairs.parquet", "key": "id"})
    ran = project.run()
    assert ran.returncode == 0, ran.stderr
    samples = pd.read_parquet(project.data / "samples.parquet")
    assert samples["key"].tolist() == [f"k{number:03d}" for number in range(COUNT)]
    assert samples.set_index("key")["caption"].loc["k007"] == drawings[1].caption
    with Shard(project.data / "real" / "00000.tar") as mine, Shard(done.data / "real" / "00000.tar") as other:
        assert (mine.read_image("k007") == other.read_image("000000001")).all()


def test_bad_samples_are_counted_where_they_may_be_skipped(project: Project, drawings: list[Drawing]) -> None:
    table = table_of(drawings, project.folder / "mine")
    table.loc[3, "text"] = None
    (project.folder / "mine" / "pictures" / "5.img").unlink()
    (project.folder / "mine" / "pictures" / "6.img").write_bytes(drawings[6].data[:200])
    table.to_csv(project.folder / "mine" / "pairs.csv", index=False)
    project.configure(SHARDS, source="table", table=SETTINGS | {"on_bad_sample": "skip"})
    ran = project.run()
    assert ran.returncode == 0, ran.stderr
    found = json.loads((project.data / "download.json").read_text())
    assert found["lost_by_reason"] == {"cut off or damaged": 1, "no caption": 1, "no such file": 1}
    samples = pd.read_parquet(project.data / "samples.parquet")
    assert set(range(COUNT)) - {int(key) for key in samples["key"]} == {3, 5, 6}
    assert samples.groupby("shard").size().tolist() == [COUNT // SHARDS - 3, COUNT // SHARDS, COUNT // SHARDS]


def test_a_bad_sample_is_named_else_and_a_second_run_goes_on(project: Project, drawings: list[Drawing]) -> None:
    table = table_of(drawings[:30], project.folder / "mine")
    broken = project.folder / "mine" / "pictures" / "25.img"
    broken.write_bytes(b"<html>")
    table.to_csv(project.folder / "mine" / "pairs.csv", index=False)
    project.configure(SHARDS, source="table", table=SETTINGS)
    line = project.refused()
    assert "row with key 000000025" in line
    assert "25.img: not an image" in line
    (packed,) = (project.folder / "work" / "pack").iterdir()
    first = packed / "00000.tar"
    assert first.exists()
    before = first.stat().st_mtime_ns
    kept = packed.parent / "kept.tar"
    kept.hardlink_to(first)
    broken.write_bytes(drawings[25].data)
    ran = project.run()
    assert ran.returncode == 0, ran.stderr
    assert kept.samefile(project.data / "real" / "00000.tar")
    assert (project.data / "real" / "00000.tar").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "settings", "says"),
    [
        ({}, {"image": "photo"}, "no column photo (download.table.image; found: file, text, gender, skin_tone, score)"),
        ({"u": 1.0}, {}, "column u: the name is this project's"),
        ({"id": ["a"] * 10}, {"key": "id"}, "column id: 'a' comes twice"),
        ({"id": [f"a.{i}" for i in range(10)]}, {"key": "id"}, "expected letters, digits, _ and -"),
        ({"id": [None, *map(str, range(9))]}, {"key": "id"}, "found None"),
        (
            {"gender": ["woman"] * 3 + ["female"] * 7},
            {},
            "mine/pairs.csv: row 4: column gender: found 'female', expected one of man, woman, or nothing",
        ),
        ({"skin_tone": [None, 2, 6, *[1] * 7]}, {}, "row 3: column skin_tone: found '6', expected one of 1, 2, 3, 4"),
        ({}, {"path": "mine/pairs.xlsx"}, "download.table.path: mine/pairs.xlsx: no such file or folder"),
        ({}, {"path": "$NOWHERE/pairs.csv"}, "the environment variable NOWHERE is not set"),
        ({}, {"path": "mine/pictures/0.img"}, "found a .img file, expected .csv, .tsv, .jsonl, .parquet"),
    ],
)
def test_a_mistake_is_one_line(
    project: Project, drawings: list[Drawing], change: dict, settings: dict, says: str
) -> None:
    table_of(drawings[:10], project.folder / "mine").assign(**change).to_csv(
        project.folder / "mine" / "pairs.csv", index=False
    )
    project.configure(1, source="table", table=SETTINGS | settings)
    assert says in project.refused()


HEAD = "image,caption,gender\np/1.jpg,a judge,woman\n"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("p/2.jpg,a man, a farmer,man\n", "line 3: 4 fields, expected 3; quote a field that holds a comma"),
        ("p/2.jpg,a man\n", "line 3: 2 fields, expected 3; give every row all fields"),
        ('p/2.jpg,"two\nlines",man\n\np/3.jpg,a man\n', "line 6: 2 fields, expected 3"),
        ('p/2.jpg,"a man" with a hat,man\n', "line 3: a quoted field that does not end before the next field"),
        ('p/2.jpg,"a man,man\np/3.jpg,a,man\n', "line 3: a quoted field that does not end"),
        ("".join(f"p/{i}.jpg,c,man\n" for i in range(30_000)) + "p/x.jpg,c,d,man\n", "line 30003: 4 fields"),
    ],
    ids=["a comma", "a missing field", "after a quoted newline", "text after a quote", "no closing quote", "far down"],
)
def test_a_row_of_another_length_is_named_by_its_line(tmp_path: Path, rows: str, says: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(HEAD + rows)
    with pytest.raises(InputError) as caught:
        order(path, "image", "caption", None, tmp_path / "o.parquet")
    assert str(caught.value).startswith(f"{path}: {says}")
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".parquet"] == []


def test_a_header_that_is_shorter_than_all_rows_is_no_header_of_other_names(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("image\tcaption\np/1.jpg\ta\tb\np/2.jpg\ta\tc\n")
    with pytest.raises(InputError, match=r"pairs\.tsv: line 2: 3 fields, expected 2; quote a field that holds a tab"):
        order(path, "image", "caption", None, tmp_path / "o.parquet")


def test_quoted_fields_may_hold_commas_quotes_and_newlines(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(HEAD + 'p/2.jpg,"a ""tall"" man,\na farmer",man\n\np/3.jpg,5" of rain,\n')
    assert order(path, "image", "caption", None, tmp_path / "o.parquet") == 3
    written = pd.read_parquet(tmp_path / "o.parquet")
    assert written["captions"].map(list).tolist() == [["a judge"], ['a "tall" man,\na farmer'], ['5" of rain']]
    assert written["gender"].tolist() == ["woman", "man", ""]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("p/2.jpg,a man\n", "line 3: 2 fields, expected 3"),
        ("p/2.jpg,a man,male\n", "row 2: column gender: found 'male', expected one of man, woman, or nothing"),
    ],
)
def test_a_mistake_in_a_table_of_evaluation_images_is_named(tmp_path: Path, rows: str, says: str) -> None:
    (tmp_path / "p").mkdir()
    for number in (1, 2):
        Image.new("RGB", (8, 8)).save(tmp_path / "p" / f"{number}.jpg")
    (tmp_path / "people.csv").write_text(HEAD + rows)
    with pytest.raises(InputError) as caught:
        list(evaluation.read(tmp_path / "people.csv"))
    assert str(caught.value).startswith(f"{tmp_path / 'people.csv'}: {says}")


def test_evaluation_sets_and_shares_of_the_users_own(project: Project, drawings: list[Drawing]) -> None:
    folder = project.folder / "mine"
    table = table_of(drawings[:20], folder)
    table.to_csv(folder / "pairs.csv", index=False)
    held = table[:6].rename(columns={"file": "image", "text": "caption"}).assign(caption_2="another", part="a")
    held = held.astype({"skin_tone": "Int64"}).drop(columns="score")
    held.to_csv(folder / "people.csv", index=False)
    shutil.copy(folder / "people.csv", folder / "portraits.tsv")
    (folder / "portraits.tsv").write_text((folder / "people.csv").read_text().replace(",", "\t"))
    (folder / "shares.csv").write_text("occupation,women_corpus,women_generator\njudge,0.3,\n")
    project.configure(
        2,
        source="table",
        table=SETTINGS,
        evaluation={"people": "mine/people.csv", "portraits": "mine/portraits.tsv"},
        occupations="mine/shares.csv",
    )
    ran = project.run()
    assert ran.returncode == 0, ran.stderr
    people = read_set(project.data / "eval", "people")
    assert people.table["captions"].map(list).tolist()[2] == [drawings[2].caption, "another"]
    assert people.table["skin_tone"].tolist()[:3] == ["", "1", "5"]
    assert people.images.read_image("000000001").shape == decode_image(drawings[1].data, "x").shape
    assert len(read_set(project.data / "eval", "portraits").table) == 6
    assert pd.read_csv(project.data / "occupations.csv")["women_corpus"].tolist() == [0.3]


def test_row_groups_are_small_so_that_a_shard_reads_its_own_rows(tmp_path: Path) -> None:
    pd.DataFrame({"image": "x.png", "caption": [f"c{i}" for i in range(9000)]}).to_csv(tmp_path / "t.csv", index=False)
    assert order(tmp_path / "t.csv", "image", "caption", None, tmp_path / "o.parquet") == 9000
    assert pq.read_metadata(tmp_path / "o.parquet").num_row_groups == 3
    source = TableSource(tmp_path / "t.csv", tmp_path / "o.parquet", 7)
    entries = [entry for shard in range(7) for entry in source.entries(shard)]
    assert [entry.captions for entry in entries] == [(f"c{i}",) for i in range(9000)]
    assert entries[-1].key == "000008999"
