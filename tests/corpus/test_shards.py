"""Shards: WebDataset tars, equal bytes for equal samples, errors that name shard and member."""

import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset

from stages.core.errors import InputError
from stages.corpus.images import encode_png
from stages.corpus.shards import Shard, read_images, write_shard


def picture(seed: int, side: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "00000.tar"
    samples = ((f"{i:03d}", {"png": encode_png(picture(i)), "txt": f"caption {i}", "json": {"n": i}}) for i in range(5))
    assert write_shard(path, samples) == 5
    return path


def test_what_was_written_is_read(shard: Path) -> None:
    with Shard(shard) as opened:
        assert opened.keys == ["000", "001", "002", "003", "004"]
        assert opened.read("003", "txt") == b"caption 3"
        assert json.loads(opened.read("004", "json")) == {"n": 4}
        assert np.array_equal(opened.read_image("002"), picture(2))


def test_images_come_in_the_order_asked_for(shard: Path) -> None:
    assert [key for key, _ in read_images(shard, ["004", "000"])] == ["004", "000"]


def test_webdataset_reads_the_same(shard: Path) -> None:
    with shard.open("rb") as file:
        files = webdataset.tariterators.tar_file_iterator(file)
        grouped = list(webdataset.tariterators.group_by_keys({**sample, "__url__": "x"} for sample in files))
    decode = webdataset.autodecode.Decoder([webdataset.autodecode.imagehandler("rgb8")])
    rows = [decode(row) for row in grouped]
    assert [row["__key__"] for row in rows] == ["000", "001", "002", "003", "004"]
    assert np.array_equal(rows[1]["png"], picture(1))
    assert rows[1]["txt"] == "caption 1"


def test_equal_samples_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar"):
        write_shard(tmp_path / name, [("k", {"png": encode_png(picture(7)), "json": {"b": 1, "a": 2}})])
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_failure_while_writing_leaves_the_old_shard(shard: Path) -> None:
    before = shard.read_bytes()

    def broken():
        yield "000", {"txt": "new"}
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        write_shard(shard, broken())
    assert shard.read_bytes() == before
    assert list(shard.parent.iterdir()) == [shard]


@pytest.mark.parametrize("key", ["a.b", "a/b"])
def test_keys_that_webdataset_would_split_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match="dot or a slash"):
        write_shard(tmp_path / "x.tar", [(key, {"txt": "t"})])
    assert not list(tmp_path.iterdir())


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"00007\.tar: no such shard"):
        Shard(tmp_path / "00007.tar")


def test_a_cut_shard_is_named_with_its_member(shard: Path) -> None:
    data = shard.read_bytes()
    with tarfile.open(shard) as tar:
        last = tar.getmembers()[-3]
    shard.write_bytes(data[: last.offset_data + 5])
    with pytest.raises(InputError, match=r"00000\.tar: (cut off inside member 004\.png|not a readable tar)"):
        Shard(shard)


def test_a_corrupt_image_is_named_with_its_member(tmp_path: Path) -> None:
    path = tmp_path / "bad.tar"
    write_shard(path, [("k", {"png": encode_png(picture(1))[:60]})])
    with pytest.raises(InputError, match=r"bad\.tar: member k\.png: not a readable image"):
        _ = [image for _, image in read_images(path)]


def test_something_else_than_a_tar_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_text("no tar" * 200)
    with pytest.raises(InputError, match="not a readable tar"):
        Shard(path)


def test_a_missing_member_says_what_is_there(shard: Path) -> None:
    with pytest.raises(InputError, match=r"no member 001\.jpg \(found: png, txt, json\)"), Shard(shard) as opened:
        opened.read("001", "jpg")


def test_an_open_shard_travels_to_another_process(shard: Path) -> None:
    with Shard(shard) as opened:
        opened.read("000", "txt")
        with pickle.loads(pickle.dumps(opened)) as copy:
            assert copy.read("001", "txt") == b"caption 1"
