import base64
import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from stages.core.errors import InputError
from stages.download.emoji.packages import STYLES, fetch, integrity, read_json

SMALL = STYLES["fluent-emoji-flat"]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("npm_config_offline", "true")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "empty-npm-cache"))


def test_integrity_is_the_base64_of_the_sha512(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    algorithm, _, digest = integrity(path).partition("-")
    assert algorithm == "sha512"
    assert base64.b64decode(digest) == hashlib.sha512(b"abc").digest()


@pytest.mark.usefixtures("no_network")
def test_a_verified_archive_is_used_offline(cache: Path, tmp_path: Path) -> None:
    shutil.copy(cache / SMALL.archive, tmp_path)
    path = fetch(SMALL, tmp_path)
    assert read_json(path, "package/icons.json")["prefix"] == "fluent-emoji-flat"


def test_an_altered_archive_is_refused(cache: Path, tmp_path: Path) -> None:
    altered = bytearray((cache / SMALL.archive).read_bytes())
    altered[1000] ^= 1
    (tmp_path / SMALL.archive).write_bytes(altered)
    with pytest.raises(InputError, match=r"found sha512-.*, expected sha512-.*delete the file and run again"):
        fetch(SMALL, tmp_path)


@pytest.mark.usefixtures("no_network")
def test_a_failed_fetch_keeps_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "packages"
    folder.mkdir()
    with pytest.raises(InputError, match=rf"npm pack {SMALL.name}@{SMALL.version} failed .*check network"):
        fetch(SMALL, folder)
    assert list(folder.iterdir()) == []


def test_a_fetched_archive_with_another_hash_keeps_nothing(tmp_path: Path) -> None:
    other = replace(SMALL, integrity="sha512-" + base64.b64encode(bytes(64)).decode())
    with pytest.raises(InputError, match=r"npm package .*expected sha512-AAAA.*nothing was kept"):
        fetch(other, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_member_is_named(cache: Path) -> None:
    with pytest.raises(InputError, match=r"no package/none\.json inside"):
        read_json(cache / SMALL.archive, "package/none.json")
