"""One corpus in every form that the field stores it: the same samples, whatever it came in."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from stages.core.errors import InputError
from stages.corpus import tables
from tests.helpers.documented import block
from tests.helpers.own_corpus import Project

ROWS = 14
KEYS = [f"{number:05d}" for number in range(ROWS)]
CAPTIONS = [[f"first of {number}", f"second of {number}"] for number in range(ROWS)]
GENDER = [("woman", "man", None)[number % 3] for number in range(ROWS)]
SCORE = [number / 8 for number in range(ROWS)]


def images() -> list[bytes]:
    made = []
    for number in range(ROWS):
        buffer = io.BytesIO()
        pixels = np.random.default_rng(number).integers(0, 256, (40 + number, 40, 3), np.uint8)
        Image.fromarray(pixels).save(buffer, format="PNG")
        made.append(buffer.getvalue())
    return made


def as_files(folder: Path) -> None:
    (folder / "pictures").mkdir()
    for key, data in zip(KEYS, images(), strict=True):
        (folder / "pictures" / f"{key}.png").write_bytes(data)


def columns() -> dict[str, list]:
    return {"id": KEYS, "gender": GENDER, "score": SCORE}


def jsonl(folder: Path, name: str, image: str, caption: str) -> None:
    as_files(folder)
    rows = pd.DataFrame({image: [f"pictures/{key}.png" for key in KEYS], caption: CAPTIONS, **columns()})
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows.to_dict("records")))


def from_table(folder: Path, captions: str) -> dict:
    jsonl(folder, "pairs.jsonl", "image", "caption")
    return {"source": "table", "table": {"path": "mine/pairs.jsonl", "key": "id", "captions": captions}}


def from_metadata(folder: Path, captions: str) -> dict:
    jsonl(folder, "metadata.jsonl", "file_name", "text")
    named = {"image": "file_name", "caption": "text", "key": "id", "captions": captions}
    return {"source": "table", "table": {"path": "mine", **named}}


def from_tars(folder: Path, captions: str) -> dict:
    for half in (0, 1):
        with tarfile.open(folder / f"{half}.tar", "w") as tar:
            for row in range(half * ROWS // 2, (half + 1) * ROWS // 2):
                known = {"texts": CAPTIONS[row], "gender": GENDER[row], "score": SCORE[row]}
                for suffix, data in (("png", images()[row]), ("json", json.dumps(known).encode())):
                    info = tarfile.TarInfo(f"{KEYS[row]}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    named = {"caption": "json.texts", "attributes": ["gender"], "numbers": ["score"], "captions": captions}
    return {"source": "wds", "wds": {"folder": "mine", **named}}


def from_hugging_face(folder: Path, captions: str) -> dict:
    """Write two parquet files with images as {bytes, path}, as a dataset on the hub has."""
    cells = [{"bytes": data, "path": f"{key}.png"} for key, data in zip(KEYS, images(), strict=True)]
    table = pa.table({"image": cells, "caption": CAPTIONS, **columns()})
    for part, start in enumerate((0, 5)):
        length = 5 if part == 0 else ROWS - 5
        pq.write_table(table.slice(start, length), folder / f"train-{part:05d}-of-00002.parquet")
    return {"source": "table", "table": {"path": "mine", "key": "id", "captions": captions}}


def from_img2dataset(folder: Path, captions: str) -> dict:
    """Write what img2dataset leaves with output_format parquet: bytes by their format, and null where it failed."""
    table = pa.table({"jpg": pa.array(images(), pa.binary()), "texts": CAPTIONS, **columns()})
    pq.write_table(table, folder / "00000.parquet")
    (folder / "00000_stats.json").write_text("{}")
    named = {"image": "jpg", "caption": "texts", "key": "id", "captions": captions}
    return {"source": "table", "table": {"path": "mine/00000.parquet", **named}}


FORMS = (from_table, from_metadata, from_tars, from_hugging_face, from_img2dataset)


def corpus(project: Project, form: Callable[[Path, str], dict], captions: str) -> tuple[pd.DataFrame, bytes]:
    (project.folder / "mine").mkdir()
    project.configure(2, **form(project.folder / "mine", captions))
    done = project.run()
    assert done.returncode == 0, done.stderr
    return pd.read_parquet(project.data / "samples.parquet"), (project.data / "real" / "00001.tar").read_bytes()


@pytest.mark.parametrize("captions", ["first", "draw"])
def test_the_same_corpus_in_every_form_gives_the_same_samples(
    make_project: Callable[[], Project], captions: str
) -> None:
    forms = FORMS if captions == "first" else (from_table, from_tars)
    samples, shards = zip(*(corpus(make_project(), form, captions) for form in forms), strict=True)
    for other, shard in zip(samples[1:], shards[1:], strict=True):
        pd.testing.assert_frame_equal(other[samples[0].columns], samples[0])
        assert shard == shards[0]
    said = samples[0]["caption"].tolist()
    assert all(text in of for text, of in zip(said, CAPTIONS, strict=True))
    assert (said == [of[0] for of in CAPTIONS]) == (captions == "first")
    assert samples[0]["gender"].tolist() == [gender or "" for gender in GENDER]


def test_the_documented_folder(project: Project) -> None:
    (project.folder / "mine").mkdir()
    jsonl(project.folder / "mine", "metadata.jsonl", "file_name", "text")
    project.configure(1, **yaml.safe_load(block("docs/own-data.md", "image: file_name"))["download"])
    assert project.run().returncode == 0
    samples = pd.read_parquet(project.data / "samples.parquet")
    assert samples["caption"].str.startswith("second").sum() not in (0, ROWS)


def test_tables_of_two_kinds_in_one_folder_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "0.parquet")
    pd.DataFrame({"b": [1]}).to_parquet(tmp_path / "1.parquet")
    with pytest.raises(InputError, match=r"1\.parquet: columns b, expected those of 0\.parquet \(a\)"):
        list(tables.rows(tmp_path))


def test_a_folder_without_a_table_is_refused(project: Project) -> None:
    (project.folder / "mine").mkdir()
    project.configure(1, source="table", table={"path": "mine"})
    assert "mine: a folder without metadata.jsonl" in project.refused()
