"""`source: wds`: WebDataset tars of any tool become a corpus."""

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from webdataset.tariterators import base_plus_ext

from stages.core.errors import InputError
from stages.corpus.images import square
from stages.corpus.shards import KEY, Shard, decode_image
from stages.download.corpora import packing, wds
from tests.helpers.campaign import campaign
from tests.helpers.own_corpus import COUNT, Drawing, Project
from tests.helpers.pictures import png

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
    (tmp_path / "0.tar").mkdir()
    os.mkfifo(tmp_path / "1.tar")
    for name in ("0.tar", "1.tar"):
        with pytest.raises(InputError, match=rf"{name}: found no file, expected a tar; remove or rename it"):
            wds.tars(tmp_path)
        (tmp_path / name).rename(tmp_path / f"{name}.not")


def source(folder: Path, caption: str = "txt", **names: tuple[str, ...]) -> wds.WdsSource:
    tars = wds.tars(folder)
    counts = tuple(len(wds.samples(tar)) for tar in tars)
    return wds.WdsSource(tars, counts, caption, names.get("attributes", ()), names.get("numbers", ()), False, 1)


def refused(folder: Path, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        list(source(folder, **options).entries(0))  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_members_of_a_sample_may_lie_anywhere_in_their_tar(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("1.png", b"x"), ("2.png", b"y"), ("2.txt", b"two"), ("1.txt", b"one")])
    found = list(source(tmp_path).entries(0))
    assert [(entry.key, entry.captions, entry.image) for entry in found] == [
        ("1", ("one",), b"x"),
        ("2", ("two",), b"y"),
    ]


def test_tars_joined_one_behind_the_other_lose_nothing(tmp_path: Path) -> None:
    for number in (1, 2):
        write_tar(tmp_path / f"{number}.tar", [(f"{number}.png", b"x"), (f"{number}.txt", b"a judge")])
    (tmp_path / "1.tar").write_bytes((tmp_path / "1.tar").read_bytes() + (tmp_path / "2.tar").read_bytes())
    (tmp_path / "2.tar").unlink()
    assert [entry.key for entry in source(tmp_path).entries(0)] == ["1", "2"]


def test_one_suffix_twice_is_one_line(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("1.jpg", b"x"), ("1.JPG", b"y")])
    assert "a.tar: members 1.jpg and 1.JPG are the same member jpg of one sample" in refused(tmp_path)


def test_dots_in_names_are_named_where_they_hide_images(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [(f"IMG.{n}.{suffix}", b"x") for n in ("001", "002") for suffix in ("png", "txt")])
    assert "a.tar: member IMG.001.png: the key ends at the first dot, WebDataset's rule" in refused(tmp_path)
    write_tar(tmp_path / "a.tar", [("1.png", b"x"), ("1.seg.png", b"mask"), ("1.en.txt", b"a judge")])
    (entry,) = source(tmp_path, "en.txt").entries(0)
    assert (entry.image, entry.captions) == (b"x", ("a judge",))


def test_what_webdataset_passes_over_is_no_sample(tmp_path: Path) -> None:
    names = ["./1.png", "1.txt", ".hidden.png", "._1.png", "__meta__", "README", "a/.b.png"]
    write_tar(tmp_path / "a.tar", [(name, b"x") for name in names])
    assert list(wds.samples(tmp_path / "a.tar")) == ["1"]


@pytest.mark.parametrize(
    ("text", "captions"),
    [
        (b"\xef\xbb\xbfa judge\r\n", ("a judge",)),
        ("a café\n".encode("utf-16"), ("a café",)),
        (b"two\r\nlines\r", ("two\nlines",)),
        (b" \n", ()),
        (b"", ()),
    ],
)
def test_marks_and_line_ends_of_editors_are_no_part_of_a_caption(tmp_path: Path, text: bytes, captions: tuple) -> None:
    write_tar(tmp_path / "a.tar", [("1.png", b"x"), ("1.txt", text)])
    (entry,) = source(tmp_path).entries(0)
    assert entry.captions == captions


def test_a_caption_in_another_encoding_is_a_bad_sample(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("1.png", png()), ("1.txt", b"a caf\xe9")])
    with pytest.raises(
        InputError, match=r"a\.tar: sample 1: caption that is no text in UTF-8; correct it, or leave such"
    ):
        packing.pack(source(tmp_path), packing.Packing(8, 1, 0, False), 0, "00000", tmp_path)


def test_a_list_of_captions_is_a_list(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("1.png", b"x"), ("1.json", b'{"text": ["a cook", "", "a chef"]}')])
    (entry,) = source(tmp_path, "json.text").entries(0)
    assert entry.captions == ("a cook", "a chef")


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (b'{"gender": ["man"]}', {"attributes": ("gender",)}, "member json: gender: found ['man'], expected one text"),
        (b'{"score": "high"}', {"numbers": ("score",)}, "sample 1: score: found 'high', expected a finite number"),
        (b'{"score": true}', {"numbers": ("score",)}, "sample 1: score: found True, expected a finite number"),
        (b'{"score": Infinity}', {"numbers": ("score",)}, "found inf, expected a finite number, or null"),
        (b'{"text": {"a": 1}}', {"caption": "json.text"}, "member json: text: found {'a': 1}, expected a text"),
        (b"[1]", {"caption": "json.text"}, "member json: found [1], expected an object"),
        (b"{", {"caption": "json.text"}, "member json: not valid JSON"),
        (
            b'{"text": "a", "text": "b"}',
            {"caption": "json.text"},
            "member json: not valid JSON (key 'text' comes twice)",
        ),
        (b'{"text": "\\ud800"}', {"caption": "json.text"}, "not valid JSON (\\ud800 is half a character)"),
        (b'{"score": "1_0"}', {"numbers": ("score",)}, "sample 1: score: found '1_0', expected a finite number"),
        ('{"score": "٣"}'.encode(), {"numbers": ("score",)}, "sample 1: score: found '٣', expected a finite number"),
        (b'{"score": 12345678901234567}', {"numbers": ("score",)}, "found 12345678901234567, expected a finite number"),
        (b"\xff\xfe{", {"caption": "json.text"}, "member json: not valid JSON (found damaged UTF-16"),
    ],
)
def test_a_field_that_is_not_what_it_should_be_is_one_line(
    tmp_path: Path, content: bytes, options: dict, says: str
) -> None:
    write_tar(tmp_path / "a.tar", [("1.png", b"x"), ("1.json", content)])
    message = refused(tmp_path, **options)
    assert message.startswith(f"{tmp_path / 'a.tar'}: sample 1: ") and says in message


def test_a_json_member_that_is_missing_says_what_is_there(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("1.png", b"x"), ("1.txt", b"x")])
    assert "sample 1: no member json, whose fields download.wds names (found: png, txt)" in refused(
        tmp_path, attributes=("gender",)
    )


def test_unknown_values_and_whole_numbers_are_those_of_tables(tmp_path: Path) -> None:
    fields = [(1.0, "NA"), (None, " "), ("lighter", 25.0)]
    members = [
        (f"{i}.json", json.dumps({"skin_tone": t, "age": a, "n": None}).encode()) for i, (t, a) in enumerate(fields)
    ]
    write_tar(tmp_path / "a.tar", members)
    found = source(tmp_path, attributes=("skin_tone", "age"), numbers=("n",)).entries(0)
    assert [tuple(entry.known.values()) for entry in found] == [
        ("1", "", None),
        ("", "", None),
        ("lighter", "25", None),
    ]


def test_names_outside_letters_and_digits_stay_apart(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [(f"{name}.png", b"x") for name in ("é", "ö", "a b", "a_b", "a/b1")])
    keys = [entry.key for entry in source(tmp_path).entries(0)]
    assert len(set(keys)) == 5 and keys[3:] == ["a_b", "a_b1"]
    assert all(KEY.fullmatch(key) for key in keys)
    wds.check_unique([wds.keys(tmp_path / "a.tar", False)], [tmp_path / "a.tar"], False)


def test_keys_that_repeat_in_one_tar_are_not_cured_by_its_name(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("a/b.png", b"x"), ("a_b.png", b"x")])
    tars = wds.tars(tmp_path)
    with pytest.raises(InputError, match=r"1 keys come twice, .*; make the shards again"):
        wds.check_unique([wds.keys(tar, False) for tar in tars], tars, False)


@pytest.mark.parametrize("suffix", ["gif", "bmp", "tif", "tiff", "JPEG", "webp"])
def test_images_of_every_kind_that_is_read_are_images(tmp_path: Path, suffix: str) -> None:
    write_tar(tmp_path / "a.tar", [(f"1.{suffix}", png()), ("1.txt", b"a judge")])
    packing.pack(source(tmp_path), packing.Packing(8, 1, 0, False), 0, "00000", tmp_path / "out")
    with Shard(tmp_path / "out" / "00000.tar") as shard:
        assert np.array_equal(shard.read_image("1"), decode_image(png(), "1"))


def test_an_empty_tar_names_its_folder(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [])
    assert wds.keys(tmp_path / "a.tar", False).tolist() == []
    with pytest.raises(InputError, match=r"mine: 1 tars: 0 rows for 1 shards"):
        packing.check_cut("mine: 1 tars", 0, ["00000"])


names = st.from_regex(r"(\./)?([a-z]{1,2}/)?\.?[a-zé]{1,3}(\.[a-zA-Z]{0,3}){0,3}", fullmatch=True)


@campaign
@given(st.lists(st.tuples(names, st.binary(min_size=1, max_size=5)), max_size=6))
def test_any_tar_is_grouped_as_webdataset_groups_it_or_refused_property(members: list[tuple[str, bytes]]) -> None:
    expected: dict[str, dict[str, bytes]] = {}
    twice = False
    for name, data in members:
        base, suffix = base_plus_ext(name.removeprefix("./"))
        if base is not None and not name.rpartition("/")[2].startswith("."):  # the library takes a/.b for "a/", "b"
            parts = expected.setdefault(base, {})
            twice |= suffix.lower() in parts
            parts[suffix.lower()] = data
    with tempfile.TemporaryDirectory() as folder:
        write_tar(Path(folder) / "a.tar", members)
        with (Path(folder) / "a.tar").open("rb") as file:
            try:
                found = wds.samples(Path(folder) / "a.tar")
            except InputError as error:
                assert ("same member" in str(error)) == twice
                return
            read = {key: {name: wds.read(file, part) for name, part in parts.items()} for key, parts in found.items()}
    assert read == expected and not twice
