"""Results appear whole or not at all."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stages.core.atomic import check_owned, merged, owned, replaced, written
from stages.core.errors import InputError


def tree(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    (tmp_path / "results" / "tables").mkdir(parents=True)
    (tmp_path / "results" / "tables" / "a.csv").write_text("old")
    (tmp_path / "results" / "kept.txt").write_text("kept")
    return tmp_path / "results"


def test_a_replaced_folder_holds_only_what_was_written(old):
    with replaced(old) as folder:
        (folder / "b.txt").write_text("new")
    assert tree(old) == {"b.txt": "new"}


def test_a_merged_folder_keeps_what_others_wrote(old):
    with merged(old) as folder:
        (folder / "tables").mkdir()
        (folder / "tables" / "b.csv").write_text("new")
    assert tree(old) == {"tables/b.csv": "new", "kept.txt": "kept"}


@pytest.mark.parametrize("manager", [merged, replaced])
def test_parents_need_not_exist(tmp_path, manager):
    with manager(tmp_path / "x" / "y") as folder:
        (folder / "b.txt").write_text("new")
    assert tree(tmp_path) == {"x/y/b.txt": "new"}


@pytest.mark.parametrize("manager", [merged, replaced])
def test_an_error_on_the_way_leaves_everything_as_it_was(old, manager):
    before = tree(old.parent)
    with pytest.raises(RuntimeError), manager(old) as folder:
        (folder / "tables").mkdir()
        (folder / "tables" / "b.csv").write_text("half")
        raise RuntimeError
    assert tree(old.parent) == before and [path.name for path in old.parent.iterdir()] == ["results"]


WRITER = """
import sys
from pathlib import Path
from stages.core.atomic import merged
with merged(Path(sys.argv[1])) as folder:
    (folder / "half.txt").write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("manager", [merged, replaced])
def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(old, manager):
    folders = [old, old.with_name("other")]
    writers = []
    for folder in folders * 2:
        command = [sys.executable, "-c", WRITER, folder]
        writers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert writers[-1].stdout.readline() == "writing\n"
    killed, _, living, _ = writers
    killed.kill()
    killed.communicate()
    with manager(old) as folder:
        beside = {path.name.rsplit(".", 2)[1] for path in old.parent.glob(".results.*.partial")}
        assert beside == {folder.name.rsplit(".", 2)[1], str(living.pid)}
        assert len(list(old.parent.glob(".other.*.partial"))) == 2
    for writer in writers[1:]:
        writer.communicate("")
        assert writer.returncode == 0
    assert not list(old.parent.glob(".*.partial"))


def test_a_written_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with written(path) as file:
        file.write_text("new")
        assert path.read_text() == "old"
    assert tree(tmp_path) == {"a.txt": "new"}


def test_a_pipe_a_device_and_a_folder_are_never_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, found in (("pipe", "a device, a pipe or a socket"), ("link", "a device, a pipe"), ("folder", "a folder")):
        with pytest.raises(InputError, match=f"{name}: found {found}"), written(tmp_path / name) as path:
            path.write_text("new")
    assert stat.S_ISFIFO((tmp_path / "link").stat().st_mode) and (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "link", "pipe"]


def test_an_error_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), written(path) as file:
        file.write_text("half")
        raise RuntimeError
    assert tree(tmp_path) == {"a.txt": "old"}


FILE_WRITER = WRITER.replace("merged", "written").replace('(folder / "half.txt")', "folder")


def test_what_a_killed_process_left_beside_a_file_goes(tmp_path):
    path = tmp_path / "00000.tar"
    writer = subprocess.Popen([sys.executable, "-c", FILE_WRITER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"writing\n"
    writer.kill()
    writer.communicate()
    assert len(list(tmp_path.iterdir())) == 1
    with written(path) as file:
        file.write_text("whole")
    assert tree(tmp_path) == {"00000.tar": "whole"}


@pytest.mark.parametrize("manager", [merged, replaced])
def test_two_writers_of_one_folder_leave_the_whole_work_of_one(tmp_path, manager):
    script = (
        WRITER.replace("merged", manager.__name__)
        .replace('"half.txt"', '"a" / "of.txt"')
        .replace("    (folder", '    (folder / "a").mkdir()\n    (folder')
    )
    writers = []
    for _ in range(4):
        command = [sys.executable, "-c", script, tmp_path / "out"]
        writers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert writers[-1].stdout.readline() == "writing\n"
    for writer in writers:
        writer.stdin.close()
    assert [writer.wait() for writer in writers] == [0] * 4
    for writer in writers:
        writer.stdout.close()
    assert tree(tmp_path) == {"out/a/of.txt": "half"}


def write_owned(folder: Path, text: str) -> None:
    with owned(folder) as staging:
        (staging / "figures").mkdir()
        (staging / "metrics.json").write_text(text)


def test_a_folder_of_the_users_choice_is_replaced_only_while_all_in_it_is_ours(tmp_path):
    out = tmp_path / "a" / "out"
    write_owned(out, "1")
    write_owned(out, "2")
    assert (out / "metrics.json").read_text() == "2"
    (out / "figures" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds figures/notes.txt, which no earlier run wrote"):
        write_owned(out, "3")
    assert (out / "metrics.json").read_text() == "2" and (out / "figures" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["metrics.json", ".hidden", "deep/er/thesis.tex", "empty/"])
def test_what_the_user_keeps_in_a_folder_is_never_lost(tmp_path, name):
    path = tmp_path / "out" / name
    (path if name.endswith("/") else path.parent).mkdir(parents=True)
    if not name.endswith("/"):
        path.write_text("mine")
    with pytest.raises(InputError, match=f"holds {name.rstrip('/')}, which .* would be lost; name a new folder"):
        write_owned(tmp_path / "out", "1")
    assert path.exists()


def test_what_appears_while_the_work_runs_is_not_lost(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"holds late\.txt"), owned(out) as staging:
        (staging / "a.txt").write_text("ours")
        out.mkdir()
        (out / "late.txt").write_text("mine")
    assert tree(tmp_path) == {"out/late.txt": "mine"}


def test_a_file_and_the_working_folder_and_those_above_are_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="found a file, expected a folder"):
        check_owned(tmp_path / "file")
    with pytest.raises(InputError, match=r"found a file, /.*/file, in its path, expected folders"):
        check_owned(tmp_path / "file" / "a" / "b")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in (".", "..", "../here", "/", str(tmp_path)):
        with pytest.raises(InputError, match="found the working folder or one above it"):
            check_owned(Path(name))
    with pytest.raises(InputError, match="found the working folder"):
        write_owned(Path(), "1")


def test_a_link_to_a_folder_is_followed_and_stays(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_owned(tmp_path / "link", "1")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "metrics.json").read_text() == "1"
