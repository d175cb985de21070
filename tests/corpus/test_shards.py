"""Shards: WebDataset tars, equal bytes for equal samples, errors that name shard and member."""

import io
import json
import pickle
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import InputError
from stages.corpus.images import encode_png
from stages.corpus.shards import Shard, list_members, read_images, write_shard
from tests.helpers.campaign import campaign


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


def tar_of(path: Path, *members: tuple[str, bytes], kind: int = tarfile.PAX_FORMAT, **changes: object) -> Path:
    with tarfile.open(path, "w", format=kind) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in changes.items():
                setattr(info, field, value)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("length", [90, 97, 150, 400])
def test_a_key_may_be_longer_than_a_header_holds(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x.tar"
    write_shard(path, [("k" * length, {"txt": "a"})])
    with Shard(path) as shard:
        assert shard.read("k" * length, "txt") == b"a"
    with tarfile.open(path) as tar:
        assert tar.getnames() == [f"{'k' * length}.txt"]


def test_names_that_fit_have_the_plain_headers_of_before(tmp_path: Path) -> None:
    write_shard(tmp_path / "x.tar", [("k" * 90, {"txt": "a"}), ("é", {"txt": "b"})])
    with tarfile.open(tmp_path / "y.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo(f"{'k' * 90}.txt")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"a"))
    assert (tmp_path / "x.tar").read_bytes()[:1024] == (tmp_path / "y.tar").read_bytes()[:1024]


def test_tars_joined_one_behind_the_other_are_read_whole(tmp_path: Path) -> None:
    parts = [tar_of(tmp_path / f"{i}.tar", (f"{i}.txt", bytes([i]))).read_bytes() for i in range(3)]
    (tmp_path / "all.tar").write_bytes(parts[0] + bytes(512 * 5000) + parts[1] + parts[2])
    with Shard(tmp_path / "all.tar") as shard:
        assert [shard.read(key, "txt") for key in shard.keys] == [b"\0", b"\1", b"\2"]


def test_what_follows_a_tar_and_is_none_is_refused(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", ("1.txt", b"a"))
    path.write_bytes(path.read_bytes() + b"trailing words" * 100)
    with pytest.raises(InputError, match=r"a\.tar: not a readable tar: .*, after 1\.txt; obtain or make it again"):
        Shard(path)


def test_a_damaged_header_in_the_middle_is_no_end(shard: Path) -> None:
    with tarfile.open(shard) as tar:
        place = tar.getmembers()[6].offset
    data = bytearray(shard.read_bytes())
    data[place + 3] ^= 1
    shard.write_bytes(data)
    with pytest.raises(InputError, match=r"damaged: no end-of-archive block, after 001\.json"):
        Shard(shard)
    assert Shard(shard, tolerant=True).keys == ["000", "001"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_are_refused_with_the_way_to_write_their_content(tmp_path: Path, kind: bytes) -> None:
    path = tar_of(tmp_path / "a.tar", ("1.txt", b""), type=kind, linkname="../../secret")
    with pytest.raises(InputError, match=r"member 1\.txt is a link; write the tar with its content \(tar --deref"):
        Shard(path)


def test_a_size_below_zero_is_refused(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", ("1.txt", b""))
    header = bytearray(path.read_bytes())
    header[124:136] = b"\xff" * 11 + b"\xf0"
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header[:512]):06o}\0 ".encode()
    path.write_bytes(header)
    with pytest.raises(InputError, match=r"a\.tar: not a readable tar: cut off inside member 1\.txt"):
        Shard(path)


def test_one_member_twice_is_refused(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", ("1.jpg", b"a"), ("1.JPG", b"b"))
    with pytest.raises(InputError, match=r"a\.tar: member 1\.jpg comes twice; make the shard again"):
        Shard(path)


members = st.tuples(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=130),
    st.binary(max_size=1100),
)


@campaign
@given(
    st.lists(st.lists(members, max_size=4), min_size=1, max_size=3),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_any_tar_that_tarfile_writes_is_listed_as_tarfile_reads_it_property(
    parts: list[list[tuple[str, bytes]]], kind: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, expected = Path(name), []
        for place, content in enumerate(parts):
            tar_of(folder / f"{place}.tar", *content, kind=kind)
            with tarfile.open(folder / f"{place}.tar") as tar:
                for info in filter(tarfile.TarInfo.isfile, tar):
                    data = tar.extractfile(info)
                    assert data is not None
                    expected.append((info.name, data.read()))
        joined = b"".join((folder / f"{place}.tar").read_bytes() for place in range(len(parts)))
        (folder / "all.tar").write_bytes(joined)
        found = [(m.name, joined[m.offset : m.offset + m.size]) for m in list_members(folder / "all.tar")]
    assert found == expected


@campaign
@given(st.lists(members, min_size=1, max_size=3), st.data())
def test_any_damage_to_a_tar_is_one_line_or_in_the_content_property(
    content: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = tar_of(Path(name) / "a.tar", *content)
        damaged = bytearray(path.read_bytes())
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(damaged[: data.draw(st.integers(1, len(damaged)))])
        try:
            assert sum(1 for _ in list_members(path)) >= 0
        except InputError as error:
            assert str(error).startswith(f"{path}: ")
            assert "\n" not in " ".join(str(error).split())
