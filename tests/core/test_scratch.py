"""The work folder: one absolute place, keyed by what shapes the work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.core.errors import InputError
from stages.core.scratch import alone, contents, digest, fingerprint, spilled, work_folder


def test_the_variable_moves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERWEIGHT_WORK", str(tmp_path / "w"))
    folder = work_folder("train", {"seed": 1})
    assert folder.is_dir()
    assert folder.parent == tmp_path / "w" / "train"


def test_without_it_the_folder_lies_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COUNTERWEIGHT_WORK", raising=False)
    monkeypatch.chdir(tmp_path)
    assert work_folder("packages") == tmp_path / ".work" / "packages"


def test_another_shape_is_another_folder() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 1.5})


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COUNTERWEIGHT_WORK", str(tmp_path / "work"))
    return tmp_path / "work"


def test_a_file_is_known_by_its_content_whatever_its_time_and_place(work: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"same")
    second.write_bytes(b"same")
    os.utime(second, ns=(1, 1))
    assert contents([first, second]) == [digest([first])] * 2
    second.write_bytes(b"diff")
    os.utime(second, ns=(1, 1))
    assert contents([second]) == [digest([second])] != contents([first])


def test_a_file_that_has_not_changed_is_not_read_again(work: Path, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    found = contents([path])
    (known,) = (work / "contents").iterdir()
    known.write_text("known")
    assert contents([path]) == ["known"] != found


def test_a_missing_file_is_named(work: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.tar: no such file"):
        contents([tmp_path / "gone.tar"])


HOLDER = """
import sys
from stages.core.scratch import alone
with alone("train", {"seed": 1}):
    print("begun", flush=True)
    sys.stdin.read()
"""


def test_equal_work_waits_for_the_process_that_is_at_it_even_a_killed_one(work: Path) -> None:
    command = [sys.executable, "-c", HOLDER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    first = subprocess.Popen(command, **pipes, text=True)
    assert first.stdout is not None and first.stdout.readline() == "begun\n"
    second = subprocess.Popen(command, **pipes, text=True)
    assert second.stderr is not None
    assert second.stderr.readline() == "train: another process is at this very work; waiting until it has ended\n"
    with alone("train", {"seed": 2}):  # other work does not wait
        first.kill()
    assert second.stdout is not None and second.stdout.readline() == "begun\n"
    first.communicate()
    second.communicate("")
    assert second.returncode == 0


SPILLER = """
import sys
from stages.core.scratch import spilled
with spilled("balance") as folder:
    (folder / "mix.duckdb").write_text("large")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_spilled_is_removed_by_the_next_what_a_living_one_holds_is_not(work: Path) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    killed, living = (subprocess.Popen([sys.executable, "-c", SPILLER], **pipes, text=True) for _ in range(2))
    assert killed.stdout is not None and living.stdout is not None
    left, held = Path(killed.stdout.readline().strip()), Path(living.stdout.readline().strip())
    killed.kill()
    killed.communicate()
    assert (left / "mix.duckdb").exists()
    with spilled("balance") as folder:
        assert list(folder.iterdir()) == []
        assert sorted((work / "balance").iterdir()) == sorted([folder, held])
    living.communicate("")
    assert list((work / "balance").iterdir()) == []
