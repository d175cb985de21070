"""`source: wds`: WebDataset tars of any tool become a corpus."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.core.errors import InputError
from stages.corpus.images import square
from stages.corpus.shards import Shard, decode_image
from stages.download.corpora import wds
from tests.helpers.own_corpus import COUNT, Drawing, Project

SETTINGS = {"folder": "mine", "attributes": ["gender"], "numbers": ["score"]}


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def write_folder(drawings: list[Drawing], folder: Path, key: str) -> None:
    """Three tars of unequal size; folders in the names, members in an order of their own."""
    for number, (start, stop) in enumerate([(0, 100), (100, 101), (101, len(drawings))]):
        members: list[tuple[str, bytes]] = []
        for row in range(start, stop):
            base = key.format(row=row, place=row - start)
            fields = {"gender": drawings[row].gender or None, "score": row / 10, "other": [1]}
            members += [(f"{base}.json", json.dumps(fields).encode()), (f"{base}.JPG", drawings[row].data)]
            members += [(f"{base}.txt", drawings[row].caption.encode())]
        write_tar(folder / f"part-{number}.tar", members)


@pytest.fixture(scope="module")
def done(make_project: Callable[[], Project], drawings: list[Drawing]) -> Project:
    project = make_project()
    write_folder(drawings, project.folder / "mine", "pictures/{row:06d}")
    project.configure(4, source="wds", wds=SETTINGS)
    ran = project.run()
    assert ran.returncode == 0, ran.stderr
    return project


def test_every_sample_keeps_its_own_caption_image_and_attributes(done: Project, drawings: list[Drawing]) -> None:
    samples = pd.read_parquet(done.data / "samples.parquet")
    assert samples["key"].tolist() == [f"pictures_{row:06d}" for row in range(COUNT)]
    assert samples["caption"].tolist() == [drawing.caption for drawing in drawings]
    assert samples["gender"].tolist() == [drawing.gender for drawing in drawings]
    assert np.allclose(samples["score"], np.arange(COUNT) / 10)
    assert samples.groupby("shard").size().tolist() == [COUNT // 4] * 4
    for shard in range(4):
        with Shard(done.data / "real" / f"{shard:05d}.tar") as tar:
            assert tar.keys == samples.loc[samples["shard"] == f"{shard:05d}", "key"].tolist()
            key = tar.keys[17]
            row = int(key.rpartition("_")[2])
            assert (tar.read_image(key) == square(decode_image(drawings[row].data, key), 32)).all()


def entries(folder: Path, shards: int, caption: str = "txt", prefix: bool = False) -> list[tuple[str, ...]]:
    tars = wds.tars(folder)
    keys = [wds.keys(tar, prefix) for tar in tars]
    wds.check_unique(keys, tars, prefix)
    source = wds.WdsSource(tars, tuple(map(len, keys)), caption, (), (), prefix, shards)
    return [(entry.key, *entry.captions) for shard in range(shards) for entry in source.entries(shard)]


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_no_cut_loses_or_repeats_a_sample(tmp_path: Path, drawings: list[Drawing], shards: int) -> None:
    write_folder(drawings, tmp_path, "{row}")
    assert entries(tmp_path, shards) == [(str(row), drawing.caption) for row, drawing in enumerate(drawings)]


def test_keys_that_repeat_are_refused_unless_the_tar_precedes_them(tmp_path: Path, drawings: list[Drawing]) -> None:
    write_folder(drawings, tmp_path, "{place}")
    with pytest.raises(InputError, match=r"keys come twice, e\.g\. one of .*part-0\.tar.*prefix_keys: true"):
        entries(tmp_path, 1)
    assert entries(tmp_path, 1, prefix=True)[100] == ("part-1_0", drawings[100].caption)


def test_a_caption_may_be_a_field_of_the_json_member(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("1.json", b'{"alt": "a cat"}'), ("1.png", b"x"), ("2.json", b"{}"), ("2.png", b"")])
    assert entries(tmp_path, 1, "json.alt") == [("1", "a cat"), ("2",)]


def test_a_group_that_is_not_known_is_named_with_its_sample(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("1.json", b'{"gender": "man"}'), ("2.json", b'{"gender": "female"}')])
    source = wds.WdsSource(wds.tars(tmp_path), (2,), "txt", ("gender",), (), False, 1)
    with pytest.raises(InputError, match=r"a\.tar: sample 2: member json: gender: found 'female', expected one of man"):
        list(source.entries(0))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.999])
def test_a_tar_that_is_cut_off_is_named(tmp_path: Path, drawings: list[Drawing], share: float) -> None:
    write_folder(drawings[:120], tmp_path, "{row}")
    path = tmp_path / "part-2.tar"
    with tarfile.open(path) as tar:
        end = max(member.offset_data + member.size for member in tar)
    path.write_bytes(path.read_bytes()[: int(share * end)])
    with pytest.raises(InputError, match=r"part-2\.tar: (cut off|not a readable tar)"):
        entries(tmp_path, 1)


def test_a_cut_inside_a_header_is_no_end(tmp_path: Path, drawings: list[Drawing]) -> None:
    write_folder(drawings[:120], tmp_path, "{row}")
    path = tmp_path / "part-2.tar"
    with tarfile.open(path) as tar:
        start = tar.getmembers()[-2].offset
    path.write_bytes(path.read_bytes()[: start + 100])
    with pytest.raises(
        InputError, match=r"part-2\.tar: not a readable tar: cut off: no end-of-archive block, after 119\.json"
    ):
        entries(tmp_path, 1)


def test_a_folder_without_tars_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.tar file"):
        wds.tars(tmp_path)
